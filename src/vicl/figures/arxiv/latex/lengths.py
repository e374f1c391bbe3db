"""TeX's lengths, in points (1/72.27 inch), and the widths of a page."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

LONGEST: Final = 16383.0
"""The longest length that TeX knows, in points."""

INCH: Final = 72.27
"""Points."""

BIG_POINT: Final = INCH / 72

_UNITS: Final[Mapping[str, float]] = {
    "pt": 1.0,
    "in": INCH,
    "cm": INCH / 2.54,
    "mm": INCH / 25.4,
    "bp": BIG_POINT,
    "px": BIG_POINT,
    "pc": 12.0,
    "dd": 1238 / 1157,
    "cc": 12 * 1238 / 1157,
    "sp": 1 / 65536,
}

_PIECE: Final = re.compile(
    r"\s+|(?P<number>\d{1,9}(?:[.,]\d{0,9})?\d*|[.,]\d{1,9}\d*)|(?P<register>\\[A-Za-z@]+)"
    r"|(?P<unit>[a-z]{2,4})|(?P<sign>[-+*/])|(?P<brace>[{}()])"
)
_PASSED: Final = frozenset(("\\dimexpr", "\\relax", "\\real", "\\glueexpr", "\\dimen", "true"))


def length(text: str, registers: Mapping[str, float], *, em: float = 10.0) -> float | None:
    r"""Read a length.

    Args:
        text: As in TeX or in the package calc: `.3\textwidth`, `2cm`, `\linewidth-4pt`,
            `.5*\textwidth/3`; what may stretch or shrink is left out.
        registers: Lengths with names, in points.
        em: The font's size, in points.

    Returns:
        Points within `LONGEST` to both sides; None where it cannot be read.
    """
    total, sign, value, pending, operation = 0.0, 1.0, 1.0, False, "*"
    known = False  # whether the term has a unit
    at = 0
    while at < len(text):
        match = _PIECE.match(text, at)
        if match is None:
            return None
        at = match.end()
        piece = match.group()
        if match["sign"] in ("+", "-"):
            if known:
                total, value, known = total + sign * value, 1.0, False
                sign, pending, operation = 1.0, False, "*"
            elif pending:
                return None
            sign = -sign if piece == "-" else sign
        elif match["sign"]:
            operation = piece
        elif match["number"]:
            number = float(piece.replace(",", "."))
            if operation == "/" and number == 0:
                return None
            value = value / number if operation == "/" else value * number
            pending, operation = True, "*"
        elif match["register"] or match["unit"]:
            if piece in ("plus", "minus"):
                break
            if piece in _PASSED:
                continue
            unit = _unit(piece, registers, em)
            if unit is None or known:
                return None
            value, known = value * unit, True
    if not known and not (pending and value == 0):
        return None
    total += sign * value if known else 0.0
    return max(-LONGEST, min(LONGEST, total))


def _unit(name: str, registers: Mapping[str, float], em: float) -> float | None:
    if name in ("em", "ex"):
        return em if name == "em" else 0.43 * em
    return registers.get(name) if name[0] == "\\" else _UNITS.get(name)


_DEFAULT: Final = (345.0, 345.0)
_TWO: Final = (469.0, 229.5)
# Width of the text and of a column, by class or package, the first that is used.
_WIDTHS: Final[Mapping[str, tuple[float, float]]] = {
    "cvpr": (496.85, 237.13),
    "iccv": (496.85, 237.13),
    "wacv": (496.85, 237.13),
    "3dv": (496.85, 237.13),
    "neurips": (397.48, 397.48),
    "nips": (397.48, 397.48),
    "iclr": (397.48, 397.48),
    "icml": (487.82, 234.88),
    "acl": (455.24, 219.09),
    "aaai": (505.89, 239.39),
    "ijcai": (505.89, 243.91),
    "ieeetran": (516.0, 252.0),
    "spconf": (505.89, 243.91),
    "acmart": (506.3, 241.15),
    "llncs": (347.12, 347.12),
    "eccv": (347.12, 347.12),
    "elsarticle": (384.0, 384.0),
    "revtex4": (510.0, 246.0),
}


def page_widths(used: Collection[str], options: Collection[str]) -> tuple[float, float]:
    """The widths of a page's text and of a column, in points.

    Args:
        used: The class and the packages; years at their ends do not matter.
        options: The class's.

    Returns:
        Of a style that is known its own; otherwise of LaTeX's article.  Most pictures of a figure
        are sized in shares of these, so that little hangs on them.
    """
    names = [name.lower() for name in used]
    for style, widths in _WIDTHS.items():
        if any(re.fullmatch(re.escape(style) + r"[\d_.-]*[a-z_-]{0,20}", name) for name in names):
            single = style == "ieeetran" and "onecolumn" in options
            return (widths[0], widths[0]) if single else widths
    return _TWO if "twocolumn" in options else _DEFAULT
