"""Images that can only be read from the beginning: streams, and datasets that a caller gives.

A lane reads its own part of a stream, without end.  To go on at a later place, what comes before
is passed over without being decoded.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from vicl.images import ImageError, open_image, to_pil, to_rgb, to_tensor
from vicl.training.data.sources import (
    MOST_BROKEN,
    ImageFiles,
    Lane,
    Picture,
    Reader,
    too_many_broken,
)

_EMPTY_PASSES = 10
"""So many passes without an image, and reading ends with an error; a shard may well be empty."""


class Stream:
    """Images that can only be read from the beginning.

    Attributes:
        name: What messages call it.
        count: How many images it has; None where that is not known.
    """

    name: str
    count: int | None = None

    def describe(self) -> str:
        """One line: what it is and how many images it has."""
        return self.name

    def splits(self, lanes: int) -> bool:
        """Whether it can be told to read one lane's part only."""
        raise NotImplementedError

    def items(self, lane: Lane, seed: int, epoch: int) -> Iterator[Any]:
        """Go through a lane's part once.

        Returns:
            Images not yet decoded; an :class:`ImageError` in place of what could not be read.
        """
        raise NotImplementedError

    def decode(self, item: Any) -> Picture:
        """Decode an image.

        Raises:
            ImageError: If it is broken.
        """
        raise NotImplementedError

    def reader(self, lane: Lane, seed: int, skip: int) -> Reader:
        """Begin to read a lane, `skip` images of which were read before."""
        pictures = self._pictures(lane, seed, skip)
        return lambda draw: next(pictures)

    def _pictures(self, lane: Lane, seed: int, skip: int) -> Iterator[Picture]:
        """A lane's images in turn.

        The next one that can be decoded stands in for a broken one, and comes again in its own
        turn: so an image's place in the stream does not depend on which others are broken, and
        passing over images needs no decoding.
        """
        items = itertools.islice(endless(self, lane, seed), skip, None)
        ahead: deque[Any] = deque()
        while True:
            for place in range(MOST_BROKEN):
                if place == len(ahead):
                    ahead.append(next(items))
                try:
                    if isinstance(ahead[place], ImageError):
                        raise ahead[place]
                    picture = self.decode(ahead[place])
                    break
                except ImageError as error:
                    ahead[place] = error
            else:
                raise too_many_broken(self.name, str(ahead[-1]))
            own = ahead.popleft()
            yield picture._replace(broken=(str(own),) if isinstance(own, ImageError) else ())


Source: TypeAlias = ImageFiles | Stream
"""Where images come from, opened."""


def count_images(sources: Iterable[Source]) -> int | None:
    """How many images sources have together; None where one is not counted."""
    counts = [source.count for source in sources]
    return None if None in counts else sum(count or 0 for count in counts)


def endless(stream: Stream, lane: Lane, seed: int) -> Iterator[Any]:
    """All passes of a lane through a stream, one after the other.

    Raises:
        ImageError: If pass after pass is empty.
    """

    def passes(part: Lane) -> Iterator[Any]:
        empty = 0
        for epoch in itertools.count():
            empty += 1
            for item in stream.items(part, seed, epoch):
                empty = 0
                yield item
            if empty == _EMPTY_PASSES:
                raise ImageError(f"{stream.name}: holds no images")

    if stream.splits(lane.count):
        return passes(lane)
    return itertools.islice(passes(Lane(0, 1)), lane.index, None, lane.count)


class DatasetStream(Stream):
    """A dataset that the caller gives, such as a generator of synthetic figures.

    Every lane goes through all of it and takes each `count`-th image, so it has to give the same
    images in the same order wherever it is read, and must not split itself by
    `torch.utils.data.get_worker_info`.  Where that is a waste, it has a method
    `lane(index, count, seed)`, which gives the images of one lane out of `count`; their order may
    depend on the seed.

    Workers are sent a pickled copy of it.

    Args:
        name: What messages call it.
        dataset: An `IterableDataset`, or anything else that can be gone through again and again.
            Gives whatever :func:`vicl.images.to_tensor` takes, or dicts with such a thing as
            `image` and, where its answer is known, `hole`: bool, (h, w), or None.  Pictures that
            have the canvas' size are taken as they are; others are augmented as photographs are,
            without their holes.
    """

    def __init__(self, name: str, dataset: Iterable[Any]) -> None:
        self.name = name
        self._dataset = dataset

    def splits(self, lanes: int) -> bool:
        """Whether the dataset knows of lanes."""
        return hasattr(self._dataset, "lane")

    def items(self, lane: Lane, seed: int, epoch: int) -> Iterator[Any]:
        """Go through the dataset, or its part, once; every pass is the same."""
        images: Iterable[Any] = self._dataset
        if self.splits(lane.count):
            images = self._dataset.lane(lane.index, lane.count, seed)  # type: ignore[attr-defined]
        return iter(images)

    def decode(self, item: Any) -> Picture:
        """Take an image as the dataset gives it."""
        image, hole = item, None
        if isinstance(item, Mapping):
            if "image" not in item:
                raise ImageError(
                    f"{self.name}: got a dict with {sorted(map(str, item))}, expected the key "
                    "'image'"
                )
            image, hole = item["image"], item.get("hole")
        if isinstance(image, Image.Image):
            picture = to_rgb(open_image(image))
        else:
            picture = to_pil(to_tensor(image))
        if hole is not None:
            hole = np.asarray(hole)
            if hole.dtype != np.bool_ or hole.shape != (picture.height, picture.width):
                raise ImageError(
                    f"{self.name}: got a hole of {hole.dtype} {hole.shape}, expected bool of the "
                    f"image's size, {(picture.height, picture.width)}"
                )
        return Picture(picture, hole=hole)
