"""Hints of colour that were dabbed on an image, and what it is by them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from vicl.server.marks import brushed
from vicl.server.schemas import Stroke
from vicl.tasks.colour_hints import colorize

ENGINE: Final = "hints"
"""What answers by hints are said to be by."""


def by_hints(photo: Path, size: tuple[int, int], strokes: Sequence[Stroke]) -> Image.Image:
    """Colour a photograph of a size (height, width); a later stroke lies over earlier ones.

    Raises:
        vicl.images.ImageError: If it cannot be opened.
        vicl.server.marks.StrokeError: If a stroke is too long.
    """
    hints = np.zeros((*size, 4), np.uint8)
    for stroke in strokes:
        place, inside = brushed(stroke.points, stroke.size / 2, size)
        hints[place][inside] = (*(stroke.colour or (0, 0, 0)), 255)
    return colorize(photo, hints)
