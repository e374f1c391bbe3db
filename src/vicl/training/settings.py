"""How a model is trained, in plain values, checked: what recipes consist of and jobs are given."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    model_validator,
)

Many = Annotated[int, Field(gt=0, le=10**9)]
"""A number of steps, images or the like; the limit catches slips, and keeps sums in 64 bits."""

Precision = Literal["fp32", "bf16", "fp16"]
"""Of arithmetic, or of weights in a file."""

TargetPrecision = Literal["fp32", "bf16"]
"""Of the arithmetic by which a tokenizer names targets."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of each :data:`Precision`."""


class Part(BaseModel):
    """A section of settings: checked, and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


_Share = Annotated[float, Field(ge=0, lt=1)]


class Optimiser(Part):
    """AdamW; biases, norms, embeddings and tokens do not decay.

    Attributes:
        lr: Peak learning rate, for 256 images a step where `scale_lr`.
        scale_lr: Multiply it by batch size / 256.
        betas: Of the moments.
        weight_decay: Of the weights that decay; 0 makes it Adam.
        clip: Greatest norm of the gradient; None for no limit.
    """

    lr: PositiveFloat = 1e-4
    scale_lr: bool = True
    betas: tuple[_Share, _Share] = (0.9, 0.95)
    weight_decay: NonNegativeFloat = 0.05
    clip: PositiveFloat | None = None


class AnyOptimiser(Optimiser):
    """One of several optimisers; AdamW's weights decay as those of :class:`Optimiser` do.

    With the others all weights decay but the biases of the last layer (`head`), as in the published
    code of VPT.

    Attributes:
        kind: Which.
        momentum: Of SGD.
    """

    kind: Literal["adamw", "adam", "sgd"] = "adamw"
    betas: tuple[_Share, _Share] = (0.9, 0.999)
    momentum: _Share = 0.9


class Rate(Part):
    """How the learning rate moves, in steps or in epochs: what learned prompts were published with.

    Attributes:
        kind: Half a cosine down to 0; one of `every` so many, again and again (warm restarts); down
            by `factor` at the `milestones`; down by `factor` after every so many; or constant.
        by: What it moves by. In epochs it is the same for all steps of one.
        warmup: Steps or epochs in which it rises: by steps from a part of its peak to the peak, by
            epochs from 0 in the first one.
        first: The rate in the warm-up instead, which then is constant; the cosine after it is as
            long as the whole run, so that it does not reach 0.
        milestones: Shares of the run.
        factor: What is left of the rate.
        every: Steps or epochs.

    Source: the published code of VP (arXiv:2203.17274: by steps), VPT (2203.12119: by epochs), CoOp
    (2109.01134: `first`), ILM-VP (2211.11635: milestones) and InMeMo (2311.03648: restarts).
    """

    kind: Literal["cosine", "restarts", "milestones", "decay", "constant"] = "cosine"
    by: Literal["step", "epoch"] = "epoch"
    warmup: NonNegativeInt = 0
    first: PositiveFloat | None = None
    milestones: tuple[_Share, ...] = (0.5, 0.72)
    factor: float = Field(default=0.1, gt=0, le=1)
    every: Many = 2


class Schedule(Part):
    """How long, and how the learning rate moves: up linearly, then down by a cosine.

    Attributes:
        steps: Optimiser steps; or
        epochs: Times that every image is seen.
        warmup: Share of the run in which the learning rate rises.
        final: Learning rate at the end, as a share of its peak; 1 keeps it.
    """

    steps: Many | None = None
    epochs: PositiveFloat | None = None
    warmup: float = Field(default=0.015, ge=0, lt=1)
    final: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> Schedule:
        if (self.steps is None) == (self.epochs is None):
            got = "neither" if self.steps is None else "both"
            raise ValueError(f"got {got} of steps and epochs, expected one of them")
        return self


class BatchSize(Part):
    """How many images an optimiser step sees.

    Attributes:
        size: All of them, over all processes.
        micro: Those that one process computes at a time; gradients are accumulated over the
            rest. None: as few rounds as there are processes.
    """

    size: Many
    micro: Many | None = None

    @model_validator(mode="after")
    def _check(self) -> BatchSize:
        if self.micro is not None and self.size % self.micro:
            raise ValueError(f"micro: got {self.micro}, expected a divisor of size = {self.size}")
        return self

    def rounds(self, processes: int) -> tuple[int, int]:
        """(images a process computes at a time, rounds accumulated a step).

        Raises:
            ValueError: If `size` cannot be shared out so.
        """
        micro = self.micro or max(1, self.size // processes)
        rounds, rest = divmod(self.size, micro * processes)
        if rest or not rounds:
            raise ValueError(
                f"batch: got size {self.size}, micro {micro} and {processes} process(es); expected "
                "a size that is a multiple of micro times processes"
            )
        return micro, rounds


class Looks(Part):
    """Looking at held-out images on the way.

    Attributes:
        every: Steps between two looks; the last step always has one.
        rows: Held-out images on the contact sheet, always the same.
    """

    every: Many = 1000
    rows: int = Field(default=8, gt=0, le=64)


class Checkpoints(Part):
    """Stopping and going on.

    Attributes:
        every: Steps between checkpoints; the last step always makes one.
        keep: How many are kept, beside the best.
    """

    every: Many = 1000
    keep: Many = 2


class Log(Part):
    """What is told on the way.

    Attributes:
        every: Steps between lines of the log.
        trackers: Of accelerate, by name, such as "tensorboard" or "wandb".
    """

    every: Many = 20
    trackers: tuple[str, ...] = ("tensorboard",)


class Discriminator(Part):
    """The patch discriminator of a VQGAN's training.

    Attributes:
        start: Optimiser steps before it begins.
        weight: Of the adversarial loss, on top of the adaptive weight.
        base_width: Its narrowest layer's channels.
        layers: Halvings before its last two layers.
    """

    start: NonNegativeInt = 10_000
    weight: PositiveFloat = 0.8
    base_width: int = Field(default=64, gt=0, le=4096)
    layers: int = Field(default=3, gt=0, le=8)


class Perceptual(Part):
    """The perceptual loss of a VQGAN's training.

    Attributes:
        weights: Safetensors or checkpoint file of the feature network, which the user supplies.
        weight: Of the loss.
    """

    weights: str
    weight: PositiveFloat = 1.0


class VQGANLoss(Part):
    """What a VQGAN is trained on, beside the absolute error.

    Attributes:
        commitment: Weight of the commitment term.
        discriminator: None trains without one.
        perceptual: None trains without it.
        revive_after: Codes that no image used for this many steps are moved to where images are;
            None leaves them dead.
        quantise_after: For this many steps what the encoder says is drawn as it is; then the codes
            begin at the centres of one batch of it, by k-means.  0: they begin at random, at once.
    """

    commitment: NonNegativeFloat = 0.25
    discriminator: Discriminator | None = Discriminator()
    perceptual: Perceptual | None = None
    revive_after: Many | None = 1000
    quantise_after: NonNegativeInt = 0
