"""The goldens of learned prompts, as their LEARNED_PROMPTS.md describes them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor


class Golden:
    """A pair of files: what was run, its arrays, its generated tensors."""

    def __init__(self, shared: Path, stem: str) -> None:
        path = shared / "goldens" / f"{stem}.json"
        if not path.is_file():
            pytest.skip(f"the golden {stem} is not in ../shared")
        self.said: dict[str, Any] = json.loads(path.read_text())
        with np.load(path.with_suffix(".npz")) as arrays:
            self._arrays = {key: torch.from_numpy(arrays[key]) for key in arrays.files}

    def __getitem__(self, name: str) -> Tensor:
        """An array."""
        return self._arrays[name]

    def tensor(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """A generated tensor, checked against its first element and its sum."""
        entries = self.said["tensors"]
        sized = "" if shape is None else f"@{'x'.join(map(str, shape))}"
        entry = entries.get(f"{name}{sized}", entries.get(name))
        seed = zlib.crc32(f"vicl-golden:{entry['name']}".encode())
        drawn = np.random.Generator(np.random.PCG64(seed))
        z = drawn.standard_normal(entry["shape"], dtype=np.float32)
        found = np.float32(entry["offset"]) + np.float32(entry["scale"]) * z
        assert found.flat[0] == pytest.approx(entry["first"], rel=1e-6)
        assert found.sum(dtype=np.float64) == pytest.approx(entry["sum"], rel=1e-6, abs=1e-5)
        return torch.from_numpy(np.asarray(found, dtype=np.float32))


def close(found: Tensor, expected: Tensor) -> None:
    """As the goldens are to be compared."""
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def put(parameter: Any, value: Tensor) -> None:
    """Give a parameter numbers, of its own shape."""
    with torch.no_grad():
        assert parameter.shape == value.shape, (parameter.shape, value.shape)
        parameter.copy_(value)
