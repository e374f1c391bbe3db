"""The safetensors format, read and written piece by piece.

The format is a length, a JSON header and the numbers. Writing it here gives the same bytes for the
same weights whatever else is installed, so that their hash names them, and neither reading nor
hashing a model ever holds it twice.

Source: the format's description at https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> str:
    """Write a file and wait until the disk has it; gives its SHA-256, in hex.

    Args:
        tensors: Contiguous, on the CPU.
        path: Not there yet.
    """
    digest = hashlib.sha256()
    with path.open("xb") as stream:
        for chunk in _chunks(tensors):
            digest.update(chunk)
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, in hex, of the file that :func:`write_tensors` would write."""
    digest = hashlib.sha256()
    for chunk in _chunks(tensors):
        digest.update(chunk)
    return digest.hexdigest()


def read_header(data: bytes, start: int, size: int) -> dict[str, tuple[str, tuple[int, ...], int]]:
    """The tensors in a header: name to type, shape and place in the file.

    Args:
        data: The header's JSON.
        start: Where the numbers begin in the file, in bytes.
        size: Of the file, in bytes.

    Raises:
        ValueError: If the header is broken, or its tensors do not fill the rest of the file
            exactly, one behind the other.
    """
    raw = json.loads(data)
    if not isinstance(raw, dict):
        raise ValueError("its header is no JSON object")
    found: dict[str, tuple[str, tuple[int, ...], int]] = {}
    spans = []
    for name, entry in raw.items():
        if name == "__metadata__":
            continue
        dtype, shape, begin, end = _entry(entry)
        found[name] = dtype, shape, start + begin
        spans.append((begin, end))
    place = 0
    for begin, end in sorted(spans):
        if begin != place:
            raise ValueError("its tensors overlap, or leave gaps")
        place = end
    if start + place != size:
        raise ValueError(f"its tensors take {place:,} bytes, but {size - start:,} are there")
    return found


def _entry(entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    match entry:
        case {"dtype": str() as dtype, "shape": list() as shape, "data_offsets": [begin, end]}:
            numbers = (*shape, begin, end)
            if len(shape) <= 16 and all(type(n) is int and 0 <= n < 1 << 60 for n in numbers):
                known = DTYPES.get(dtype)
                if known is not None and math.prod(shape) * known.itemsize != end - begin:
                    raise ValueError("a tensor's shape does not fit its bytes")
                if begin <= end:
                    return dtype, tuple(shape), begin, end
    raise ValueError("its header has an entry that is no tensor")


def _chunks(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """The file's bytes: the header, padded to a multiple of 8, then the tensors by name."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    # Wider numbers first, so that all of them stand on multiples of their size.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    for name in names:
        tensor = tensors[name]
        end = place + tensor.numel() * tensor.dtype.itemsize
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, end],
        }
        place = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for name in names:
        yield tensors[name].reshape(-1).view(torch.uint8).numpy().data
