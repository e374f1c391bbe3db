"""What the loop trains: a job, made of a recipe or without one.

A job says what is stepped, on what, for how long and by which optimiser; what is looked at on the
way; and, where it has a folder, what is told and kept there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from vicl.training.objectives.objective import Objective
from vicl.training.settings import BatchSize, Optimiser, Schedule


@dataclass(frozen=True)
class Seat:
    """Which batches a process gets.

    Attributes:
        batch: Images of a batch.
        rank: Number of the process;
        world: of so many.
        start: Number of its first batch.

    Raises:
        ValueError: If they do not fit together.
    """

    batch: int
    rank: int = 0
    world: int = 1
    start: int = 0

    def __post_init__(self) -> None:
        if self.batch < 1 or not 0 <= self.rank < self.world or self.start < 0:
            raise ValueError(
                f"batches: got batch={self.batch}, rank={self.rank}, world={self.world}, "
                f"start={self.start}; expected a batch of at least 1, a rank from 0 to world - 1 "
                "and a start from 0 on"
            )

    def first(self, number: int) -> int:
        """Number, among all samples of all processes, of the first sample of a batch."""
        return (number * self.world + self.rank) * self.batch


class Round(NamedTuple):
    """What an objective is given at a time.

    Attributes:
        batch: The tensors that its `forward` takes before the step's number, where it wants them.
        broken: What was wrong with files that others stand in for.
    """

    batch: tuple[Tensor | None, ...]
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Look:
    """What held-out images say of a model.

    Attributes:
        figures: Means over the images by name, with `loss`; the lower that is, the better.
        sheet: The first images: shown, answered, true; None where there is no page this time.
        count: How many images were looked at.
    """

    figures: dict[str, float]
    sheet: Image.Image | None
    count: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """Something to train.

    Attributes:
        objective: What is stepped, in place, in float32.
        rounds: Makes rounds without end, those of one process from one number on, on a device.
            What number `k` holds follows from the seat alone, so that a job can go on.
        batch: Images of an optimiser step, and of a round.
        steps: How many optimiser steps.
        schedule: How the learning rate moves in them.
        optimiser: Of each part of the objective.
        sharded: Whether several processes share the weights out (FSDP); else each holds all (DDP).
        ema: Decay of the moving average of the weights, which then is what comes of the job.
        fresh: Makes a model like the objective's, on the CPU, for averaged or shared-out weights
            to be copied to; it is needed where there are such.
        look: Asks the model, in evaluation mode, about held-out images; None looks at nothing.
        look_every: Steps between two looks; the last step always has one.
        folder: For the log, checkpoints, contact sheets and what trackers write; None keeps nothing
            and shows no progress.
        name: What the trackers call it.
        log_every: Steps between lines of the log; the last step always has one.
        save_every: Steps between checkpoints; the last step always makes one.
        keep: How many checkpoints are kept, beside the best.
        tokenizer: Hash of the frozen weights that name the targets; with others the job does not
            go on.
        rate: The learning rate of a step, counted from 0; None: as `schedule` says.
        enough: Asked before each step; True ends the job there. What it says must follow from the
            looks alone, so that a job that goes on ends where it would have.
        remedy: What to do where the loss is not finite any more.
    """

    objective: Objective
    rounds: Callable[[Seat, torch.device], Iterator[Round]]
    batch: BatchSize
    steps: int
    schedule: Schedule
    optimiser: Optimiser
    sharded: bool = False
    ema: float | None = None
    fresh: Callable[[], Any] | None = None
    look: Callable[[Any], Look] | None = None
    look_every: int = 1000
    folder: Path | None = None
    name: str = "training"
    log_every: int = 20
    save_every: int = 1000
    keep: int = 2
    tokenizer: str | None = None
    rate: Callable[[int], float] | None = None
    enough: Callable[[], bool] | None = None
    remedy: str = (
        "Lower optimiser.lr, set optimiser.clip, lengthen schedule.warmup or take another precision"
    )

    def __post_init__(self) -> None:
        if (self.sharded or self.ema is not None) and self.fresh is None:
            raise ValueError(
                "fresh: got None, expected what makes a model like the objective's, since its "
                "weights are averaged or shared out"
            )


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of a job.

    Attributes:
        model: In evaluation mode; whole and with averaged weights, where there are some.
        look: The last look at held-out images; None without any.
        seconds: Of training, over all times that it went on.
    """

    model: Any
    look: Look | None
    seconds: float
