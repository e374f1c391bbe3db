"""What a paper's text says of its pictures: captions, and grids that it makes of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from vicl.figures.arxiv.latex.boxes import Graphic
from vicl.figures.arxiv.latex.figures import LatexFigure
from vicl.figures.arxiv.latex.page import assemble


class Said(NamedTuple):
    """Of a picture: the caption and label of the figure in which it stands."""

    caption: str
    label: str


class Grid(NamedTuple):
    """A figure that the text puts together.

    Attributes:
        number: Among the paper's figures, from 1.
        image: RGB.
        members: Paths of its pictures in the source, each once.
        said: Of it.
    """

    number: int
    image: Image.Image
    members: tuple[str, ...]
    said: Said


def captions(figures: Sequence[LatexFigure], there: Collection[str]) -> dict[str, Said]:
    """What is said of pictures by path; of several figures that show one the first counts.

    Args:
        figures: Of the paper.
        there: Paths of its pictures.
    """
    found: dict[str, Said] = {}
    for figure in figures:
        for graphic in figure.graphics:
            path = _path(graphic, there)
            if path is not None:
                found.setdefault(path, Said(figure.caption, figure.label))
    return found


def grids(
    figures: Sequence[LatexFigure],
    there: Collection[str],
    picture: Callable[[str], Image.Image],
    dropped: Counter[str],
) -> Iterator[Grid]:
    """Put together what shows several pictures, one after the other.

    Args:
        figures: Of the paper.
        there: Paths of its pictures.
        picture: Opens one of them.
        dropped: Counts those that are not put together, by reason.
    """
    for number, figure in enumerate(figures, 1):
        if len(figure.graphics) < 2:
            continue
        image = assemble(figure, lambda path: picture(path) if path in there else None)
        if image is None:
            reason = figure.reasons[0] if figure.reasons else "pictures are missing"
            dropped[f"grid not assembled: {reason}"] += 1
            continue
        paths = (_path(graphic, there) for graphic in figure.graphics)
        members = tuple(dict.fromkeys(path for path in paths if path is not None))
        yield Grid(number, image, members, Said(figure.caption, figure.label))


def _path(graphic: Graphic, there: Collection[str]) -> str | None:
    return next((path for path in graphic.candidates if path in there), None)
