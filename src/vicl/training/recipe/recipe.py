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
    model_validator,
)

from vicl.models.configs import CodeConfig
from vicl.models.registry import Kind, kinds
from vicl.training.masking import Everything, Masking
from vicl.training.recipe.data import Data, as_several
from vicl.training.recipe.models import Model
from vicl.training.settings import (
    BatchSize,
    Checkpoints,
    Log,
    Looks,
    Optimiser,
    Part,
    Precision,
    Schedule,
    TargetPrecision,
    VQGANLoss,
)


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
    batch: BatchSize
    optimiser: Optimiser = Optimiser()
    schedule: Schedule
    precision: Precision = "bf16"
    target_precision: TargetPrecision = "bf16"
    saved_precision: Precision = "fp32"
    compile: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    ema: float | None = Field(default=None, gt=0, lt=1)
    evaluation: Looks = Looks()
    checkpoints: Checkpoints = Checkpoints()
    log: Log = Log()

    @property
    def kind(self) -> Kind:
        """What the registry says of the model's kind."""
        return kinds()[self.model.kind]

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
        if self.data.named and not issubclass(self.kind.model.config_class, CodeConfig):
            raise ValueError(
                f"data.train: got codes, which a {self.model.kind} does not predict; leave them out"
            )
        everything = any(isinstance(masking, Everything) for masking in self.masking)
        if everything and not self.kind.model.config_class.causal:
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
