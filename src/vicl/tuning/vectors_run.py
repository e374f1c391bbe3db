"""From a frozen MAE-VQGAN and a folder of pairs to task vectors, saved in a prompt file."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from vicl.engine import InContextModel
from vicl.files import display, write_atomic
from vicl.images import to_tensor
from vicl.loading import load_model
from vicl.metrics import Interval, bootstrap_interval, paired_interval
from vicl.models.devices import Device
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.learned import Told
from vicl.prompting.prompter import VisualPrompter
from vicl.prompting.task_vectors import VECTORS, TaskVectors, VectorModel, layout_of
from vicl.selection.pool import open_pool
from vicl.tasks.classes import ClassesLike
from vicl.training.checkpoints import CheckpointFolder
from vicl.training.job import Job
from vicl.training.loop import fit
from vicl.training.parallel import load_whole_state, processes
from vicl.training.settings import BatchSize, Schedule
from vicl.tuning.border import frozen
from vicl.tuning.border_run import PROMPT_FILE
from vicl.tuning.layouts import DataError
from vicl.tuning.pairs import Pairs, Shown, Split, task_of
from vicl.tuning.settings import SettingsError, settled
from vicl.tuning.tune import SCORES, prepare_run
from vicl.tuning.vectors import (
    Asked,
    Coins,
    Groups,
    LookingAtCoins,
    VectorObjective,
    VectorSettings,
    mean_slices,
)

REMEDY: Final = "Lower lr (--set lr=...)"
_LOOKED: Final = 64
"""Held-out canvases that are looked at, at most."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Vectored:
    """What came of a search.

    Attributes:
        folder: Of the run: the vectors, the prompt file and what they scored are in it.
        vectors: The set that did best on the held-out pairs.
        metric: What the task measures; more is better.
        scores: Of held-out pairs, a value each: `vectors` (no example), `nothing` (no example and
            nothing replaced) and `example` (one on the canvas, nothing replaced).
        losses: Cross-entropy of the held-out canvases without an example: with the set, with
            nothing replaced, and with everything replaced.
        seconds: Of the search.
        broken: What was wrong with pairs that could not be read.
    """

    folder: Path
    vectors: TaskVectors
    metric: str
    scores: dict[str, list[float]]
    losses: tuple[float, float, float]
    seconds: float
    broken: tuple[str, ...]

    def interval(self, name: str) -> Interval:
        """Of one of :attr:`scores`."""
        return bootstrap_interval(self.scores[name])

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "metric": self.metric,
            "loss": dict(zip(("vectors", "nothing", "everything"), self.losses, strict=True)),
            "seconds": round(self.seconds, 1),
            "scores": self.scores,
            "broken": list(self.broken),
        }


def tune_vectors(
    output: Path,
    *,
    model: str | MAEVQGAN,
    data: Path,
    task: str = "image",
    classes: ClassesLike = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    resume: bool = False,
    device: Device = "auto",
) -> Vectored:
    """Record what heads give on a task's examples, and search for those that are worth replacing.

    Args:
        output: The run's folder.
        model: An MAE-VQGAN of weights that have a hash, or what `load_model` takes.
        data: Labelled images; see :mod:`vicl.selection.pool`.
        task: What the outputs are; of one class.
        classes: What marks it.
        overrides: "key=value" each; see :class:`vicl.tuning.vectors.VectorSettings`.
        seed: Of everything random.
        resume: Go on with the run in `output`.
        device: See :func:`vicl.load_model`.

    Raises:
        SettingsError: If an override is wrong, the model is another, or there are several classes.
        DataError: If the pairs cannot be used.
        LearnedError: If the model has no hash.
        TrainingError: If the run cannot begin or go on.
        KeyboardInterrupt: After Ctrl-C, once a checkpoint is saved.
    """
    settings = settled(VectorSettings, overrides, "samples=64")
    pool = open_pool(data)
    engine = load_model(model, device=device) if isinstance(model, str) else model
    if not isinstance(engine, MAEVQGAN):
        raise SettingsError(
            f"--model: {engine.name} is no MAE-VQGAN; take default, or the folder of another"
        )
    pairs = Pairs(pool, task_of(pool, task, classes), layout_of(engine))
    if pairs.task.passes > 1:
        raise SettingsError(
            f"--classes: got {', '.join(pairs.task.classes)}, expected one: vectors stand for one "
            "task; make others for each"
        )
    split = pairs.split(settings.held_out, seed)
    described = {
        "learns": "task vectors",
        "settings": settings.model_dump(mode="json"),
        "model": engine.name,
        "weights_hash": Told.of(engine).weights_hash,
        "data": str(data),
        "task": task,
        "classes": list(pairs.task.classes),
        "pairs": [len(split.train), len(split.held_out)],
        "seed": seed,
    }
    prepare_run(output, described, resume=resume)
    with frozen(engine):
        return _run(engine, settings, pairs, split, seed, output)


