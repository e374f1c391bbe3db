"""A picture of a figure that LaTeX puts together, as its page shows it."""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont

from vicl.figures.arxiv.latex.boxes import Graphic, Words
from vicl.figures.arxiv.latex.figures import LatexFigure
from vicl.figures.arxiv.latex.laying import Placed, lay
from vicl.figures.arxiv.latex.lengths import INCH
from vicl.images import ImageError
from vicl.images.modes import to_rgb

LONGEST: Final = 1024
"""Pixels of an assembled figure's longer side."""

_PIXELS: Final = 16 * LONGEST * LONGEST
"""Of all pictures of a figure together, while it is put together."""

_DPI: Final = 72.0
_FONT: Final = 32
_ILLEGIBLE: Final = 5
_INK: Final = (0, 0, 0)

Picture = Callable[[str], Image.Image | None]


def assemble(figure: LatexFigure, picture: Picture) -> Image.Image | None:
    """Put a figure's pictures together as its page shows them.

    Pictures stand where LaTeX would put them, with the gaps that it would leave, on white.  Text
    between them (headings, letters and captions of subfigures) is written in Pillow's own font,
    as large as on the page and about as wide; formulas as plain text.  The figure's own caption is
    left out, and so are rules and colours.

    Args:
        figure: One of :func:`vicl.figures.arxiv.latex.figures.read_figures`.
        picture: Gives the picture of a path inside the source; None where there is none.  It is
            asked for each of :attr:`Graphic.candidates` until there is one.  What it gives is as
            large on the page as its resolution says (`info["dpi"]`, otherwise 72 pixels an inch)
            where the text does not say how large.

    Returns:
        RGB, no side longer than `LONGEST`, nor finer than its finest picture; None where the
        figure is not understood, where fewer than two pictures are found, which make no grid, or
        fewer than a half of all.
    """
    graphics = figure.graphics
    if figure.reasons or len(graphics) < 2:
        return None
    pieces = _opened(graphics, picture)
    found = [graphic for graphic in graphics if graphic in pieces]
    if len(found) < 2 or 2 * len(found) < len(graphics):
        return None
    sizes = {graphic: size for graphic, (_, size) in pieces.items()}
    typical = sizes[found[0]]

    def measure(content: Graphic | Words) -> tuple[float, float]:
        if isinstance(content, Words):
            return _text_size(content)
        return sizes.get(content, typical)

    placed = [one for one in lay(figure.body, measure).placed if min(one.width, one.height) > 0]
    return _painted(placed, {graphic: image for graphic, (image, _) in pieces.items()})


_Pieces = dict[Graphic, tuple[Image.Image, tuple[float, float]]]


def _opened(graphics: Sequence[Graphic], picture: Picture) -> _Pieces:
    """What is shown of each picture, and its size in points by itself."""
    different = list(dict.fromkeys(graphics))
    room = _PIXELS // len(different)
    by_file: dict[tuple[str, ...], list[Graphic]] = {}
    for graphic in different:
        by_file.setdefault(graphic.candidates, []).append(graphic)
    pieces: _Pieces = {}
    for names, shown in by_file.items():
        image = next((image for name in names if (image := picture(name)) is not None), None)
        if image is None:
            continue
        try:
            rgb = to_rgb(image)
        except ImageError:
            continue
        across, up = _resolution(image)
        for graphic in shown:
            box = _visible(graphic, rgb.size, across, up)
            size = (box[2] - box[0]) * INCH / across, (box[3] - box[1]) * INCH / up
            pieces[graphic] = _reduced(rgb, box, room), size
    return pieces


def _resolution(image: Image.Image) -> tuple[float, float]:
    """Pixels an inch, to both sides."""
    given: Any = image.info.get("dpi")
    try:
        across, up = float(given[0]), float(given[1])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return _DPI, _DPI
    valid = 1 <= across <= 10_000 and 1 <= up <= 10_000
    return (across, up) if valid else (_DPI, _DPI)


def _visible(
    graphic: Graphic, size: tuple[int, int], across: float, up: float
) -> tuple[float, float, float, float]:
    """The part of a picture that is shown: left, top, right, bottom in pixels."""
    width, height = size
    to_x, to_y = across / INCH, up / INCH
    left, top, right, bottom = 0.0, 0.0, float(width), float(height)
    if graphic.viewport is not None:
        x0, y0, x1, y1 = graphic.viewport
        left, right = x0 * to_x, x1 * to_x
        top, bottom = height - y1 * to_y, height - y0 * to_y
    elif graphic.trim is not None:
        cut = graphic.trim
        left, right = cut[0] * to_x, width - cut[2] * to_x
        top, bottom = cut[3] * to_y, height - cut[1] * to_y
    left, top = max(0.0, left), max(0.0, top)
    right, bottom = min(float(width), right), min(float(height), bottom)
    if right - left < 1 or bottom - top < 1:  # nothing would be left: cut wrongly, or for another
        return 0.0, 0.0, float(width), float(height)
    return left, top, right, bottom


