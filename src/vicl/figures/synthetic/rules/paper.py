"""The six tasks of the paper's synthetic study, as rules; they are held out.

A green shape on white changes its colour, its shape or its size, or two of these.  They differ from
the shapes of :mod:`vicl.evaluation.datasets.generated`, by which the study is repeated and
scored, in that pictures are drawn at the size of their cell, with soft borders.

Source: Bar et al. 2022, arXiv:2209.00647, section 4 (synthetic data study).
"""

from __future__ import annotations

from dataclasses import replace

from vicl.figures.synthetic.rules.drawing import row_rng
from vicl.figures.synthetic.rules.rule import Apply, Pair, Size, Values, pairs, render_both
from vicl.figures.synthetic.scenes.scene import Background, Rgb, Scene, Surface, Thing, Wish

SIDE = 224
"""Side of the paper's pictures, in pixels, in which the following are given."""
CENTRES = (10, 213)
RADII = (10, 49)
LARGE, SMALL = 30, 20
"""Radius before and after a change of size."""

GREEN: Rgb = (0.0, 1.0, 0.0)
BLUE: Rgb = (0.0, 0.0, 1.0)

PAPER_TASKS: dict[str, tuple[str, ...]] = {
    "paper-color": ("colour",),
    "paper-shape": ("shape",),
    "paper-size": ("size",),
    "paper-shape+color": ("shape", "colour"),
    "paper-size+color": ("size", "colour"),
    "paper-size+shape": ("size", "shape"),
}
"""Rule -> what changes: green to blue, a circle to a square, the radius from 30 to 20."""

_PLACE = 51


def _circle(scene: Scene, *, sized: bool) -> Scene:
    """A green circle on white; only the seed is taken of the scene."""
    rng = row_rng(scene, _PLACE)
    y, x = (int(v) for v in rng.integers(CENTRES[0], CENTRES[1] + 1, 2))
    radius = LARGE if sized else int(rng.integers(RADII[0], RADII[1] + 1))
    thing = Thing("circle", (y / SIDE, x / SIDE), radius / SIDE, Surface(GREEN), "green")
    white = Background("plain", Surface((1.0, 1.0, 1.0)))
    return Scene((thing,), white, seed=scene.seed, family="paper")


def _apply(changed: tuple[str, ...]) -> Apply:
    def apply(scene: Scene, size: Size, values: Values) -> Pair:
        before = _circle(scene, sized="size" in changed)
        thing = before.things[0]
        if "colour" in changed:
            thing = thing.but(surface=Surface(BLUE), colour_name="blue")
        if "shape" in changed:
            thing = thing.but(shape="square")
        if "size" in changed:
            thing = thing.but(size=SMALL / SIDE)
        return render_both(before, replace(before, things=(thing,)), size)

    return apply


for _name, _changed in PAPER_TASKS.items():
    _what = "A green shape on white changes its " + " and its ".join(_changed)
    pairs(wish=Wish(things=(1, 1)), name=_name, what=_what)(_apply(_changed))
