"""A figure: one training image, with what is known of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, UInt8

from vicl.canvas.rects import Rect

Role = Literal["input", "output", "query", "answer"]
"""What a cell shows; query and answer are the last pair of a clean grid."""


@dataclass(frozen=True)
class Cell:
    """A picture in a figure.

    Attributes:
        rect: Where it stands.
        row: Number of its scene.
        role: What it shows of the scene.
        rule: Number of the rule that made it; of an input, 0.
    """

    rect: Rect
    row: int
    role: Role
    rule: int = 0


@dataclass(frozen=True)
class Law:
    """A rule with the values that a figure has it with.

    Attributes:
        rule: Its name.
        values: Shared by all rows.
    """

    rule: str
    values: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure and what is known of it.

    Attributes:
        image: RGB.
        kind: A clean grid, as prompts are laid out; or a page as in a paper.
        laws: Its rules: one; more on pages with several outputs a scene.
        cells: All pictures.
        answer: Of a grid, where the answer stands; the image shows the right one.
        hole: Of a grid, the whole patches that a prompt would leave to be filled.
        families: What its scenes show, one name a row.
        licences: Of everything that it shows, sorted.
        seed: Of the source that made it.
        index: Its number there.
    """

    image: UInt8[np.ndarray, "H W 3"]
    kind: Literal["grid", "page"]
    laws: tuple[Law, ...]
    cells: tuple[Cell, ...]
    answer: Rect | None
    hole: Rect | None
    families: tuple[str, ...]
    licences: tuple[str, ...]
    seed: int
    index: int

    @property
    def rule(self) -> str:
        """Name of its rule; several are joined by commas."""
        return ",".join(law.rule for law in self.laws)

    def hole_mask(self) -> Bool[np.ndarray, "H W"] | None:
        """True where a prompt would leave the figure to be filled; None for a page."""
        if self.hole is None:
            return None
        hidden = np.zeros(self.image.shape[:2], np.bool_)
        hidden[self.hole.top : self.hole.bottom, self.hole.left : self.hole.right] = True
        return hidden

    def metadata(self) -> dict[str, Any]:
        """All but the pixels, as plain values for JSON; boxes are [top, left, height, width]."""
        return {
            "kind": self.kind,
            "rules": [asdict(law) for law in self.laws],
            "cells": [
                {"rect": _box(c.rect), "row": c.row, "role": c.role, "rule": c.rule}
                for c in self.cells
            ],
            "answer": _box(self.answer),
            "hole": _box(self.hole),
            "families": list(self.families),
            "licences": list(self.licences),
            "seed": self.seed,
            "index": self.index,
            "size": list(self.image.shape[:2]),
        }


def _box(rect: Rect | None) -> list[int] | None:
    return None if rect is None else [rect.top, rect.left, rect.height, rect.width]
