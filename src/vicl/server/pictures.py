"""Pictures as browsers show them, whatever the files are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from vicl.images import open_image, open_shrunk, shrunk_size, size_in_header, to_pil
from vicl.server.project import png

THUMBNAIL: Final = 256
LARGEST: Final = 4096
"""Longest side of what is sent to a browser, in pixels."""


def as_jpeg(path: Path, longest: int) -> bytes:
    """An image file as JPEG, no side longer than `longest` pixels.

    Raises:
        vicl.images.ImageError: If it cannot be opened.
    """
    shrunk, _ = open_shrunk(path, longest)
    data = io.BytesIO()
    to_pil(shrunk).save(data, "JPEG", quality=90 if longest > THUMBNAIL else 80)
    return data.getvalue()


def index_png(values: np.ndarray, longest: int | None) -> bytes:
    """An index mask as gray PNG; shrunk, it keeps the values that it has."""
    picture = Image.fromarray(values)
    if longest is not None and max(picture.size) > longest:
        height, width = shrunk_size((picture.height, picture.width), longest)
        picture = picture.resize((width, height), Image.Resampling.NEAREST)
    return png(picture)


def stored_png(path: Path, longest: int | None) -> bytes:
    """A PNG of the project, shrunk likewise."""
    if longest is None or max(size_in_header(path)) <= longest:
        return path.read_bytes()
    opened = open_image(path)
    if opened.mode == "L":
        return index_png(np.asarray(opened), longest)
    height, width = shrunk_size((opened.height, opened.width), longest)
    return png(opened.resize((width, height), Image.Resampling.BICUBIC))
