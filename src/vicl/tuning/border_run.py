"""From a frozen inpainter and a folder of pairs to a learned border, saved in a prompt file."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from vicl.canvas.moves import moves_within
from vicl.engine import InContextModel
from vicl.files import display, write_atomic
from vicl.images import DEFAULT_LIMIT_PIXELS, save_image, to_pil, to_tensor
from vicl.loading import load_model
from vicl.metrics import Interval, bootstrap_interval, paired_interval
from vicl.models.code_inpainter import CodeInpainter
from vicl.models.devices import Device
from vicl.models.floors import Copy
from vicl.prompt import Prompt
from vicl.prompting.border import BORDER, Border, border_of
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.depth import white_of
from vicl.prompting.drawing import drawn_passes
from vicl.prompting.prompt_file import SavedPrompt, save_prompt
from vicl.prompting.settings import PromptSettings
from vicl.prompts.pixel import PixelPrompt, around_grey
from vicl.selection.pool import open_pool
from vicl.tasks import MarkedTask, Task
from vicl.tasks.classes import Classes, ClassesLike
from vicl.training.checkpoints import CheckpointFolder
from vicl.training.job import Job
from vicl.training.loop import fit
from vicl.training.optimisation import rate_at
from vicl.training.parallel import load_whole_state, processes
from vicl.training.settings import BatchSize, Schedule
from vicl.tuning.border import (
    BorderObjective,
    BorderSettings,
    Canvases,
    Looking,
    frozen,
)
from vicl.tuning.layouts import DataError
from vicl.tuning.looking import LOOKS
from vicl.tuning.pairs import Pairs, Shown, Split, task_of
from vicl.tuning.settings import Pace, SettingsError, settled
from vicl.tuning.tune import SCORES, prepare_run

PROMPT_FILE: Final = "prompt.vicl"
"""The prompt with the border, in the folder of its run."""
REMEDY: Final = "Lower lr (--set lr=...) or set clip=1"
_LOOKED: Final = 64
"""Held-out canvases that are looked at on the way, at most."""
_CANDIDATES: Final = 8
"""Pairs of a class that are tried as the example of the prompt file."""
_TRIED: Final = 16
"""Held-out canvases that a candidate is tried on."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Bordered:
    """What came of learning a border.

    Attributes:
        folder: Of the run: the border, the prompt file and what they scored are in it.
        border: That did best on the held-out pairs.
        metric: What the task measures; more is better.
        scores: Of held-out pairs, a value each: `border`, `plain` (the engine without it) and
            `copy` (the floor).
        losses: Cross-entropy of the held-out canvases with the border and without.
        seconds: Of training.
        broken: What was wrong with pairs that could not be read.
    """

    folder: Path
    border: Border
    metric: str
    scores: dict[str, list[float]]
    losses: tuple[float, float]
    seconds: float
    broken: tuple[str, ...]

    def interval(self, name: str) -> Interval:
        """Of one of :attr:`scores`."""
        return bootstrap_interval(self.scores[name])

    @property
    def gain(self) -> Interval:
        """What the border adds, pair by pair."""
        return paired_interval(self.scores["border"], self.scores["plain"])

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "metric": self.metric,
            "loss": dict(zip(("border", "plain"), self.losses, strict=True)),
            "seconds": round(self.seconds, 1),
            "scores": self.scores,
            "broken": list(self.broken),
        }


