"""Content from files: cut-outs with alpha, and photographs with or without masks.

Files are read when they are first drawn and shrunk to what a cell can show; a few are kept.  A file
that cannot be used is passed over for the next by name, and said so once.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy.random import Generator
from PIL import Image

from vicl.figures.synthetic.scenes.chance import between, fresh_seed, often, pick
from vicl.figures.synthetic.scenes.composing import draw_camera
from vicl.figures.synthetic.scenes.families import styled
from vicl.figures.synthetic.scenes.scene import (
    Background,
    Family,
    Picture,
    Scene,
    Surface,
    Thing,
    Wish,
)
from vicl.figures.synthetic.scenes.shelf import Pixels, Shelf
from vicl.figures.synthetic.scenes.styles import Style
from vicl.files import FileError, display
from vicl.images import ImageError, find_images, open_image, to_rgb

NOT_STATED = "not stated"
"""The licence of files of which nobody said one."""

_CUTOUT_SIDE = 112
_PHOTOGRAPH_SIDE = 176
"""Shorter side to which photographs are shrunk, in pixels; cut-outs by their longer one."""

_REGION = (0.03, 0.6)
"""A region is drawn that covers such a share of the picture."""

_SHARE = f"{_REGION[0]:.0%} to {_REGION[1]:.0%}"
_HINT = "are these label maps, 0 = background?"
_LABEL_MODES = ("L", "P", "1")
_CROPS = 12


class CutOuts:
    """A folder of pictures with transparency."""

    def __init__(
        self, folder: str | os.PathLike[str], *, licence: str = NOT_STATED, keep: int = 1536
    ) -> None:
        """List the folder.

        Args:
            folder: Searched with its subfolders for images; they need an alpha channel.
            licence: Of the pictures, as it goes into metadata.
            keep: How many are kept in memory, each of at most 49 KiB.

        Raises:
            ImageError: If the folder cannot be listed or holds no image.
        """
        self.licence = licence
        self._shelf = Shelf(_images_in(folder), _read_cutout, keep)

    def draw(self, rng: Generator) -> Picture:
        """Draw a cut-out: RGB and alpha, cropped to what can be seen.

        Raises:
            ImageError: If no file can be used.
        """
        path, pixels = self._shelf.take(int(rng.integers(len(self._shelf))))
        return Picture(pixels, path.name, self.licence)

    def family(self, photographs: Photographs | None = None) -> Family:
        """Cut-outs over drawn backgrounds, or over photographs."""
        style = Style(
            shapes=("picture",),
            backgrounds=("plain", "gradient", "clouds", "noise", "paper", "landscape", "stripes"),
            closeness=0.7,
            shadow=(0.0, 0.5),
            camera=0.4,
            cutouts=self.draw,
            weight=3.0,
        )
        if photographs is None:
            return styled("cut-outs", style, self.licence)
        style = replace(
            style, backgrounds=("picture",), things=(1, 4), shadow=(0.0, 0.4),
            photographs=photographs.draw, weight=2.0,
        )  # fmt: skip
        licence = " AND ".join(dict.fromkeys([self.licence, photographs.licence]))
        return styled("cut-outs over photographs", style, licence)


class Photographs:
    """A folder of photographs, some of them with masks."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        masks: str | os.PathLike[str] | None = None,
        licence: str = NOT_STATED,
        keep: int = 512,
    ) -> None:
        """List the folders.

        Args:
            folder: Searched with its subfolders for images.
            masks: Searched likewise for label maps, 0 = background, that have the name of their
                photograph but for the ending.
            licence: Of photographs and masks, as it goes into metadata.
            keep: How many are kept in memory, each of some 190 KiB.

        Raises:
            ImageError: If a folder cannot be listed or holds no image, or no mask has the name of
                a photograph.
        """
        self.licence = licence
        paths = _images_in(folder)
        self._labels = {} if masks is None else {path.stem: path for path in _images_in(masks)}
        self._labelled = [n for n, path in enumerate(paths) if path.stem in self._labels]
        if masks is not None and not self._labelled:
            raise ImageError(
                f"{display(masks)}: no mask has the name of a photograph in {display(folder)}; "
                "masks are called like their photographs, but for the ending"
            )
        self._shelf = Shelf(paths, self._read, keep)

    def draw(self, rng: Generator) -> Picture:
        """Draw a part of a photograph, RGB, square, perhaps mirrored.

        Raises:
            ImageError: If no file can be used.
        """
        path, pixels = self._shelf.take(int(rng.integers(len(self._shelf))))
        return Picture(_crop(rng, pixels[..., :3]), path.name, self.licence)

    def family(self) -> Family:
        """Photographs as they are; where there are masks, their regions are things."""
        return Family(
            "photographs", self._draw_scene, self._grants, self.licence,
            weight=3.0, settle=self._settle if self._labelled else None,
        )  # fmt: skip

    def _grants(self, wish: Wish) -> bool:
        enough = bool(self._labelled and wish.things[0] == 1) or wish.things[0] == 0
        asked = wish.attribute is not None or wish.movable or wish.shapes
        return enough and not asked and not wish.apart

    def _draw_scene(self, rng: Generator, wish: Wish) -> Scene:
        things: tuple[Thing, ...] = ()
        if not self._labelled or (wish.things[0] == 0 and often(rng, 0.5)):
            picture = self.draw(rng)
        else:
            picture, region = self._draw_region(rng, wish.label)
            surface = Surface((0.5, 0.5, 0.5))
            things = (Thing("region", (0.5, 0.5), 0.5, surface, picture=region),)
        camera = draw_camera(rng, Style(camera=0.1))
        background = Background("picture", Surface((0.5, 0.5, 0.5)), picture)
        return Scene(
            things, background, camera=camera, seed=fresh_seed(rng), family="photographs",
            licences=(self.licence,),
        )  # fmt: skip

    def _settle(self, rng: Generator, wish: Wish) -> Wish:
        """One class for all rows, so that an example tells which is meant."""
        return replace(wish, label=_choose(rng, self._classes[pick(rng, list(self._classes))]))

    @cached_property
    def _classes(self) -> dict[int, list[int]]:
        """Photograph -> what a fitting share of it shows, where there is such a class.

        Raises:
            ImageError: If there is none in any.
        """
        found = {}
        for index in self._labelled:
            try:
                labels = open_image(self._labels[self._shelf.paths[index].stem])
            except FileError:
                continue  # it is said when the photograph is drawn
            if labels.mode in _LABEL_MODES and (fitting := _fitting(np.asarray(labels, np.uint8))):
                found[index] = fitting
        if not found:
            raise ImageError(f"masks: no region that covers {_SHARE} of a photograph; {_HINT}")
        return found

    def _draw_region(self, rng: Generator, label: int | None) -> tuple[Picture, Picture]:
        """A part of a photograph and a class in it (see :func:`_fitting`), any if none is named.

        Raises:
            RuntimeError: If no part that shows the class was found.
            ImageError: If no part that shows any was found.
        """
        able = self._labelled
        if label is not None:
            able = [index for index, classes in self._classes.items() if label in classes]
        for _ in range(_CROPS):
            path, pixels = self._shelf.take(pick(rng, able))
            part = _crop(rng, pixels)
            if part.shape[2] != 4:
                continue  # an unusable file's neighbour, which the shelf gives instead
            fitting = _fitting(part[..., 3])
            if label in fitting or (label is None and fitting):
                shown = _choose(rng, fitting) if label is None else label
                region = part[..., 3:] == shown if shown else part[..., 3:] > 0
                return (
                    Picture(np.ascontiguousarray(part[..., :3]), path.name, self.licence),
                    Picture(np.where(region, np.uint8(255), np.uint8(0)), path.name, self.licence),
                )
        if label is not None:
            raise RuntimeError(f"photographs: no part with the class {label} in {_CROPS} draws")
        raise ImageError(
            f"masks: no region that covers {_SHARE} of a picture found in {_CROPS} draws; {_HINT}"
        )

    def _read(self, path: Path) -> Pixels:
        """A photograph and, where it has a mask, its labels as a fourth channel."""
        image = to_rgb(open_image(path))
        small = _shrunk(image, _PHOTOGRAPH_SIDE / min(image.size))
        file = self._labels.get(path.stem)
        if file is None:
            return small
        labels = open_image(file)
        if labels.mode not in _LABEL_MODES or labels.size != image.size:
            raise ImageError(
                f"{display(file)}: has mode {labels.mode} and size {labels.size}, expected 8-bit "
                f"labels of the photograph's size {image.size}"
            )
        values = labels.resize(small.shape[1::-1], Image.Resampling.NEAREST)
        return np.dstack([small, np.asarray(values, np.uint8)])