def _run(
    engine: MAEVQGAN,
    settings: VectorSettings,
    pairs: Pairs,
    split: Split,
    seed: int,
    folder: Path,
) -> Vectored:
    """Record, search, choose, score and save."""
    train, among = split.train, pairs.among(split.train)
    tried = [
        pairs.shown(pairs.or_another(train[k % len(train)], among), among, [(0, 0)], seed, k)
        for k in range(settings.tried)
    ]
    slices = mean_slices(engine, pairs, tried, settings.recorded)
    groups, asked = Groups(engine, settings.granularity), Asked(engine, pairs)
    coins = Coins(groups, settings).to(engine.device)
    objective = VectorObjective(coins, engine, groups, slices, settings, seed)
    held = [
        pairs.shown(place, among, [(0, 0)], seed, number)
        for number, place in enumerate(split.held_out)
        if pairs.readable(place) is not None
    ]
    if not held:
        first = next(iter(pairs.broken.values()))
        raise DataError(f"none of the held-out pairs can be read; the first: {first}")
    looking = LookingAtCoins(objective, *asked.of(held[:_LOOKED]))
    job = Job(
        objective=objective,
        rounds=functools.partial(asked.rounds, train, settings.images, seed),
        batch=BatchSize(size=settings.images),
        steps=settings.iterations,
        schedule=Schedule(steps=settings.iterations),
        optimiser=settings.optimiser,
        look=looking,
        look_every=min(settings.look_every, settings.iterations),
        folder=folder,
        name="tune-vectors",
        log_every=min(10, settings.look_every),
        save_every=settings.look_every,
        keep=1,
        tokenizer=engine.weights_hash,
        rate=lambda _: settings.lr,
        remedy=REMEDY,
    )
    with processes(engine.device) as joined:
        trained = fit(job, joined)
    kept = CheckpointFolder(folder / "checkpoints", 1)
    best = kept.index().best
    if best is not None:
        load_whole_state(objective, kept.load(best)["objective"])
    fell = coins.fell.cpu()
    vectors = TaskVectors(slices, groups.chosen(fell), Told.of(engine))
    free = coins.get_buffer("free").cpu()
    sets = (fell, torch.zeros_like(fell), free)
    found = Vectored(
        folder=folder,
        vectors=vectors,
        metric=pairs.task.metric,
        scores=_scores(engine, pairs, vectors, held),
        losses=tuple(looking.loss(one) for one in sets),  # type: ignore[arg-type]  # of three
        seconds=trained.seconds,
        broken=tuple(pairs.broken.values()),
    )
    for line in found.broken:
        _log.warning("skipped: %s", line)
    vectors.save(folder / VECTORS)
    VisualPrompter(engine, task=pairs.task, vectors=vectors).save(folder / PROMPT_FILE)
    write_atomic(folder / SCORES, (json.dumps(found.to_json(), indent=1) + "\n").encode())
    return found


def _scores(
    engine: MAEVQGAN, pairs: Pairs, vectors: TaskVectors, held: Sequence[Shown]
) -> dict[str, list[float]]:
    """Of held-out pairs, at the cells' size."""
    none = tuple(torch.zeros_like(one) for one in vectors.chosen)
    nothing = TaskVectors(vectors.slices, (none[0], none[1]), vectors.told)
    engines: dict[str, InContextModel] = {
        "vectors": VectorModel(engine, vectors),
        "nothing": VectorModel(engine, nothing),
        "example": CanvasModel(engine, spins=1),
    }
    scores: dict[str, list[float]] = {name: [] for name in engines}
    for shown in held:
        example, query = pairs.load(shown.example), pairs.load(shown.query)
        for name, asked in engines.items():
            (answer,) = asked.answer([Prompt([example], query.input)])
            scores[name].append(pairs.task.score([answer.image], [to_tensor(query.output)]))
    return scores


def told(found: Vectored) -> list[str]:
    """What came of it, a line each, for people."""
    more = f"{found.metric} on {len(found.scores['vectors'])} held-out pairs"
    gain = paired_interval(found.scores["vectors"], found.scores["nothing"])
    return [
        f"{more}, no example: {found.interval('vectors')} with the vectors, "
        f"{found.interval('nothing')} without; by one example: {found.interval('example')}",
        f"the vectors add {gain}; loss {found.losses[0]:.3f}, without {found.losses[1]:.3f}, of "
        f"all heads {found.losses[2]:.3f}",
        f"use it: vicl predict PHOTOS --prompt {display(found.folder / PROMPT_FILE)}",
    ]
