"""The words on pages: headings, panel labels, captions; and how they are written."""

from __future__ import annotations

from functools import lru_cache

from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from vicl.figures.synthetic.rules.drawing import pick

_HEADINGS = (
    "Input", "Image", "Source", "Query", "Frame", "Photo", "(a) Input", "Original", "x", "Before",
)  # fmt: skip
_RESULTS = (
    "Output", "Ours", "Result", "Mask", "GT", "Target", "Truth", "Method A", "Baseline", "After",
    "Proposed", "Step 2", "Label", "Map", "y", "(b) Ours", "w/o prior", "Full",
)  # fmt: skip
_WORDS = (
    "the", "of", "for", "with", "and", "results", "examples", "each", "row", "shows", "input",
    "output", "our", "method", "on", "images", "left", "right", "top", "bottom", "best", "seen",
    "from", "scenes", "compared", "to", "in", "all", "cases", "more", "detail", "see", "text",
    "colour", "shape", "masks", "sample", "pairs", "given", "model", "data", "visual",
)  # fmt: skip
_OPENINGS = ("Figure {}.", "Fig. {}:", "Figure {}:", "Fig. {}.")


def heading(rng: Generator, column: int, *, room: int, line: int) -> str:
    """A word or two over a column: of an input for the first, else of a result.

    Args:
        rng: Decides.
        column: Its number.
        room: Width of the column, in pixels; "" where nothing fits.
        line: Height of the text, in pixels.
    """
    drawn = pick(rng, _RESULTS if column else _HEADINGS)
    return drawn if ink_width(drawn, line) <= room else ""


def label(number: int, style: int) -> str:
    """The label of a picture: (a), a), A or 1."""
    letter = chr(ord("a") + number % 26)
    return (f"({letter})", f"{letter})", letter.upper(), str(number + 1))[style]


def caption(rng: Generator, rows: int, *, room: int, line: int) -> list[str]:
    """Lines of a caption that fill their room, in pixels, at a height of `line` pixels."""
    words = [pick(rng, _OPENINGS).format(1 + int(rng.integers(20)))]
    lines = []
    for _ in range(rows):
        while ink_width(" ".join(words), line) < room:
            words.append(pick(rng, _WORDS))
        lines.append(" ".join(words[:-1]))
        words = words[-1:]
    return lines


@lru_cache(maxsize=32)
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=pixels)


@lru_cache(maxsize=4096)
def _word_width(word: str, line: int) -> float:
    return _font(line).getlength(word)


def ink_width(text: str, line: int) -> int:
    """How wide a text is, in pixels."""
    return round(sum(_word_width(word + " ", line) for word in text.split(" ")))


def write(
    canvas: Image.Image,
    text: str,
    at: tuple[int, int],
    *,
    line: int,
    ink: tuple[int, int, int],
    turned: bool,
) -> None:
    """Write one line at (left, top), `line` pixels high; turned, it reads from below."""
    if not turned:
        left, top = at
        for word in text.split(" "):  # which this font starts at a whole pixel
            stencil, aside, below = _written(word, line)
            canvas.paste(ink, (left + aside, top + below), stencil)
            left += round(_word_width(word + " ", line))
        return
    strip = Image.new("L", (ink_width(text, line), line + 3))
    ImageDraw.Draw(strip).text((0, 0), text, 255, _font(line))
    canvas.paste(ink, at, strip.transpose(Image.Transpose.ROTATE_90))


@lru_cache(maxsize=2048)
def _written(word: str, line: int) -> tuple[Image.Image, int, int]:
    """A word, white on black, and how far right and below of its place its ink begins.

    Pages have few words, which come again and again, and FreeType takes long.
    """
    strip = Image.new("L", (ink_width(word, line) + 2 * line, 3 * line))
    ImageDraw.Draw(strip).text((line, line), word, 255, _font(line))
    box = strip.getbbox() or (line, line, line + 1, line + 1)
    return strip.crop(box), box[0] - line, box[1] - line
