"""Bringing every mode that Pillow knows to 8-bit RGB."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from vicl.files import reason
from vicl.images.decoding import PARSER_ERRORS, ImageError, image_name, quiet_pillow

WHITES: Final = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)
"""The largest values of 8, 10, 12, 14 and 16 bits, one of which is white in deep data."""

_BAND: Final = 1 << 17
"""Pixels that go from Pillow to NumPy at a time: few enough for a processor's cache."""


def shared_white(highest: Iterable[float | None]) -> float | None:
    """The white that suits deep images together.

    Args:
        highest: The largest value of each image; None for one that is not deep.

    Returns:
        1 where all lie in [0, 1], else the smallest of :data:`WHITES` that covers them; None where
        no image is deep, or no such value does.
    """
    values = [value for value in highest if value is not None]
    if not values:
        return None
    # Between 1 and a few levels lie floats that overshoot, not counts.
    if max(values) <= 1:
        return 1.0
    top = max(values)
    return next((white for white in WHITES if 16 <= top <= white), None)


def is_deep(image: Image.Image) -> bool:
    """Whether an image is grey with more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def to_rgb(image: Image.Image, *, name: str | None = None) -> Image.Image:
    """Bring any mode to 8-bit RGB.

    Transparency goes over white.  16-bit grey is scaled, so that 65535 is white.  Mode `I` (32-bit
    integers) is read as 16-bit grey where its largest value is over 255 and at most 65535, mode
    `F` as grey in [0, 1]; other ranges have no known white and are refused.

    Args:
        image: Any PIL image; not changed.
        name: What messages call it; None for its file where it knows it.

    Returns:
        An image of mode RGB, of the same size; the same object where nothing had to be done.

    Raises:
        ImageError: If the mode, or its range of values, has no agreed meaning as colours.
    """
    name = name or image_name(image)
    with quiet_pillow():
        try:
            if is_deep(image):
                levels = np.rint(deep_grey(image, name) * 255).astype(np.uint8)
                return Image.fromarray(levels).convert("RGB")
            if image.has_transparency_data or image.mode in ("La", "RGBa"):
                return _over_white(image)
            return image if image.mode == "RGB" else image.convert("RGB")
        except ImageError:
            raise
        except PARSER_ERRORS as error:
            raise ImageError(
                f"{name}: mode {image.mode} cannot be turned into RGB ({reason(error)}); "
                "convert it to RGB in an image editor first"
            ) from error


def stored_levels(image: Image.Image) -> UInt8[np.ndarray, "h w *c"]:
    """The bytes of an image of mode L, P or RGB: of the last (h, w, 3).

    In bands, since Pillow would hold a large one three times meanwhile, and take longer.
    """
    channels = (3,) if image.mode == "RGB" else ()
    levels = np.empty((image.height, image.width, *channels), np.uint8)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        levels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return levels


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def deep_grey(
    image: Image.Image, name: str, *, white: float | None = None
) -> Float32[np.ndarray, "h w"]:
    """Scale 16-bit, 32-bit and float grey to [0, 1], keeping its depth.

    Args:
        image: Of a mode for which :func:`is_deep` holds.
        name: What messages call it.
        white: The value that becomes 1; larger ones are cut to it.  None: see :func:`to_rgb`.

    Raises:
        ImageError: If there are negative values or NaN, or values of no known white.
    """
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high < np.inf):  # NaN fails too
        raise ImageError(
            f"{name}: {_KINDS.get(image.mode, '16-bit image')} with values from {low:g} to "
            f"{high:g}, expected finite values from 0 (black); "
            "subtract the lowest one, or save it with 8 bits"
        )
    if white is None and image.mode == "F" and high > 1:
        raise ImageError(
            f"{name}: float image with values from {low:g} to {high:g}, expected [0, 1]; "
            "divide it by its white value first, or say that value, white=... (command line: "
            "--white LEVEL)"
        )
    if white is None and image.mode == "I" and not (255 < high <= 65535 or low == high == 0):
        raise ImageError(
            f"{name}: 32-bit integer image with values from {low} to {high}, whose white is "
            "not known; save it with 8 bits (values to 255) or 16 bits (values to 65535), or say "
            "it, white=... (command line: --white LEVEL)"
        )
    grey = values.astype(np.float32)
    grey /= white or (1 if image.mode == "F" else 65535)
    np.minimum(grey, 1, out=grey)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and image.mode != "F":
        grey[values == transparent] = 1
    return grey


_KINDS: Final = {"F": "float image", "I": "32-bit integer image"}
