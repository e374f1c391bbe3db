"""Batches: the pictures that single figures have, of the same distribution."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from vicl.figures.batched.distances import SPAN, distance_maps
from vicl.figures.batched.drawing import draw
from vicl.figures.batched.figures import BATCHED_FAMILIES, BatchedFigures, batched_mixture
from vicl.figures.batched.packing import can_batch, pack
from vicl.figures.batched.rules import BATCHED_RULES
from vicl.figures.rules import RULES, TRAINING_MIXTURE
from vicl.figures.rules.mixture import HELD_OUT_RULES
from vicl.figures.scenes.families import FAMILIES, draw_scene
from vicl.figures.scenes.rendering import render
from vicl.figures.scenes.scene import SHAPES, Camera, Scene, Wish
from vicl.figures.synthetic import SyntheticFigures

SIDE = 64


def scenes(count: int) -> list[Scene]:
    rng = np.random.default_rng(0)
    return [
        draw_scene(rng, FAMILIES[BATCHED_FAMILIES[number % 2]], Wish()) for number in range(count)
    ]


def test_distances_of_a_circle_and_a_ring_by_hand() -> None:
    maps = distance_maps()
    side = maps.shape[1]
    places = (np.arange(side) + 0.5) * 2 * SPAN / side - SPAN
    radius = np.hypot(places[:, None], places)
    assert np.abs(maps[SHAPES.index("circle")] - (radius - 1)).max() < 0.005
    ring = np.maximum(radius - 1, 0.55 - radius)
    assert np.abs(maps[SHAPES.index("ring")] - ring).max() < 0.005
    square = np.maximum(np.abs(places[:, None]), np.abs(places)) - 1
    inside = square < 0
    assert np.abs(maps[SHAPES.index("square")] - square)[inside].max() < 1e-5


def test_scenes_look_as_those_drawn_one_by_one() -> None:
    drawn = scenes(24)
    shown = draw(pack(drawn), SIDE)
    for number, scene in enumerate(drawn):
        single = render(scene, (SIDE, SIDE))
        image = shown.image[number].permute(1, 2, 0).numpy() * 255
        # Noise shows other grains; the rest is the same but for the softness of edges.
        if scene.background.kind not in ("noise", "paper", "clouds"):
            assert np.abs(image - single.image).mean() < 6
        count = len(scene.things)
        assert not shown.visible[number, count:].any()
        for layer, other in zip(shown.visible[number].numpy(), single.visible, strict=False):
            assert np.abs(layer * 255 - other.astype(float)).sum() < 0.12 * other.sum() + 255 * 12


def test_what_cannot_be_drawn_in_batches_is_refused() -> None:
    rng = np.random.default_rng(0)
    lit = draw_scene(rng, FAMILIES["solid"], Wish())
    assert not can_batch(lit)
    with pytest.raises(ValueError, match="family 'solid': cannot be drawn in a batch"):
        pack([lit])
    flat = scenes(1)[0]
    assert can_batch(flat)
    assert not can_batch(replace(flat, camera=Camera(noise=0.1)))
    with pytest.raises(ValueError, match=r"got \['depth', 'text'\]"):
        BatchedFigures(mixture={"depth": 1.0}, families=("text",))


def test_all_scenes_of_the_families_can_be_drawn() -> None:
    assert all(can_batch(scene) for scene in scenes(200))


NOISY = {"denoise", "deblur+duotone"}


@pytest.mark.parametrize("name", BATCHED_RULES)
def test_rules_show_what_they_show_in_single_figures(name: str) -> None:
    families = ("textured",) if name == "choose-texture" else ("flat",)
    source = BatchedFigures(seed=1, mixture={name: 1.0}, families=families)
    batch = source.batch(0, 2)
    rule = RULES[name]
    for number in range(2):
        task = source.task(number)
        for scene, row in zip(task.scenes, (0, 113), strict=True):
            pair = rule.apply(scene, (111, 111), task.values[0])
            image = batch.image[number].permute(1, 2, 0).numpy() * 255
            before, after = image[row : row + 111, :111], image[row : row + 111, 113:]
            if name not in NOISY:
                assert np.abs(before - pair.input).mean() < 4
            assert np.abs(after - pair.output).mean() < 4


def test_noise_is_of_the_kind_and_amount_of_single_figures() -> None:
    source = BatchedFigures(mixture={"denoise": 1.0}, families=("flat",))
    batch = source.batch(0, 8)
    for number in range(8):
        task = source.task(number)
        single = RULES["denoise"].apply(task.scenes[0], (111, 111), task.values[0])
        clean = batch.image[number, :, :111, 113:]
        added = (batch.image[number, :, :111, :111] - clean).numpy() * 255
        wanted = single.input.astype(float) - single.output
        assert added.std() == pytest.approx(wanted.std(), rel=0.1)


def test_canvases_are_those_of_the_layout() -> None:
    source = BatchedFigures()
    batch = source.batch(0, 3)
    assert (batch.image[:, :, 111:113] == 1).all()
    assert (batch.image[..., 111:113] == 1).all()
    assert batch.hole.sum().item() == 3 * 112 * 112
    assert batch.hole[:, 112:, 112:].all()
    assert float(batch.image.min()) >= 0
    assert float(batch.image.max()) <= 1


def test_figures_do_not_depend_on_their_batch() -> None:
    mixture = {name: w for name, w in batched_mixture().items() if name not in NOISY}
    source = BatchedFigures(mixture=mixture, seed=4)
    whole = source.batch(0, 6)
    part = source.batch(2, 3)
    assert part.rules == whole.rules[2:5]
    assert (part.image - whole.image[2:5]).abs().max().item() < 1e-4
    again = BatchedFigures(mixture=batched_mixture(), seed=4).batch(0, 12)
    same = BatchedFigures(mixture=batched_mixture(), seed=4).batch(0, 12)
    assert (again.image == same.image).all()


def test_no_rule_or_family_of_evaluation_is_in_the_mixture() -> None:
    assert set(batched_mixture()) <= set(TRAINING_MIXTURE)
    assert not set(batched_mixture()) & set(HELD_OUT_RULES)
    assert set(BATCHED_FAMILIES) <= set(FAMILIES)


def test_both_ways_have_one_distribution() -> None:
    """Rules, numbers of things, sizes and brightness, drawn apart from each other."""
    mixture = batched_mixture()
    batched = BatchedFigures(seed=1, mixture=mixture)
    single = SyntheticFigures(seed=2, mixture=mixture, families=BATCHED_FAMILIES, clean=1.0)
    count = 60
    tasks = [batched.task(number) for number in range(count)]
    figures = [single.figure(number) for number in range(12)]
    rng = np.random.default_rng(9)
    others = [single.draw_task(rng, rules=1, rows=2) for _ in range(count)]
    found = Counter(task.rules[0].name for task in tasks)
    wanted = Counter(task.rules[0].name for task in others)
    # Two counts that should agree differ by some times the root of their sum.
    for name in mixture:
        assert abs(found[name] - wanted[name]) <= 4.5 * math.sqrt(found[name] + wanted[name] + 1)
    for measure in (
        lambda scene: float(len(scene.things)),
        lambda scene: float(np.mean([thing.size for thing in scene.things])),
        lambda scene: float(scene.background.kind == "plain"),
        lambda scene: float(np.mean(scene.background.surface.colour)),
    ):
        ours = np.array([measure(scene) for task in tasks for scene in task.scenes])
        theirs = np.array([measure(scene) for task in others for scene in task.scenes])
        error = math.hypot(ours.std(), theirs.std()) / math.sqrt(count)  # rows of a figure go along
        assert abs(ours.mean() - theirs.mean()) < 4.5 * error
    pixels = [float(image.mean()) for image in batched.batch(0, 12).image]
    theirs_too = [float(figure.image.mean()) / 255 for figure in figures]
    error = math.hypot(float(np.std(pixels)), float(np.std(theirs_too))) / math.sqrt(12)
    assert abs(np.mean(pixels) - np.mean(theirs_too)) < 4.5 * error
