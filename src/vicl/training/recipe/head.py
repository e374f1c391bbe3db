"""Recipes of the matching engine's heads: plain values, checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from vicl.models.matching.head import HeadConfig
from vicl.models.matching.outlines import OutlineConfig
from vicl.training.settings import (
    BatchSize,
    Checkpoints,
    Log,
    Looks,
    Many,
    Optimiser,
    Part,
    Schedule,
)

Share = Annotated[float, Field(ge=0, le=1)]


class PictureFolder(Part):
    """A folder of pictures with masks of classes, and a `manifest.jsonl` that lists them.

    Attributes:
        path: Of the folder.
        sources: Use these of the manifest's sources alone; None uses all.
        weight: How often it is drawn beside the others.
        versions: Further versions of each picture: parts of it in another light.
        least: Share of a side that such a part has at least.
        held_out: Share of the pictures that are looked at on the way, and not trained on.
    """

    path: str
    sources: tuple[str, ...] | None = None
    weight: PositiveFloat = 1.0
    versions: int = Field(default=2, ge=0, le=16)
    least: float = Field(default=0.5, gt=0, le=1)
    held_out: Share = 0.1


class Photographs(PictureFolder):
    """Such a folder, of which episodes are drawn.

    Attributes:
        unions: Share of the episodes that ask for all classes together, or for two of them.
        paired_by: Field of the manifest whose values are not paired with each other.
        kinds: Classes that may pass for each other: none of them is said to be absent while
            another is there.
    """

    unions: Share = 0.0
    paired_by: str | None = None
    kinds: tuple[tuple[str, ...], ...] = ()


class Composed(Part):
    """Scenes of cut-outs on the photographs of the other sources.

    Attributes:
        folders: Of pictures with transparency.
        weight: How often they are drawn beside the others.
        groups: Of scenes that share things.
        held_out: So many more, to be looked at.
        scenes: Of a group.
    """

    folders: tuple[str, ...]
    weight: PositiveFloat = 1.0
    groups: Many = 500
    held_out: Many = 40
    scenes: int = Field(default=3, ge=2, le=8)


class Mosaics(Part):
    """Mosaics of textures that are cut from the photographs.

    Attributes:
        weight: How often they are drawn beside the others.
        count: Of mosaics.
        held_out: So many more, to be looked at.
    """

    weight: PositiveFloat = 1.0
    count: Many = 200
    held_out: Many = 40


class Pictures(Part):
    """What any head learns from.

    Attributes:
        photographs: Folders of pictures with masks.
        composed: Scenes of cut-outs.
        leave_out: Listings of episodes (`vicl evaluate ... --list`) none of whose pictures is used.
    """

    photographs: tuple[PictureFolder, ...] = Field(min_length=1)
    composed: Composed | None = None
    leave_out: tuple[str, ...] = ()

    @property
    def weights(self) -> tuple[float, ...]:
        """How often each source is drawn; what is composed comes last."""
        composed = () if self.composed is None else (self.composed.weight,)
        return (*(one.weight for one in self.photographs), *composed)


class OutlineData(Pictures):
    """What the outline head learns from.

    Attributes:
        mosaics: Mosaics of textures.
    """

    mosaics: Mosaics | None = None


class HeadData(Pictures):
    """What the head for masks learns from.

    Attributes:
        photographs: Folders of pictures with masks.
        absent: Share of the episodes whose thing is not in the query.
        elsewhere: Share of these whose query is of another source, or of another group of scenes.
        several: Share of the episodes with two to four examples.
        scribbles: Share whose examples are marked by scribbles.
        placeless: Share that is not told where the examples' things are.
    """

    photographs: tuple[Photographs, ...] = Field(min_length=1)
    absent: Share = 0.2
    elsewhere: Share = 0.4
    several: Share = 0.25
    scribbles: Share = 0.2
    placeless: Share = 0.5


class FrozenRun(Part):
    """A training run of a network over the features of a frozen encoder.

    Attributes:
        name: Of the run and its model.
        trains: What tells it from other recipes.
        description: What it is for, on what hardware, how long it takes and what to expect.
        licence: Of the weights.
        seed: Of everything random.
        data: What it learns from.
        batch: What is drawn of it a step: episodes, pictures or prompts.
        workers: Processes that draw them.
        optimiser: AdamW's settings.
        schedule: How long.
        ema: Decay of the moving average of the weights, which is what is saved.
        evaluation: Looking at what is held out.
        looks: So many of them.
        checkpoints: Stopping and going on.
        log: What is told.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    trains: str
    description: str = ""
    licence: str = "unknown"
    seed: int = Field(default=0, ge=0, lt=2**32)
    data: Pictures
    batch: BatchSize = BatchSize(size=16)
    workers: int = Field(default=2, ge=0, le=64)
    optimiser: Optimiser = Optimiser(lr=2e-3, scale_lr=False, weight_decay=0.01, clip=1.0)
    schedule: Schedule
    ema: float | None = Field(default=0.995, gt=0, lt=1)
    evaluation: Looks = Looks(every=200)
    looks: Many = 120
    checkpoints: Checkpoints = Checkpoints(every=100)
    log: Log = Log(trackers=())

    @model_validator(mode="after")
    def _check(self) -> FrozenRun:
        if self.schedule.steps is None:
            raise ValueError("schedule: got epochs, but they are drawn without end; give steps")
        return self


class HeadRun(FrozenRun):
    """A training run of a head of the engine `matching`.

    Attributes:
        head: Its architecture, and the encoder whose features it reads.
    """

    head: HeadConfig | OutlineConfig


class HeadRecipe(HeadRun):
    """A training run of the head for masks."""

    trains: Literal["matching-head"]
    data: HeadData
    head: HeadConfig = HeadConfig()


class OutlineRecipe(HeadRun):
    """A training run of the outline head."""

    trains: Literal["outline-head"]
    data: OutlineData
    head: OutlineConfig = OutlineConfig()
