"""What a case gives, flattened: plain values as they are, arrays as hashes and as thumbnails."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Cases = dict[str, Callable[[], Any]]
Plain = str | int | float | bool | None

SIDE = 6
"""Of a thumbnail."""
MANY = 5
"""So many numbers in a row are kept as an array."""
LONG = 200
"""Longer texts are kept as hashes."""


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Plain | np.ndarray]]:
    """The ends of a tree of mappings and sequences, with their paths."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        for key in value:
            yield from leaves(value[key], f"{path}/{key}" if path else str(key))
    elif isinstance(value, list | tuple) and len(value) >= MANY and _numbers(value):
        yield path, np.array(value, np.float64)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}/{index}" if path else str(index))
        if not value:
            yield path, "nothing"
    elif isinstance(value, Tensor):
        yield path, value.detach().cpu().numpy()
    elif isinstance(value, Image.Image):
        yield path, np.asarray(value)
    elif isinstance(value, bytes):
        yield path, np.frombuffer(value, np.uint8)
    elif isinstance(value, np.generic):
        yield path, value.item()
    elif isinstance(value, np.ndarray | str | int | float | bool | None):
        yield path, value
    else:
        raise TypeError(f"{path}: got a {type(value).__name__}, which is not recorded")


def _numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float | np.number) for value in values)


def digest(values: np.ndarray) -> str:
    """Kind, shape and the SHA-256 of the exact bytes."""
    shape = ",".join(map(str, values.shape))
    data = np.ascontiguousarray(values).tobytes()
    return f"{values.dtype} [{shape}] {hashlib.sha256(data).hexdigest()}"


def thumbnail(values: np.ndarray) -> np.ndarray:
    """Means over blocks: at most 6x6 of a picture, at most 36 of a row."""
    flat = values.astype(np.float64)
    if flat.size == 0:
        return np.zeros(0, np.float16)
    if flat.ndim < 2:
        flat = flat.reshape(1, -1)
        sides = (1, SIDE * SIDE)
    else:
        flat = flat.reshape(-1, *flat.shape[-2:]).mean(axis=0)
        sides = (SIDE, SIDE)
    for axis, most in enumerate(sides):
        if flat.shape[axis] > most:
            cuts = [flat.shape[axis] * index // most for index in range(most + 1)]
            parts = np.split(flat, cuts[1:-1], axis=axis)
            flat = np.concatenate([part.mean(axis=axis, keepdims=True) for part in parts], axis)
    return flat.ravel().clip(-6e4, 6e4).astype(np.float16)


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a case gave.

    Attributes:
        values: By path, plain values as they are and arrays as :func:`digest` says them.
        small: The thumbnails of all arrays, one after the other.
    """

    values: dict[str, Plain]
    small: np.ndarray


def recorded(value: Any) -> Recorded:
    """Flatten what a case gives."""
    values: dict[str, Plain] = {}
    small = [np.zeros(0, np.float16)]
    for path, leaf in leaves(value):
        if path in values:
            raise ValueError(f"{path}: stands twice")
        if isinstance(leaf, np.ndarray):
            values[path] = digest(leaf)
            small.append(thumbnail(leaf))
        elif isinstance(leaf, str) and len(leaf) > LONG:
            values[path] = f"text [{len(leaf)}] {hashlib.sha256(leaf.encode()).hexdigest()}"
        else:
            values[path] = leaf
    return Recorded(values, np.concatenate(small))


def machine() -> dict[str, Plain]:
    """What bit-for-bit equality depends on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = [line.partition(":")[2].strip() for line in lines if line.startswith("model")]
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": ", ".join(sorted(set(model))),
        "system": os.uname().machine,
        "threads": torch.get_num_threads(),
    }
