"""Rectangles of whole pixels, and how an image of one shape goes into a cell of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Fit = Literal["stretch", "pad", "crop"]
"""How an image of another shape goes into a cell: distorted (as the paper does), whole with black
bars, or its central part."""


@dataclass(frozen=True)
class Rect:
    """A rectangle of whole pixels: rows `top` to `bottom`, columns `left` to `right`, half-open."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column to the right."""
        return self.left + self.width

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    def of(self, image: Tensor) -> Tensor:
        """The part of `image` (..., H, W) that this rectangle covers, as a view."""
        return image[..., self.top : self.bottom, self.left : self.right]

    def overlaps(self, other: Rect) -> bool:
        """Whether the two share a pixel."""
        return (
            self.top < other.bottom
            and other.top < self.bottom
            and self.left < other.right
            and other.left < self.right
        )

    def holds(self, other: Rect) -> bool:
        """Whether `other` lies inside."""
        return (
            self.top <= other.top
            and other.bottom <= self.bottom
            and self.left <= other.left
            and other.right <= self.right
        )


@dataclass(frozen=True)
class Placement:
    """Which part of an image is drawn on which part of its cell.

    Attributes:
        image: The part of the image that is shown, in the image's pixels.
        cell: The part of the cell that it fills, in pixels from the cell's corner.
    """

    image: Rect
    cell: Rect


def place(image_size: tuple[int, int], cell_size: tuple[int, int], fit: Fit) -> Placement:
    """Say how an image of `image_size` (h, w) goes into a cell of `cell_size` (h, w).

    Raises:
        ValueError: If `fit` is unknown.
    """
    (h, w), (ch, cw) = image_size, cell_size
    if fit == "stretch":
        return Placement(Rect(0, 0, h, w), Rect(0, 0, ch, cw))
    if fit == "pad":
        scale = min(ch / h, cw / w)
        ih, iw = (min(c, max(1, round(s * scale))) for s, c in ((h, ch), (w, cw)))
        return Placement(Rect(0, 0, h, w), Rect((ch - ih) // 2, (cw - iw) // 2, ih, iw))
    if fit == "crop":
        scale = max(ch / h, cw / w)
        ih, iw = (min(s, max(1, round(c / scale))) for s, c in ((h, ch), (w, cw)))
        return Placement(Rect((h - ih) // 2, (w - iw) // 2, ih, iw), Rect(0, 0, ch, cw))
    raise ValueError(f"fit: got {fit!r}, expected 'stretch', 'pad' or 'crop'")
