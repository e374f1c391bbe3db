"""What is asked of a picture of the bank: what is meant, and a first prompt that says so.

What prompt n is, follows from the seed and n alone.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float32
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from vicl.models.matching.view import FINE, PICTURE
from vicl.models.promptable.asked import SCRIBBLED, shrunk_mask, spread_points
from vicl.models.promptable.guidance import Guide
from vicl.tasks.boxes import mask_box
from vicl.training.matching.bank import Bank, open_bank
from vicl.training.recipe.promptable import PromptableData
from vicl.training.seeds import Purpose, numbers

MOST_POINTS: Final = 2 * SCRIBBLED + 1
"""Points of a first prompt: scribbles of both labels, and a click."""

_UNKNOWN: Final = 255
_LARGEST: Final = 0.9
_TRIES: Final = 50
_JITTER: Final = 0.06
"""Of a box's sides: standard deviation, as a share of its width or height."""


class Asked(Dataset[tuple[Tensor, ...]]):
    """Prompts: a picture's levels and pixels, what is meant, and a guide.

    Args:
        folder: Of the bank.
        data: What is asked.
        seed: Of everything random.
    """

    def __init__(self, folder: Path, data: PromptableData, seed: int) -> None:
        self.folder, self.data, self.seed = folder, data, seed

    @cached_property
    def bank(self) -> Bank:
        """Opened anew in every process."""
        return open_bank(self.folder)

    def __getstate__(self) -> dict[str, object]:
        return {name: self.__dict__[name] for name in ("folder", "data", "seed")}

    @cached_property
    def _by_source(self) -> list[np.ndarray]:
        """Rows of each source that show anything."""
        count = len(self.data.weights)
        shown = np.array([bool(row.shares) for row in self.bank.rows])
        of = np.array([row.source for row in self.bank.rows])
        return [np.flatnonzero(shown & (of == source)) for source in range(count)]

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        """A prompt.

        Returns:
            Levels of the encoder; the picture; what is meant, 1 or 0, -1 where nobody knows; and
            the parts of a :class:`vicl.models.promptable.guidance.Guide`.
        """
        rng = numbers(self.seed, Purpose.ASKED, number)
        index, inside, known = self._meant(rng)
        view = self.bank.view(index)
        truth = torch.from_numpy(np.where(known, inside, -1).astype(np.float32))
        guide = first_prompt(rng, inside, known, self.data)
        return (*view.levels, view.picture, truth, *vars(guide).values())

    def _meant(
        self, rng: Generator
    ) -> tuple[int, Bool[np.ndarray, "p p"], Bool[np.ndarray, "p p"]]:
        """A row, what of it is meant, and where it is known."""
        weights = np.array(
            [w * bool(len(r)) for w, r in zip(self.data.weights, self._by_source, strict=True)]
        )
        for _ in range(_TRIES):
            rows = self._by_source[int(rng.choice(len(weights), p=weights / weights.sum()))]
            index = int(rows[int(rng.integers(len(rows)))])
            inside = self._thing(rng, index)
            if self.data.smallest <= inside.mean() <= _LARGEST:
                return index, inside, np.array(self.bank.labels[index]) != _UNKNOWN
        raise ValueError("data: no prompt can be drawn; the pictures show nothing large enough")

    def _thing(self, rng: Generator, index: int) -> Bool[np.ndarray, "p p"]:
        """What may be meant; too small where the picture has no such thing."""
        labels, objects = np.array(self.bank.labels[index]), np.array(self.bank.objects[index])
        data = self.data
        kind = rng.random()
        inside: np.ndarray
        if kind < data.objects:
            areas = np.bincount(objects.ravel())
            areas[0] = 0
            large = np.flatnonzero(areas >= data.smallest * objects.size)
            number = large[int(rng.integers(len(large)))] if len(large) else -1
            inside = objects == number
        elif kind < data.objects + data.classes:
            values = list(self.bank.rows[index].classes.values())
            inside = labels == values[int(rng.integers(len(values)))]
        elif kind < data.objects + data.classes + data.wholes:
            inside = (labels != 0) & (labels != _UNKNOWN)
        else:
            inside = (labels == 0) & (objects == 0)
        return inside


