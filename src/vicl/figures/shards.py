"""Writing synthetic figures to the disk: as WebDataset shards, or as files in a folder.

A shard holds so many figures by number, each an image and a JSON file of one name, and follows
from the source alone: written again, it has the same bytes.  Whatever is there already is kept, so
a run that was cut short is gone on with by starting it again.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import tarfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Literal

from PIL import Image

from vicl.figures.figure import Figure
from vicl.figures.settings import check_settings
from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.files import open_atomic, write_atomic
from vicl.files.children import deaf, heed

Encoding = Literal["jpg", "png"]
"""Of the images: JPEG at quality 95 without colour subsampling, or PNG."""

Form = Literal["shards", "folder"]
"""Tar files, or two files a figure."""

SHARD_FIGURES = 1000
"""Figures in a shard."""

_SETTINGS = "figures.json"
"""Beside the shards: what they were made of."""


def write_figures(
    source: SyntheticFigures,
    out: Path,
    count: int,
    *,
    form: Form = "shards",
    encoding: Encoding = "jpg",
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write the first `count` figures of a source.

    Args:
        source: Whose figures.
        out: A folder; made where it is missing. "figures.json" in it says what the figures are.
        count: How many.
        form: Shards of 1000 figures each, or a folder of images and JSON files.
        encoding: Of the images.
        workers: Processes; a script that asks for more than one needs the usual
            `if __name__ == "__main__":`.
        progress: Told how many more figures there are, as they are finished.

    Returns:
        The shards, or the folder, in order.

    Raises:
        ValueError: If `count` or `workers` is not positive.
        FileError: If something cannot be written, or the folder holds figures of other settings.
    """
    if count < 1 or workers < 1:
        raise ValueError(f"got count={count}, workers={workers}; expected at least 1 of each")
    made = {**source.settings(), "count": count, "form": form, "encoding": encoding}
    check_settings(made, out / _SETTINGS)
    blocks = {
        out / f"figures-{number:06d}.tar": range(start, min(count, start + SHARD_FIGURES))
        for number, start in enumerate(range(0, count, SHARD_FIGURES))
    }
    write = partial(_write_shard if form == "shards" else _write_files, source, encoding)
    told = progress or (lambda done: None)
    if workers == 1 or len(blocks) == 1:
        for path, block in blocks.items():
            write(path, block)
            told(len(block))
    else:
        # Started afresh, not forked: the caller may hold threads.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            workers, mp_context=context, initializer=heed, initargs=(write,)
        ) as pool:
            try:
                with deaf():
                    waiting = {pool.submit(write, *item): item[1] for item in blocks.items()}
                for future in as_completed(waiting):
                    future.result()
                    told(len(waiting[future]))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return list(blocks) if form == "shards" else [out]


def _write_shard(source: SyntheticFigures, encoding: Encoding, path: Path, block: range) -> None:
    if path.exists():
        return
    with open_atomic(path) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for index in block:
            for name, data in _files(source, encoding, index):
                add_member(tar, name, data)


def add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file to a shard; its header says nothing of when and by whom that was written."""
    header = tarfile.TarInfo(name)
    header.size, header.mode = len(data), 0o644
    tar.addfile(header, io.BytesIO(data))


def _write_files(source: SyntheticFigures, encoding: Encoding, path: Path, block: range) -> None:
    """Write what would be a shard as files beside it."""
    for index in block:
        if (path.parent / f"{index:09d}.json").exists():  # it is written last
            continue
        for name, data in _files(source, encoding, index):
            write_atomic(path.parent / name, data)


def _files(source: SyntheticFigures, encoding: Encoding, index: int) -> list[tuple[str, bytes]]:
    """Names and contents of a figure, image first."""
    figure = source.figure(index)
    return [
        (f"{index:09d}.{encoding}", encode(figure, encoding)),
        (f"{index:09d}.json", json.dumps(figure.metadata()).encode()),
    ]


def encode(figure: Figure, encoding: Encoding) -> bytes:
    """The image of a figure as a file."""
    buffer = io.BytesIO()
    image = Image.fromarray(figure.image)
    if encoding == "png":
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()
