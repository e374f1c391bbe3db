"""A dataset made on the spot: squares of many colours on grey, to be marked or filled in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vicl.evaluation.episodes import Case, Episode, Item, Measures, Truth
from vicl.prompt import Example, Prompt
from vicl.tasks import TaskName


@dataclass(frozen=True)
class Marks:
    """Pictures "class/number": one square each, its colour, place and size by its number.

    The image is what the number says alone, so an item drawn twice is the same picture.

    Attributes:
        task: Of the episodes; the truth is the square, white on black.
        classes: Their names; classes differ in their numbers only.
        side: Of the pictures, in pixels.
        images: How many each class has.
    """

    task: TaskName = "segmentation"
    classes: tuple[str, ...] = ("square",)
    side: int = 64
    images: int = 40

    name = "marks"
    fingerprint = "0" * 64

    @property
    def measures(self) -> Measures:
        return self.task

    def episodes(
        self, count: int | None = None, *, seed: int = 0, examples: int = 1
    ) -> list[Episode]:
        found = []
        for index in range(self.images if count is None else count):
            order = torch.randperm(self.images, generator=Generator().manual_seed(seed + index))
            drawn = self.classes[index % len(self.classes)]
            items = tuple(Item(f"{drawn}/{n}", class_name=drawn) for n in order.tolist())
            found.append(
                Episode(self.name, self.task, seed, index, items[1 : examples + 1], items[0])
            )
        return found

    def load(self, episode: Episode) -> Case:
        shown = [Example(*self.draw(item.image)) for item in episode.examples]
        image, mask = self.draw(episode.query.image)
        return Case(Prompt(shown, image), Truth(mask))

    def draw(self, name: str) -> tuple[Tensor, Tensor]:
        """A picture and its mask, (3, side, side)."""
        drawn, number = name.split("/")
        seed = 1000 * (1 + self.classes.index(drawn)) + int(number)
        generator = Generator().manual_seed(seed)
        extent = int(torch.randint(self.side // 4, self.side // 2, (), generator=generator))
        top, left = torch.randint(0, self.side - extent, (2,), generator=generator).tolist()
        # Bounds of the colour cube: far from grey and from one another.
        corner = int(torch.randint(0, 8, (), generator=generator))
        colour = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2]).float()
        image, mask = (
            torch.full((3, self.side, self.side), 0.5),
            torch.zeros(1, self.side, self.side),
        )
        image[:, top : top + extent, left : left + extent] = colour[:, None, None]
        mask[:, top : top + extent, left : left + extent] = 1
        return image, mask.expand(3, -1, -1).contiguous()
