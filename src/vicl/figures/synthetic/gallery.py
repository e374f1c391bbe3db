"""Contact sheets of rules and of figures, to be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.exports.sheets import contact_sheet
from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.figures.synthetic.rules import RULES


def rule_sheet(
    source: SyntheticFigures, rules: Iterable[str], *, columns: int = 6, cell: int = 224
) -> Image.Image:
    """Draw rules with two rows each.

    Args:
        source: Whose content and seed are taken.
        rules: Names.
        columns: Rules beside each other.
        cell: Width and height of what a rule gets, in pixels.

    Returns:
        The page, mode RGB.

    Raises:
        ValueError: If there is no rule, one is unknown, or none of the content suits one.
    """
    names = list(rules)
    layout = Layout.paper()
    pictures = [source.grid(name, 0, layout).image for name in names]
    return _table(pictures, names, columns, cell)


def figure_sheet(
    source: SyntheticFigures, count: int = 64, *, columns: int = 8, cell: int = 168
) -> Image.Image:
    """Draw the first figures of a source, with the names of their rules.

    Raises:
        ValueError: If `count` is not positive.
    """
    figures = [source.figure(index) for index in range(count)]
    return _table([f.image for f in figures], [f.rule for f in figures], columns, cell)


def groups() -> dict[str, list[str]]:
    """Names of the rules by group."""
    found: dict[str, list[str]] = {}
    for rule in RULES.values():
        found.setdefault(rule.group, []).append(rule.name)
    return found


def _table(
    pictures: Sequence[UInt8[np.ndarray, "_h _w 3"]], names: Sequence[str], columns: int, cell: int
) -> Image.Image:
    if not pictures:
        raise ValueError("sheet: got nothing to draw, expected at least one rule or figure")
    columns = min(columns, len(pictures))
    rows: list[list[Float[Tensor, "3 _ _"] | None]] = []
    captions: list[list[str | None]] = []
    for first in range(0, len(pictures), columns):
        some = pictures[first : first + columns]
        empty = columns - len(some)
        rows.append([*map(_tensor, some), *[None] * empty])
        captions.append([*names[first : first + columns], *[None] * empty])
    return contact_sheet(rows, headers=[""] * columns, captions=captions, cell=cell)


def _tensor(picture: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "3 h w"]:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255
