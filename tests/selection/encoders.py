"""An encoder that the tests put in place of a real one, and folders to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vicl.engine import Features

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (250, 20, 20),
    "rose": (250, 60, 60),
    "green": (20, 250, 20),
    "lime": (70, 250, 20),
    "blue": (20, 20, 250),
}


@dataclass
class Mean:
    """The mean colour of an image; the mean of each quarter, place by place."""

    name: str = "mean"
    weights_hash: str | None = "0" * 64
    strides: tuple[int, ...] = (128,)
    channels: tuple[int, ...] = (3,)
    seen: list[int] = field(default_factory=list)

    def encode(self, image: Tensor) -> Features:
        self.seen.append(len(image))
        level = torch.nn.functional.avg_pool2d(image, 128)
        return Features((level,), image.mean(dim=(2, 3)))


def plain(file: Path, colour: tuple[int, int, int], side: int = 24) -> Path:
    """An image of one colour but for a black square, which is no colour's."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((side, side, 3), colour, np.uint8)
    pixels[:8, :8] = 0
    Image.fromarray(pixels).save(file)
    return file


def mask(file: Path, value: int = 255, side: int = 24) -> Path:
    """A mask of the square."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((side, side), np.uint8)
    pixels[:8, :8] = value
    Image.fromarray(pixels).save(file)
    return file


def labelled(root: Path) -> Path:
    """A pool of five colours with masks."""
    for name, colour in COLOURS.items():
        plain(root / "images" / f"{name}.png", colour)
        mask(root / "masks" / f"{name}.png")
    return root
