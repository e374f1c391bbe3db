"""Saving pictures: whole or not at all, and never over what they were made from."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from PIL import Image

from vicl.files import FileError, display, reason, write_atomic
from vicl.images.decoding import PARSER_ERRORS, ImageError, quiet_pillow
from vicl.images.modes import to_rgb

_FORMATS: Final[dict[str, tuple[str, frozenset[str], dict[str, Any]]]] = {
    ".png": ("PNG", frozenset({"1", "L", "LA", "I;16", "I;16B", "P", "RGB", "RGBA"}), {}),
    ".jpg": ("JPEG", frozenset({"L", "RGB"}), {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", frozenset({"RGB", "RGBA"}), {"lossless": True}),
    ".bmp": ("BMP", frozenset({"1", "L", "P", "RGB"}), {}),
    ".tif": ("TIFF", frozenset({"1", "L", "LA", "I;16", "I;16B", "F", "P", "RGB", "RGBA"}), {}),
    ".gif": ("GIF", frozenset({"1", "L", "P", "RGB"}), {"optimize": False}),
}
_RUNS: Final = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""Of PNG, for black and white areas: runs are found in half the time, and the file is smaller."""
WRITERS: Final = _FORMATS | {".jpeg": _FORMATS[".jpg"], ".tiff": _FORMATS[".tif"]}
"""Suffix: Pillow's format, the modes that it can hold, how to save."""


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of a picture's file, in small letters.

    Raises:
        ImageError: If no picture can be written with it.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise ImageError(
            f"{display(path)}: suffix {suffix!a} is not a format that can be written; "
            f"use one of {', '.join(WRITERS)}"
        )
    return suffix


def save_image(
    image: Image.Image,
    path: str | os.PathLike[str],
    *,
    inputs: Iterable[object] = (),
    flat: bool = False,
) -> None:
    """Save a picture whole or not at all, in the format of the path's suffix.

    JPEG is written at quality 95 without colour subsampling, WebP lossless.  A mode that the
    format cannot hold is turned to RGB first (:func:`to_rgb`).

    Args:
        image: Any PIL image.
        path: Ends in .png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff or .gif (256 colours).  An
            existing file is replaced; missing folders are made (:func:`write_atomic`).
        inputs: What the picture was made from; those that are paths are never overwritten, under
            whatever name or link.  Other things are ignored.
        flat: Whether it is black and white areas, as a mask: a PNG is then written quicker.

    Raises:
        ImageError: If the suffix is unknown, `path` is one of the inputs, or it cannot be written.
    """
    name, target = display(path), Path(path)
    suffix = check_suffix(path)
    for source in inputs:
        if isinstance(source, str | os.PathLike) and _same_file(Path(source), target):
            raise ImageError(f"{name}: is one of the inputs; choose another name for the output")
    data = encode_image(image, suffix, name=name, flat=flat)
    try:
        write_atomic(path, data)
    except FileError as error:
        raise ImageError(str(error)) from error


def _same_file(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except (OSError, ValueError):  # one does not exist (yet)
        return os.path.realpath(first) == os.path.realpath(second)


def encode_image(
    image: Image.Image, suffix: str = ".png", *, name: str = "picture", flat: bool = False
) -> bytes:
    """The bytes of the file that :func:`save_image` writes.

    Args:
        image: Any PIL image.
        suffix: One of :data:`WRITERS`.
        name: What messages call it.
        flat: As for :func:`save_image`.

    Raises:
        ImageError: If it cannot be held in that format.
    """
    kind, modes, options = WRITERS[suffix]
    if flat and kind == "PNG":
        options = _RUNS
    buffer = io.BytesIO()
    with quiet_pillow():
        ready = image if image.mode in modes else to_rgb(image, name=name)
        try:
            ready.save(buffer, kind, **options)
        except PARSER_ERRORS as error:
            raise ImageError(
                f"{name}: cannot be saved as {kind} ({reason(error)}); use .png"
            ) from error
    return buffer.getvalue()
