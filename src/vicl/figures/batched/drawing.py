"""Packed scenes as pixels, on any device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.figures.batched.distances import SPAN, distance_maps
from vicl.figures.batched.packing import BATCHED_BACKGROUNDS, NUMBERS, Packed
from vicl.figures.scenes.patterns import noise_tile
from vicl.figures.scenes.scene import TEXTURES

_TURN = 2 * np.pi


@dataclass(frozen=True, eq=False)
class Drawn:
    """A batch of scenes as pixels, everything in [0, 1].

    Attributes:
        image: RGB.
        visible: How much of each pixel shows each thing.
    """

    image: Float[Tensor, "s 3 h w"]
    visible: Float[Tensor, "s n h w"]


@dataclass(frozen=True, eq=False)
class _Grid:
    """Where the pixels of a square cell are, in shares of it, and the stored pictures."""

    x: Float[Tensor, "1 w"]
    y: Float[Tensor, "h 1"]
    side: int
    distances: Float[Tensor, "shapes 1 a a"]
    noise: Float[Tensor, "t t"]


def draw(packed: Packed, side: int, device: torch.device | str = "cpu") -> Drawn:
    """Draw scenes in square cells, as :func:`vicl.figures.scenes.rendering.render` would.

    Edges and clouds differ a little from those drawn one by one, and noise shows other grains of
    the same kind.

    Args:
        packed: From :func:`~vicl.figures.batched.packing.pack`.
        side: Of the cells, in pixels.
        device: Where to draw.
    """
    grid = _grid(side, torch.device(device))
    image = _draw_grounds(packed, grid)
    scenes, count = packed.shapes.shape
    visible = image.new_zeros(scenes, count, side, side)
    numbers = torch.from_numpy(packed.numbers).to(device)
    colours = torch.from_numpy(packed.colours).to(device)[..., None, None]
    for n in range(count):
        # Things stand in front of those before them; scenes with fewer drop out as n grows.
        here = np.flatnonzero(packed.numbers[:, n, NUMBERS.index("opacity")])
        if not len(here):
            continue
        rows = torch.from_numpy(here).to(device)
        own = numbers[rows, n]
        x, y = _frame(own, grid)
        cover = _cover(own, packed.shapes[here, n], x, y, grid)
        mix = _mix(own, packed.textures[here, n], x, y, grid)
        paint = torch.lerp(colours[rows, n, 0], colours[rows, n, 1], mix[:, None])
        behind = image[rows]
        image[rows] = behind + (paint - behind) * cover[:, None]
        if n:
            visible[rows, :n] *= 1 - cover[:, None]
        visible[rows, n] = cover
    return Drawn(image, visible)


def _grid(side: int, device: torch.device) -> _Grid:
    along = (torch.arange(side, device=device) + 0.5) / side
    return _Grid(
        along[None],
        along[:, None],
        side,
        torch.tensor(distance_maps(), device=device)[:, None],
        torch.tensor(noise_tile(), device=device) / 255,
    )


def _column(numbers: Float[Tensor, "s 12"], name: str) -> Float[Tensor, "s 1 1"]:
    return numbers[:, NUMBERS.index(name), None, None]


def _frame(
    numbers: Float[Tensor, "s 12"], grid: _Grid
) -> tuple[Float[Tensor, "s h w"], Float[Tensor, "s h w"]]:
    """Coordinates of all pixels in each thing's own frame, shares of the cell."""
    x, y = grid.x - _column(numbers, "x"), grid.y - _column(numbers, "y")
    cos, sin = _column(numbers, "cos"), _column(numbers, "sin")
    return (x * cos + y * sin) * _column(numbers, "hand"), y * cos - x * sin


def _cover(
    numbers: Float[Tensor, "s 12"],
    shapes: Int64[np.ndarray, " s"],
    x: Float[Tensor, "s h w"],
    y: Float[Tensor, "s h w"],
    grid: _Grid,
) -> Float[Tensor, "s h w"]:
    """How much of each pixel a thing covers, from the distance to its outline."""
    size, aspect = _column(numbers, "size"), _column(numbers, "aspect")
    places = torch.stack([x / (size * aspect), y / size], dim=-1) / SPAN
    maps = grid.distances[torch.from_numpy(shapes).to(x.device)]
    far = F.grid_sample(maps, places, padding_mode="border", align_corners=False)[:, 0]
    # A stretched shape's distances are stretched too; the mean of both ways is near enough.
    pixels = far * size * aspect.sqrt() * grid.side
    return (0.5 - pixels).clamp(0, 1) * _column(numbers, "opacity")