def first_prompt(
    rng: Generator,
    inside: Bool[np.ndarray, "p p"],
    known: Bool[np.ndarray, "p p"],
    data: PromptableData,
) -> Guide:
    """Say what is meant: by a click, a box, scribbles or a coarse mask; not a batch.

    Args:
        rng: Decides.
        inside: What is meant; not empty.
        known: Where that is known.
        data: How often which.
    """
    kind, points = rng.random(), []
    box, earlier = np.full(4, -1.0), torch.full((FINE, FINE), -1.0)
    labels: list[int] = []
    if kind < data.boxes:
        box = jittered_box(rng, inside)
    elif kind < data.boxes + data.scribbles:
        sides = [(1, inside)]
        if rng.random() < 0.5 and (outside := ~inside & known).any():
            sides.append((0, outside))
        for label, side in sides:
            found = spread_points(scribble(rng, side), SCRIBBLED)
            points.append(found)
            labels += [label] * len(found)
    elif kind < data.boxes + data.scribbles + data.masks:
        earlier = shrunk_mask(coarse_mask(rng, inside))
    if kind >= data.boxes + data.scribbles + data.masks or rng.random() < data.with_click:
        points.append(click(rng, inside)[None])
        labels.append(1)
    at, told = torch.zeros(MOST_POINTS, 2), torch.full((MOST_POINTS,), -1)
    if points:
        every = np.concatenate(points) / PICTURE
        at[: len(every)], told[: len(labels)] = torch.from_numpy(every), torch.tensor(labels)
    return Guide(at, told, torch.from_numpy(box).float(), earlier)


def click(rng: Generator, inside: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, " 2"]:
    """A point (x, y) in it: half of the time anywhere, else well inside."""
    places = inside
    if rng.random() < 0.5:
        far = depth_of(inside)
        places = far >= 0.6 * far.max()
    rows, columns = np.nonzero(places)
    one = int(rng.integers(len(rows)))
    return np.array([columns[one] + 0.5, rows[one] + 0.5], np.float32)


def depth_of(inside: Bool[np.ndarray, "h w"]) -> np.ndarray:
    """Distance of each pixel to what is not in it; what lies beyond the picture is not."""
    from scipy import ndimage

    far: np.ndarray = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    return far


def jittered_box(rng: Generator, inside: Bool[np.ndarray, "p p"]) -> np.ndarray:
    """The box around it, each side moved a little, in shares of the picture."""
    box = np.array(mask_box(inside), float)
    size = np.tile(box[2:] - box[:2], 2)
    moved = np.clip(box + np.clip(rng.normal(0, _JITTER, 4), -0.15, 0.15) * size, 0, len(inside))
    shares: np.ndarray = moved / len(inside)
    return shares


def scribble(rng: Generator, side: Bool[np.ndarray, "p p"]) -> Bool[np.ndarray, "p p"]:
    """One to three strokes between points of it; what leaves it is not drawn."""
    rows, columns = np.nonzero(side)
    drawn = np.zeros(side.shape, bool)
    for _ in range(int(rng.integers(1, 4))):
        ends = rng.integers(len(rows), size=2)
        share = np.linspace(0, 1, 2 * len(side))[:, None]
        place = np.stack([rows[ends], columns[ends]], 1)
        line = np.rint(place[0] + share * (place[1] - place[0])).astype(int)
        drawn[line[:, 0], line[:, 1]] = True
    drawn &= side
    return drawn


def coarse_mask(rng: Generator, inside: Bool[np.ndarray, "p p"]) -> Bool[np.ndarray, "p p"]:
    """It, moved, grown or shrunk, and coarse; never empty."""
    step = int(rng.integers(2, 13))
    moved = np.roll(inside, rng.integers(-step, step + 1, 2) // 2, (0, 1))
    count = len(inside) // step
    cut = moved[: count * step, : count * step].reshape(count, step, count, step)
    small = cut.mean((1, 3)) > rng.uniform(0.2, 0.7)
    found = np.zeros_like(inside)
    found[: count * step, : count * step] = small.repeat(step, 0).repeat(step, 1)
    return found if found.any() else inside
