"""Scenes as data: things on a background, under a light, before a camera.

A scene is a frozen value, so a rule changes one with :func:`dataclasses.replace` and has it
rendered again: the seeds that it keeps make background, noise and textures the same, and only what
the rule changed differs.  Lengths are shares of the cell's side, so that a scene has no size in
pixels until it is rendered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, UInt8
from numpy.random import Generator

Rgb = tuple[float, float, float]
"""RGB in [0, 1]."""

Attribute = Literal["colour", "size", "shape", "texture", "position"]
"""What some things of a scene can have in common."""

COLOURS: dict[str, Rgb] = {
    "red": (0.84, 0.13, 0.15),
    "orange": (0.97, 0.55, 0.10),
    "yellow": (0.96, 0.86, 0.18),
    "green": (0.16, 0.62, 0.22),
    "cyan": (0.20, 0.74, 0.80),
    "blue": (0.13, 0.30, 0.80),
    "purple": (0.50, 0.20, 0.65),
    "pink": (0.95, 0.50, 0.72),
    "brown": (0.46, 0.28, 0.13),
    "black": (0.07, 0.07, 0.08),
    "white": (0.96, 0.96, 0.96),
    "grey": (0.55, 0.55, 0.56),
}
"""The colours that things have, by name; drawn things vary a little around them."""

SHAPES = (
    "circle", "square", "triangle", "star", "ring", "cross", "heart", "diamond", "pentagon",
    "hexagon", "crescent", "drop", "arrow", "half-disc", "ellipse", "bar",
)  # fmt: skip
"""The shapes that can take each other's place: all fill a box of one size."""

TEXTURES = ("plain", "stripes", "dots", "checks", "gradient", "noise", "rings")
"""How a surface can be covered with its two colours."""

SIZES: dict[str, tuple[float, float]] = {
    "small": (0.075, 0.095),
    "medium": (0.125, 0.15),
    "large": (0.195, 0.235),
}
"""Ranges of `Thing.size` by name, with visible steps between them."""

POSITIONS = ("left", "right", "top", "bottom")
"""Halves of the cell that a thing can lie in."""

BACKGROUNDS = (
    "plain", "gradient", "noise", "clouds", "stripes", "checks", "dots", "paper", "landscape",
    "mosaic", "picture",
)  # fmt: skip
"""Kinds of backgrounds."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels out of a file, with where they are from.

    Attributes:
        pixels: RGB, or RGB and alpha; or one channel, the alpha of a region.
        name: Of the file.
        licence: As its source states it.
    """

    pixels: UInt8[np.ndarray, "h w c"]
    name: str
    licence: str


@dataclass(frozen=True)
class Surface:
    """Two colours and how they cover an area.

    Attributes:
        colour: The main colour, which names the thing.
        second: The other colour of the texture.
        texture: One of `TEXTURES`.
        scale: Period of the texture, a share of the cell.
        angle: Of stripes, gradient and checks, in radians.
        seed: Of the noise.
    """

    colour: Rgb
    second: Rgb = (1.0, 1.0, 1.0)
    texture: str = "plain"
    scale: float = 0.08
    angle: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Lettering:
    """What is written, and how.

    Attributes:
        text: One line.
        font: Path of a TrueType or OpenType font; "" is the one that comes with Pillow.
        bold: Letters are thicker by this share of their height.
        slant: Letters lean to the right by this share of their height.
    """

    text: str
    font: str = ""
    bold: float = 0.0
    slant: float = 0.0


@dataclass(frozen=True)
class Thing:
    """One object of a scene.

    Attributes:
        shape: One of `SHAPES`; or "blob" or "polygon", of a seed; "text"; "picture"; or "region", a
            part of a photograph.
        centre: (y, x) of its box, shares of the cell.
        size: Half the height of its box before it is turned, a share of the cell: the radius of
            a circle, half the side of a square.
        surface: Colours and texture; a picture has its own pixels and ignores it.
        colour_name: One of `COLOURS`; "" where the thing has many colours.
        size_name: One of `SIZES`.
        aspect: Width of the box over its height.
        angle: Turned by this, in radians, clockwise as seen.
        mirrored: Left and right changed places, before the turn.
        relief: How it rises towards the viewer, which shading, depth and normals show: "flat",
            "dome", "cone" or "bevel".
        seed: Of a blob's or polygon's outline.
        lettering: Of the shape "text".
        picture: Of the shapes "picture" and "region"; a region's covers the whole cell.
        tint: With a picture: its colours are replaced by shades of the surface's colour.
        outline: Width of a line around it in `surface.second`, a share of the cell; 0 for none.
        opacity: Of the whole thing, in (0, 1].
    """

    shape: str
    centre: tuple[float, float]
    size: float
    surface: Surface
    colour_name: str = ""
    size_name: str = ""
    aspect: float = 1.0
    angle: float = 0.0
    mirrored: bool = False
    relief: str = "flat"
    seed: int = 0
    lettering: Lettering | None = None
    picture: Picture | None = None
    tint: bool = False
    outline: float = 0.0
    opacity: float = 1.0

    def __hash__(self) -> int:
        # All fields would take longer than what is looked up by them.
        return hash((self.shape, self.centre, self.size, self.seed))

    def but(self, **changed: Any) -> Thing:
        """The same with other values of some fields.

        As :func:`dataclasses.replace`, which takes five times as long.

        Raises:
            TypeError: If there is no such field.
        """
        fields = self.__dict__ | changed
        if len(fields) > len(self.__dict__):
            raise TypeError(f"thing: got {', '.join(changed)}, expected fields of a thing")
        thing = object.__new__(Thing)
        thing.__dict__.update(fields)
        return thing


