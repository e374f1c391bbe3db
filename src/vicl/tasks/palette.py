"""The colours by which classes are told apart."""

from __future__ import annotations

import colorsys

Colour = tuple[int, int, int]
"""RGB in 0 to 255."""

# Okabe and Ito 2008, "Color Universal Design": told apart by colour-blind people too. Black, their
# eighth, is the background here.
_FIRST: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_GOLDEN = 0.6180339887498949  # steps of the golden ratio spread hues evenly, however many
_START = 0.92  # hue at which the first 20 and black are furthest apart: 67 or more in RGB


def palette(count: int) -> tuple[Colour, ...]:
    """Give distinct colours, always the same ones, for class 1 and up (the background is black).

    Args:
        count: Number of classes, up to 255.

    Returns:
        RGB in 0 to 255.
    """
    more = []
    for index in range(max(count - len(_FIRST), 0)):
        saturation, value = ((0.85, 0.95), (0.45, 1.0), (0.9, 0.6))[index % 3]
        rgb = colorsys.hsv_to_rgb((_START + _GOLDEN * index) % 1, saturation, value)
        more.append((round(255 * rgb[0]), round(255 * rgb[1]), round(255 * rgb[2])))
    return (*_FIRST[:count], *more)
