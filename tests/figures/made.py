"""Scenes made by hand for the tests."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np

from vicl.figures.synthetic.rules import RULES, Pair, Rule, Values
from vicl.figures.synthetic.scenes.families import FAMILIES, choose_family, draw_scene
from vicl.figures.synthetic.scenes.scene import COLOURS, Background, Scene, Surface, Thing, Wish

SIZE = (64, 64)


def thing(shape: str = "square", colour: str = "red", **changes: object) -> Thing:
    """A plain thing in the middle, half as wide as the cell."""
    made = Thing(shape, (0.5, 0.5), 0.25, Surface(COLOURS[colour]), colour, "large")
    return replace(made, **changes)  # type: ignore[arg-type]


def scene(*things: Thing, ground: str = "white", seed: int = 3) -> Scene:
    """Things on a plain ground."""
    surface = Surface(COLOURS[ground])
    return Scene(things, Background("plain", surface), seed=seed)


def apply(name: str, shown: Scene, values: Values | None = None) -> Pair:
    """A row of a rule; the values are drawn where none are given."""
    rule = RULES[name]
    return rule.apply(shown, SIZE, rule.draw(np.random.default_rng(0)) | (values or {}))


def drawn(rule: Rule, seed: int) -> tuple[Scene, Values]:
    """Values of a rule, and a scene that grants its wish."""
    rng = np.random.default_rng(seed)
    values = rule.draw(rng)
    wish: Wish = rule.wish(values)
    return draw_scene(rng, choose_family(rng, wish, tuple(FAMILIES.values())), wish), values


def matplotlib_fonts() -> Path | None:
    """The folder of the fonts that come with matplotlib; None where it is not installed."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
