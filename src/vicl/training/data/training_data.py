"""The data of a run: what a recipe names, opened, shared out and held out.

Images that cannot be decoded are replaced by others of their source and reported; an epoch of a
folder is every image once, in an order of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.files import display
from vicl.training.data.held_out import HeldOutImages, hold_out
from vicl.training.data.loader import Batch, Pool, load
from vicl.training.data.mixture import Mixture
from vicl.training.data.named_shards import NamedShards
from vicl.training.data.shards import Shards
from vicl.training.data.sources import ImageFiles, list_files, split
from vicl.training.data.streams import DatasetStream, Source, count_images
from vicl.training.job import Seat
from vicl.training.recipe.data import (
    AnySource,
    Data,
    DatasetSource,
    FiguresSource,
    HeldOut,
    RecipeError,
    ShardSource,
)

Datasets: TypeAlias = Mapping[str, Iterable[Any]]
"""Datasets by name; see :class:`vicl.training.data.streams.DatasetStream`."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a run is trained on, and what it is judged by.

    Attributes:
        pool: The training images.
        held_out: What training never sees.
        workers: Processes that read images.
        prefetch: Batches that each worker keeps ready.
    """

    pool: Pool
    held_out: HeldOutImages
    workers: int
    prefetch: int

    @property
    def count(self) -> int | None:
        """How many images an epoch has: those of all sources; None where one is not counted."""
        return count_images(self.pool.sources)

    def describe(self) -> list[str]:
        """Lines that say what there is: a source each, and what is held out."""
        weights = self.pool.mixture.weights
        lines = [source.describe() for source in self.pool.sources]
        if len(lines) > 1:
            lines = [
                f"{line} ({weight / sum(weights):.3g} of the samples)"
                for line, weight in zip(lines, weights, strict=True)
            ]
        if not len(self.held_out):
            return [*lines, "held out: nothing"]
        total = self.held_out.total
        known = "" if total is None else f"{total} images, "
        return [*lines, f"held out: {known}{len(self.held_out)} of them looked at"]

    def batches(self, seat: Seat, *, pin: bool = False) -> Iterator[Batch]:
        """Make batches without end.

        Of folders, what batch `k` holds follows from the seed, `k` and the seat: its samples are
        number `seat.first(k)` and the following, and the first `count` samples are all images of a
        folder.  Shards and datasets are read in lanes, one for each worker of each process: there
        the number of workers matters too.

        Workers are started afresh, not forked: a script that calls this needs the usual
        `if __name__ == "__main__":`, and datasets that can be pickled.

        Args:
            seat: Which batches to make; those before its first count as read.
            pin: Put batches where an accelerator can fetch them by itself.

        Raises:
            FileError: On the way, if images cannot be read.
        """
        return load(self.pool, seat, workers=self.workers, prefetch=self.prefetch, pin=pin)


def open_data(
    data: Data,
    size: tuple[int, int],
    *,
    seed: int,
    patch_size: int = 16,
    datasets: Datasets | None = None,
) -> TrainingData:
    """Open what a recipe names.

    Args:
        data: The section of the recipe.
        size: (height, width) of the images, in pixels.
        seed: Of orders and augmentation; what is held out does not depend on it.
        patch_size: Of the model, in pixels: the holes of figures consist of whole patches.
        datasets: What `dataset` sources name.

    Raises:
        ImageError: If a folder is missing or has no images.
        FileError: If a shard is missing.
        RecipeError: If a dataset is not given, or nothing is left to train on or to hold out.
    """
    opened = partial(_open, size=size, patch_size=patch_size, datasets=datasets or {})
    train = [opened(source) for source in data.train]
    if data.held_out.sources:
        held = [opened(source) for source in data.held_out.sources]
    elif data.held_out.fraction:
        train, held = _split(train, data.held_out)
    else:
        held = []
    train = _without(train, held)
    mixture = Mixture(tuple(source.weight for source in data.train))
    return TrainingData(
        Pool(tuple(train), mixture, size, data.augmentation, seed),
        hold_out(held, data.held_out.count, size),
        data.workers,
        data.prefetch,
    )


def _open(source: AnySource, size: tuple[int, int], patch_size: int, datasets: Datasets) -> Source:
    if isinstance(source, ShardSource):
        return NamedShards(source) if source.codes else Shards(source)
    if isinstance(source, DatasetSource):
        if source.name not in datasets:
            raise RecipeError(
                f"dataset: got the name {source.name!r}, expected one of those that were given "
                f"({', '.join(map(repr, datasets)) or 'none'}); give it to train() as "
                f"datasets={{{source.name!r}: ...}}"
            )
        return DatasetStream(f"dataset {source.name}", datasets[source.name])
    if isinstance(source, FiguresSource):
        return DatasetStream(_title(source), open_figures(source, size, patch_size))
    return list_files(source)


def open_figures(source: FiguresSource, size: tuple[int, int], patch_size: int) -> SyntheticFigures:
    """The figures that a recipe names.

    Raises:
        RecipeError: If they cannot be drawn so, or not at this size.
    """
    if size[0] != size[1]:
        raise RecipeError(
            f"figures: are square, and the canvas is {size}; give a canvas of equal sides"
        )
    chosen = source.model_dump(exclude={"kind", "weight"}, exclude_defaults=True)
    try:
        figures = SyntheticFigures(size[0], patch_size, **chosen)
        figures.check_folders()
    except ValueError as error:
        raise RecipeError(f"figures: {error}") from error
    return figures


def _title(source: FiguresSource) -> str:
    """What the figures show, in words."""
    rules = f"{len(source.mixture)} rules" if source.mixture else "the rules for training"
    content = "drawn things" if source.families is None else ", ".join(source.families)
    named = {"cut-outs of": source.cutouts, "photographs of": source.photographs}
    named |= {"fonts of": source.fonts}
    folders = [f"{what} {display(path)}" for what, path in named.items() if path is not None]
    return f"synthetic figures ({rules}; {', '.join([content, *folders])})"


def _split(train: list[Source], held: HeldOut) -> tuple[list[Source], list[Source]]:
    """Hold out a fraction of every folder; streams are trained on whole."""
    kept: list[Source] = []
    held_out: list[Source] = []
    for source in train:
        if isinstance(source, ImageFiles):
            source, apart = split(source, held.fraction, held.group)
            held_out.append(apart)
        kept.append(source)
    if not count_images(held_out):
        raise RecipeError(
            f"held_out.fraction: got {held.fraction}, which holds out none of the images in "
            "folders; give a larger fraction, more images, or held_out.sources"
        )
    return kept, held_out


def _without(train: list[Source], held: list[Source]) -> list[Source]:
    """Leave held-out files out of training, also where folders lie in each other."""
    apart = {path for source in held if isinstance(source, ImageFiles) for path in _paths(source)}
    if not apart:
        return train
    kept: list[Source] = []
    for source in train:
        if isinstance(source, ImageFiles):
            source = source.select(np.array([p not in apart for p in _paths(source)], np.bool_))
            if not len(source):
                raise RecipeError(
                    f"{source.name}: all of its images are held out, and none is left to train "
                    "on; hold out less, or check held_out.group"
                )
        kept.append(source)
    return kept


def _paths(files: ImageFiles) -> Iterator[str]:
    """The paths of images, whichever way their folder is named."""
    folder = os.path.realpath(files.folder)
    return (os.path.join(folder, os.fsdecode(name)) for name in files.names)  # noqa: PTH118
