"""Recipes of promptable segmentation: plain values, checked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vicl.models.promptable.network import PromptableConfig
from vicl.training.recipe.head import Pictures, Share
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


class PromptableData(Pictures):
    """What the network learns from: what is asked for, and how.

    Attributes:
        objects: Share of the prompts that mean one object;
        classes: all of a class;
        wholes: all classes of a picture together, such as a person with their clothes; the rest
            mean what is of no class.
        boxes: Share of the first prompts that are a box;
        scribbles: scribbles;
        masks: a coarse mask; the rest are a click.
        with_click: Share of the boxes, scribbles and masks with a click beside.
        rounds: Clicks, at most, that follow one another in the largest errors.
        smallest: Share of a picture that what is meant has at least.
    """

    objects: Share = 0.6
    classes: Share = 0.2
    wholes: Share = 0.15
    boxes: Share = 0.35
    scribbles: Share = 0.12
    masks: Share = 0.08
    with_click: Share = 0.15
    rounds: int = Field(default=4, ge=1, le=16)
    smallest: float = Field(default=0.003, gt=0, lt=0.5)

    @model_validator(mode="after")
    def _check(self) -> PromptableData:
        if self.objects + self.classes + self.wholes > 1:
            raise ValueError("objects: with classes and wholes it makes more than 1")
        if self.boxes + self.scribbles + self.masks > 1:
            raise ValueError("boxes: with scribbles and masks they make more than 1")
        return self


class PromptableRecipe(Part):
    """A training run of the promptable network.

    Attributes:
        name: Of the run and its model.
        trains: What tells it from other recipes.
        description: What it is for, on what hardware, how long it takes and what to expect.
        licence: Of the weights.
        seed: Of everything random.
        data: What it learns from.
        net: Its architecture, and the encoder whose features it reads.
        batch: Prompts a step.
        workers: Processes that draw them.
        optimiser: AdamW's settings.
        schedule: How long.
        ema: Decay of the moving average of the weights, which is what is saved.
        evaluation: Looking at held-out pictures.
        looks: So many of them.
        scores: Prompts that the masks' scores are fitted to, once the network stands still.
        checkpoints: Stopping and going on.
        log: What is told.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    trains: Literal["promptable"]
    description: str = ""
    licence: str = "unknown"
    seed: int = Field(default=0, ge=0, lt=2**32)
    data: PromptableData
    net: PromptableConfig = PromptableConfig()
    batch: BatchSize = BatchSize(size=10)
    workers: int = Field(default=1, ge=0, le=64)
    optimiser: Optimiser = Optimiser(lr=2e-3, scale_lr=False, weight_decay=0.01, clip=1.0)
    schedule: Schedule
    ema: float | None = Field(default=0.995, gt=0, lt=1)
    evaluation: Looks = Looks(every=250)
    looks: Many = 60
    scores: Many = 1000
    checkpoints: Checkpoints = Checkpoints(every=100)
    log: Log = Log(trackers=())

    @model_validator(mode="after")
    def _check(self) -> PromptableRecipe:
        if self.schedule.steps is None:
            raise ValueError("schedule: got epochs, but prompts are drawn without end; give steps")
        return self
