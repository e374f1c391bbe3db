"""Contact sheets of rules and of figures, to be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from vicl.canvas.layout import Layout
from vicl.exports.sheets import contact_sheet
from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.figures.synthetic.rules import RULES
from vicl.images import to_tensor


def rule_sheet(source: SyntheticFigures, rules: Iterable[str]) -> Image.Image:
    """Draw rules with two rows each.

    Args:
        source: Whose content and seed are taken.
        rules: Names.

    Returns:
        The page, mode RGB; six rules stand beside each other.

    Raises:
        ValueError: If there is no rule, one is unknown, or none of the content suits one.
    """
    names = list(rules)
    layout = Layout.paper()
    pictures = [source.grid(name, 0, layout).image for name in names]
    return _table(pictures, names, columns=6, cell=224)


def figure_sheet(source: SyntheticFigures) -> Image.Image:
    """Draw the first 64 figures of a source, with the names of their rules.

    Raises:
        ValueError: If no rule of the source can be shown with its content.
    """
    figures = [source.figure(index) for index in range(64)]
    return _table([f.image for f in figures], [f.rule for f in figures], columns=8, cell=168)


def groups() -> dict[str, list[str]]:
    """Names of the rules by group."""
    found: dict[str, list[str]] = {}
    for rule in RULES.values():
        found.setdefault(rule.group, []).append(rule.name)
    return found


def _table(
    pictures: Sequence[UInt8[np.ndarray, "_h _w 3"]],
    names: Sequence[str],
    *,
    columns: int,
    cell: int,
) -> Image.Image:
    if not pictures:
        raise ValueError("sheet: got nothing to draw, expected at least one rule")
    columns = min(columns, len(pictures))
    spare = [None] * (-len(pictures) % columns)
    shown: list[Float[Tensor, "3 _ _"] | None] = [*map(to_tensor, pictures), *spare]
    captions: list[str | None] = [*names, *spare]
    starts = range(0, len(shown), columns)
    return contact_sheet(
        [shown[start : start + columns] for start in starts],
        headers=[""] * columns,
        captions=[captions[start : start + columns] for start in starts],
        cell=cell,
    )
