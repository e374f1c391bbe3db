"""Recipes: a training run as plain values, checked, from which it can be repeated.

Unknown keys and wrong values are refused.  A recipe names no code: what it can ask for is listed
here.  :mod:`vicl.training.recipe_file` reads recipes from YAML.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from vicl.files import FileError
from vicl.models.configs import (
    MAEConfig,
    MaskedAutoencoderConfig,
    PatchConfig,
    UNetConfig,
    VQGANConfig,
)
from vicl.training.masking import Everything, Masking

Many = Annotated[int, Field(gt=0, le=10**9)]
"""A number of steps, images or the like; the limit catches slips, and keeps sums in 64 bits."""

_WIDEST = 1 << 16
_DEEPEST = {"depth": 256, "decoder_depth": 256, "blocks": 256}


class RecipeError(FileError):
    """A recipe that cannot be used; the message names each key, its value and what is allowed."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FolderSource(_Part):
    """Images in a folder and its subfolders.

    Attributes:
        path: The folder; relative to where the command runs.
        weight: Share of the mixture, in proportion to the others' weights.
    """

    kind: Literal["folder"] = "folder"
    path: str
    weight: PositiveFloat = 1.0


class ShardSource(_Part):
    """WebDataset tar shards, on disk or by URL.

    Attributes:
        urls: A path, or a URL of http or https; `{000..099}` stands for a hundred.
        samples: How many images they hold, where epochs are counted.
        weight: As for a folder.
    """

    kind: Literal["shards"] = "shards"
    urls: str
    samples: Many | None = None
    weight: PositiveFloat = 1.0

    @field_validator("urls")
    @classmethod
    def _check(cls, urls: str) -> str:
        # Readers of shards take "pipe:" for a command to run, and further schemes for more of them.
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", urls)
        if scheme and not re.match("https?://", urls):
            raise ValueError(
                f"got {urls[:60]!r}, expected a path or a URL that begins with http:// or https://"
            )
        return urls


class DatasetSource(_Part):
    """An `IterableDataset` that the caller of :func:`vicl.training.run.train` gives by name.

    Attributes:
        name: Of the dataset.
        weight: As for a folder.
    """

    kind: Literal["dataset"] = "dataset"
    name: str
    weight: PositiveFloat = 1.0


class PhotoSource(_Part):
    """The photographs that come with the package: enough to see that training runs.

    Attributes:
        weight: As for a folder.
    """

    kind: Literal["photos"] = "photos"
    weight: PositiveFloat = 1.0


def _from_text(value: Any) -> Any:
    """A path alone is a folder, or shards where it names tar files."""
    if isinstance(value, str):
        shards = re.search(r"\.(tar(\.gz)?|tgz)(\?.*)?$", value)
        return {"kind": "shards", "urls": value} if shards else {"kind": "folder", "path": value}
    return value


Source = Annotated[
    Annotated[
        FolderSource | ShardSource | DatasetSource | PhotoSource, Field(discriminator="kind")
    ],
    BeforeValidator(_from_text),
]


def _listed(value: Any) -> Any:
    """One thing where several may stand."""
    return value if isinstance(value, list | tuple) else [value]


Sources = Annotated[tuple[Source, ...], BeforeValidator(_listed)]


class HeldOut(_Part):
    """Images that training never sees.

    Attributes:
        fraction: Share of each folder of `data.train` that is held out; chosen by the names of
            the images, so that adding some leaves the others where they are.
        group: A regular expression; images whose names (below their folder) have the same match
            of it are held out together, such as the frames of one video.
        sources: Held out instead of a fraction.
        count: At most so many of them are looked at in an evaluation.
    """

    fraction: float = Field(default=0.0, ge=0, lt=1)
    group: str | None = Field(default=None, max_length=200)
    sources: Sources = ()
    count: Many = 64

    @model_validator(mode="after")
    def _check(self) -> HeldOut:
        if self.fraction and self.sources:
            raise ValueError("sources: give a fraction or sources, not both")
        if self.group is not None and not self.fraction:
            raise ValueError("group: says how a fraction is chosen; give a fraction too")
        try:
            re.compile(self.group or "")
        except re.error as error:
            raise ValueError(
                f"group: got {self.group!r}, expected a regular expression ({error})"
            ) from error
        return self


class Augmentation(_Part):
    """Random resized crop (bicubic) and horizontal flip; the defaults are the paper's.

    Attributes:
        scale: Least and greatest share of the image's area that a crop covers.
        ratio: Least and greatest width : height of a crop.
        flip: Mirror half of the images.
    """

    scale: tuple[PositiveFloat, PositiveFloat] = (0.2, 1.0)
    ratio: tuple[PositiveFloat, PositiveFloat] = (3 / 4, 4 / 3)
    flip: bool = True

    @model_validator(mode="after")
    def _check(self) -> Augmentation:
        if not self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale: got {self.scale}, expected least <= greatest <= 1")
        if not self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio: got {self.ratio}, expected least <= greatest")
        return self


class Data(_Part):
    """What is trained on.

    Attributes:
        train: Where images come from; several are mixed by their weights.
        held_out: What training never sees.
        augmentation: Of the training images.
        workers: Processes that read images; 0 reads them in the training process.
        prefetch: Batches that each worker keeps ready.
    """

    train: Annotated[Sources, Field(min_length=1)]
    held_out: HeldOut = HeldOut()
    augmentation: Augmentation = Augmentation()
    workers: int = Field(default=4, ge=0, le=256)
    prefetch: int = Field(default=2, ge=1, le=256)

    @model_validator(mode="after")
    def _check(self) -> Data:
        listed = any(isinstance(source, FolderSource | PhotoSource) for source in self.train)
        if self.held_out.fraction and not listed:
            raise ValueError(
                f"held_out.fraction: got {self.held_out.fraction} without a folder in train; "
                "give held_out.sources"
            )
        return self


