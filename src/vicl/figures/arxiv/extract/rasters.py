"""Pictures of a paper's source that are made of pixels, in the formats of the paper's data."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from vicl.figures.arxiv.extract.limits import Limits
from vicl.images import ImageError, shrunk_size, to_rgb
from vicl.images.decoding import ANY_SIZE, decode, opened, shrink_early

FORMATS: Final = ("JPEG", "PNG", "GIF", "BMP", "TIFF")
"""What is opened, by Pillow's names; nothing else of Pillow is tried on a stranger's bytes."""

_DPI: Final = (72.0, 72.0)


def open_raster(data: bytes, limits: Limits) -> Image.Image | str:
    """Decode a picture, upright, the first frame of several.

    Args:
        data: Its file.
        limits: Of which `pixels` and `longest` count here.

    Returns:
        As :func:`fitted`; or in a word or two why there is none.

    Raises:
        MemoryError: If the process may not have what it takes.
    """
    try:
        with opened(io.BytesIO(data), "picture", ANY_SIZE, formats=FORMATS) as image:
            if image.width * image.height > limits.pixels:
                return "too many pixels"
            dpi, size = resolution(image), image.size
            shrink_early(image, limits.longest)
            picture = decode(image, "picture", limits.pixels)
            if (picture.width < picture.height) != (size[0] < size[1]):  # it was on its side
                dpi, size = dpi[::-1], size[::-1]
            dpi = dpi[0] * picture.width / size[0], dpi[1] * picture.height / size[1]
            return fitted(picture, limits.longest, dpi)
    except ImageError as error:
        if isinstance(error.__cause__, MemoryError):  # not the picture's fault, but the process's
            raise MemoryError from error
        return "damaged"


def resolution(image: Image.Image) -> tuple[float, float]:
    """Pixels an inch, to both sides: as the file says, as LaTeX takes it otherwise."""
    try:
        across, up = (float(side) for side in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return _DPI
    return (across, up) if 1 <= across <= 10_000 and 1 <= up <= 10_000 else _DPI


def fitted(image: Image.Image, longest: int, dpi: tuple[float, float]) -> Image.Image:
    """A picture as RGB over white, shrunk by Lanczos so that no side is longer.

    Args:
        image: The picture.
        longest: In pixels.
        dpi: Its pixels an inch. Those of what is returned are its `info["dpi"]`, and it has no
            other `info`.

    Raises:
        ImageError: If its values are no colours.
    """
    rgb = to_rgb(image, name="picture")
    height, width = shrunk_size((rgb.height, rgb.width), longest)
    if (width, height) != rgb.size:
        rgb = rgb.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    rgb.info = {"dpi": (dpi[0] * width / image.width, dpi[1] * height / image.height)}
    return rgb
