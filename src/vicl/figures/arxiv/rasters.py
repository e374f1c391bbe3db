"""Pictures of a paper's source that are made of pixels, in the formats of the paper's data."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from vicl.figures.arxiv.limits import Limits
from vicl.images import ImageError, shrunk_size, to_rgb
from vicl.images.decoding import ANY_SIZE, decode, opened, shrink_early

FORMATS: Final = ("JPEG", "PNG", "GIF", "BMP", "TIFF")
"""What is opened, by Pillow's names; nothing else of Pillow is tried on a stranger's bytes."""


def open_raster(data: bytes, limits: Limits) -> Image.Image | str:
    """Decode a picture, upright, the first frame of several.

    Args:
        data: Its file.
        limits: Of which `pixels` and `longest` count here.

    Returns:
        RGB, no side longer than `limits.longest`; or in a word or two why there is none.

    Raises:
        MemoryError: If the process may not have what it takes.
    """
    try:
        with opened(io.BytesIO(data), "picture", ANY_SIZE, formats=FORMATS) as image:
            if image.width * image.height > limits.pixels:
                return "too many pixels"
            shrink_early(image, limits.longest)
            return fitted(decode(image, "picture", limits.pixels), limits.longest)
    except ImageError as error:
        if isinstance(error.__cause__, MemoryError):  # not the picture's fault, but the process's
            raise MemoryError from error
        return "damaged"


def fitted(image: Image.Image, longest: int) -> Image.Image:
    """A picture as RGB over white, shrunk by Lanczos so that no side is longer.

    Raises:
        ImageError: If its values are no colours.
    """
    rgb = to_rgb(image, name="picture")
    height, width = shrunk_size((rgb.height, rgb.width), longest)
    if (width, height) == rgb.size:
        return rgb
    return rgb.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