class MAEVQGANModel(MaskedAutoencoderConfig):
    """MAE-VQGAN, the paper's model.

    Attributes:
        tokenizer: Its VQGAN: the folder of one, or of a model that has one.
    """

    kind: Literal["mae-vqgan"]
    tokenizer: str


class MAEModel(MAEConfig):
    """MAE over pixels."""

    kind: Literal["mae"]


class BEiTModel(PatchConfig):
    """BEiT-style token prediction; `tokenizer` as for MAE-VQGAN."""

    kind: Literal["beit"]
    tokenizer: str


class AutoregressiveModel(PatchConfig):
    """A causal transformer over codes; `tokenizer` as for MAE-VQGAN."""

    kind: Literal["autoregressive"]
    tokenizer: str


class UNetModel(UNetConfig):
    """The convolutional U-Net."""

    kind: Literal["unet"]


class VQGANModel(VQGANConfig):
    """A VQGAN.

    Attributes:
        crop_size: Side of the square crops that it is trained on, in pixels.
    """

    kind: Literal["vqgan"]
    crop_size: PositiveInt = 256

    @model_validator(mode="after")
    def _check_crop(self) -> VQGANModel:
        if self.crop_size % self.patch_size:
            raise ValueError(
                f"crop_size: got {self.crop_size}, expected a multiple of {self.patch_size}, which "
                "is what a code stands for (two to the number of levels - 1)"
            )
        return self


Model = Annotated[
    MAEVQGANModel | MAEModel | BEiTModel | AutoregressiveModel | UNetModel | VQGANModel,
    Field(discriminator="kind"),
]


class Discriminator(_Part):
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


class Perceptual(_Part):
    """The perceptual loss of a VQGAN's training.

    Attributes:
        weights: Safetensors or checkpoint file of the feature network, which the user supplies.
        weight: Of the loss.
    """

    weights: str
    weight: PositiveFloat = 1.0


class VQGANLoss(_Part):
    """What a VQGAN is trained on, beside the absolute error.

    Attributes:
        commitment: Weight of the commitment term.
        discriminator: None trains without one.
        perceptual: None trains without it.
        revive_after: Codes that no image used for this many steps are moved to where images are;
            None leaves them dead.
    """

    commitment: NonNegativeFloat = 0.25
    discriminator: Discriminator | None = Discriminator()
    perceptual: Perceptual | None = None
    revive_after: Many | None = 1000


_Share = Annotated[float, Field(ge=0, lt=1)]


class Optimiser(_Part):
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


class Schedule(_Part):
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


class Batch(_Part):
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


class Evaluation(_Part):
    """Looking at held-out images on the way.

    Attributes:
        every: Steps between evaluations; the last step is always evaluated.
        rows: Held-out images on the contact sheet, always the same.
    """

    every: Many = 1000
    rows: int = Field(default=8, gt=0, le=64)


class Checkpoints(_Part):
    """Stopping and going on.

    Attributes:
        every: Steps between checkpoints; the last step always makes one.
        keep: How many are kept, beside the best.
    """

    every: Many = 1000
    keep: Many = 2


class Log(_Part):
    """What is told on the way.

    Attributes:
        every: Steps between lines of the log.
        trackers: Of accelerate, by name, such as "tensorboard" or "wandb".
    """

    every: Many = 20
    trackers: tuple[str, ...] = ("tensorboard",)


class Recipe(_Part):
    """A training run.

    Attributes:
        name: Of the run and of its model; also the folder that it goes to by default.
        description: What it is for, on what hardware, how long it takes and what to expect.
        licence: Of the weights that come of it, in words, for the model card.
        seed: Of everything random.
        data: What is trained on.
        model: What is trained: `kind`, and its architecture.
        start: A model folder of the same architecture to start from; None starts at random.
        masking: Which patches are hidden; several are mixed by their weights, one a batch. For
            every model but the VQGAN.
        vqgan: What a VQGAN is trained on; for no other model.
        batch: Images a step.
        optimiser: AdamW's settings.
        schedule: How long.
        precision: Of the arithmetic; weights are kept in float32.
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
    masking: Annotated[tuple[Masking, ...], BeforeValidator(_listed)] = ()
    vqgan: VQGANLoss | None = None
    batch: Batch
    optimiser: Optimiser = Optimiser()
    schedule: Schedule
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    target_precision: Literal["fp32", "bf16"] = "bf16"
    compile: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    ema: float | None = Field(default=None, gt=0, lt=1)
    evaluation: Evaluation = Evaluation()
    checkpoints: Checkpoints = Checkpoints()
    log: Log = Log()

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
        is_vqgan = isinstance(self.model, VQGANModel)
        if is_vqgan and (self.masking or self.vqgan is None):
            raise ValueError(
                "model.kind: got vqgan, which needs the section vqgan and takes no section masking"
            )
        if is_vqgan and self.parallel == "fsdp":
            raise ValueError("parallel: got fsdp, but a vqgan is trained with ddp only")
        if is_vqgan and self.precision == "fp16":
            raise ValueError("precision: got fp16, but a vqgan is trained with bf16 or fp32 only")
        everything = any(isinstance(masking, Everything) for masking in self.masking)
        if everything and not isinstance(self.model, AutoregressiveModel):
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
