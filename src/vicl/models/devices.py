"""Where models run, and in what arithmetic."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

Device = Literal["auto", "cpu", "cuda", "mps"]
_DTYPES = {"auto": torch.float32, "float32": torch.float32, "bfloat16": torch.bfloat16}


def pick_device(device: str) -> torch.device:
    """The device to run on.

    Args:
        device: "cpu", "cuda" or "mps"; "auto" takes CUDA, else MPS, else the CPU.

    Raises:
        ValueError: If it is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, found in there.items() if found))
    if not there.get(device, False):
        names = ", ".join(("auto", *(name for name, found in there.items() if found)))
        raise ValueError(f"device: got {device!r}, expected one of those that are here: {names}")
    return torch.device(device)


def pick_dtype(dtype: str) -> torch.dtype:
    """The type of weights and arithmetic.

    Raises:
        ValueError: If it is none of "auto", "float32" and "bfloat16".
    """
    if dtype not in _DTYPES:
        raise ValueError(f"dtype: got {dtype!r}, expected one of {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def arithmetic_of(model: Any) -> str:
    """In what a loaded model computes: "bfloat16" or "float32", of weights or of its encoder's."""
    while not isinstance(model, nn.Module):
        inner = getattr(model, "encoder", None) or getattr(model, "own", None)
        if inner is None:
            return "float32"
        model = inner
    weights = next(model.parameters(), None)
    return "bfloat16" if weights is not None and weights.dtype == torch.bfloat16 else "float32"


def check_plain(name: str, device: str, dtype: str) -> None:
    """Refuse to run what has no weights elsewhere or otherwise than it does.

    Raises:
        ValueError: If it is not to run on the CPU, in float32.
    """
    if device not in ("auto", "cpu"):
        raise ValueError(
            f"device: {name} runs on the CPU only, got {device!r}; say 'cpu' or 'auto'"
        )
    check_float32(name, dtype)


def check_float32(name: str, dtype: str) -> None:
    """Refuse another type for what computes in float32 alone.

    Raises:
        ValueError: If it is not "auto" or "float32".
    """
    if dtype not in ("auto", "float32"):
        raise ValueError(f"dtype: {name} computes in float32, got {dtype!r}")
