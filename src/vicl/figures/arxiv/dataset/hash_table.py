"""Hashes of pictures in files: CSV to give away or to leave out by, and lines of a journal."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from vicl.figures.arxiv.dataset.hashing import (
    GRADIENT_BYTES,
    MOST_LOOKS,
    Hashes,
    Look,
    hash_picture,
)
from vicl.figures.arxiv.workers import Bounds, Died, run_each
from vicl.files import FileError, display, reason, write_atomic
from vicl.files.bounded import read_bounded
from vicl.images import ImageError, find_images, open_image

COLUMNS: Final = (
    "file",
    "pixels",
    *(f"{kind}_{look}" for look in range(1, MOST_LOOKS + 1) for kind in ("phash", "gradients")),
)
"""Of the CSV; those of a look are empty where there are fewer."""

BOUNDS: Final = Bounds(seconds=120, memory=4 << 30, file=1 << 20)
"""Of a process that hashes pictures."""

_MOST: Final = 1 << 31
"""Bytes of a table that are read."""


def hashes_as_row(hashes: Hashes) -> list[str]:
    """The fields of the CSV, but for the file."""
    looks = [part for look in hashes.looks for part in (f"{look.phash:016x}", look.gradients.hex())]
    return [hashes.pixels, *looks, *[""] * (2 * MOST_LOOKS - len(looks))]


def hashes_of_row(fields: list[str]) -> Hashes:
    """What :func:`hashes_as_row` wrote.

    Raises:
        ValueError: If a field is none of a hash.
    """
    if len(fields) != len(COLUMNS) - 1 or not re.fullmatch("[0-9a-f]{64}", fields[0]):
        raise ValueError(f"expected {', '.join(COLUMNS)}, and hashes in hexadecimal digits")
    looks = []
    for phash, gradients in zip(fields[1::2], fields[2::2], strict=True):
        if not phash and not gradients:
            continue
        digits = f"[0-9a-f]{{{2 * GRADIENT_BYTES}}}"
        if not re.fullmatch("[0-9a-f]{16}", phash) or not re.fullmatch(digits, gradients):
            raise ValueError(
                f"expected phash of 16 and gradients of {2 * GRADIENT_BYTES} hexadecimal digits"
            )
        looks.append(Look(int(phash, 16), bytes.fromhex(gradients)))
    return Hashes(fields[0], tuple(looks))


def hash_file_of(path: Path) -> dict[str, Any]:
    """Hash a picture's file: its hashes as the fields of a row, or what is wrong with it."""
    try:
        return {"hashes": hashes_as_row(hash_picture(open_image(path)))}
    except ImageError as error:
        return {"fault": reason(error)}


def hash_folder(folder: Path, *, workers: int = 1) -> tuple[dict[str, Hashes], dict[str, str]]:
    """Hash the pictures of a folder and of those below it.

    Args:
        folder: Searched as by :func:`vicl.images.find_images`.
        workers: Processes.

    Returns:
        Hashes by file below the folder, in order; and what is wrong with other files.

    Raises:
        ValueError: If `workers` is not positive.
        ImageError: If the folder cannot be listed, or has no pictures.
    """
    if workers < 1:
        raise ValueError(f"workers: got {workers}, expected at least 1")
    paths = find_images(folder)
    if not paths:
        raise ImageError(f"{display(folder)}: has no pictures; give a folder with some")
    found: dict[str, Hashes] = {}
    faults: dict[str, str] = {}
    for path, said in run_each(hash_file_of, paths, workers=workers, bounds=BOUNDS):
        name = path.relative_to(folder).as_posix()
        if isinstance(said, Died):
            faults[name] = said.how
        elif "fault" in said:
            faults[name] = said["fault"]
        else:
            found[name] = hashes_of_row(said["hashes"])
    return dict(sorted(found.items())), dict(sorted(faults.items()))


def write_table(path: Path, hashes: Mapping[str, Hashes]) -> None:
    """Write hashes by file as CSV.

    Raises:
        FileError: If it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([file, *hashes_as_row(found)] for file, found in hashes.items())
    write_atomic(path, text.getvalue().encode("utf-8", "surrogateescape"))


def read_table(path: Path) -> dict[str, Hashes]:
    """Read what :func:`write_table` wrote.

    Raises:
        FileError: If it is no such table.
    """
    text = read_bounded(path, _MOST).decode("utf-8", "surrogateescape")
    rows: Iterable[list[str]] = csv.reader(io.StringIO(text))
    found: dict[str, Hashes] = {}
    number = 0
    try:
        for number, fields in enumerate(rows, 1):
            if number == 1:
                if tuple(fields) != COLUMNS:
                    raise ValueError(f"expected the columns {', '.join(COLUMNS)}")
                continue
            found[fields[0] if fields else ""] = hashes_of_row(fields[1:])
    except (csv.Error, ValueError) as error:
        raise FileError(
            f"{display(path)}, line {number}: is no table of hashes ({reason(error)}); write one "
            "by `vicl figures hash`"
        ) from error
    if not found:
        raise FileError(f"{display(path)}: holds no hashes; write it by `vicl figures hash`")
    return found