def _mix(
    numbers: Float[Tensor, "s 12"],
    textures: Int64[np.ndarray, " s"],
    x: Float[Tensor, "s h w"],
    y: Float[Tensor, "s h w"],
    grid: _Grid,
) -> Float[Tensor, "s h w"]:
    """Where the second colour of each thing shows."""
    mix = torch.zeros_like(x)
    for number, texture in enumerate(TEXTURES):
        here = np.flatnonzero(textures == number)
        if texture != "plain" and len(here):
            rows = torch.from_numpy(here).to(x.device)
            own = numbers[rows]
            scale, turn = _column(own, "scale"), _column(own, "turn")
            cos, sin = turn.cos(), turn.sin()
            u, v = x[rows] * cos + y[rows] * sin, y[rows] * cos - x[rows] * sin
            mix[rows] = _pattern(
                texture, u, v, scale, _column(own, "extent"), _column(own, "seed"), grid
            )
    return mix


Column = Float[Tensor, "s 1 1"]


def _pattern(
    texture: str,
    u: Float[Tensor, "s h w"],
    v: Float[Tensor, "s h w"],
    scale: Column,
    extent: Column | float,
    seed: Column,
    grid: _Grid,
) -> Float[Tensor, "s h w"]:
    """As :func:`vicl.figures.scenes.patterns.pattern`, for many at once."""
    if texture == "gradient":
        return (u / (2 * extent) + 0.5).clamp(0, 1)
    if texture == "noise":
        return _grain(u, v, seed, grid)
    turn = _TURN / scale
    if texture == "stripes":
        wave = (u * turn).sin()
    elif texture == "checks":
        wave = (u * turn).sin() * (v * turn).sin()
    elif texture == "dots":
        wave = ((u * turn).cos() + (v * turn).cos()) / 2 - 0.3
    else:
        wave = (torch.hypot(u, v) * turn).sin()
    pixels = (scale * grid.side).clamp(min=2)
    return (wave * pixels / 6 + 0.5).clamp(0, 1)


def _grain(
    u: Float[Tensor, "s h w"], v: Float[Tensor, "s h w"], seed: Column, grid: _Grid
) -> Float[Tensor, "s h w"]:
    """Stored noise, from a place that follows from the seed."""
    side = len(grid.noise)
    rows = (v * grid.side + seed * 7).round().long() % side
    columns = (u * grid.side + seed * 13).round().long() % side
    return grid.noise[rows, columns]


def _draw_grounds(packed: Packed, grid: _Grid) -> Float[Tensor, "s 3 h w"]:
    device = grid.x.device
    numbers = torch.from_numpy(packed.ground_numbers).to(device)
    colours = torch.from_numpy(packed.ground_colours).to(device)
    mix = torch.zeros(len(packed.grounds), grid.side, grid.side, device=device)
    for number, kind in enumerate(BATCHED_BACKGROUNDS):
        here = np.flatnonzero(packed.grounds == number)
        if kind == "plain" or not len(here):
            continue
        rows = torch.from_numpy(here).to(device)
        if kind == "clouds":
            fields = torch.from_numpy(packed.fields).to(device)[:, None]
            wide: Literal["bicubic"] = "bicubic"
            grown = F.interpolate(fields, (grid.side, grid.side), mode=wide, align_corners=False)
            mix[rows] = grown[:, 0].clamp(0, 1)
            continue
        scale, angle, seed = (numbers[rows, i, None, None] for i in range(3))
        upright = kind in ("noise", "paper")
        cos = torch.ones_like(angle) if upright else angle.cos()
        sin = torch.zeros_like(angle) if upright else angle.sin()
        x, y = grid.x - 0.5, grid.y - 0.5
        u, v = x * cos + y * sin, y * cos - x * sin
        texture = "noise" if upright else kind
        drawn = _pattern(texture, u, v, scale, 0.6, seed, grid)
        mix[rows] = drawn / 4 if kind == "paper" else drawn
    return torch.lerp(colours[:, 0, :, None, None], colours[:, 1, :, None, None], mix[:, None])
