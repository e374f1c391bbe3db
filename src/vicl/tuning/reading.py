"""From image files to what a classifier takes: read safely, brought to its side, augmented."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from vicl.images import ImageError, open_image, to_rgb
from vicl.prompts.backbones.backbone import Reading
from vicl.prompts.reading import bring, resized
from vicl.training.data.augmentation import augment as cut_at_random
from vicl.training.data.augmentation import pixels
from vicl.training.job import Round, Seat
from vicl.training.recipe.data import Augmentation
from vicl.training.seeds import Purpose, numbers
from vicl.tuning.data import Labelled
from vicl.tuning.layouts import DataError

Augment = Literal["none", "crop", "resized-crop"]
"""Nothing; a random part of the usual size (VPT on FGVC); a random part of any size (CoOp): both
are mirrored half of the time."""

KEPT: Final = 1 << 29
"""Bytes of decoded images that are kept: small sets are read once, large ones every time."""

_RESIZED: Final = Augmentation(scale=(0.08, 1.0))
"""Source: Zhou et al. 2021, arXiv:2109.01134, published code."""

_MARGIN: Final = 256 / 224
"""Side that a random part is cut from, where the backbone says none."""


def open_rgb(source: Labelled | Image.Image) -> Image.Image:
    """An image as 8-bit RGB, upright.

    Raises:
        ImageError: If it cannot be read.
    """
    opened = open_image(source.path if isinstance(source, Labelled) else source)
    return to_rgb(opened, name=str(source.path) if isinstance(source, Labelled) else None)


class Batch(NamedTuple):
    """Some images.

    Attributes:
        images: RGB in [0, 1], on the CPU.
        labels: Of their classes.
        broken: What was wrong with those that cannot be read; others of the class stand for them.
    """

    images: Float[Tensor, "b 3 s s"]
    labels: Int[Tensor, " b"]
    broken: tuple[str, ...]


class Pictures:
    """Labelled images at a classifier's side, read when they are wanted.

    Args:
        items: The images.
        classes: Names of their classes.
        reading: How they are brought to the side.
        augment: What is random about it.
        workers: Threads that read.
        kept: Bytes of decoded images that are kept for the next time.

    Attributes:
        broken: What is wrong with each that was found to be unreadable, by its place.
    """

    def __init__(
        self,
        items: Sequence[Labelled],
        classes: Sequence[str],
        reading: Reading,
        *,
        augment: Augment = "none",
        workers: int = 2,
        kept: int = KEPT,
    ) -> None:
        self.items, self.classes = tuple(items), tuple(classes)
        self.reading, self.augment = reading, augment
        self.broken: dict[int, str] = {}
        self._workers = max(1, workers)
        self._kept: dict[int, Image.Image] = {}
        self._room = kept
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.items)

    def load(self, place: int, number: int | None = None, seed: int = 0) -> Tensor:
        """One image.

        Args:
            place: Which.
            number: Of the sample, from which what is random follows; None: nothing is random.
            seed: Of the run.

        Returns:
            8-bit RGB, (3, s, s).

        Raises:
            ImageError: If it cannot be read.
        """
        reading = self.reading
        if number is None or self.augment == "none":
            return bring(self._base(place), reading)
        rng = numbers(seed, Purpose.AUGMENTATION, number)
        if self.augment == "resized-crop":
            return cut_at_random(self._base(place), (reading.crop, reading.crop), _RESIZED, rng)
        short = reading.resize or round(reading.crop * _MARGIN)
        image = resized(self._base(place), reading, short)
        top = int(rng.integers(image.height - reading.crop + 1))
        left = int(rng.integers(image.width - reading.crop + 1))
        part = image.crop((left, top, left + reading.crop, top + reading.crop))
        if rng.random() < 0.5:
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return pixels(part)

    def _base(self, place: int) -> Image.Image:
        """What is the same each time that an image is read."""
        found = self._kept.get(place)
        if found is None:
            image = open_rgb(self.items[place])
            plain = self.augment == "none"
            found = resized(image, self.reading, self.reading.resize) if plain else image
            size = 3 * found.width * found.height
            with self._lock:
                if size <= self._room:
                    self._kept[place] = found
                    self._room -= size
        return found

    def batches(
        self, numbered: Iterator[list[tuple[int, int | None]]], seed: int = 0
    ) -> Iterator[Batch]:
        """Batches, each read while the one before is worked on.

        Args:
            numbered: The places of the images of each batch, and the numbers of their samples.
            seed: Of the run.

        Raises:
            DataError: If no image of a class can be read.
        """
        with ThreadPoolExecutor(self._workers) as pool:
            waiting: list[list[Future[tuple[Tensor, int, list[str]]]]] = []
            for wanted in itertools.chain(numbered, [[]]):
                waiting.append([pool.submit(self._or_another, *one, seed) for one in wanted])
                if len(waiting) > 1:
                    yield _collected(waiting.pop(0))

    def _or_another(
        self, place: int, number: int | None, seed: int
    ) -> tuple[Tensor, int, list[str]]:
        """An image, or the next of its class that can be read; its label; what is broken."""
        label = self.items[place].label
        told: list[str] = []
        count = len(self.items)
        for step in range(count):
            there = (place + step) % count
            if self.items[there].label != label or there in self.broken:
                continue
            try:
                return self.load(there, number, seed), label, told
            except ImageError as error:
                with self._lock:
                    if there not in self.broken:
                        told.append(str(error))
                    self.broken[there] = str(error)
        raise self.emptied(label)

    def emptied(self, label: int) -> DataError:
        """What to raise where no image of a class can be read."""
        those = [p for p, item in enumerate(self.items) if item.label == label]
        first = next((self.broken[p] for p in those if p in self.broken), "there is none")
        return DataError(
            f"class {self.classes[label]}: none of its {len(those)} images can be read; the first: "
            f"{first}"
        )

    def once(self, batch: int) -> Iterator[tuple[list[int], Tensor]]:
        """All images that can be read, in order, without what is random.

        Args:
            batch: So many at a time.

        Returns:
            Their places, and the images in [0, 1], (b, 3, s, s).
        """
        with ThreadPoolExecutor(self._workers) as pool:
            waiting: list[tuple[list[int], list[Future[Tensor | None]]]] = []
            starts = range(0, len(self), batch)
            for start in itertools.chain(starts, [len(self)]):
                places = [*range(start, min(start + batch, len(self)))]
                waiting.append((places, [pool.submit(self._or_none, place) for place in places]))
                if len(waiting) > 1:
                    asked, futures = waiting.pop(0)
                    read = [future.result() for future in futures]
                    good = [
                        (p, found)
                        for p, found in zip(asked, read, strict=True)
                        if found is not None
                    ]
                    if good:
                        yield [p for p, _ in good], _floats([found for _, found in good])

    def _or_none(self, place: int) -> Tensor | None:
        try:
            return self.load(place)
        except ImageError as error:
            with self._lock:
                self.broken[place] = str(error)
            return None


def _floats(images: Sequence[Tensor]) -> Float[Tensor, "b 3 s s"]:
    return torch.stack(list(images)).float().div_(255)


def _collected(futures: Sequence[Future[tuple[Tensor, int, list[str]]]]) -> Batch:
    found = [future.result() for future in futures]
    broken = tuple(line for _, _, told in found for line in told)
    labels = torch.tensor([label for _, label, _ in found])
    return Batch(_floats([image for image, _, _ in found]), labels, broken)


def samples(count: int, seed: int, seat: Seat) -> Iterator[list[tuple[int, int]]]:
    """Which images the batches of a process hold, without end: every image once an epoch.

    Args:
        count: Of the images.
        seed: Of their order, another in each epoch.
        seat: Which batches.

    Returns:
        Of each batch the places of its images and the numbers of the samples.
    """
    order: tuple[int, np.ndarray] | None = None
    for number in itertools.count(seat.start):
        batch = []
        for sample in range(seat.first(number), seat.first(number) + seat.batch):
            epoch, place = divmod(sample, count)
            if order is None or order[0] != epoch:
                order = epoch, numbers(seed, Purpose.ORDER, epoch).permutation(count)
            batch.append((int(order[1][place]), sample))
        yield batch


def image_rounds(
    pictures: Pictures, seed: int, seat: Seat, device: torch.device
) -> Iterator[Round]:
    """Rounds of images and labels for the loop."""
    wanted: Iterator[list[tuple[int, int | None]]] = (
        [(place, number) for place, number in one] for one in samples(len(pictures), seed, seat)
    )
    for batch in pictures.batches(wanted, seed):
        yield Round((batch.images.to(device), batch.labels.to(device)), batch.broken)


def feature_rounds(
    features: Float[Tensor, "n w"],
    labels: Int[Tensor, " n"],
    seed: int,
    seat: Seat,
    device: torch.device,
) -> Iterator[Round]:
    """Rounds of features that were computed before, and labels."""
    kept, known = features.to(device), labels.to(device)
    for batch in samples(len(labels), seed, seat):
        places = torch.tensor([place for place, _ in batch], device=device)
        yield Round((kept[places], known[places]))