def file_families(
    cutouts: CutOuts | None = None, photographs: Photographs | None = None
) -> tuple[Family, ...]:
    """All families that can be made of some pictures."""
    families: list[Family] = []
    if cutouts is not None:
        families.append(cutouts.family())
    if photographs is not None:
        families.append(photographs.family())
    if cutouts is not None and photographs is not None:
        families.append(cutouts.family(photographs))
    return tuple(families)


def _images_in(folder: str | os.PathLike[str]) -> list[Path]:
    paths = find_images(folder)
    if not paths:
        raise ImageError(f"{display(folder)}: holds no image; give a folder that does")
    return paths


def _read_cutout(path: Path) -> Pixels:
    image = open_image(path)
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        raise ImageError(f"{display(path)}: has no transparency; give pictures with alpha")
    image = image.convert("RGBA")
    seen = image.getchannel("A").point([0] * 32 + [255] * 224).getbbox()
    if seen is None:
        raise ImageError(f"{display(path)}: is wholly transparent; give pictures of something")
    if np.asarray(image.getchannel("A")).min() > 127:
        raise ImageError(f"{display(path)}: its alpha cuts nothing out; leave it out")
    image = image.crop(seen)
    return _shrunk(image, _CUTOUT_SIDE / max(image.size))


def _shrunk(image: Image.Image, scale: float) -> Pixels:
    """An image scaled, but never enlarged."""
    size = [max(1, round(side * min(1.0, scale))) for side in image.size]
    return np.array(image.resize((size[0], size[1]), Image.Resampling.BICUBIC))


def _fitting(labels: UInt8[np.ndarray, "h w"]) -> list[int]:
    """The classes that cover a fitting share of a picture; 0 stands for all that is labelled."""
    shares = np.bincount(labels.ravel(), minlength=1) / labels.size
    shares[0] = 1 - shares[0]
    return [int(v) for v in np.flatnonzero((shares >= _REGION[0]) & (shares <= _REGION[1]))]


def _choose(rng: Generator, fitting: list[int]) -> int:
    """One of the classes, or half of the time all that is labelled, where that fits."""
    classes = [label for label in fitting if label]
    if classes and (0 not in fitting or often(rng, 0.5)):
        return pick(rng, classes)
    return 0


def _crop(rng: Generator, pixels: Pixels) -> UInt8[np.ndarray, "side side c"]:
    """A square part, at least 0.6 of the shorter side wide."""
    height, width = pixels.shape[:2]
    side = max(1, round(min(height, width) * between(rng, 0.6, 1.0)))
    top = int(rng.integers(height - side + 1))
    left = int(rng.integers(width - side + 1))
    part = pixels[top : top + side, left : left + side]
    return np.ascontiguousarray(part[:, ::-1] if often(rng, 0.5) else part)
