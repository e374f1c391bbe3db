"""Recipes of promptable segmentation: plain values, checked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vicl.models.promptable.network import PromptableConfig
from vicl.training.recipe.head import FrozenRun, Photographs, Pictures, Share
from vicl.training.settings import BatchSize, Looks, Many


class PromptableData(Pictures):
    """What the network learns from: what is asked for, and how.

    Attributes:
        photographs: Folders of pictures with masks.
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

    photographs: tuple[Photographs, ...] = Field(min_length=1)
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


class PromptableRecipe(FrozenRun):
    """A training run of the promptable network.

    Attributes:
        net: Its architecture, and the encoder whose features it reads.
        scores: Prompts that the masks' scores are fitted to, once the network stands still.
    """

    trains: Literal["promptable"]
    data: PromptableData
    net: PromptableConfig = PromptableConfig()
    batch: BatchSize = BatchSize(size=10)
    workers: int = Field(default=1, ge=0, le=64)
    evaluation: Looks = Looks(every=250)
    looks: Many = 60
    scores: Many = 1000
