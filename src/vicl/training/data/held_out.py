"""Held-out images: those that an evaluation looks at, always the same."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vicl.images import ImageError
from vicl.training.data.augmentation import centre
from vicl.training.data.sources import ImageFiles, Lane, in_fixed_order
from vicl.training.data.streams import Source, Stream, count_images
from vicl.training.recipe.data import RecipeError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class HeldOutImages:
    """Images that training never sees, always in the same order.

    Attributes:
        images: Reads one each; as many as are looked at.
        size: (height, width) to bring them to, in pixels.
        total: How many are held out in all, or None where that is not known.
    """

    images: Sequence[partial[Image.Image]]
    size: tuple[int, int]
    total: int | None

    def __len__(self) -> int:
        return len(self.images)

    def load(self, index: int) -> Float[Tensor, "3 H W"]:
        """Read an image: the short side resized (bicubic), then the middle cut out.

        Where it cannot be decoded, the next one that can stands in for it, and the log says so.

        Args:
            index: From 0.

        Returns:
            RGB in [0, 1], on the CPU.

        Raises:
            IndexError: If there is no such image.
            ImageError: If none can be decoded.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"index: got {index}, expected 0 to {len(self) - 1}")
        for place in range(index, index + len(self)):
            try:
                image = self.images[place % len(self)]()
            except ImageError as error:
                _log.warning("held-out image left out: %s", error)
                continue
            return centre(image, self.size).float().div_(255)
        raise ImageError(f"held_out: none of the {len(self)} images can be decoded")


def hold_out(held: list[Source], count: int, size: tuple[int, int]) -> HeldOutImages:
    """Choose the images that are looked at, in turns from all sources.

    Args:
        held: Sources of held-out images; may be empty.
        count: How many at most.
        size: (height, width) to bring them to, in pixels.

    Raises:
        RecipeError: If there are sources, but no images in them.
    """
    chosen = [_first(source, count) for source in held]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*chosen))
    images = [image for image in turns if image is not None][:count]
    if held and not images:
        names = ", ".join(source.name for source in held)
        raise RecipeError(f"held_out: there are no images in {names}")
    return HeldOutImages(images, size, count_images(held))


def _first(source: Source, count: int) -> list[partial[Image.Image]]:
    """The first images of a source, of files in an order that adding others does not change."""
    if isinstance(source, ImageFiles):
        return [partial(source.open, index) for index in in_fixed_order(source)[:count]]
    items = (i for i in source.items(Lane(0, 1), 0, 0) if not isinstance(i, ImageError))
    return [partial(_decode, source, item) for item in itertools.islice(items, count)]


def _decode(source: Stream, item: Any) -> Image.Image:
    return source.decode(item).image
