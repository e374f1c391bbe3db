"""Checkpoints made by hand, byte by byte, for the attacks."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from typing import Any

import numpy as np


def packed(data: bytes, parts: dict[str, bytes] | None = None, **options: Any) -> bytes:
    """A zip as torch.save writes it, around any pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", "little")
        for name, content in (parts or {}).items():
            archive.writestr(name, content)
    return out.getvalue()


def legacy(data: bytes, keys: list[str] | None = None, parts: bytes = b"") -> bytes:
    """A file as torch.save wrote it before 1.6, around any pickle."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    return b"".join(pickle.dumps(x, 2) for x in head) + data + pickle.dumps(keys or [], 2) + parts


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def storage(kind: str = "torch FloatStorage", key: str = "0", numel: bytes = b"K\x04") -> bytes:
    """A persistent id, as pickled."""
    module, name = kind.split()
    return (
        b"("
        + text("storage")
        + f"c{module}\n{name}\n".encode()
        + text(key)
        + text("cpu")
        + (numel + b"tQ")
    )


def tensor(size: bytes, stride: bytes, offset: bytes = b"K\x00", held: bytes = b"") -> bytes:
    """A pickled tensor on a part of four numbers."""
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + (held or storage())
        + offset
        + size
        + stride
        + b"\x89)tR"
    )


def long(value: int) -> bytes:
    data = value.to_bytes(16, "little", signed=True)
    return b"\x8a\x10" + data


FOUR = {"archive/data/0": np.arange(4, dtype="<f4").tobytes()}
