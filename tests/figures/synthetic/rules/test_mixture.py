"""What is held out never comes into training: by name, by content, and by what rows show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.figures.made import scene, thing

from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.figures.synthetic.rules import HELD_OUT_RULES, RULES, TRAINING_MIXTURE
from vicl.figures.synthetic.rules.mixture import (
    GROUPS,
    HELD_OUT_COMPOSITIONS,
    HELD_OUT_NEW,
    TRAINING_COMPOSITIONS,
    shows_held_out,
    suits,
)
from vicl.figures.synthetic.rules.paper import PAPER_TASKS
from vicl.figures.synthetic.scenes.families import FAMILIES, HELD_OUT_FAMILIES
from vicl.figures.synthetic.scenes.scene import Scene


def test_lists_by_name() -> None:
    assert not set(TRAINING_MIXTURE) & set(HELD_OUT_RULES)
    assert set(TRAINING_MIXTURE) | set(HELD_OUT_RULES) == set(RULES)
    assert len(PAPER_TASKS) == 6
    assert set(PAPER_TASKS) < set(HELD_OUT_RULES)
    assert len(HELD_OUT_NEW) + len(HELD_OUT_COMPOSITIONS) >= 8
    assert len(HELD_OUT_NEW) >= 4
    assert len(HELD_OUT_FAMILIES) >= 2
    assert not set(FAMILIES) & set(HELD_OUT_FAMILIES)


def test_nothing_new_is_part_of_a_training_rule() -> None:
    for name in TRAINING_MIXTURE:
        rule = RULES[name]
        assert rule.group in (*GROUPS, "composition")
        for part in rule.parts or ():
            assert part.name in TRAINING_MIXTURE
    assert not set(TRAINING_COMPOSITIONS) & set(HELD_OUT_COMPOSITIONS)
    # Nor the other way about: the same two rules give another picture only where order matters.
    assert not {frozenset(pair) for pair in TRAINING_COMPOSITIONS} & {
        frozenset(pair) for pair in HELD_OUT_COMPOSITIONS
    }
    for first, second in HELD_OUT_COMPOSITIONS:
        assert {first, second} <= set(TRAINING_MIXTURE)


def test_the_default_source_is_the_mixture() -> None:
    source = SyntheticFigures()
    assert dict(source.mixture) == TRAINING_MIXTURE
    assert set(source.families) == set(FAMILIES)


def _is_of_the_paper(before: Scene, after: Scene) -> bool:
    """Written anew: green to blue, circle to square, a circle to two thirds of its radius."""
    pairs = list(zip(before.things, after.things, strict=False))
    if len(before.things) != len(after.things):
        return False
    green_to_blue = any(o.colour_name == "green" and n.colour_name == "blue" for o, n in pairs)
    to_square = any(o.shape == "circle" and n.shape == "square" for o, n in pairs)
    to_two_thirds = any(
        o.shape == "circle" and abs(n.size / o.size - 20 / 30) < 0.06 for o, n in pairs
    )
    return green_to_blue or to_square or to_two_thirds


@pytest.mark.slow
def test_draws_hold_nothing_of_the_paper() -> None:
    source = SyntheticFigures(seed=11)
    seen: dict[str, int] = {}
    changes = 0
    for index in range(360):
        rng = np.random.default_rng([11, index])
        subject = source.subjects.draw(rng, rules=1, rows=1)
        (rule,), (values,) = subject.rules, subject.values
        seen[rule.name] = seen.get(rule.name, 0) + 1
        assert rule.name not in HELD_OUT_RULES
        for shown in subject.scenes:
            assert shown.family in FAMILIES
            if rule.change is not None:
                changes += 1
                assert not _is_of_the_paper(shown, rule.change(shown, values))
        if rule.name in ("mask-colours", "filled-box", "mask"):
            greenish = values["on"][1] > 150 and values["on"][0] < 80
            blueish = values["on"][2] > 150 and values["on"][0] < 80
            assert not (min(values["off"]) > 200 and (greenish or blueish))
    assert changes > 40
    assert len(seen) > 0.7 * len(TRAINING_MIXTURE)
    # What is drawn follows the weights.
    total = sum(TRAINING_MIXTURE.values())
    assert seen["mask"] / 360 == pytest.approx(TRAINING_MIXTURE["mask"] / total, rel=0.6)


def test_what_counts_as_of_the_paper() -> None:
    green, circle = scene(thing("star", "green")), scene(thing("circle", "red"))
    assert shows_held_out(green, scene(thing("star", "blue")))
    assert not shows_held_out(green, scene(thing("star", "cyan")))
    assert shows_held_out(circle, scene(thing("square", "red")))
    assert not shows_held_out(circle, scene(thing("star", "red")))
    assert shows_held_out(circle, scene(thing("circle", "red", size=0.25 * 2 / 3)))
    assert not shows_held_out(circle, scene(thing("circle", "red", size=0.125)))
    assert not shows_held_out(green, scene())


def test_rows_that_show_nothing_are_refused() -> None:
    red = scene(thing("star", "red"))
    assert suits(RULES["recolour"], red, {"colour": "blue"})
    assert not suits(RULES["recolour"], red, {"colour": "red"})
    assert not suits(RULES["recolour"], red, {"colour": "white"})  # the ground is white
    assert not suits(RULES["recolour"], scene(thing("star", "green")), {"colour": "blue"})
    assert suits(RULES["turn"], scene(thing("arrow")), {"degrees": 90})
    assert not suits(RULES["turn"], scene(thing("circle")), {"degrees": 90})
    values = {"first": {"colour": "red"}, "second": {"factor": 0.5}}
    assert not suits(RULES["recolour+resize"], red, values)
    assert suits(RULES["recolour+resize"], red, values | {"first": {"colour": "blue"}})
    assert suits(RULES["mask"], replace(red, things=()), {})
