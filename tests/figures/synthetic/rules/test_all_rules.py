"""What holds of every rule."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.figures.made import drawn

from vicl.figures.synthetic.rules import RULES
from vicl.figures.synthetic.rules.rule import pairs, register
from vicl.figures.synthetic.scenes.rendering import render

SIZE = (40, 48)


@pytest.mark.parametrize("name", RULES)
def test_contract(name: str) -> None:
    rule = RULES[name]
    for seed in range(3):
        scene, values = drawn(rule, seed)
        pair = rule.apply(scene, SIZE, values)
        for picture in (pair.input, pair.output):
            assert picture.shape == (*SIZE, 3)
            assert picture.dtype == np.uint8
        # Values are shared through JSON, and nothing else decides.
        again = rule.apply(scene, SIZE, json.loads(json.dumps(values)))
        assert np.array_equal(again.input, pair.input)
        assert np.array_equal(again.output, pair.output)
        if rule.plain and rule.group != "paper":
            assert np.array_equal(pair.input, render(scene, SIZE).image)
        if rule.measure == "iou":
            assert {"on", "off"} <= values.keys()


@pytest.mark.parametrize("name", RULES)
def test_values_are_drawn_from_the_generator_alone(name: str) -> None:
    rule = RULES[name]
    first, second = (rule.draw(np.random.default_rng(4)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", [name for name in RULES if name != "copy"])
def test_a_rule_does_something(name: str) -> None:
    rule = RULES[name]
    changed = 0
    for seed in range(6):
        scene, values = drawn(rule, seed)
        pair = rule.apply(scene, SIZE, values)
        difference = np.abs(pair.input.astype(int) - pair.output).max(axis=2)
        changed += int((difference > 20).mean() > 0.005)
    assert changed >= 4


def test_names_and_words() -> None:
    for rule in RULES.values():
        assert rule.what[0].isupper()
        assert len(rule.what) < 160
        assert rule.weight > 0


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="already one named 'mask'"):
        register(RULES["mask"])


def test_a_rule_needs_a_line_that_says_what_it_is() -> None:
    def wordless(scene, size, values):  # type: ignore[no-untyped-def]
        return None

    with pytest.raises(ValueError, match="no docstring"):
        pairs()(wordless)
