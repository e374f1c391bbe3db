"""The loop: from a recipe to a model folder, by one process or many.

A run lives in a folder: `recipe.yaml` (resolved), `log.jsonl`, `checkpoints/`, `sheets/`, what the
trackers write, and at the end `model/`.  What a step does follows from the recipe, the data and the
number of the step alone, so a run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import ProjectConfiguration, gather_object
from jaxtyping import Bool
from torch import Generator, Tensor, nn

from vicl.files.progress import progress
from vicl.images import save_image
from vicl.models.devices import Device, pick_device
from vicl.models.pretrained import empty_like
from vicl.storage.folder import weights_hash
from vicl.training.build import (
    build_model,
    build_objective,
    canvas_size,
    compile_parts,
)
from vicl.training.checkpoints import (
    CheckpointFolder,
    TrainingError,
    random_states,
    set_random_states,
)
from vicl.training.data.training_data import open_data
from vicl.training.evaluation import Evaluation, evaluate
from vicl.training.masking import AnswerCell, choose_masking, draw_holes
from vicl.training.optimisation import AveragedWeights, lr_at, make_optimiser, peak_lr, set_lr
from vicl.training.parallel import (
    load_whole_optimiser_state,
    load_whole_state,
    shard,
    whole_optimiser_state,
    whole_state,
    whole_tensor,
)
from vicl.training.recipe.recipe import Recipe
from vicl.training.report import Report
from vicl.training.result import save_result
from vicl.training.run_folder import prepare_folder
from vicl.training.seeds import Purpose, numbers

_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def train(
    recipe: Recipe,
    output: Path,
    *,
    resume: bool = False,
    device: Device = "auto",
    datasets: Mapping[str, Iterable[Any]] | None = None,
) -> Path:
    """Train as a recipe says.

    Args:
        recipe: What to do.
        output: The run's folder.
        resume: Go on from the latest checkpoint in `output`, if there is one.
        device: "cpu", "cuda" or "mps"; "auto" takes the best there is.
        datasets: What the recipe's sources of kind "dataset" name.

    Returns:
        The folder of the trained model.

    Raises:
        TrainingError: If the run cannot begin or go on, or its loss is not finite any more; the
            last good checkpoint stays.
        KeyboardInterrupt: After Ctrl-C (or SIGTERM), once a checkpoint is saved.
        ValueError: If recipe, data and device do not go together.
    """
    place = pick_device(device)
    accelerator = _make_accelerator(recipe, output, place)
    try:
        return _Run(recipe, output, accelerator, resume=resume, datasets=datasets).complete()
    finally:
        accelerator.state.destroy_process_group()
        # Its precision is global in accelerate; the next run in this process has its own.
        AcceleratorState._reset_state(reset_partial_state=True)


class _Run:
    """The state of a run in this process."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        accelerator: Accelerator,
        *,
        resume: bool,
        datasets: Mapping[str, Iterable[Any]] | None,
    ) -> None:
        self.recipe = recipe
        self.folder = folder
        self.accelerator = accelerator
        with self.accelerator.main_process_first():
            if self.accelerator.is_main_process:
                prepare_folder(folder, recipe, resume=resume)
        self.device = self.accelerator.device
        self.canvas = canvas_size(recipe)
        self.data = open_data(
            recipe.data,
            self.canvas,
            seed=recipe.seed,
            patch_size=recipe.model.patch_size,
            datasets=datasets,
        )
        self.micro, self.rounds = recipe.batch.rounds(self.accelerator.num_processes)
        self.steps = count_steps(recipe, self.data.count)
        self.model: Any = build_model(recipe)
        tokenizer = getattr(self.model, "tokenizer", None)
        self.tokenizer_hash = None if tokenizer is None else weights_hash(tokenizer)
        self._prepare()
        self.ema = AveragedWeights(self.model, recipe.ema) if recipe.ema else None
        self.checkpoints = CheckpointFolder(folder / "checkpoints", recipe.checkpoints.keep)
        self.step = 0
        self.seconds = 0.0
        self.last: Evaluation | None = None
        self._bad = torch.zeros((), device=self.device)
        self._images: list[Tensor] = []
        self._stop = False

    def _prepare(self) -> None:
        """Put objective and optimisers on the device, and share them out."""
        self.objective = build_objective(self.recipe, self.model).to(self.device).train()
        if self.recipe.compile:
            compile_parts(self.objective)
        self.sharded = self.recipe.parallel == "fsdp" and self.accelerator.num_processes > 1
        if self.sharded:
            shard(self.objective, self.device, self.accelerator.num_processes)
        self.stepped: nn.Module = self.accelerator.prepare_model(
            self.objective, evaluation_mode=self.sharded
        )
        self.peak = peak_lr(self.recipe.optimiser, self.recipe.batch.size)
        self.optimisers: dict[str, Any] = {
            name: self.accelerator.prepare_optimizer(
                make_optimiser(part, self.recipe.optimiser, self.peak)
            )
            for name, part in self.objective.parts().items()
        }

    def complete(self) -> Path:
        """Train to the end, and save what came of it."""
        self._restore()
        begun = time.perf_counter()
        before = self.seconds
        show = self.accelerator.is_main_process
        bar = progress("training", total=self.steps, done=self.step, show=show)
        with bar as advance, self._interruptible(), self._tracked():
            report = Report(self.folder, self.accelerator, self.step, advance)
            batches = self.data.batches(
                self.micro,
                rank=self.accelerator.process_index,
                world=self.accelerator.num_processes,
                start=self.step * self.rounds,
                pin=self.device.type == "cuda",
            )
            while self.step < self.steps:
                self._take_step(batches, report)
                self.seconds = before + time.perf_counter() - begun
                self._look(report)
                if self._stopped():
                    self._save()
                    raise KeyboardInterrupt
        if self.last is None and len(self.data.held_out):
            self.last = self._evaluate()
        return self._finish()

    def _take_step(self, batches: Iterator[Any], report: Report) -> None:
        """One optimiser step."""
        waited = 0.0
        lr = lr_at(self.step, self.steps, self.recipe.schedule, self.peak)
        set_lr(self.optimisers.values(), lr)
        holes, answers = self._holes()
        figures: dict[str, Tensor] = {}
        given: set[str] = set()
        for index in range(self.rounds):
            begun = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - begun
            for message in batch.broken:
                report.broken(message)
            image = batch.image.to(self.device, non_blocking=True).float() / 255
            hole = self._own(holes, index)
            if answers and hole is not None and batch.hole is not None:
                hole = torch.where(batch.hole.any((1, 2))[:, None, None], batch.hole, hole)
            last = index == self.rounds - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.stepped):
                losses, found = self.stepped(image, hole, self.step)
                total = torch.stack(list(losses.values())).sum()
                self.accelerator.backward(total / self.rounds)
            given |= losses.keys()
            named = {"loss" if n == "model" else f"{n}_loss": v for n, v in losses.items()}
            for name, value in (named | found).items():
                figures[name] = figures.get(name, 0) + value.detach().float() / self.rounds
            self._bad += ~torch.isfinite(total.detach())
        figures["gradient_norm"] = self._update(given)
        self.step += 1
        report.add(figures, self.recipe.batch.size, waited)

    def _update(self, given: set[str]) -> Tensor:
        """Step the optimisers that had a loss; gives the norm of the model's gradient."""
        norm = torch.zeros((), device=self.device)
        limit = self.recipe.optimiser.clip or math.inf
        for name, part in self.objective.parts().items():
            optimiser = self.optimisers[name]
            if name in given:
                weights = [p for p in part.parameters() if p.grad is not None]
                found = self.accelerator.clip_grad_norm_(weights, limit)
                if name == "model":
                    norm = whole_tensor(found)
                optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update()
        return norm.detach().float()

    def _holes(self) -> tuple[Bool[Tensor, "b H W"] | None, bool]:
        """The holes of a step's images, those of all processes, and whether they are answers'."""
        if not self.recipe.masking:
            return None, False
        drawn = numbers(self.recipe.seed, Purpose.HOLES, self.step).integers(2**63)
        generator = Generator().manual_seed(int(drawn))
        masking = choose_masking(self.recipe.masking, generator)
        holes = draw_holes(
            masking, self.recipe.batch.size, self.canvas, self.model.patch_size, generator
        )
        return holes, isinstance(masking, AnswerCell)

    def _own(self, holes: Bool[Tensor, "b H W"] | None, index: int) -> Tensor | None:
        """Those of this process in one round, in the order in which the data come."""
        if holes is None:
            return None
        place = index * self.accelerator.num_processes + self.accelerator.process_index
        return holes[place * self.micro : (place + 1) * self.micro]

    def _look(self, report: Report) -> None:
        """Log, evaluate and save, where it is time."""
        recipe, last = self.recipe, self.step == self.steps
        if self.step % recipe.log.every == 0 or last:
            self._check_finite()
            lr = lr_at(self.step - 1, self.steps, recipe.schedule, self.peak)
            report.write(self.step, {"lr": lr})
        with report.aside():
            self._evaluate_and_save(report, last=last)

    def _evaluate_and_save(self, report: Report, *, last: bool) -> None:
        """Look at held-out images where it is time; save where it is time, or where it was best."""
        recipe = self.recipe
        loss, best = None, self.checkpoints.index().best_loss
        if len(self.data.held_out) and (self.step % recipe.evaluation.every == 0 or last):
            self._check_finite()
            self.last = self._evaluate()
            loss = self.last.figures["loss"]
            report.note(self.step, {f"held_out_{k}": v for k, v in self.last.figures.items()})
            if self.accelerator.is_main_process:
                save_image(self.last.sheet, self.folder / "sheets" / f"step-{self.step:09d}.png")
        better = loss is not None and (best is None or loss < best)
        if self.step % recipe.checkpoints.every == 0 or last or better:
            self._save(loss)

    def _check_finite(self) -> None:
        """End the run if a loss was not a number: what follows from it is worth nothing."""
        bad = self.accelerator.reduce(self._bad, "sum")
        weights_good = all(bool(torch.isfinite(p).all()) for p in self.model.parameters())
        if float(bad) or not weights_good:
            kept = self.checkpoints.index().steps
            at = f"the checkpoint of step {kept[-1]} is intact" if kept else "none was saved"
            raise TrainingError(
                f"loss: was not a finite number by step {self.step}; {at}. Lower optimiser.lr, set "
                "optimiser.clip, lengthen schedule.warmup or take another precision, then go on "
                "with --resume"
            )

    def _evaluate(self) -> Evaluation:
        """Ask the model (its averaged weights, where there are some) about held-out images."""
        held_out = self.data.held_out
        if not self._images:
            self._images = [held_out.load(index) for index in range(len(held_out))]
        plain = self.ema is None and not self.sharded
        model = self.model if plain else self._trained_model().to(self.device)
        found = evaluate(model.eval(), self._images, rows=self.recipe.evaluation.rows)
        model.train()
        return found

    def _trained_model(self) -> Any:
        """A copy of the model as it is saved: whole, on the CPU, with averaged weights."""
        prefix = "model."
        whole = whole_state(self.objective)
        state = {k.removeprefix(prefix): v for k, v in whole.items() if k.startswith(prefix)}
        if self.ema is not None:
            state |= {name: whole_tensor(value) for name, value in self.ema.values.items()}
        copy: Any = empty_like(self.model)
        copy.load_state_dict({k: v.clone() for k, v in state.items()}, assign=True)
        copy.name = self.recipe.name
        return copy.eval()

    def _save(self, loss: float | None = None) -> None:
        """Make a checkpoint."""
        self._check_finite()
        scaler = self.accelerator.scaler
        state = {
            "objective": whole_state(self.objective),
            "optimisers": {
                name: whole_optimiser_state(self.objective, optimiser.optimizer)
                for name, optimiser in self.optimisers.items()
            },
            "ema": None
            if self.ema is None
            else {name: whole_tensor(value).cpu() for name, value in self.ema.values.items()},
            "scaler": None if scaler is None else scaler.state_dict(),
            "random": gather_object([random_states()]),
            "tokenizer": self.tokenizer_hash,
            "seconds": self.seconds,
        }
        failure: str | None = None
        if self.accelerator.is_main_process:
            try:
                self.checkpoints.save(self.step, state, loss=loss)
            except TrainingError as error:
                failure = str(error)
        # All processes must end together, or the others would wait for the first.
        failures = [f for f in gather_object([failure]) if f is not None]
        if failures:
            raise TrainingError(failures[0])

    def _restore(self) -> None:
        """Go on from the latest checkpoint, where there is one."""
        index = self.checkpoints.index()
        if not index.steps:
            return
        state = self.checkpoints.load(index.steps[-1])
        if state["tokenizer"] != self.tokenizer_hash:
            raise TrainingError(
                "model.tokenizer: has other weights than when the run began; bring those back, or "
                "begin another run with --output"
            )
        load_whole_state(self.objective, state["objective"])
        for name, optimiser in self.optimisers.items():
            load_whole_optimiser_state(
                self.objective, optimiser.optimizer, state["optimisers"][name]
            )
        if self.ema is not None:
            self.ema.load(state["ema"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        mine = self.accelerator.process_index
        set_random_states(state["random"][min(mine, len(state["random"]) - 1)])
        self.step, self.seconds = index.steps[-1], float(state["seconds"])

    def _finish(self) -> Path:
        """Save the model folder."""
        model = self._trained_model()
        target = self.folder / "model"
        if self.accelerator.is_main_process:
            save_result(
                model,
                target,
                recipe=self.recipe,
                data=self.data.describe(),
                run=self.folder,
                seconds=self.seconds,
                evaluation=self.last,
                device=self.device,
                processes=self.accelerator.num_processes,
            )
        self.accelerator.wait_for_everyone()
        return target

    @contextlib.contextmanager
    def _tracked(self) -> Iterator[None]:
        """Let the trackers see the run, and close them whatever happens."""
        self.accelerator.init_trackers(self.recipe.name)
        try:
            yield
        finally:
            for tracker in self.accelerator.trackers:
                tracker.finish()

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let the first Ctrl-C (or SIGTERM) end the run at a step's end; the second ends it."""

        def ask(number: int, frame: Any) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True

        try:
            before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread, which alone gets signals
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stopped(self) -> bool:
        """Whether to stop; all processes at the same step."""
        if self.accelerator.num_processes == 1:
            return self._stop
        if self.step % self.recipe.log.every:
            return False
        flag = torch.tensor(float(self._stop), device=self.device)
        return float(self.accelerator.reduce(flag, "sum")) > 0


def count_steps(recipe: Recipe, images: int | None) -> int:
    """Optimiser steps of a run.

    Raises:
        TrainingError: If it counts epochs, but nobody knows how many images there are.
    """
    schedule = recipe.schedule
    if schedule.steps is not None:
        return schedule.steps
    if images is None or schedule.epochs is None:
        raise TrainingError(
            "schedule.epochs: the number of images is not known (shards without `samples`, or a "
            "stream); give schedule.steps, or the shards' samples"
        )
    return max(1, math.ceil(schedule.epochs * images / recipe.batch.size))


def _make_accelerator(recipe: Recipe, folder: Path, device: torch.device) -> Accelerator:
    there = [str(tracker.value) for tracker in get_available_trackers()]
    for name in recipe.log.trackers:
        if name not in there:
            raise TrainingError(
                f"log.trackers: got {name!r}, expected one of those that are installed: "
                f"{', '.join(there)}; install its package, or say --set log.trackers=[]"
            )
    if recipe.precision == "fp16" and device.type == "cpu":
        raise TrainingError("precision: fp16 needs a GPU; on a CPU take bf16 or fp32")
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=_PRECISION[recipe.precision],
        log_with=list(recipe.log.trackers) or None,
        project_config=ProjectConfiguration(
            project_dir=str(folder), logging_dir=str(folder / "trackers")
        ),
        # A discriminator that has not begun has no gradients.
        kwargs_handlers=[
            DistributedDataParallelKwargs(find_unused_parameters=recipe.vqgan is not None)
        ],
    )
