"""Batches without end, made by worker processes.

Which images a batch holds follows from its number, not from which worker makes it.
"""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vicl.files import FileError
from vicl.files.children import deaf, end_with_parent
from vicl.training.data.augmentation import augment, pixels
from vicl.training.data.mixture import Mixture
from vicl.training.data.sources import Lane, Reader
from vicl.training.data.streams import DatasetStream, Source
from vicl.training.job import Seat
from vicl.training.recipe.data import Augmentation
from vicl.training.seeds import Purpose, numbers


@dataclass(frozen=True, eq=False)
class Batch:
    """Training images.

    Attributes:
        image: RGB in [0, 255].
        hole: True where an image's answer stands, nowhere if that is not known; None if it is
            known of none.
        broken: What was wrong with the files that could not be decoded; others stand in for them.
        codes: Of the images, in raster order, where they were named beforehand.
    """

    image: UInt8[Tensor, "b 3 H W"]
    hole: Bool[Tensor, "b H W"] | None
    broken: tuple[str, ...]
    codes: Int64[Tensor, "b n"] | None = None

    def pin_memory(self) -> Batch:
        """The same batch, from where an accelerator can fetch it by itself; holes stay."""
        codes = None if self.codes is None else self.codes.pin_memory()
        return Batch(self.image.pin_memory(), self.hole, self.broken, codes)


class Sample(NamedTuple):
    """One of a batch: see :class:`Batch`."""

    image: UInt8[Tensor, "3 H W"]
    hole: Bool[Tensor, "H W"] | None
    codes: Int64[Tensor, " n"] | None
    broken: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Pool:
    """What samples are drawn from; sample `i` is always the same.

    Attributes:
        sources: At least one.
        mixture: With a weight for each source.
        size: (height, width) of the images, in pixels.
        augmentation: Of what is not generated at that size.
        seed: Of everything random.
    """

    sources: tuple[Source, ...]
    mixture: Mixture
    size: tuple[int, int]
    augmentation: Augmentation
    seed: int

    def readers(self, lane: Lane, skip: Sequence[int]) -> list[Reader]:
        """Begin to read all sources in one lane, which has read so many of each before."""
        return [
            source.reader(lane, int(numbers(self.seed, Purpose.SOURCE, place).integers(2**63)), n)
            for place, (source, n) in enumerate(zip(self.sources, skip, strict=True))
        ]

    def sample(self, number: int, readers: Sequence[Reader]) -> Sample:
        """Make a sample."""
        source, draw = self.mixture.draw(number)
        picture = readers[source](draw)
        size = picture.image.height, picture.image.width
        if isinstance(self.sources[source], DatasetStream) and size == self.size:
            hole = None if picture.hole is None else torch.from_numpy(picture.hole)
            return Sample(pixels(picture.image), hole, None, picture.broken)
        generator = numbers(self.seed, Purpose.AUGMENTATION, number)
        if picture.named is not None:
            place = int(generator.integers(len(picture.named.crops)))
            image = picture.named.crops[place].of(picture.image, self.size)
            codes = torch.from_numpy(picture.named.codes[place].astype(np.int64))
            return Sample(image, None, codes, picture.broken)
        image = augment(picture.image, self.size, self.augmentation, generator)
        return Sample(image, None, None, picture.broken)


class Batches(IterableDataset[Batch | FileError]):
    """The batches of one process; worker `w` of `W` makes number w, w + W, w + 2 W, ...

    An error that says what to do about a file comes as the last item, so that it gets out of a
    worker as it is.
    """

    def __init__(self, pool: Pool, seat: Seat) -> None:
        self._pool = pool
        self._seat = seat

    def __iter__(self) -> Iterator[Batch | FileError]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        first = self._seat.start + worker
        try:
            readers = self._readers(first, workers)
            for number in itertools.count(first, workers):
                yield self._make(number, readers)
        except FileError as error:
            yield error

    def _readers(self, first: int, workers: int) -> list[Reader]:
        """Readers for the lane that batch `first` belongs to, wound on to that batch."""
        seat, place = self._seat, first % workers
        lane = Lane(seat.rank * workers + place, seat.world * workers)
        skip = [0] * len(self._pool.sources)
        for number in range(place, first, workers):
            start = seat.first(number)
            before, after = (self._pool.mixture.taken(n) for n in (start, start + seat.batch))
            skip = [s + b - a for s, a, b in zip(skip, before, after, strict=True)]
        return self._pool.readers(lane, skip)

    def _make(self, number: int, readers: Sequence[Reader]) -> Batch:
        first = self._seat.first(number)
        samples = [
            self._pool.sample(sample, readers) for sample in range(first, first + self._seat.batch)
        ]
        images, holes, codes, faults = zip(*samples, strict=True)
        none = torch.zeros(self._pool.size, dtype=torch.bool)
        known = any(hole is not None for hole in holes)
        return Batch(
            torch.stack(images),
            torch.stack([none if hole is None else hole for hole in holes]) if known else None,
            tuple(itertools.chain.from_iterable(faults)),
            # Recipes see to it that all sources have them or none.
            None if any(one is None for one in codes) else torch.stack(codes),
        )


def load(pool: Pool, seat: Seat, *, workers: int, prefetch: int, pin: bool) -> Iterator[Batch]:
    """Make batches in other processes, ahead of time.

    Args:
        pool: What samples are drawn from.
        seat: Which batches to make.
        workers: How many processes; 0 makes each batch when it is asked for.
        prefetch: Batches that each worker keeps ready.
        pin: Put batches where an accelerator can fetch them by itself.

    Raises:
        FileError: If images cannot be read.
    """
    loader: DataLoader[Any] = DataLoader(
        Batches(pool, seat),
        batch_size=None,
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=_begin if workers else None,
        multiprocessing_context=_context() if workers else None,
        prefetch_factor=prefetch if workers else None,
        # Else it would draw its workers' seeds from the global one.
        generator=torch.Generator().manual_seed(pool.seed),
    )
    with deaf():
        batches = iter(loader)
    for batch in batches:
        if isinstance(batch, FileError):
            raise batch
        yield batch


def _context() -> Any:
    """How processes are started: not by a fork of this one, whose threads may hold locks."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # Imported once, in the server that forks the workers, rather than by each of them.
    context.set_forkserver_preload(["__main__", __name__])
    return context


def _begin(worker: int) -> None:
    """Leave Ctrl-C to the training process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
