"""Families: what is wished for is there, and can be told apart."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vicl.figures.synthetic.scenes.families import (
    FAMILIES,
    HELD_OUT_FAMILIES,
    choose_family,
    draw_scene,
)
from vicl.figures.synthetic.scenes.palette import stands_out, unlike
from vicl.figures.synthetic.scenes.placement import half_of, place
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import (
    COLOURS,
    POSITIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    Attribute,
    Family,
    Wish,
    attribute_of,
)

ALL = {**FAMILIES, **HELD_OUT_FAMILIES}
VALUES: dict[Attribute, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "size": tuple(SIZES),
    "shape": SHAPES,
    "texture": TEXTURES,
    "position": POSITIONS,
}


def wishes() -> list[Wish]:
    found = [Wish(), Wish(things=(1, 1)), Wish(things=(0, 6)), Wish(things=(2, 3), apart=True)]
    found += [Wish(shapes=True, movable=True), Wish(coloured=True)]
    for attribute, values in VALUES.items():
        for value in values:
            found.append(Wish((2, 5), attribute, value))
            found.append(Wish((2, 4), attribute, value, apart=True, movable=True))
    return found


@pytest.mark.parametrize("family", ALL.values(), ids=list(ALL))
def test_every_wish_that_is_granted_comes_true(family: Family) -> None:
    rng = np.random.default_rng(0)
    granted = [wish for wish in wishes() if family.grants(wish)]
    assert len(granted) > 20
    for wish in granted:
        scene = draw_scene(rng, family, wish)
        assert scene.family == family.name
        assert scene.licences
        assert max(1, wish.things[0]) <= len(scene.things) <= wish.things[1]
        if wish.attribute is not None:
            matches = [wish.value in attribute_of(t, wish.attribute) for t in scene.things]
            assert any(matches)
            assert not all(matches)
        if wish.shapes:
            assert all(thing.shape in SHAPES for thing in scene.things)
        if wish.coloured:
            names = {thing.colour_name for thing in scene.things}
            assert not names & {"black", "white", "grey"}


@pytest.mark.parametrize("family", ALL.values(), ids=list(ALL))
def test_things_apart_neither_touch_nor_leave_the_cell(family: Family) -> None:
    rng = np.random.default_rng(1)
    wish = Wish(things=(1, 4), apart=True)
    if not family.grants(wish):
        pytest.skip("always crowded")
    for _ in range(15):
        scene = draw_scene(rng, family, wish)
        alone = [replace(scene, things=(thing,)) for thing in scene.things]
        full = np.stack([render(one, (64, 64)).visible[0] for one in alone]) > 0
        assert full.sum(axis=0).max() <= 1
        border = np.ones((64, 64), np.bool_)
        border[1:-1, 1:-1] = False
        assert not (full & border).any()


def test_scenes_follow_from_the_seed_alone() -> None:
    for family in ALL.values():
        draws = [draw_scene(np.random.default_rng(7), family, Wish((1, 9))) for _ in range(2)]
        assert draws[0] == draws[1]
        assert draw_scene(np.random.default_rng(8), family, Wish((1, 9))) != draws[0]


def test_other_colours_are_not_taken_for_the_one_that_is_asked_for() -> None:
    rng = np.random.default_rng(3)
    for value in COLOURS:
        scene = draw_scene(rng, ALL["flat"], Wish((3, 5), "colour", value))
        others = [t.colour_name for t in scene.things if t.colour_name != value]
        assert set(others) <= set(unlike(value))
        ground = scene.background.surface.colour
        assert stands_out(COLOURS[value], [ground])


def test_sizes_differ_in_the_picture_as_in_the_names() -> None:
    for low, high in zip(list(SIZES.values())[:-1], list(SIZES.values())[1:], strict=True):
        assert high[0] > 1.25 * low[1]


def test_what_a_family_cannot_grant_is_refused() -> None:
    rng = np.random.default_rng(0)
    letters = Wish((2, 4), "shape", "star")
    assert not ALL["text"].grants(letters)
    with pytest.raises(ValueError, match="'text': cannot grant"):
        draw_scene(rng, ALL["text"], letters)
    with pytest.raises(ValueError, match="none of text can grant"):
        choose_family(rng, letters, [ALL["text"]])


def test_families_are_chosen_by_weight() -> None:
    rng = np.random.default_rng(0)
    chosen = [choose_family(rng, Wish(), [ALL["flat"], ALL["text"]]).name for _ in range(900)]
    assert ALL["flat"].weight == 2 * ALL["text"].weight
    assert chosen.count("flat") == pytest.approx(600, abs=60)


def test_held_out_families_are_no_families_for_training() -> None:
    assert len(HELD_OUT_FAMILIES) >= 2
    assert not set(HELD_OUT_FAMILIES) & set(FAMILIES)


def test_places() -> None:
    rng = np.random.default_rng(0)
    radii = [0.1, 0.2, 0.05]
    for _ in range(50):
        centres = place(rng, radii, apart=True)
        assert centres is not None
        for i, one in enumerate(centres):
            assert all(radii[i] < value < 1 - radii[i] for value in one)
            for j in range(i):
                assert math.dist(one, centres[j]) > radii[i] + radii[j]
    assert place(rng, [0.3, 0.3, 0.3], apart=True) is None
    assert half_of("left", within=True) == ((0.0, 1.0), (0.0, 0.42))
    assert half_of("bottom", within=False) == ((0.0, 0.42), (0.0, 1.0))
