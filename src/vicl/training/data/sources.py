"""Where images come from, as the loader sees it; and images in files.

A source is opened once, and read in several lanes at a time: one for each worker of each process.
Files are read by number, in an order that does not depend on the lanes; see
:mod:`vicl.training.data.streams` for what can only be read from its beginning.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from vicl.files import display
from vicl.files.packaged import PHOTOS
from vicl.files.unit_hash import unit_hash
from vicl.images import ImageError, find_images, open_image, to_rgb
from vicl.training.data.augmentation import NamedCrops
from vicl.training.recipe.data import FolderSource, PhotoSource
from vicl.training.seeds import Purpose, numbers

MOST_BROKEN = 50
"""So many broken images in a row, and reading ends with an error."""


@dataclass(frozen=True)
class Lane:
    """One of several readers of a source: number `index`, from 0, of `count`."""

    index: int
    count: int


class Picture(NamedTuple):
    """An image that was read.

    Attributes:
        image: Mode RGB.
        broken: What was wrong with the files that it stands in for.
        hole: True where the answer stands, (h, w); None where it is not known.
        named: Crops with their codes, of which one is taken; None where one is drawn.
    """

    image: Image.Image
    broken: tuple[str, ...] = ()
    hole: npt.NDArray[np.bool_] | None = None
    named: NamedCrops | None = None


Reader: TypeAlias = Callable[[int], Picture]
"""Reads, in one lane, the image for a draw: the number of draws before it, in all lanes.

It raises an ImageError if nothing can be decoded."""


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images in files.

    Attributes:
        name: What messages call them.
        folder: The folder that they are in.
        names: Their paths below it, as bytes of one width: every worker has a copy, and a list of
            a million strings would be several times as large.
    """

    name: str
    folder: str
    names: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.names)

    def describe(self) -> str:
        """One line: what it is and how many images it has."""
        return f"{self.name}: {self.count} images"

    def path(self, index: int) -> str:
        """The path of an image."""
        return os.path.join(self.folder, os.fsdecode(self.names[index]))  # noqa: PTH118 - as given

    def open(self, index: int) -> Image.Image:
        """Read an image; see :func:`vicl.images.open_image` for what is raised."""
        return to_rgb(open_image(self.path(index)))

    def reader(self, lane: Lane, seed: int, skip: int) -> Reader:
        """Begin to read by number, as all lanes do: a permutation of all images in every epoch.

        Args:
            lane: Makes no difference.
            seed: Of the order; different for each source.
            skip: Makes no difference.
        """

        @functools.lru_cache(1)
        def order(epoch: int) -> npt.NDArray[np.int64]:
            return numbers(seed, Purpose.ORDER, epoch).permutation(len(self))

        def read(draw: int) -> Picture:
            epoch, place = divmod(draw, len(self))
            index = int(order(epoch)[place])
            others = numbers(seed, Purpose.REPLACEMENT, draw)
            broken: list[str] = []
            while len(broken) < MOST_BROKEN:
                try:
                    return Picture(self.open(index), tuple(broken))
                except ImageError as error:
                    broken.append(str(error))
                    index = int(others.integers(len(self)))
            raise too_many_broken(self.name, broken[-1])

        return read

    def select(self, chosen: npt.NDArray[np.bool_]) -> ImageFiles:
        """Some of them."""
        return replace(self, names=self.names[chosen])


def too_many_broken(name: str, fault: str) -> ImageError:
    """The error that ends reading."""
    return ImageError(
        f"{name}: {MOST_BROKEN} images in a row could not be decoded; the last: {fault}"
    )


def list_files(source: FolderSource | PhotoSource) -> ImageFiles:
    """List the images of a folder, or the package's own photographs, sorted by their names.

    Raises:
        ImageError: If the folder is missing, cannot be listed or has no images.
    """
    if isinstance(source, PhotoSource):
        # Only the photographs, not what was made of them.
        found = [
            path for path in find_images(PHOTOS) if re.fullmatch(r"[a-z]+(_\d)?\.jpg", path.name)
        ]
        name, folder = "photos", PHOTOS
    else:
        name, folder = f"folder {display(source.path)}", Path(source.path)
        found = find_images(folder)
    if not found:
        raise ImageError(f"{name}: has no images; give a folder with JPEG, PNG, WebP, ... files")
    names = [os.fsencode(path.relative_to(folder).as_posix()) for path in found]
    return ImageFiles(name, os.fspath(folder), np.array(names))


def is_held_out(name: str, fraction: float, group: str | None) -> bool:
    """Whether an image belongs to the share that training never sees.

    Decided by its name alone, so that it stays where it is when others come or go.

    Args:
        name: Below its folder, with slashes.
        fraction: The share, in [0, 1).
        group: A regular expression; names with the same match stay together.
    """
    match = re.search(group, name) if group else None
    return unit_hash(match[0] if match else name) < fraction


def split(files: ImageFiles, fraction: float, group: str | None) -> tuple[ImageFiles, ImageFiles]:
    """Part images into those to train on and those held out; see :func:`is_held_out`."""
    held = np.array([is_held_out(os.fsdecode(n), fraction, group) for n in files.names], np.bool_)
    return files.select(~held), files.select(held)


def in_fixed_order(files: ImageFiles) -> list[int]:
    """Numbers of the images in an order that looks random and depends on each one's name only."""
    places = [unit_hash(os.fsdecode(name)) for name in files.names]
    return sorted(range(len(files)), key=places.__getitem__)
