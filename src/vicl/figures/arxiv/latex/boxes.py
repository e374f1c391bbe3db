"""What a figure is made of, as TeX thinks of it: boxes in lines; lengths in points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Align = Literal["left", "center", "right"]
Anchor = Literal["top", "center", "bottom"]
"""Which line of a box stands on the line that it is in; `center`: its middle does."""

Edges = tuple[float, float, float, float]
"""Left, bottom, right, top."""


@dataclass(frozen=True)
class Box:
    """Anything that stands in a line."""


@dataclass(frozen=True)
class Graphic(Box):
    """An included picture.

    Attributes:
        name: As the text has it.
        candidates: Paths inside the source that may be meant, in the order of LaTeX's search.
        width: None: as the height says, or the picture itself.
        height: Likewise.
        scale: Of a picture without width and height.
        keep_aspect: Fits into width and height; otherwise it is stretched to them.
        trim: What is cut off at each side.
        viewport: The part that is shown, from the lower left corner; instead of `trim`.
    """

    name: str
    candidates: tuple[str, ...]
    width: float | None = None
    height: float | None = None
    scale: float = 1.0
    keep_aspect: bool = False
    trim: Edges | None = None
    viewport: Edges | None = None


@dataclass(frozen=True)
class Words(Box):
    """A run of text without blanks; the font's size."""

    text: str
    size: float


@dataclass(frozen=True)
class Space(Box):
    r"""Room in a line.

    Attributes:
        width: May be negative.
        stretch: Shares of what is left of the line that it takes besides.
        weak: It shares with the margins of a line that is not full: `\hfil`, not `\hfill`.
        shrink: By how much it may be narrower; of a blank alone.
        breaks: A line that is too long may end here.
    """

    width: float
    stretch: float = 0.0
    weak: bool = False
    shrink: float = 0.0
    breaks: bool = False

    @property
    def is_blank(self) -> bool:
        """Whether it is one between words, which is nothing at a line's ends."""
        return self.shrink > 0


@dataclass(frozen=True)
class Strut(Box):
    """An empty box."""

    width: float
    ascent: float
    descent: float = 0.0


@dataclass(frozen=True)
class Line:
    """What stands side by side, until it is broken for its length.

    Attributes:
        items: From left to right.
        align: Where it stands in its box.
        below: Room under it, may be negative.
        leading: Least distance from the line before to this one.
        stacked: It stands right under the line before; of its own parts the leading holds.
    """

    items: tuple[Box, ...]
    align: Align = "left"
    below: float = 0.0
    leading: float = 12.0
    stacked: bool = False


@dataclass(frozen=True)
class Lines(Box):
    """Lines, one below another: a minipage, a subfigure, a whole figure.

    Attributes:
        lines: From the top.
        width: At which longer lines are broken; None: as wide as its longest line.
        height: Of the whole; None: as its lines need.
        anchor: Where it stands in a line.
    """

    lines: tuple[Line, ...]
    width: float | None = None
    height: float | None = None
    anchor: Anchor = "center"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        align: Of its cells.
        width: At which their lines are broken; None: as they need.
        anchor: Which line of a cell stands on the row's.
    """

    align: Align = "center"
    width: float | None = None
    anchor: Anchor = "top"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        body: What is in it.
        align: Where that stands.
        columns: Over how many it goes.
        rows: Likewise; negative: upwards.  It then counts for no row's height.
        raised: By how much it stands higher.
    """

    body: Lines
    align: Align
    columns: int = 1
    rows: int = 1
    raised: float = 0.0


@dataclass(frozen=True)
class Table(Box):
    """A table.

    Attributes:
        rows: Cells from left to right.
        columns: At least as many as the longest row has.
        gaps: Room before each column, and after the last.
        below: Room under each row, besides what it has.
        strut: Least height of a row, of which 0.7 above its line.
        width: To which the gaps between columns are stretched; None: not.
        anchor: Where it stands in a line.
    """

    rows: tuple[tuple[Cell, ...], ...]
    columns: tuple[Column, ...]
    gaps: tuple[float, ...]
    below: tuple[float, ...]
    strut: float
    width: float | None = None
    anchor: Anchor = "center"


@dataclass(frozen=True)
class Boxed(Box):
    """A box of a width of its own, whatever is in it; None: as wide as that."""

    body: Lines
    width: float | None = None
    align: Align = "center"
    border: float = 0.0


@dataclass(frozen=True)
class Captioned(Box):
    """A box with a caption under it that is no wider; the box's own line is the whole's.

    Attributes:
        body: The box.
        caption: One line, broken at the body's width; without items: none.
        gap: Room between them.
        above: Room over both.
        below: Room under both.
        width: Of the whole; None: the body's.
    """

    body: Box
    caption: Line
    gap: float = 0.0
    above: float = 0.0
    below: float = 0.0
    width: float | None = None


@dataclass(frozen=True)
class Scaled(Box):
    """A box brought to a size; None: as the other says, or by `scale`."""

    body: Box
    width: float | None = None
    height: float | None = None
    scale: float = 1.0
    keep_aspect: bool = False


@dataclass(frozen=True)
class Turned(Box):
    """A box turned by degrees, against the clock: about the left end of its line, or its centre."""

    body: Box
    angle: float
    about_center: bool = False


@dataclass(frozen=True)
class Raised(Box):
    """A box raised by points, and by a share of its height."""

    body: Box
    by: float
    share: float = 0.0


def graphics_of(box: Box) -> Iterator[Graphic]:
    """All pictures in a box, in the text's order."""
    waiting = [box]
    while waiting:
        box = waiting.pop()
        if isinstance(box, Graphic):
            yield box
        elif isinstance(box, Lines):
            inner = [item for line in box.lines for item in line.items]
            waiting.extend(reversed(inner))
        elif isinstance(box, Table):
            waiting.extend(cell.body for row in reversed(box.rows) for cell in reversed(row))
        elif isinstance(box, Boxed | Captioned | Scaled | Turned | Raised):
            waiting.append(box.body)
