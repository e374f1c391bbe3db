"""Letters and words in real fonts, as grey stencils."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vicl.figures.synthetic.scenes.scene import Lettering
from vicl.files import FileError, display, open_plain, reason

FONT_SUFFIXES = frozenset({".ttf", ".otf"})
"""What :func:`find_fonts` looks for, in lower case."""

BUNDLED_LICENCE = "CC0-1.0"
"""Of the font that comes with Pillow (Aileron Regular)."""

_PIXELS = 64
"""Height of letters in a stencil, in pixels: cells rarely show them larger."""


def find_fonts(folder: str | os.PathLike[str]) -> tuple[str, ...]:
    """Fonts below a folder, sorted, that can be opened and that hold Latin letters.

    Args:
        folder: Searched with its subfolders.

    Raises:
        FileError: If there are none.
    """
    found = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in FONT_SUFFIXES)
    usable = tuple(str(path) for path in found if _is_usable(path))
    if not usable:
        raise FileError(
            f"{display(folder)}: no font with Latin letters found ({len(found)} files looked at); "
            f"give a folder with {' or '.join(sorted(FONT_SUFFIXES))} files"
        )
    return usable


@lru_cache(maxsize=2048)
def stencil(lettering: Lettering) -> Image.Image:
    """Write a text, white on black, in the smallest box that holds it.

    Args:
        lettering: What and how.

    Returns:
        An image of mode L, at least 1 x 1; not to be written to.

    Raises:
        FileError: If the font cannot be opened.
        ValueError: If nothing can be seen of the text.
    """
    font = _font(lettering.font)
    stroke = round(lettering.bold * _PIXELS)
    box = font.getbbox(lettering.text, stroke_width=stroke)
    left, top, right, bottom = (int(edge) for edge in box)
    width, height = right - left + 2, bottom - top + 2
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    draw.text((1 - left, 1 - top), lettering.text, fill=255, font=font, stroke_width=stroke)
    if lettering.slant:
        lean = lettering.slant
        image = image.transform(
            (width + round(lean * height), height),
            Image.Transform.AFFINE,
            (1, lean, -lean * height, 0, 1, 0),
            Image.Resampling.BILINEAR,
        )
    seen = image.getbbox()
    if seen is None:
        raise ValueError(f"text: nothing can be seen of {lettering.text!r}; give letters")
    return image.crop(seen)


@lru_cache(maxsize=64)
def _font(path: str) -> ImageFont.FreeTypeFont:
    """The font of a path, or the bundled one for ""."""
    if not path:
        font = ImageFont.load_default(_PIXELS)
        if isinstance(font, ImageFont.FreeTypeFont):
            return font
        raise FileError(
            "Pillow: was built without FreeType, so no letters can be drawn; install Pillow from "
            "its wheels"
        )
    try:
        with open_plain(path) as stream:
            return ImageFont.truetype(stream, _PIXELS)
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"{display(path)}: cannot be used as a font ({reason(error)}); leave it out"
        ) from error


def _is_usable(path: Path) -> bool:
    """Whether it opens, and shows two letters differently (a font of symbols may not)."""
    try:
        shown = [stencil(Lettering(text, str(path))) for text in ("R", "S")]
    except ValueError:  # FileError too
        return False
    return shown[0].size != shown[1].size or shown[0].tobytes() != shown[1].tobytes()
