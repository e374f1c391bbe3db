"""The bank: what the encoder finds in all training pictures, computed once, in half precision."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int32, UInt8
from numpy.lib.format import open_memmap

from vicl.engine import Encoder
from vicl.files import write_atomic
from vicl.files.plain_json import parse_json
from vicl.files.progress import progress
from vicl.loading import load_encoder
from vicl.models.matching.view import FINE, PICTURE, View, see
from vicl.training.matching.scenes import Labelled, stretch_map

_INDEX = "index.json"
_OBJECTS = "objects.npy"
"""6% of a bank; one that was made before there was such a file is made anew."""
_AT_ONCE = 16
"""Pictures that a process is given at once."""


@dataclass(frozen=True)
class Row:
    """One picture of the bank.

    Attributes:
        source: Which of the recipe's sources it is of.
        origin: The picture, or the scene, that it was made from; near twins share it.
        group: Pictures of different groups are not paired.
        classes: The values of its labels, by name.
        shares: Of its pixels, a class.
    """

    source: int
    origin: str
    group: str
    classes: dict[str, int]
    shares: dict[str, float]


@dataclass(frozen=True, eq=False)
class Bank:
    """Encoded pictures with their labels.

    Attributes:
        rows: What each is.
        levels: Of the encoder, half precision.
        pictures: (n, 3, p, p), 8 bits.
        labels: (n, p, p): 0 = of no class, 255 = unknown.
        depths: (n, f, f): how deep inside its object a place lies, 255 at its heart.
        objects: (n, p, p): numbers of separate objects; 0 = of none.
    """

    rows: tuple[Row, ...]
    levels: tuple[np.ndarray, ...]
    pictures: np.ndarray
    labels: np.ndarray
    depths: np.ndarray
    objects: np.ndarray

    def view(self, index: int) -> View:
        """One picture as the engine looks at it."""
        levels = tuple(torch.from_numpy(np.array(level[index])).float() for level in self.levels)
        picture = torch.from_numpy(np.array(self.pictures[index])).float() / 255
        return View(levels, picture)


def open_bank(folder: Path) -> Bank:
    """Open what :func:`build_bank` wrote."""
    rows = [Row(**row) for row in parse_json((folder / _INDEX).read_text("utf-8"))]
    arrays = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("level-*.npy"))]
    return Bank(
        tuple(rows),
        tuple(arrays),
        np.load(folder / "pictures.npy", mmap_mode="r"),
        np.load(folder / "labels.npy", mmap_mode="r"),
        np.load(folder / "depths.npy", mmap_mode="r"),
        np.load(folder / _OBJECTS, mmap_mode="r"),
    )


def build_bank(
    folder: Path,
    pictures: Iterable[tuple[int, str, str, Labelled]],
    count: int,
    encoder: str,
    *,
    workers: int = 0,
) -> Bank:
    """Encode pictures into a folder, unless it holds them already.

    Args:
        folder: Of the bank; one that is not whole is made anew.
        pictures: Source, origin, group and the picture, a square of the engine's side.
        count: How many.
        encoder: What encodes, as :func:`vicl.loading.load_encoder` takes it.
        workers: Processes that encode, one thread each; 0 encodes here.
    """
    if (folder / _INDEX).is_file() and (folder / _OBJECTS).is_file():
        return open_bank(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    arrays: list[np.memmap] = []
    rows = []
    with progress("encoding", total=count) as advance, _encoding(encoder, workers) as encoded:
        for index, (of, found) in enumerate(encoded(pictures)):
            if not arrays:
                arrays = [
                    open_memmap(folder / f"{name}.npy", "w+", one.dtype, (count, *one.shape))
                    for name, one in found.items()
                ]
            for array, values in zip(arrays, found.values(), strict=True):
                array[index] = values
            source, origin, group, classes = of
            rows.append(Row(source, origin, group, classes, _shares(found["labels"], classes)))
            advance(1)
    for array in arrays:
        array.flush()
    write_atomic(folder / _INDEX, json.dumps([asdict(row) for row in rows]).encode())
    return open_bank(folder)


_Of = tuple[int, str, str, dict[str, int]]
_Encoded = dict[str, np.ndarray]
_Encode = Callable[[Iterable[tuple[int, str, str, Labelled]]], Iterator[tuple[_Of, _Encoded]]]


@contextmanager
def _encoding(encoder: str, workers: int) -> Iterator[_Encode]:
    """What encodes pictures, in order."""
    if not workers:
        _begin(encoder)
        yield lambda pictures: map(_encoded, pictures)
        return
    # Started afresh, not forked: the caller may hold threads.
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, initializer=_begin, initargs=(encoder, 1)) as pool:

        def encoded(
            pictures: Iterable[tuple[int, str, str, Labelled]],
        ) -> Iterator[tuple[_Of, _Encoded]]:
            waiting = iter(pictures)
            while chunk := list(itertools.islice(waiting, _AT_ONCE * workers)):
                yield from pool.map(_encoded, chunk, chunksize=4)

        yield encoded


_encoder: list[Encoder] = []
"""Of this process."""


def _begin(name: str, threads: int | None = None) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
    _encoder[:] = [load_encoder(name)]


def _encoded(picture: tuple[int, str, str, Labelled]) -> tuple[_Of, _Encoded]:
    source, origin, group, image = picture
    square = torch.from_numpy(image.picture).permute(2, 0, 1).float() / 255
    levels = _encoder[0].encode(square[None]).levels
    view = see(levels, square)
    found = {f"level-{i}": level[0].half().numpy() for i, level in enumerate(levels)}
    found["pictures"] = (view.picture * 255).round().byte().numpy()
    found["labels"] = stretch_map(image.labels, PICTURE)
    objects = stretch_map(image.objects, PICTURE)
    found["depths"] = _depth(objects)
    found["objects"] = objects.astype(np.uint16)
    return (source, origin, group, image.classes), found


def _shares(labels: UInt8[np.ndarray, "h w"], classes: dict[str, int]) -> dict[str, float]:
    counts = np.bincount(labels.ravel(), minlength=256) / labels.size
    return {name: float(counts[value]) for name, value in classes.items() if counts[value] > 0}


def _depth(objects: Int32[np.ndarray, "p p"]) -> UInt8[np.ndarray, "f f"]:
    """Distance to the border of the own object, over that of its heart, on the fine grid."""
    from scipy import ndimage

    inner = objects > 0
    for axis in (0, 1):
        same = np.diff(objects, axis=axis) == 0
        before = [(1, 0) if a == axis else (0, 0) for a in (0, 1)]
        after = [(0, 1) if a == axis else (0, 0) for a in (0, 1)]
        inner &= np.pad(same, before, constant_values=True)
        inner &= np.pad(same, after, constant_values=True)
    far = ndimage.distance_transform_edt(inner)
    hearts = np.maximum(ndimage.maximum(far, objects, np.arange(objects.max() + 1)), 1)
    share = torch.from_numpy(np.where(objects > 0, far / hearts[objects], 0))
    small = torch.nn.functional.adaptive_avg_pool2d(share[None], FINE)[0]
    return (255 * small).round().byte().numpy()
