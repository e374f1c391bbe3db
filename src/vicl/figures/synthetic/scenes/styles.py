"""Styles: how the scenes of a family look, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from vicl.figures.synthetic.scenes.scene import SHAPES, Picture, Wish

GENERATED_LICENCE = "Apache-2.0"
"""Of what is drawn from numbers alone: that of the program."""

_LOOK_ALIKES = (
    ("circle", "ellipse", "hexagon", "pentagon"),
    ("square", "diamond", "bar"),
    ("circle", "ring"),
    ("star", "cross"),
    ("drop", "heart", "triangle"),
    ("half-disc", "crescent"),
    ("ellipse", "bar", "half-disc"),
    ("plain", "gradient", "noise"),
    ("dots", "checks", "rings"),
    ("stripes", "rings"),
)
"""Groups of shapes, and of textures, that are not set beside each other to be told apart."""

Supply = Callable[[Generator], Picture]
"""Draws a picture: a cut-out, or a photograph for a background."""


@dataclass(frozen=True, eq=False)
class Style:
    """How the scenes of a family look.

    Attributes:
        shapes: Of its things: see `Thing.shape`.
        textures: Of its things.
        backgrounds: Kinds of backgrounds.
        things: Fewest and most things.
        closeness: See :func:`~vicl.figures.synthetic.scenes.placement.place`.
        reliefs: Of its things.
        shading: Range of `Light.shading`.
        shadow: Range of `Light.shadow`.
        camera: Share of scenes with camera noise; half as many are blurred or darkened.
        outlined: Share of scenes whose things have an outline.
        fonts: Paths for lettering; "" is the bundled font.
        cutouts: Supplies the shape "picture".
        photographs: Supplies the background "picture".
        licences: Of what it draws with, beside those of the pictures.
        weight: How often its scenes are drawn beside others.
    """

    shapes: tuple[str, ...] = SHAPES
    textures: tuple[str, ...] = ("plain",)
    backgrounds: tuple[str, ...] = ("plain",)
    things: tuple[int, int] = (1, 5)
    closeness: float = 0.8
    reliefs: tuple[str, ...] = ("flat",)
    shading: tuple[float, float] = (0.0, 0.0)
    shadow: tuple[float, float] = (0.0, 0.0)
    camera: float = 0.0
    outlined: float = 0.0
    fonts: tuple[str, ...] = ("",)
    cutouts: Supply | None = None
    photographs: Supply | None = None
    licences: tuple[str, ...] = (GENERATED_LICENCE,)
    weight: float = 1.0

    def grants(self, wish: Wish) -> bool:
        """Whether scenes of this style can be what a rule needs."""
        low, high = self.numbers(wish)
        if low > high:
            return False
        if wish.shapes or wish.attribute == "shape":
            shapes = [shape for shape in self.shapes if shape in SHAPES]
            if wish.attribute == "shape":
                return wish.value in shapes and bool(others(wish.value, shapes))
            if not shapes:
                return False
        if wish.attribute == "texture":
            return wish.value in self.textures and bool(others(wish.value, self.textures))
        if wish.attribute == "size":
            return "text" not in self.shapes  # what is written says how wide it is
        return True

    def numbers(self, wish: Wish) -> tuple[int, int]:
        """Fewest and most things that both style and wish allow."""
        low = max(self.things[0], wish.things[0], 2 if wish.attribute else 1)
        return low, min(self.things[1], wish.things[1])


def others(value: str, names: Sequence[str]) -> tuple[str, ...]:
    """Those of some shapes or textures that nobody takes for this one."""
    alike = {name for group in _LOOK_ALIKES if value in group for name in group} | {value}
    return tuple(name for name in names if name not in alike)
