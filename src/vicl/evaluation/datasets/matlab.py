"""Reading the ground truth of BSDS500 as it is published: `.mat` files of MATLAB's version 5."""

from __future__ import annotations

import io
import math
import struct
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Bool
from scipy.io import loadmat

from vicl.evaluation.episodes import DatasetError
from vicl.files import display, open_plain, reason

_LIMIT: Final = 16 * 2**20
"""Bytes that a file may hold, packed and unpacked; the largest of BSDS500 unpack to some 4 MB."""

_MATRICES: Final = 1000
"""Matrices in a file, and places in a cell array: BSDS500 has three an annotator, of at most 9."""

_NAMES: Final = 2**16
"""Bytes of names."""

_HEADER: Final = 128
_INT8, _MATRIX, _COMPRESSED = 1, 14, 15
"""Types of elements.  Source: MathWorks, "MAT-File Format", table 1-1."""

_CELL, _STRUCT = 1, 2
_ALLOWED: Final = {_CELL, _STRUCT, 4, *range(6, 16)}
"""Classes of matrices, of the same document's table 1-3: besides cells and structs, text and dense
numbers.  Objects, functions and sparse matrices have no place in a ground truth."""


def read_boundaries(path: Path) -> list[Bool[np.ndarray, "h w"]]:
    """Read the boundaries that people drew: `groundTruth{i}.Boundaries`, one an annotator.

    Raises:
        DatasetError: If it is not such a file, or would take more memory than one does.
    """
    with open_plain(path) as stream:
        data = stream.read(_LIMIT + 1)
    _check(data, path)
    try:
        cells: Any = loadmat(io.BytesIO(data), variable_names=["groundTruth"])["groundTruth"]
        maps = [np.asarray(cell["Boundaries"][0, 0]) > 0 for cell in cells.ravel()]
    except Exception as error:  # scipy has many kinds for a file that is damaged
        raise DatasetError(
            f"{display(path)}: cannot be read ({reason(error)}); expected a .mat file of BSDS500, "
            "with groundTruth{i}.Boundaries"
        ) from error
    if not maps or any(lines.ndim != 2 or not lines.size for lines in maps):
        raise DatasetError(
            f"{display(path)}: has {len(maps)} annotators, expected at least one, each with a map "
            "of boundaries (height, width)"
        )
    return maps


def _check(data: bytes, path: Path) -> None:
    """Refuse what is no such file, or would fill the memory once read."""
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEADER])
    if order is None or not data.startswith(b"MATLAB 5.0"):
        raise DatasetError(
            f"{display(path)}: is not a .mat file of version 5, as those of BSDS500 are; save it "
            "with MATLAB's -v7 or get a whole copy of it"
        )
    try:
        place, unpacked = _HEADER, len(data)
        while place < len(data) and unpacked <= _LIMIT:
            kind, size = struct.unpack_from(f"{order}II", data, place)
            content = data[place:]
            if kind == _COMPRESSED:
                body = data[place + 8 : place + 8 + size]
                content = zlib.decompressobj().decompress(body, _LIMIT + 1)
                unpacked += len(content)
            elif place + 8 + size < len(data):
                raise ValueError("something follows a variable that is not packed")
            _walk(content, order)
            place += 8 + size
    except (ValueError, struct.error, zlib.error) as error:
        raise DatasetError(
            f"{display(path)}: is damaged or no ground truth of BSDS500 ({reason(error)}); get a "
            "whole copy of it"
        ) from error
    if unpacked > _LIMIT:
        raise DatasetError(
            f"{display(path)}: holds more than {_LIMIT / 2**20:.0f} MiB, which no ground truth of "
            "BSDS500 does"
        )


def _walk(data: bytes, order: str) -> None:
    """Look at every matrix in the order in which scipy reads them, nested ones too.

    scipy makes room for as many things as a cell array or struct says that it has, before it looks
    for them.

    Raises:
        ValueError: If there are too many, or of a class that has no place here.
        struct.error: If the data end too early.
    """
    place, matrices = 0, 0
    while place < len(data):
        kind, size, start, after = _element(data, place, order)
        if kind == _INT8 and size > _NAMES:
            raise ValueError(f"names of {size} bytes")
        if kind != _MATRIX:
            place = after
            continue
        place = start  # what a matrix holds stands inside it, and is looked at in turn
        matrices += 1
        if matrices > _MATRICES:
            raise ValueError(f"more than {_MATRICES} matrices")
        if size:
            _matrix(data, place, order)


def _matrix(data: bytes, place: int, order: str) -> None:
    """Check a matrix's class and how many things it says that it has."""
    _, _, start, after = _element(data, place, order)
    (flags,) = struct.unpack_from(f"{order}I", data, start)
    _, length, first, _ = _element(data, after, order)
    sides = struct.unpack_from(f"{order}{length // 4}i", data, first)
    if flags & 0xFF not in _ALLOWED:
        raise ValueError(f"a matrix of class {flags & 0xFF}")
    if flags & 0xFF in (_CELL, _STRUCT) and (
        min(sides, default=0) < 0 or math.prod(sides) > _MATRICES
    ):
        raise ValueError(f"a cell array or struct of {sides}")


def _element(data: bytes, place: int, order: str) -> tuple[int, int, int, int]:
    """Type and size in bytes of the element at a place, where its data begin, and the next one."""
    kind, size = struct.unpack_from(f"{order}II", data, place)
    if kind >> 16:  # a small one, whose data stand in place of its size
        return kind & 0xFFFF, min(kind >> 16, 4), place + 4, place + 8
    return kind, size, place + 8, place + 8 + size + -size % 8