@dataclass(frozen=True)
class Background:
    """What lies behind all things.

    Attributes:
        kind: One of `BACKGROUNDS`.
        surface: Its colours; the texture is the kind's.
        picture: Of the kind "picture": RGB, shrunk to fill the cell.
    """

    kind: str
    surface: Surface
    picture: Picture | None = None


@dataclass(frozen=True)
class Light:
    """Where the light comes from, and what it does.

    Attributes:
        angle: Direction in the plane of the picture, in radians: 0 from the right, growing
            clockwise as seen.
        shading: How strongly reliefs are lit, in [0, 1].
        shadow: Darkness of the shadows that things cast, in [0, 1].
    """

    angle: float = -2.2
    shading: float = 0.0
    shadow: float = 0.0


@dataclass(frozen=True)
class Camera:
    """What the camera does to the picture.

    Attributes:
        noise: Standard deviation of its noise, in [0, 1].
        blur: Standard deviation of its blur, a share of the cell.
        vignetting: How much darker the corners are, in [0, 1].
    """

    noise: float = 0.0
    blur: float = 0.0
    vignetting: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A picture before it is rendered.

    Attributes:
        things: From back to front.
        background: Behind them.
        light: On them.
        camera: Before them.
        seed: Of the camera's noise.
        family: Name of the family that drew it.
        licences: Of everything in it, sorted, without repeats.
    """

    things: tuple[Thing, ...]
    background: Background
    light: Light = Light()
    camera: Camera = Camera()
    seed: int = 0
    family: str = ""
    licences: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash((self.seed, self.things))


@dataclass(frozen=True)
class Wish:
    """What a rule needs of a scene.

    Attributes:
        things: Fewest and most things. A family that has fewer by nature cannot grant it.
        attribute: At least one thing has this attribute with the value `value`, and at least one
            has not; so there are two things at least. None: no such division.
        value: Of the attribute: a name in `COLOURS`, `SIZES`, `SHAPES`, `TEXTURES`, `POSITIONS`.
        apart: Things neither touch each other nor the edge of the cell.
        movable: Things can be drawn elsewhere, in other sizes and colours, so that no region of
            a photograph will do.
        shapes: Things have one of `SHAPES`, so that it can be changed.
        coloured: The scene has colours to lose: not all is grey.
        label: Of photographs with label maps: the class whose regions are the things, 0 for all
            that is labelled; None for any.
    """

    things: tuple[int, int] = (1, 5)
    attribute: Attribute | None = None
    value: str = ""
    apart: bool = False
    movable: bool = False
    shapes: bool = False
    coloured: bool = False
    label: int | None = None


@dataclass(frozen=True, eq=False)
class Family:
    """One kind of content.

    Attributes:
        name: Unique.
        draw: Draws a scene that grants a wish.
        grants: Whether it can grant a wish.
        licence: Of all that it shows.
        weight: How often it is drawn beside others.
        settle: Draws what all scenes of one figure share into their wish; None: they share nothing.
    """

    name: str
    draw: Callable[[Generator, Wish], Scene]
    grants: Callable[[Wish], bool]
    licence: str
    weight: float = 1.0
    settle: Callable[[Generator, Wish], Wish] | None = None


@dataclass(frozen=True, eq=False)
class Rendered:
    """A scene as pixels; not to be written to.

    Attributes:
        image: RGB.
        layers: Makes `visible`, which most rules do not ask for.
    """

    image: UInt8[np.ndarray, "h w 3"]
    layers: Callable[[], UInt8[np.ndarray, "n h w"]]

    @cached_property
    def visible(self) -> UInt8[np.ndarray, "n h w"]:
        """How much of each pixel shows each thing, 0 to 255, other things before it taken off."""
        return self.layers()


@dataclass(frozen=True, eq=False)
class Geometry:
    """How far the pixels of a scene are, and how they are turned.

    Attributes:
        depth: Nearness in [0, 1]: 0 is the background, 1 nearest to the viewer.
        normals: Unit vectors (x to the right, y up, z to the viewer).
    """

    depth: Float[np.ndarray, "h w"]
    normals: Float[np.ndarray, "h w 3"]


def attribute_of(thing: Thing, attribute: Attribute) -> tuple[str, ...]:
    """All values that a thing has of an attribute: one, but for positions.

    Args:
        thing: Of any scene.
        attribute: Which.

    Returns:
        Names as in `Wish.value`; empty where the thing has none, as a picture has no colour.
    """
    if attribute == "position":
        y, x = thing.centre
        return ("left" if x < 0.5 else "right", "top" if y < 0.5 else "bottom")
    value = {
        "colour": thing.colour_name,
        "size": thing.size_name,
        "shape": thing.shape,
        "texture": thing.surface.texture,
    }[attribute]
    return (value,) if value else ()
