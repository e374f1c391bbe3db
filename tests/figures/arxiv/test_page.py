"""Assembled figures: pictures stand where LaTeX puts them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.figures.arxiv.styles import COLOURS, STYLES, paper, picture

from vicl.figures.arxiv.latex.figures import LatexFigure, read_figures
from vicl.figures.arxiv.latex.page import LONGEST, assemble

_PLACES: dict[str, list[list[float]]] = json.loads(
    Path(__file__).with_name("styles.json").read_text()
)
_WHITE = (255, 255, 255)
_RED, _BLUE = (200, 0, 0), (0, 0, 200)


def _figure(text: str) -> LatexFigure:
    main = f"\\documentclass{{article}}\\begin{{figure}}{text}\\end{{figure}}"
    (figure,) = read_figures({"main.tex": main})
    return figure


def _coloured(
    size: tuple[int, int] = (100, 50), **colours: tuple[int, int, int]
) -> Callable[[str], Image.Image | None]:
    """Pictures of one size, by name, as PNG files."""

    def give(name: str) -> Image.Image | None:
        colour = colours.get(name.removesuffix(".png"))
        return Image.new("RGB", size, colour) if colour and name.endswith(".png") else None

    return give


def _without_text(image: Image.Image) -> np.ndarray:
    """Levels, with all that is grey made white."""
    levels = np.array(image).astype(int)
    levels[levels.max(2) - levels.min(2) < 60] = 255
    return levels


_QUICK = ("rows by their length", "table", "spans", "subfigures of subcaption", "minipages")


@pytest.mark.parametrize(
    "name",
    [name if name in _QUICK else pytest.param(name, marks=pytest.mark.slow) for name in STYLES],
)
def test_pictures_stand_where_latex_puts_them(name: str) -> None:
    """Painted from the places that pdfTeX gave, the page is the same to a pixel at edges."""
    (figure,) = read_figures(paper(name))
    image = assemble(figure, picture)
    assert image is not None
    levels = _without_text(image)
    rows, columns = np.nonzero((levels != 255).any(2))
    levels = levels[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    places = _PLACES[name]
    scale = levels.shape[1] / max(place[2] for place in places)
    expected = np.full_like(levels, 255)
    for graphic, place in zip(figure.graphics, places, strict=True):
        left, top, right, bottom = (round(side * scale) for side in place)
        expected[top:bottom, left:right] = COLOURS[graphic.name]
    wrong = (abs(expected - levels) > 8).any(2)
    assert levels.shape[0] == pytest.approx(max(place[3] for place in places) * scale, abs=4)
    # Within three pixels of an edge, places may be rounded to another one.
    near = np.zeros_like(wrong)
    for place in places:
        left, top, right, bottom = (round(side * scale) for side in place)
        outer = slice(max(0, top - 3), bottom + 3), slice(max(0, left - 3), right + 3)
        inner = slice(top + 3, bottom - 3), slice(left + 3, right - 3)
        edge = np.zeros_like(wrong)
        edge[outer] = True
        edge[inner] = False
        near |= edge
    assert not (wrong & ~near).any()
    assert max(image.size) <= LONGEST


def test_the_pixels_of_two_pictures_side_by_side() -> None:
    figure = _figure(
        "\\centering\\includegraphics[width=100pt]{a}\\hspace{10pt}%\n"
        "\\includegraphics[width=100pt]{b}\\\\[-1pt]\\includegraphics[width=100pt]{a}"
    )
    image = assemble(figure, _coloured(a=_RED, b=_BLUE))
    assert image is not None
    assert image.size == (210, 100)
    expected = Image.new("RGB", (210, 100), _WHITE)
    expected.paste(_RED, (0, 0, 100, 50))
    expected.paste(_BLUE, (110, 0, 210, 50))
    expected.paste(_RED, (55, 50, 155, 100))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def test_the_finest_picture_says_how_fine_and_1024_is_the_end() -> None:
    figure = _figure("\\includegraphics[width=5cm]{a}\\includegraphics[width=5cm]{b}")
    for size, longest in ((30, 60), (300, 600), (3000, LONGEST)):
        image = assemble(figure, _coloured((size, size), a=_RED, b=_BLUE))
        assert image is not None
        assert image.size == (longest, longest // 2)


def test_text_is_written_between_pictures() -> None:
    pictures = _coloured((200, 200), a=_RED, b=_RED)
    text = "\\begin{tabular}{cc}%s & \\\\\\includegraphics[width=2cm]{a} & "
    text += "\\includegraphics[width=2cm]{b}\\end{tabular}"
    with_text = assemble(_figure(text % "Input $\\alpha$"), pictures)
    without = assemble(_figure(text % ""), pictures)
    assert with_text is not None
    assert without is not None
    assert with_text.width == without.width
    above = np.asarray(with_text)[: with_text.height - without.height]
    assert (above.min(2) < 60).any()
    assert (above.max(2) - above.min(2) <= 1).all()


def test_what_is_no_grid_gives_none() -> None:
    pictures = _coloured(a=_RED, b=_BLUE)
    one = "\\includegraphics[width=1cm]{a}"
    assert assemble(_figure(""), pictures) is None
    assert assemble(_figure(one), pictures) is None
    assert assemble(_figure(one + "\\includegraphics{missing}"), pictures) is None
    assert assemble(_figure(one * 2 + "\\foreach \\x"), pictures) is None


def test_pictures_that_are_missing_leave_their_place_white() -> None:
    pictures = _coloured(a=_RED, b=_BLUE)
    row = "\\includegraphics[width=100pt]{%s}%%\n"
    figure = _figure("".join(row % name for name in ("a", "none", "b")))
    image = assemble(figure, pictures)
    assert image is not None
    assert image.size == (300, 50)
    colours = [image.getpixel((x, 25)) for x in (50, 150, 250)]
    assert colours == [_RED, _WHITE, _BLUE]
    assert assemble(_figure("".join(row % name for name in "axbyz")), pictures) is None


def test_extensions_are_tried_in_latex_order() -> None:
    asked: list[str] = []

    def give(name: str) -> Image.Image | None:
        asked.append(name)
        return Image.new("RGB", (10, 10), _RED) if name in ("a.jpg", "b.pdf") else None

    figure = _figure("\\includegraphics{a}\\includegraphics{b}\\includegraphics{a}")
    assert assemble(figure, give) is not None
    assert asked == ["a.pdf", "a.png", "a.jpg", "b.pdf"]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F", "YCbCr"])
def test_pictures_of_every_mode(mode: str) -> None:
    figure = _figure("\\includegraphics{a}\\includegraphics{b}")
    image = assemble(
        figure, lambda name: Image.new(mode, (8, 8)) if name in "a.png b.png" else None
    )
    assert image is not None
    assert (image.mode, image.size) == ("RGB", (16, 8))


@pytest.mark.parametrize("dpi", [(0, 0), (float("nan"), 1), "x", (1,), (1e9, 1e9), None, (-5, 72)])
def test_a_resolution_that_is_nonsense_is_left_out(dpi: object) -> None:
    def give(name: str) -> Image.Image:
        image = Image.new("RGB", (72, 36), _RED)
        image.info["dpi"] = dpi
        return image

    image = assemble(_figure("\\includegraphics{a}\\includegraphics{b}"), give)
    assert image is not None
    assert image.size == (144, 36)


@pytest.mark.parametrize(
    "text",
    [
        "\\includegraphics[width=1e9cm]{a}\\includegraphics{b}",
        "\\includegraphics[width=16000pt,height=0.001pt]{a}\\includegraphics{b}",
        "\\includegraphics[width=0pt]{a}\\includegraphics[width=0pt]{b}",
        "\\includegraphics[width=-3cm]{a}\\includegraphics[scale=-1]{b}",
        "\\resizebox{9999cm}{9999cm}{\\resizebox{1sp}{1sp}"
        "{\\includegraphics{a}\\includegraphics{b}}}",
        "\\scalebox{100}{\\scalebox{100}{\\scalebox{100}{\\includegraphics{a}\\includegraphics{b}}}}",
        "\\includegraphics[angle=33]{a}\\rotatebox{-123.4}{\\includegraphics[trim=9cm 0 9cm 0]{b}}",
        "\\hspace{-9999cm}\\includegraphics{a}\\vspace{-9999cm}\\\\\\includegraphics{b}",
        "\\begin{tabular}{*{64}{c}}" + "\\includegraphics{a}&" * 390 + "\\end{tabular}",
    ],
)
def test_sizes_that_are_absurd_stay_bounded(text: str) -> None:
    image = assemble(_figure(text), _coloured(a=_RED, b=_BLUE))
    assert image is None or max(image.size) <= LONGEST


_PARTS = (
    "\\includegraphics{a}", "\\includegraphics[width=.5\\linewidth]{b}", "&", "\\\\", "{", "}", "x",
    "\\includegraphics[angle=90,height=2cm]{a}", "\\begin{tabular}{cc}", "\\end{tabular}", " ",
    "\\begin{minipage}{.4\\linewidth}", "\\end{minipage}", "\\rotatebox{45}{", "\\hfill", "\\par",
    "\\resizebox{3cm}{!}{", "\\multirow{2}{*}{", "\\multicolumn{2}{c}{", "\\raisebox{-.5\\height}{",
    "\\subfloat[c]{", "\\hspace{-2cm}", "\\vspace{-9cm}", "\\makebox[0pt]{", "\\shortstack{",
    "\\includegraphics[trim=1 2 3 4]{b}", "\\scalebox{0.1}{", "\\centering", "\\hfil", "\\Huge",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (
            "\\minipage{50pt}\\includegraphics[width=\\linewidth]{a}\\endminipage"
            "\\hspace{10pt}\\minipage{50pt}\\includegraphics[width=50pt]{b}\\endminipage",
            (220, 50),
        ),
        (
            "\\centering\\hbox to 200pt{\\includegraphics[width=50pt]{a}\\hss"
            "\\includegraphics[width=50pt]{b}}",
            (400, 50),
        ),
        (
            "\\newcolumntype{L}[1]{>{\\centering}m{#1}}\\begin{tabular}{@{}L{50pt}@{}L{60pt}@{}}"
            "\\includegraphics[width=50pt]{a}&\\includegraphics[width=60pt]{b}\\end{tabular}",
            (220, 60),
        ),
        (
            "\\begin{overpic}[width=50pt]{a}\\put(9,9){x}\\end{overpic}"
            "\\includegraphics[width=50pt]{b}",
            (200, 50),
        ),
        (
            "\\stackunder[5pt]{\\includegraphics[width=50pt]{a}}{\\includegraphics[width=50pt]{b}}",
            (100, 110),
        ),
        (
            "\\fbox{\\includegraphics[width=50pt]{a}}\\mbox{\\includegraphics[width=50pt]{b}}",
            (207, 50),
        ),
        ("\\epsfig{file=a,width=50pt}\\includegraphics*[0,0][36,36]{b}", (172, 72)),
    ],
)
def test_other_ways_of_placing(text: str, size: tuple[int, int]) -> None:
    """Both pictures are two pixels a point where they are 50 points wide."""
    image = assemble(_figure(text), _coloured(a=_RED, b=_BLUE))
    assert image is not None
    assert image.size == size


@given(st.lists(st.sampled_from(_PARTS), max_size=25).map("".join))
@settings(max_examples=60, deadline=None)
def test_no_figure_raises(text: str) -> None:
    for ends in ("", "}" * 3, "\\end{tabular}", "\\end{minipage}"):
        image = assemble(_figure(text + ends), _coloured((9, 7), a=_RED, b=_BLUE))
        assert image is None or 1 <= min(image.size) <= max(image.size) <= LONGEST
