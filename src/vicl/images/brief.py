"""A value in one line: what it is, without its numbers."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor


def brief(value: Any) -> str:
    """An image, array or tensor by its type and size; other things by their own words."""
    if isinstance(value, np.ndarray | Tensor):
        kind = "tensor" if isinstance(value, Tensor) else "array"
        return f"<{kind} {'x'.join(map(str, value.shape))} {str(value.dtype).split('.')[-1]}>"
    if isinstance(value, Image.Image):
        return f"<{value.mode} image {value.width}x{value.height}>"
    if isinstance(value, str | os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, list | tuple) and len(value) > 4:
        return f"<{type(value).__name__} of {len(value)}>"
    words = " ".join(repr(value).split())
    return words if len(words) <= 120 else f"<{type(value).__name__}>"


def brief_fields(value: Any) -> str:
    """The `repr` of a dataclass that holds images: its fields that are not at their defaults."""
    given = ((f.name, getattr(value, f.name), f.default) for f in fields(value))
    shown = ", ".join(f"{name}={brief(v)}" for name, v, default in given if v is not default)
    return f"{type(value).__name__}({shown})"
