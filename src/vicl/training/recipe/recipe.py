"""Recipes: a training run as plain values, checked, from which it can be repeated.

Unknown keys and wrong values are refused.  A recipe names no code: what it can ask for is listed
here, and in :mod:`vicl.training.recipe.data`.  :mod:`vicl.training.recipe.files` reads recipes from
YAML.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    field_validator,
    model_validator,
)

from vicl.models.registry import Kind, kinds
from vicl.training.masking import Everything, Masking
from vicl.training.recipe.data import Data, Many, Part, as_several
from vicl.training.recipe.models import Model

_WIDEST = 1 << 16
_DEEPEST = {"depth": 256, "decoder_depth": 256, "blocks": 256}


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


class Batch(Part):
    """How many images an optimiser step sees.

    Attributes:
        size: All of them, over all processes.
        micro: Those that one process computes at a time; gradients are accumulated over the
            rest. None: as few rounds as there are processes.
    """

    size: Many
    micro: Many | None = None

    @model_validator(mode="after")
    def _check(self) -> Batch:
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


class Evaluation(Part):
    """Looking at held-out images on the way.

    Attributes:
        every: Steps between evaluations; the last step is always evaluated.
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


class Recipe(Part):
    """A training run.

    Attributes:
        name: Of the run and of its model; also the folder that it goes to by default.
        description: What it is for, on what hardware, how long it takes and what to expect.
        licence: Of the weights that come of it, in words, for the model card.
        seed: Of everything random.
        data: What is trained on.
        model: What is trained: `kind`, and its architecture.
        start: A model folder of the same architecture to start from; None starts at random. Of one
            with another tokenizer, what predicts its codes is not taken.
        masking: Which patches are hidden; several are mixed by their weights, one a batch. For
            every model but the VQGAN.
        vqgan: What a VQGAN is trained on; for no other model.
        batch: Images a step.
        optimiser: AdamW's settings.
        schedule: How long.
        precision: Of the arithmetic; weights are kept in float32 while they are trained.
        saved_precision: Of the weights in the model folder.
        target_precision: Of the arithmetic by which a tokenizer names the targets.
        compile: Run the model through `torch.compile`.
        parallel: Where several processes train: each holds all weights (ddp), or a share (fsdp).
        ema: Decay of the moving average of the weights, which then is what is evaluated and
            saved; None for none.
        evaluation: Looking at held-out images.
        checkpoints: Stopping and going on.
        log: What is told.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    description: str = ""
    licence: str = "unknown"
    seed: int = Field(default=0, ge=0, lt=2**32)
    data: Data
    model: Model
    start: str | None = None
    masking: Annotated[tuple[Masking, ...], BeforeValidator(as_several)] = ()
    vqgan: VQGANLoss | None = None
    batch: Batch
    optimiser: Optimiser = Optimiser()
    schedule: Schedule
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    target_precision: Literal["fp32", "bf16"] = "bf16"
    saved_precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    ema: float | None = Field(default=None, gt=0, lt=1)
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    log: Log = Log()

    @property
    def kind(self) -> Kind:
        """What the registry says of the model's kind."""
        return kinds()[self.model.kind]

    @field_validator("model")
    @classmethod
    def _check_sizes(cls, model: Model) -> Model:
        """Refuse sizes at which building the model, not to speak of training it, takes hours."""
        for key, value in model:
            most = _DEEPEST.get(key, _WIDEST)
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(number, int) and number > most for number in numbers):
                raise ValueError(f"{key}: got {value}, expected at most {most}")
        return model

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        is_vqgan = self.kind.objective == "vqgan"
        if is_vqgan and (self.masking or self.vqgan is None):
            raise ValueError(
                "model.kind: got vqgan, which needs the section vqgan and takes no section masking"
            )
        if is_vqgan and self.parallel == "fsdp":
            raise ValueError("parallel: got fsdp, but a vqgan is trained with ddp only")
        if is_vqgan and self.precision == "fp16":
            raise ValueError("precision: got fp16, but a vqgan is trained with bf16 or fp32 only")
        if self.vqgan is not None and self.vqgan.quantise_after:
            if self.schedule.steps is None or self.vqgan.quantise_after >= self.schedule.steps:
                raise ValueError(
                    f"vqgan.quantise_after: got {self.vqgan.quantise_after}, expected fewer than "
                    f"schedule.steps ({self.schedule.steps}), which has to be given"
                )
            if self.ema is not None:
                raise ValueError(
                    "ema: would average codes from before vqgan.quantise_after; give null"
                )
        everything = any(isinstance(masking, Everything) for masking in self.masking)
        if everything and not self.kind.config.causal:
            raise ValueError(
                f"masking: got all, which leaves a {self.model.kind} nothing to see; it is for "
                "autoregressive"
            )
        if not is_vqgan and (not self.masking or self.vqgan is not None):
            raise ValueError(
                f"model.kind: got {self.model.kind}, which needs the section masking and takes no "
                "section vqgan"
            )
        return self