def tune_border(
    output: Path,
    *,
    model: str | CodeInpainter,
    data: Path,
    task: str = "image",
    classes: ClassesLike = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    resume: bool = False,
    device: Device = "auto",
) -> Bordered:
    """Learn a border for a task, and save it, alone and in a prompt file.

    Args:
        output: The run's folder.
        model: An inpainter over codes, of weights that have a hash, or what `load_model` takes.
        data: Labelled images; see :mod:`vicl.selection.pool`.
        task: What the outputs are; see :class:`vicl.VisualPrompter`, as for
        classes: what marks each class.
        overrides: "key=value" each; see :class:`vicl.tuning.border.BorderSettings`.
        seed: Of everything random.
        resume: Go on with the run in `output`.
        device: See :func:`vicl.load_model`.

    Raises:
        SettingsError: If an override is wrong, or the model is no inpainter over codes.
        DataError: If the pairs cannot be used.
        LearnedError: If the model has no hash.
        TrainingError: If the run cannot begin or go on, or its loss is not finite any more.
        KeyboardInterrupt: After Ctrl-C, once a checkpoint is saved.
    """
    settings = settled(BorderSettings, overrides, "lr=0.01")
    pool = open_pool(data)
    engine = load_model(model, device=device) if isinstance(model, str) else model
    if not isinstance(engine, CodeInpainter):
        raise SettingsError(
            f"--model: {engine.name} has no codes to learn from; take default, or the folder of "
            "another MAE-VQGAN, BEiT or autoregressive model"
        )
    pairs = Pairs(pool, task_of(pool, task, classes), CanvasModel(engine).grid(1))
    split = pairs.split(settings.held_out, seed)
    run = _Run(engine, settings, pairs, split, seed, output)
    described = {
        "learns": "border",
        "settings": settings.model_dump(mode="json"),
        "model": engine.name,
        "weights_hash": border_of(run.prompt, settings.mode, engine).told.weights_hash,
        "data": str(data),
        "task": task,
        "classes": list(pairs.task.classes),
        "pairs": [len(split.train), len(split.held_out)],
        "seed": seed,
    }
    prepare_run(output, described, resume=resume)
    with frozen(engine):
        return run.complete()


