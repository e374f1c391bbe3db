"""Bringing every mode that Pillow knows to 8-bit RGB."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vicl.files import reason
from vicl.images.decoding import PARSER_ERRORS, ImageError, image_name, quiet_pillow


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
            if image.mode in ("I", "F") or image.mode.startswith("I;16"):
                return _deep_grey(image, name)
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


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def _deep_grey(image: Image.Image, name: str) -> Image.Image:
    """Scale 16-bit, 32-bit and float grey to 8 bits."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not (low >= 0 and high <= 1):  # NaN fails too
            raise ImageError(
                f"{name}: float image with values from {low:g} to {high:g}, expected [0, 1]; "
                "divide it by its white value first"
            )
        return Image.fromarray(np.rint(values * 255).astype(np.uint8)).convert("RGB")
    if image.mode == "I" and not ((low >= 0 and 255 < high <= 65535) or low == high == 0):
        raise ImageError(
            f"{name}: 32-bit integer image with values from {low} to {high}, whose white is "
            "not known; save it with 8 bits (values to 255) or 16 bits (values to 65535)"
        )
    grey = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")
