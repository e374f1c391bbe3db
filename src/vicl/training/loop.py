"""The loop: from a job to trained weights, by one process or many.

What a step does follows from the job and the number of the step alone, so a job with a folder that
was stopped goes on as if it had not been.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from vicl.files.progress import progress
from vicl.images import save_image
from vicl.training.checkpoints import (
    CheckpointFolder,
    TrainingError,
    random_states,
    set_random_states,
)
from vicl.training.job import Job, Look, Round, Seat, Trained
from vicl.training.optimisation import (
    AveragedWeights,
    limit_gradient,
    lr_at,
    make_optimiser,
    peak_lr,
)
from vicl.training.parallel import (
    Accelerator,
    DistributedDataParallelKwargs,
    gather_object,
    load_whole_optimiser_state,
    load_whole_state,
    shard,
    whole_optimiser_state,
    whole_state,
    whole_tensor,
)
from vicl.training.report import Report


def fit(job: Job, accelerator: Accelerator) -> Trained:
    """Do a job to its end.

    Args:
        job: What to do; with a folder it goes on from the latest checkpoint there, if there is one.
        accelerator: See :func:`vicl.training.parallel.processes`.

    Raises:
        TrainingError: If the job cannot go on, or its loss is not finite any more; the last good
            checkpoint stays.
        KeyboardInterrupt: After Ctrl-C (or SIGTERM), once a checkpoint is saved.
        ValueError: If batches cannot be shared out among the processes.
    """
    return _Run(job, accelerator).complete()


class _Run:
    """The state of a job in this process."""

    def __init__(self, job: Job, accelerator: Accelerator) -> None:
        self.job = job
        self.accelerator = accelerator
        self.device = accelerator.device
        self.micro, self.rounds = job.batch.rounds(accelerator.num_processes)
        self.model: Any = job.objective.model
        self._prepare()
        self.ema = None if job.ema is None else AveragedWeights(self.model, job.ema)
        self.checkpoints: CheckpointFolder | None = None
        if job.folder is not None:
            self.checkpoints = CheckpointFolder(job.folder / "checkpoints", job.keep)
        self.step = 0
        self.seconds = 0.0
        self.last: Look | None = None
        self._bad = torch.zeros((), device=self.device)
        self._stop = False

    def _prepare(self) -> None:
        """Put objective and optimisers on the device, and share them out."""
        job, processes = self.job, self.accelerator.num_processes
        self.objective = job.objective.to(self.device).train()
        self.sharded = job.sharded and processes > 1
        if self.sharded:
            shard(self.objective, self.device, processes)
        if self.objective.rests:
            self.accelerator.ddp_handler = DistributedDataParallelKwargs(
                find_unused_parameters=True
            )
        self.stepped: nn.Module = self.accelerator.prepare_model(
            self.objective, evaluation_mode=self.sharded
        )
        self.lr = self.peak = peak_lr(job.optimiser, job.batch.size)
        self.optimisers: dict[str, Any] = {
            name: self.accelerator.prepare_optimizer(make_optimiser(part, job.optimiser, self.peak))
            for name, part in self.objective.parts().items()
        }

    def complete(self) -> Trained:
        """Train to the end."""
        self._restore()
        job, begun, before = self.job, time.perf_counter(), self.seconds
        show = job.folder is not None and self.accelerator.is_main_process
        bar = progress("training", total=job.steps, done=self.step, show=show)
        self.accelerator.init_trackers(job.name)
        with bar as advance, self._interruptible():
            report = Report(job.folder, self.accelerator, self.step, advance)
            rank, world = self.accelerator.process_index, self.accelerator.num_processes
            seat = Seat(self.micro, rank, world, self.step * self.rounds)
            rounds = job.rounds(seat, self.device)
            while self.step < job.steps and not (job.enough is not None and job.enough()):
                self._take_step(rounds, report)
                self.seconds = before + time.perf_counter() - begun
                self._record(report)
                if self._stopped():
                    self._save()
                    raise KeyboardInterrupt
        if self.last is None and job.look is not None:
            self.last = self._look()
        return Trained(self._trained_model().eval(), self.last, self.seconds)

    def _take_step(self, rounds: Iterator[Round], report: Report) -> None:
        """One optimiser step."""
        waited = 0.0
        job = self.job
        if job.rate is not None:
            self.lr = job.rate(self.step)
        else:
            self.lr = lr_at(self.step, job.steps, job.schedule, self.peak)
        for group in (g for o in self.optimisers.values() for g in o.param_groups):
            group["lr"] = self.lr
        figures: dict[str, Tensor] = {}
        given: set[str] = set()
        for index in range(self.rounds):
            begun = time.perf_counter()
            batch, broken = next(rounds)
            waited += time.perf_counter() - begun
            report.broken(broken)
            last = index == self.rounds - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.stepped):
                losses, found = self.stepped(*batch, self.step)
                total = torch.stack(list(losses.values())).sum()
                self.accelerator.backward(total / self.rounds)
            given |= losses.keys()
            named = {"loss" if n == "model" else f"{n}_loss": v for n, v in losses.items()}
            for name, value in (named | found).items():
                figures[name] = figures.get(name, 0) + value.detach().float() / self.rounds
            self._bad += ~torch.isfinite(total.detach())
        figures["gradient_norm"] = self._update(given)
        self.step += 1
        report.add(figures, self.job.batch.size, waited)

    def _update(self, given: set[str]) -> Tensor:
        """Step the optimisers that had a loss; gives the norm of the model's gradient."""
        norm = torch.zeros((), device=self.device)
        for name, part in self.objective.parts().items():
            optimiser = self.optimisers[name]
            if name in given:
                weights = [p for p in part.parameters() if p.grad is not None]
                self.accelerator.unscale_gradients(optimiser)
                found = limit_gradient(weights, self.job.optimiser.clip)
                if name == "model":
                    norm = whole_tensor(found)
                optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.objective.tidy()
        if self.ema is not None:
            self.ema.update()
        return norm.detach().float()

    def _record(self, report: Report) -> None:
        """Log, look and save, where it is time."""
        job, last = self.job, self.step == self.job.steps
        if self.step % job.log_every == 0 or last:
            self._check_finite()
            report.write(self.step, {"lr": self.lr})
        with report.aside():
            self._look_and_save(report, last=last)

    def _look_and_save(self, report: Report, *, last: bool) -> None:
        """Look at held-out images where it is time; save where it is time, or where it was best."""
        job, loss = self.job, None
        best = None if self.checkpoints is None else self.checkpoints.index().best_loss
        if job.look is not None and (self.step % job.look_every == 0 or last):
            self._check_finite()
            self.last = self._look()
            loss = self.last.figures["loss"]
            report.note(self.step, {f"held_out_{k}": v for k, v in self.last.figures.items()})
            sheet, first = self.last.sheet, self.accelerator.is_main_process
            if job.folder is not None and sheet is not None and first:
                save_image(sheet, job.folder / "sheets" / f"step-{self.step:09d}.png")
        better = loss is not None and (best is None or loss < best)
        if self.step % job.save_every == 0 or last or better:
            self._save(loss)

    def _check_finite(self) -> None:
        """End the run if a loss was not a number: what follows from it is worth nothing."""
        bad = self.accelerator.reduce(self._bad, "sum")
        weights_good = all(bool(torch.isfinite(p).all()) for p in self.model.parameters())
        if float(bad) or not weights_good:
            at = then = ""
            if self.checkpoints is not None:
                kept = self.checkpoints.index().steps
                at = (
                    f"; the checkpoint of step {kept[-1]} is intact" if kept else "; none was saved"
                )
                then = ", then go on with --resume"
            raise TrainingError(
                f"loss: was not a finite number by step {self.step}{at}. {self.job.remedy}{then}"
            )

    def _look(self) -> Look:
        """Ask the model (its averaged weights, where there are some) about held-out images."""
        assert self.job.look is not None
        model = self._trained_model().to(self.device)
        found = self.job.look(model.eval())
        model.train()
        return found

    def _trained_model(self) -> Any:
        """The model; where its weights are averaged or shared out, a copy on the CPU with all."""
        if self.ema is None and not self.sharded:
            return self.model
        assert self.job.fresh is not None
        prefix = "model."
        whole = whole_state(self.objective)
        state = {k.removeprefix(prefix): v for k, v in whole.items() if k.startswith(prefix)}
        if self.ema is not None:
            state |= {name: whole_tensor(value) for name, value in self.ema.values.items()}
        copy = self.job.fresh()
        copy.load_state_dict({k: v.clone() for k, v in state.items()}, assign=True)
        return copy

    def _save(self, loss: float | None = None) -> None:
        """Make a checkpoint, where there is a folder for it."""
        if self.checkpoints is None:
            return
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
            "tokenizer": self.job.tokenizer,
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
        if self.checkpoints is None or not (steps := self.checkpoints.index().steps):
            return
        state = self.checkpoints.load(steps[-1])
        if state["tokenizer"] != self.job.tokenizer:
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
        self.step, self.seconds = steps[-1], float(state["seconds"])

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
        if self.step % self.job.log_every:
            return False
        flag = torch.tensor(float(self._stop), device=self.device)
        return float(self.accelerator.reduce(flag, "sum")) > 0
