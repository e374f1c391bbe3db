"""Lines while they are filled, and what holds where they are: widths, font, alignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from vicl.figures.arxiv.latex.boxes import Align, Anchor, Box, Line, Lines, Space, Words
from vicl.figures.arxiv.latex.lengths import length

_LONGEST_WORD: Final = 200
_MOST_REGISTERS: Final = 300

REGISTERS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "\\tabcolsep": 6.0,
        "\\arraycolsep": 5.0,
        "\\fboxsep": 3.0,
        "\\fboxrule": 0.4,
        "\\textheight": 650.0,
        "\\columnsep": 10.0,
        "\\paperwidth": 614.3,
        "\\paperheight": 795.0,
        "\\baselineskip": 12.0,
        "\\lineskip": 1.0,
        "\\parskip": 0.0,
        "\\parindent": 0.0,
        "\\smallskipamount": 3.0,
        "\\medskipamount": 6.0,
        "\\bigskipamount": 12.0,
        "\\abovecaptionskip": 10.0,
        "\\belowcaptionskip": 0.0,
        "\\extrarowheight": 0.0,
        "\\z@": 0.0,
        "\\p@": 1.0,
    }
)
"""Lengths as LaTeX's article has them, in points."""


@dataclass(frozen=True)
class Style:
    r"""What holds at a place of a text; lengths in points.

    Attributes:
        text: `\textwidth`.
        column: `\columnwidth`.
        line: `\linewidth`.
        size: The font's.
        align: Of lines.
        stretch: `\arraystretch`.
        sub: Whether it is in a subfigure, whose caption belongs to the picture.
        registers: All other lengths.
    """

    text: float = 345.0
    column: float = 345.0
    line: float = 345.0
    size: float = 10.0
    align: Align = "left"
    stretch: float = 1.0
    sub: bool = False
    registers: Mapping[str, float] = field(default_factory=lambda: REGISTERS)

    def length(self, text: str, **more: float) -> float | None:
        """Read a length, in points; `more` are registers without their backslash."""
        widths = {
            "\\textwidth": self.text,
            "\\columnwidth": self.column,
            "\\linewidth": self.line,
            "\\hsize": self.line,
        }
        widths.update((f"\\{name}", value) for name, value in more.items())
        return length(text, {**self.registers, **widths}, em=self.size)

    def with_register(self, name: str, value: float) -> Style:
        """Set a length; a new one only where there are not too many."""
        if name in ("\\linewidth", "\\hsize"):
            return replace(self, line=value)
        if name == "\\textwidth":
            return replace(self, text=value)
        if name == "\\columnwidth":
            return replace(self, column=value)
        if name not in self.registers and len(self.registers) >= _MOST_REGISTERS:
            return self
        return replace(self, registers={**self.registers, name: value})

    def within(self, width: float) -> Style:
        """In a minipage, where all widths are its own."""
        return replace(self, text=width, column=width, line=width, align="left")


@dataclass
class Flow:
    """Lines that are filled one by one; of a cell of a table also what it says of itself."""

    lines: list[Line] = field(default_factory=list)
    items: list[Box] = field(default_factory=list)
    below: float = 0.0
    columns: int = 1
    rows: int = 1
    raised: float = 0.0
    align: Align | None = None

    def add(self, box: Box) -> None:
        """Put a box after the last one."""
        self.items.append(box)

    def write(self, text: str, size: float) -> None:
        """Put text after the last, without a blank between them."""
        last = self.items[-1] if self.items else None
        if isinstance(last, Words) and last.size == size:
            text = last.text + text
            self.items.pop()
        self.items.append(Words(text[:_LONGEST_WORD], size))

    def blank(self, size: float) -> None:
        """Put a blank where one counts: not at the line's beginning nor after another."""
        last = self.items[-1] if self.items else None
        if last is not None and not (isinstance(last, Space) and last.is_blank):
            self.items.append(Space(size / 3, shrink=size / 9, breaks=True))

    def rise(self, height: float) -> None:
        """Put room below the line."""
        if self.items:
            self.below += height
        elif self.lines:
            last = self.lines[-1]
            self.lines[-1] = replace(last, below=last.below + height)
        else:
            self.lines.append(Line((), below=height))

    def strip(self) -> None:
        """Take away blanks at the end."""
        while self.items and isinstance(last := self.items[-1], Space) and last.is_blank:
            self.items.pop()

    def end_line(self, style: Style, below: float = 0.0) -> None:
        """End the line, if it has begun, with room below it."""
        self.strip()
        if self.items:
            leading = 1.2 * style.size
            self.lines.append(Line(tuple(self.items), style.align, self.below, leading))
            self.items, self.below = [], 0.0
        if below:
            self.rise(below)

    def finish(
        self,
        style: Style,
        *,
        width: float | None = None,
        height: float | None = None,
        anchor: Anchor = "center",
    ) -> Lines:
        """All lines as one box."""
        self.end_line(style)
        return Lines(tuple(self.lines), width, height, anchor)