class _Run:
    """A run of training."""

    def __init__(
        self,
        engine: CodeInpainter,
        settings: BorderSettings,
        pairs: Pairs,
        split: Split,
        seed: int,
        folder: Path,
    ) -> None:
        self.engine, self.settings, self.pairs = engine, settings, pairs
        self.split, self.seed, self.folder = split, seed, folder
        layouts = [pairs.layout.arranged(number) for number in settings.arrangements]
        self.prompt: PixelPrompt = settings.prompt(pairs.layout, seed).to(engine.device)
        self.canvases = Canvases(pairs, engine, layouts, settings.published)
        self.objective = BorderObjective(self.prompt, engine, layouts, settings)

    def complete(self) -> Bordered:
        """Train, choose, score and save."""
        held = self.canvases.held_out(self.split.held_out, self.split.train, self.seed)
        if not held:
            first = next(iter(self.pairs.broken.values()))
            raise DataError(f"none of the held-out pairs can be read; the first: {first}")
        looking = Looking(self.objective, self.canvases, held[:_LOOKED])
        with processes(self.engine.device, precision=self.settings.precision) as joined:
            trained = fit(self._job(looking), joined)
        kept = CheckpointFolder(self.folder / "checkpoints", 1)
        best = kept.index().best
        if best is not None:
            load_whole_state(self.objective, kept.load(best)["objective"])
        border = border_of(self.prompt, self.settings.mode, self.engine)
        plain = BorderObjective(self._nothing(), self.engine, self.objective.layouts, self.settings)
        found = Bordered(
            folder=self.folder,
            border=border,
            metric=self.pairs.task.metric,
            scores=self._scores(border, held),
            losses=(looking.loss(), Looking(plain, self.canvases, looking.shown).loss()),
            seconds=trained.seconds,
            broken=tuple(self.pairs.broken.values()),
        )
        for line in found.broken:
            _log.warning("skipped: %s", line)
        border.save(self.folder / BORDER)
        save_image(to_pil(around_grey(border.picture[0])), self.folder / "border.png")
        self._save_prompt(border, looking)
        write_atomic(self.folder / SCORES, (json.dumps(found.to_json(), indent=1) + "\n").encode())
        return found

    def _job(self, looking: Looking) -> Job:
        """What the loop is to do."""
        settings, train = self.settings, self.split.train
        pace = Pace(len(train), min(settings.batch, len(train)), settings.epochs)
        between = max(1, pace.steps // min(LOOKS, settings.epochs))
        moves = moves_within(self.engine.patch_size, spins=self.engine.spins)
        return Job(
            objective=self.objective,
            rounds=functools.partial(self.canvases.rounds, train, moves, self.seed),
            batch=BatchSize(size=pace.batch),
            steps=pace.steps,
            schedule=Schedule(steps=pace.steps),
            optimiser=settings.optimiser,
            look=looking,
            look_every=between,
            folder=self.folder,
            name="tune-border",
            log_every=min(20, between),
            save_every=5 * between,
            keep=1,
            tokenizer=self.engine.weights_hash,
            rate=lambda step: rate_at(
                pace.epoch(step), settings.epochs, settings.rate, settings.peak
            ),
            remedy=REMEDY,
        )

    def _nothing(self) -> PixelPrompt:
        """A border that adds nothing."""
        zero = self.settings.model_copy(update={"init": "zero"})
        return zero.prompt(self.pairs.layout, self.seed).to(self.engine.device)

    def _scores(self, border: Border, held: Sequence[Shown]) -> dict[str, list[float]]:
        """Of held-out pairs at the cells' size: with the border, without, and Copy's."""
        how: dict[str, Any] = {"arrangements": self.settings.arrangements}
        engines: dict[str, InContextModel] = {
            "border": CanvasModel(self.engine, border=border, **how),
            "plain": CanvasModel(self.engine, **how),
            "copy": Copy(),
        }
        scores: dict[str, list[float]] = {name: [] for name in engines}
        for shown in held:
            example, query = self.pairs.load(shown.example), self.pairs.load(shown.query)
            task = _of_one(self.pairs.task, self.pairs.items[shown.query].drawn)
            for name, asked in engines.items():
                (answer,) = asked.answer([Prompt([example], query.input)])
                scores[name].append(task.score([answer.image], [to_tensor(query.output)]))
        return scores

    def _save_prompt(self, border: Border, looking: Looking) -> None:
        """The border with the pair of each class that is the best example of some."""
        pairs, found = self.pairs, {}
        for drawn in sorted({item.drawn for item in pairs.items}):
            asked = [s for s in looking.shown if pairs.items[s.query].drawn == drawn][:_TRIED]
            tried = [
                place
                for place in self.split.train
                if pairs.items[place].drawn == drawn and pairs.readable(place) is not None
            ][:_CANDIDATES]
            losses = {
                place: looking.loss([one._replace(example=place) for one in asked])
                for place in tried
            }
            if losses:
                entry = pairs.items[min(losses, key=losses.__getitem__)].entry
                found[id(entry)] = entry.example()
        examples = tuple(found.values())
        white = white_of(examples, pairs.task, limit_pixels=DEFAULT_LIMIT_PIXELS)
        passes = drawn_passes(examples, pairs.task, white, limit_pixels=DEFAULT_LIMIT_PIXELS)
        settings = PromptSettings(arrangements=self.settings.arrangements, white=white)
        dtype = "bfloat16" if self.engine.dtype == torch.bfloat16 else "float32"
        saved = SavedPrompt(self.engine, pairs.task, passes, dtype, settings, border)
        save_prompt(saved, self.folder / PROMPT_FILE)


def _of_one(task: Task, drawn: int) -> Task:
    """The task of one of its classes."""
    if not isinstance(task, MarkedTask) or task.passes == 1:
        return task
    marks = Classes((task.marks.names[drawn],), (task.marks.keys[drawn],))
    return replace(task, marks=marks)


def told(found: Bordered) -> list[str]:
    """What came of it, a line each, for people."""
    more = f"{found.metric} on {len(found.scores['border'])} held-out pairs"
    return [
        f"{more}: {found.interval('border')} with the border, {found.interval('plain')} without, "
        f"{found.interval('copy')} by Copy",
        f"the border adds {found.gain}; loss {found.losses[0]:.3f}, without {found.losses[1]:.3f}",
        f"use it: vicl predict PHOTOS --prompt {display(found.folder / PROMPT_FILE)}",
    ]
