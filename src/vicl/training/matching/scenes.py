"""Scenes of cut-outs: the same things again, turned, recoloured or in another style, among others.

A theme is a thing that a group of scenes may share; a distractor is any other, often of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8
from numpy.random import Generator
from PIL import Image, ImageFilter

_THEMES = 3
_SHOWN = 0.75
"""Chance that a theme is shown in a scene."""

_AKIN = 12
"""Neighbours in the order of code points within so many are of a kind, more often than not."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture with the classes of its pixels.

    Attributes:
        picture: RGB.
        labels: 0 = of no class; 255 = unknown.
        classes: What the other values are, by name.
        objects: Numbers of separate objects; 0 = of none.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    labels: UInt8[np.ndarray, "h w"]
    classes: dict[str, int]
    objects: Int32[np.ndarray, "h w"]


@dataclass(frozen=True)
class CutOuts:
    """Files of cut-outs, RGBA, by their names; the same name in several folders is one thing.

    Attributes:
        files: The pictures of each thing, in the order of names.
    """

    files: tuple[tuple[Path, ...], ...]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> CutOuts:
        """Find those of some folders."""
        found: dict[str, list[Path]] = {}
        for folder in folders:
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() in (".png", ".webp"):
                    found.setdefault(path.stem, []).append(path)
        return cls(tuple(tuple(found[name]) for name in sorted(found)))


def compose_group(
    rng: Generator, things: CutOuts, grounds: Sequence[UInt8[np.ndarray, "h w 3"]], side: int
) -> list[Labelled]:
    """Scenes that share things, one for each ground.

    Args:
        rng: Decides.
        things: What is pasted.
        grounds: What it is pasted on, of any size.
        side: Of the scenes, in pixels.
    """
    count = len(things.files)
    themes = [int(i) for i in rng.choice(count, _THEMES, replace=False)]
    scenes = []
    for ground in grounds:
        picture = _stretched(ground, side)
        labels, objects = np.zeros((side, side), np.uint8), np.zeros((side, side), np.int32)
        placed = [
            (index + 1, theme)
            for index, theme in enumerate(themes)
            if rng.random() < _SHOWN
            for _ in range(_times(rng))
        ]
        for _ in range(int(rng.integers(1, 5))):
            if rng.random() < 0.5:
                near = themes[int(rng.integers(_THEMES))]
                other = (near + int(rng.integers(-_AKIN, _AKIN + 1))) % count
            else:
                other = int(rng.integers(count))
            if other not in themes:
                placed.append((0, other))
        rng.shuffle(placed)
        for number, (value, thing) in enumerate(placed, start=1):
            files = things.files[thing]
            file = files[int(rng.integers(len(files)))]
            where = _paste(rng, picture, file)
            labels[where], objects[where] = value, number
        if rng.random() < 0.5:
            picture = _worn(rng, picture)
        there = {f"theme {value}": value for value in range(1, _THEMES + 1)}
        scenes.append(Labelled(picture, labels, there, objects))
    return scenes


def crop(rng: Generator, image: Labelled, side: int, least: float) -> Labelled:
    """A random part of a picture, stretched to a square, its colours changed."""
    height, width = image.labels.shape
    share = float(rng.uniform(least, 1))
    tall, wide = int(height * share), int(width * min(1, share * rng.uniform(0.8, 1.25)))
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    part = slice(top, top + tall), slice(left, left + wide)
    turned = slice(None, None, -1 if rng.random() < 0.5 else 1)
    picture = _stretched(image.picture[part][:, turned], side)
    maps = [stretch_map(one[part][:, turned], side) for one in (image.labels, image.objects)]
    return Labelled(_tinted(rng, picture), maps[0], image.classes, maps[1])


def stretch(image: Labelled, side: int) -> Labelled:
    """A picture stretched to a square."""
    maps = [stretch_map(one, side) for one in (image.labels, image.objects)]
    return Labelled(_stretched(image.picture, side), maps[0], image.classes, maps[1])


def stretch_map(values: np.ndarray, side: int) -> np.ndarray:
    """Labels or numbers of objects stretched to a square."""
    small = Image.fromarray(np.ascontiguousarray(values))
    return np.array(small.resize((side, side), Image.Resampling.NEAREST))


def _stretched(picture: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "s s 3"]:
    small = Image.fromarray(np.ascontiguousarray(picture))
    return np.array(small.resize((side, side), Image.Resampling.BICUBIC))


def _times(rng: Generator) -> int:
    return int(rng.choice(3, p=(0.65, 0.25, 0.1))) + 1


def _paste(
    rng: Generator, picture: UInt8[np.ndarray, "s s 3"], file: Path
) -> Bool[np.ndarray, "s s"]:
    """Draw a cut-out somewhere, changed at random, over what is there; gives where."""
    side = len(picture)
    with Image.open(file) as opened:
        thing = opened.convert("RGBA")
    size = int(side * np.exp(rng.uniform(np.log(0.07), np.log(0.55))))
    thing = thing.resize((max(8, int(size * rng.uniform(0.8, 1.2))), max(8, size)))
    if rng.random() < 0.5:
        thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turn = rng.normal(0, 15) if rng.random() < 0.75 else rng.uniform(-180, 180)
    thing = thing.rotate(float(turn), Image.Resampling.BICUBIC, expand=True)
    pixels = np.asarray(thing)
    pixels = pixels[: side - 1, : side - 1]
    high, wide = pixels.shape[:2]
    top = int(rng.integers(-high // 4, side - high + high // 4 + 1))
    left = int(rng.integers(-wide // 4, side - wide + wide // 4 + 1))
    rows = slice(max(0, top), min(side, top + high))
    columns = slice(max(0, left), min(side, left + wide))
    part = pixels[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    colour = _tinted(rng, np.ascontiguousarray(part[..., :3])).astype(np.float32)
    alpha = part[..., 3:].astype(np.float32) / 255
    under = picture[rows, columns].astype(np.float32)
    picture[rows, columns] = np.rint(under + alpha * (colour - under)).astype(np.uint8)
    where = np.zeros((side, side), bool)
    where[rows, columns] = alpha[..., 0] >= 0.5
    return where


def _tinted(rng: Generator, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Another light, contrast and saturation; now and then other hues."""
    values = picture.astype(np.float32) / 255
    if rng.random() < 0.15:
        angle = rng.uniform(0, 2 * np.pi)
        values = _turned(values, angle)
    gray = values.mean(-1, keepdims=True)
    values = gray + (values - gray) * np.float32(rng.uniform(0.5, 1.3))
    values = (values - 0.5) * np.float32(rng.uniform(0.75, 1.25)) + 0.5
    values = values * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    values = np.clip(values, 0, 1) ** np.float32(np.exp(rng.uniform(-0.35, 0.35)))
    changed: UInt8[np.ndarray, "h w 3"] = np.rint(values * 255).astype(np.uint8)
    return changed


def _turned(values: Float[np.ndarray, "h w 3"], angle: float) -> Float[np.ndarray, "h w 3"]:
    """Hues turned around the gray axis."""
    axis = np.full(3, 3**-0.5)
    cross = np.cross(np.eye(3), axis)
    turn = np.cos(angle) * np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) / 3
    turned: Float[np.ndarray, "h w 3"] = np.clip(values @ turn.T.astype(np.float32), 0, 1)
    return turned


def _worn(rng: Generator, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Blurred a little, with noise."""
    blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2))))
    noise = rng.normal(0, rng.uniform(0, 8), picture.shape)
    return np.clip(np.asarray(blurred) + noise, 0, 255).astype(np.uint8)
