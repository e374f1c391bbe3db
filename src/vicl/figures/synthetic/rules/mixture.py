"""What training sees, and what it never sees: by name, and by what a row shows.

Source of the paper's tasks: Bar et al. 2022, arXiv:2209.00647, section 4 (synthetic data study).
"""

from __future__ import annotations

from vicl.figures.synthetic.rules import (
    choosing,
    colour,
    geometry,
    lines,
    masks,
    restoration,
    shading,
    tone,
    unseen,
)
from vicl.figures.synthetic.rules.composition import compose
from vicl.figures.synthetic.rules.paper import PAPER_TASKS
from vicl.figures.synthetic.rules.rule import RULES, Rule, Values, register
from vicl.figures.synthetic.scenes.palette import distance
from vicl.figures.synthetic.scenes.scene import Scene, Thing

GROUPS = tuple(
    module.__name__.rpartition(".")[2]
    for module in (masks, choosing, lines, colour, tone, restoration, geometry, shading)
)
"""Names of the files whose functions are the rules that training may show."""

TRAINING_COMPOSITIONS = (
    ("recolour", "resize"),
    ("recolour", "reshape"),
    ("reshape", "resize"),
    ("recolour", "negative"),
    ("reshape", "mask"),
    ("recolour", "turn"),
    ("resize", "recolour-background"),
    ("erase", "mask"),
    ("mirror", "negative"),
    ("mask", "mirror"),
    ("outline", "rotate"),
    ("denoise", "grayscale"),
    ("grayscale", "quantise"),
    ("choose-colour", "mirror"),
)
"""First and second; what training shows."""

HELD_OUT_COMPOSITIONS = (
    ("resize", "mask"),
    ("erase", "recolour"),
    ("resize", "negative"),
    ("mirror", "grayscale"),
    ("deblur", "duotone"),
    ("marked-dot", "mirror"),
    ("choose-shape", "rotate"),
)
"""What training never shows, made of rules that it shows."""


for _first, _second in (*TRAINING_COMPOSITIONS, *HELD_OUT_COMPOSITIONS):
    register(compose(_first, _second))

HELD_OUT_NEW = tuple(
    rule.name for rule in RULES.values() if rule.group == unseen.__name__.rpartition(".")[2]
)
"""Rules of which no part is in the mixture."""

HELD_OUT_RULES: tuple[str, ...] = (
    *PAPER_TASKS,
    *(f"{first}+{second}" for first, second in HELD_OUT_COMPOSITIONS),
    *HELD_OUT_NEW,
)
"""Rules that training never shows."""

TRAINING_MIXTURE: dict[str, float] = {
    rule.name: rule.weight for rule in RULES.values() if rule.name not in HELD_OUT_RULES
}
"""The rules that training shows -> how often each is drawn beside the others."""

PAPER_SHRINKS = (0.6, 0.74)
"""Factors about the paper's 20/30 by which no circle shrinks in training."""


def shows_held_out(before: Scene, after: Scene) -> bool:
    """Whether a change of a scene shows a change of the paper's study.

    That is so if any thing that was green becomes blue, that was a circle becomes a square, or that
    is a circle shrinks by about a third: in whatever surroundings, and with whatever else.

    Args:
        before: The scene of the input.
        after: The scene of the output, with the same things in the same order, or with fewer.
    """
    if len(before.things) != len(after.things):
        return False
    return any(
        (old.colour_name, new.colour_name) == ("green", "blue")
        or (old.shape, new.shape) == ("circle", "square")
        or (old.shape == "circle" and PAPER_SHRINKS[0] < new.size / old.size < PAPER_SHRINKS[1])
        for old, new in zip(before.things, after.things, strict=True)
    )


_EVEN = ("circle", "ring", "square", "diamond", "pentagon", "hexagon", "cross", "star")
"""Shapes that look much the same when they are turned."""


def is_visible(before: Scene, after: Scene) -> bool:
    """Whether a person can see a change of a scene, at one thing at least."""
    if len(before.things) != len(after.things):
        return True
    if before.background.surface.colour != after.background.surface.colour:
        return True
    return any(_differs(old, new) for old, new in zip(before.things, after.things, strict=True))


def _differs(old: Thing, new: Thing) -> bool:
    return (
        (old.shape, old.colour_name, old.centre) != (new.shape, new.colour_name, new.centre)
        or abs(old.size - new.size) > 0.1 * old.size
        or (old.angle != new.angle and old.shape not in _EVEN)
    )


def suits(rule: Rule, scene: Scene, values: Values) -> bool:
    """Whether a scene shows a rule, and shows nothing that is held out.

    Args:
        rule: Which.
        scene: One that grants the rule's wish.
        values: Of the rule.
    """
    if rule.parts is not None:
        first, second = rule.parts
        middle = first.change(scene, values["first"]) if first.change else scene
        if not (suits(first, scene, values["first"]) and suits(second, middle, values["second"])):
            return False
    if rule.change is None:
        return True
    after = rule.change(scene, values)
    held_out = rule.name in TRAINING_MIXTURE and shows_held_out(scene, after)
    return is_visible(scene, after) and not _hides(after) and not held_out


_ALIKE = 0.25
"""Distance of RGB colours within which a thing does not stand out."""


def _hides(scene: Scene) -> bool:
    """Whether a thing has the colour of the ground that it stands on."""
    ground = scene.background
    if ground.kind == "picture":
        return False
    tones = [ground.surface.colour]
    if ground.kind != "plain":
        tones.append(ground.surface.second)
    return any(
        thing.colour_name and min(distance(thing.surface.colour, tone) for tone in tones) < _ALIKE
        for thing in scene.things
    )
