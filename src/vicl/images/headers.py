"""What an image file says of itself before its pixels."""

from __future__ import annotations

import os

from PIL import Image

from vicl.files import display
from vicl.images.decoding import (
    DEFAULT_LIMIT_PIXELS,
    FORMATS,
    ORIENTATION,
    PARSER_ERRORS,
    ROTATIONS,
    SIDEWAYS,
    Size,
    check_bytes,
    image_stream,
    opened,
    quiet_pillow,
)


def stored_turn(source: str | os.PathLike[str]) -> Image.Transpose | None:
    """Say how :func:`open_image` turns a file upright, by its EXIF orientation.

    Args:
        source: The path of an image that opens.

    Returns:
        Pillow's operation; None where the file is stored upright, or its EXIF data are damaged.

    Raises:
        ImageError: If there is no such plain file.
    """
    with image_stream(source) as stream, quiet_pillow():
        try:
            image: Image.Image = Image.open(stream, formats=FORMATS)
            return ROTATIONS.get(image.getexif().get(ORIENTATION, 1))
        except PARSER_ERRORS:
            return None


def size_in_header(
    source: str | os.PathLike[str], *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
) -> Size:
    """(height, width) of an image file, upright, by its header alone: its pixels may be damaged.

    Raises:
        ImageError: If there is no such plain file, it is no image of a listed format, or over the
            limit.
    """
    name = display(source)
    with image_stream(source) as stream:
        check_bytes(name, stream, limit_pixels)
        with opened(stream, name, limit_pixels) as image:
            width, height = image.size
    turned = stored_turn(source) in SIDEWAYS
    return (width, height) if turned else (height, width)