def _reduced(image: Image.Image, box: tuple[float, float, float, float], room: int) -> Image.Image:
    """A part of a picture with no more pixels than there is room for, nor sides too long."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale = min(1.0, LONGEST / max(width, height), math.sqrt(room / (width * height)))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == image.size and scale == 1.0:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, box)


def _painted(placed: Sequence[Placed], pictures: dict[Graphic, Image.Image]) -> Image.Image | None:
    """What is placed, on a page that is cut to it."""
    shown = [one for one in placed if isinstance(one.content, Words) or one.content in pictures]
    if not shown:
        return None
    left = min(one.x - one.extent[0] / 2 for one in placed)
    right = max(one.x + one.extent[0] / 2 for one in placed)
    top = min(one.y - one.extent[1] / 2 for one in placed)
    bottom = max(one.y + one.extent[1] / 2 for one in placed)
    finest = max(
        (
            max(pictures[one.content].width / one.width, pictures[one.content].height / one.height)
            for one in shown
            if isinstance(one.content, Graphic)
        ),
        default=1.0,
    )
    scale = min(LONGEST / max(right - left, bottom - top), finest)
    size = (_pixels((right - left) * scale), _pixels((bottom - top) * scale))
    page = Image.new("RGB", size, (255, 255, 255))
    for one in shown:
        _paint(page, one, pictures, (left, top), scale)
    return page


def _pixels(length: float) -> int:
    return max(1, min(LONGEST, round(length)))


def _paint(
    page: Image.Image,
    one: Placed,
    pictures: dict[Graphic, Image.Image],
    origin: tuple[float, float],
    scale: float,
) -> None:
    """Paint a picture or text; its edges are rounded to whole pixels each by itself."""
    wide, tall = one.extent
    x0 = round((one.x - wide / 2 - origin[0]) * scale)
    y0 = round((one.y - tall / 2 - origin[1]) * scale)
    x1 = max(x0 + 1, round((one.x + wide / 2 - origin[0]) * scale))
    y1 = max(y0 + 1, round((one.y + tall / 2 - origin[1]) * scale))
    quarters = round(one.angle / 90) % 4
    upright = abs(one.angle / 90 - round(one.angle / 90)) < 1e-6
    if upright:
        size = (y1 - y0, x1 - x0) if quarters % 2 else (x1 - x0, y1 - y0)
    else:
        size = _pixels(one.width * scale), _pixels(one.height * scale)
    if isinstance(one.content, Graphic):
        image = pictures[one.content].resize(size, Image.Resampling.LANCZOS)
        mask = None if upright else Image.new("L", size, 255)
    else:
        mask = _written(one.content.text, size)
        if mask is None:
            return
        image = Image.new("RGB", size, _INK)
    if upright:
        turns = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180,
                 Image.Transpose.ROTATE_270)[quarters]  # fmt: skip
        if turns is not None:
            image = image.transpose(turns)
            mask = None if mask is None else mask.transpose(turns)
    else:
        image = image.rotate(one.angle, Image.Resampling.BICUBIC, expand=True)
        mask = (
            None if mask is None else mask.rotate(one.angle, Image.Resampling.BICUBIC, expand=True)
        )
    page.paste(image, (x0, y0), mask)


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, shaped by the simple engine, which is the same everywhere."""
    font = ImageFont.load_default(size=_FONT)
    if isinstance(font, ImageFont.FreeTypeFont) and isinstance(font.path, io.BytesIO):
        return font.font_variant(layout_engine=ImageFont.Layout.BASIC)
    return font


@lru_cache(maxsize=4096)
def _text_width(text: str) -> float:
    return _font().getlength(text)


def _text_size(words: Words) -> tuple[float, float]:
    """Width and height in points: of the line from ascender to descender."""
    return _text_width(_drawable(words.text)) * words.size / _FONT, words.size


@lru_cache(maxsize=4096)
def _drawable(text: str) -> str:
    """Text in letters that the font has: Latin ones for Greek, nothing for signs."""
    shown = []
    for letter in text:
        name = unicodedata.name(letter, "")
        if letter < "\u0250" or letter in "–—‘’“”…":
            shown.append(letter)
        elif name.startswith("GREEK"):
            latin = name.split(" WITH ")[0].split()[-1][0]
            shown.append(latin if "CAPITAL" in name else latin.lower())
    return "".join(shown)


def _written(text: str, size: tuple[int, int]) -> Image.Image | None:
    """Text as a mask of a size; None where it would be too small to read."""
    if size[1] < _ILLEGIBLE:
        return None
    text = _drawable(text)
    strip = Image.new("L", (max(1, math.ceil(_text_width(text))), _FONT))
    ImageDraw.Draw(strip).text((0, 0.75 * _FONT), text, 255, _font(), anchor="ls")
    return strip.resize(size, Image.Resampling.LANCZOS)
