"""Single rules against what a person works out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage
from tests.figures.made import SIZE, apply, scene, thing

from vicl.figures.synthetic.rules import RULES
from vicl.figures.synthetic.rules.colour import ramp
from vicl.figures.synthetic.rules.composition import both, compose
from vicl.figures.synthetic.rules.drawing import bounds, grow, paint, rims, shrink
from vicl.figures.synthetic.rules.lines import edge_map
from vicl.figures.synthetic.scenes.rendering import render
from vicl.figures.synthetic.scenes.scene import COLOURS, Wish

BLACK_WHITE = {"on": [255, 255, 255], "off": [0, 0, 0]}


def white(picture: np.ndarray) -> np.ndarray:
    found: np.ndarray = picture.min(axis=2) > 127
    return found


def colour_of(name: str) -> np.ndarray:
    return np.round(np.array(COLOURS[name]) * 255)


def of_colour(picture: np.ndarray, name: str) -> np.ndarray:
    found: np.ndarray = np.abs(picture - colour_of(name)).max(axis=2) < 12
    return found


def test_mask_is_where_the_thing_is() -> None:
    pair = apply("mask", scene(thing("triangle")))
    assert np.array_equal(white(pair.output), of_colour(pair.input, "red") | _mixed(pair.input))


def _mixed(picture: np.ndarray) -> np.ndarray:
    """Border pixels that show more of the red than of the white."""
    red, ground = colour_of("red"), colour_of("white")
    mixed: np.ndarray = np.abs(picture - red).sum(axis=2) < np.abs(picture - ground).sum(axis=2)
    return mixed


def test_mask_colours() -> None:
    values = {"on": [10, 20, 30], "off": [200, 210, 220]}
    pair = apply("mask-colours", scene(thing("square")), values)
    assert pair.output[32, 32].tolist() == [10, 20, 30]
    assert pair.output[2, 2].tolist() == [200, 210, 220]
    inverse = apply("mask-inverse", scene(thing("square")))
    assert np.array_equal(white(inverse.output), ~white(apply("mask", scene(thing())).output))


def test_filled_box_is_the_smallest_box() -> None:
    pair = apply("filled-box", scene(thing("triangle", angle=0.4)), BLACK_WHITE)
    rows, columns = np.nonzero(_mixed(pair.input))
    box = np.zeros(SIZE, bool)
    box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    assert np.array_equal(white(pair.output), box)


def test_drawn_box_changes_a_frame_only() -> None:
    pair = apply("drawn-box", scene(thing()), {"colour": [0, 255, 0], "width": 0.03})
    changed = (pair.input != pair.output).any(axis=2)
    assert changed[16:48, 16:48].sum() == changed.sum() > 100
    assert not changed[20:44, 20:44].any()


def two(attribute: str) -> tuple[object, object]:
    left, right = {"centre": (0.5, 0.25), "size": 0.15}, {"centre": (0.5, 0.75), "size": 0.15}
    if attribute == "colour":
        return thing(colour="red", **left), thing(colour="blue", **right)
    if attribute == "size":
        return thing(**(left | {"size_name": "small"})), thing(**right)
    if attribute == "shape":
        return thing("circle", **left), thing("star", **right)
    if attribute == "texture":
        striped = replace(thing().surface, texture="stripes")
        return thing(**left, surface=striped), thing(**right)
    return thing(**left), thing(**right)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("colour", "red"),
        ("size", "small"),
        ("shape", "circle"),
        ("texture", "stripes"),
        ("position", "left"),
    ],
)
def test_choosing_takes_what_has_the_value(attribute: str, value: str) -> None:
    shown = scene(*two(attribute))
    pair = apply(f"choose-{attribute}", shown, {"value": value, **BLACK_WHITE})
    chosen = white(pair.output)
    assert chosen[32, 16]
    assert not chosen[:, 32:].any()


def test_erase() -> None:
    shown = scene(*two("colour"))
    pair = apply("erase", shown, {"attribute": "colour", "value": "red"})
    assert of_colour(pair.input, "red").any()
    assert not of_colour(pair.output, "red").any()
    assert of_colour(pair.output, "blue").any()


@pytest.mark.parametrize("mark", ["dot", "box", "scribble"])
def test_the_marked_thing_is_masked(mark: str) -> None:
    seen = set()
    for seed in range(8):
        shown = scene(*two("colour"), seed=seed)
        pair = apply(f"marked-{mark}", shown, {"mark": [0, 255, 0], **BLACK_WHITE})
        _, columns = np.nonzero((pair.input == [0, 255, 0]).all(axis=2))
        side = columns.mean() > 32
        assert (np.nonzero(white(pair.output))[1].mean() > 32) == side
        seen.add(bool(side))
    assert seen == {False, True}


def test_salient_is_the_large_one() -> None:
    shown = scene(*(thing(centre=(0.5, x), size=0.1) for x in (0.2, 0.5, 0.8)))
    pair = apply("salient", shown, BLACK_WHITE)
    assert 600 < white(pair.output).sum() < 750  # a square of 2 * 0.2 * 64 pixels


def test_outline_is_the_rim() -> None:
    pair = apply("outline", scene(thing("square")), {"width": 0.047, **BLACK_WHITE})
    expected = np.zeros(SIZE, bool)
    expected[16:48, 16:48] = True
    expected[19:45, 19:45] = False
    assert np.array_equal(white(pair.output), expected)


def test_drawings_are_filled() -> None:
    values = {"line": [0, 0, 0], "paper": [255, 255, 255], "fill": [9, 99, 199], "width": 0.03}
    pair = apply("fill-drawing", scene(thing("square")), values)
    assert pair.input[32, 32].tolist() == [255, 255, 255]
    assert pair.output[32, 32].tolist() == [9, 99, 199]
    assert pair.output[16, 17].tolist() == pair.input[16, 17].tolist() == [0, 0, 0]
    assert pair.output[4, 4].tolist() == pair.input[4, 4].tolist() == [255, 255, 255]


@pytest.mark.parametrize("detector", ["gradient", "threshold", "canny", "difference"])
def test_edges_are_at_the_step(detector: str) -> None:
    image = np.full((*SIZE, 3), 30, np.uint8)
    image[:, 32:] = 220
    lines = edge_map(image, {**BLACK_WHITE, "detector": detector, "blur": 0.012, "width": 0})
    columns = np.nonzero(white(lines)[32])[0]
    assert len(columns) > 0
    assert set(columns.tolist()) <= {29, 30, 31, 32, 33, 34}


def test_grow_and_shrink_are_dilation_and_erosion() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 24)).astype(np.uint8)
    cross = ndimage.generate_binary_structure(2, 1)
    once = ndimage.grey_dilation(noise, footprint=cross, mode="constant")
    assert np.array_equal(grow(noise, 1), once)
    twice = ndimage.grey_dilation(once, size=(3, 3), mode="constant")
    assert np.array_equal(grow(noise, 2), twice)
    eroded = ndimage.grey_erosion(noise, footprint=cross, mode="constant", cval=255)
    assert np.array_equal(shrink(noise, 1), eroded)


def test_small_drawings() -> None:
    assert bounds(np.zeros((4, 4), bool)) is None
    assert bounds(np.eye(4, dtype=bool)[:, 1:]) == (1, 0, 4, 3)
    assert not rims(np.zeros((0, 4, 5), np.uint8), 2).any()
    half = paint(np.full((1, 1), 128, np.uint8), [255, 0, 100], [0, 0, 200])
    assert half[0, 0].tolist() == [128, 0, 150]


def test_colours() -> None:
    pair = apply("negative", scene(thing()))
    assert np.array_equal(pair.output, 255 - pair.input)
    pair = apply("grayscale", scene(thing()))
    luma = pair.input @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pair.output - luma[..., None]).max() <= 1
    pair = apply("swap-channels", scene(thing()), {"order": [2, 1, 0]})
    assert np.array_equal(pair.output, pair.input[..., ::-1])
    pair = apply("quantise", scene(thing()), {"levels": 2, "gray": False})
    assert set(np.unique(pair.output).tolist()) == {0, 255}
    assert np.array_equal(pair.output > 127, pair.input > 127)
    pair = apply("duotone", scene(thing()), {"dark": [0, 0, 90], "light": [255, 250, 0]})
    assert pair.output[2, 2, 0] == round(pair.output[2, 2, 0])
    assert pair.output[2, 2].tolist() == ramp([[0, 0, 90], [255, 250, 0]])[245].tolist()


def test_hue_turns() -> None:
    pair = apply("hue", scene(thing(), ground="white"), {"degrees": 120})
    assert np.argmax(pair.input[32, 32]) == 0
    assert np.argmax(pair.output[32, 32]) == 1
    assert np.abs(pair.output[2, 2].astype(int) - pair.input[2, 2]).max() <= 3


def test_recolour() -> None:
    shown = scene(*two("colour"), ground="black")
    assert (of_colour(apply("recolour", shown, {"colour": "green"}).output, "green")).sum() > 600
    values = {"attribute": "colour", "value": "red", "colour": "yellow"}
    pair = apply("recolour-some", shown, values)
    assert of_colour(pair.output, "yellow")[32, 16]
    assert of_colour(pair.output, "blue")[32, 48]
    pair = apply("recolour-background", shown, {"colour": "pink"})
    assert of_colour(pair.output, "pink")[2, 2]
    assert of_colour(pair.output, "blue")[32, 48]


@pytest.mark.parametrize("name", ["colourise", "colourise-naturally"])
def test_colour_is_given_to_gray(name: str) -> None:
    pair = apply(name, scene(thing(), ground="cyan"))
    assert (pair.input.max(axis=2) == pair.input.min(axis=2)).all()
    assert (pair.output.max(axis=2).astype(int) - pair.output.min(axis=2)).max() > 60


def test_hints_have_the_colours() -> None:
    pair = apply("colour-hints", scene(thing(), ground="cyan"), {"radius": 0.04})
    hinted = pair.input.max(axis=2) != pair.input.min(axis=2)
    assert 30 < hinted.sum() < 300
    assert np.array_equal(pair.input[hinted], pair.output[hinted])


def test_tone() -> None:
    shown = scene(thing(), ground="grey")
    pair = apply("brightness", shown, {"factor": 0.5})
    assert np.abs(pair.output - pair.input * 0.5).max() <= 0.5
    pair = apply("contrast", shown, {"factor": 0.5})
    assert np.abs(pair.output - (64 + pair.input * 0.5)).max() <= 0.5
    pair = apply("gamma", shown, {"gamma": 2.0})
    assert np.abs(pair.output - 255 * (pair.input / 255.0) ** 2).max() <= 0.5
    pair = apply("colour-cast", shown, {"factors": [1.0, 0.5, 0.25]})
    assert np.abs(pair.output - pair.input * np.array([1, 0.5, 0.25])).max() <= 0.5
    for name in ("white-balance", "expose"):
        pair = apply(name, shown)
        assert np.array_equal(pair.output, render(shown, SIZE).image)
        assert pair.input.sum() < pair.output.sum()


@pytest.mark.parametrize(
    "name", ["deblur", "denoise", "fill-holes", "enlarge", "clear-fog", "undo-jpeg"]
)
def test_restoration_gives_the_whole_picture(name: str) -> None:
    shown = scene(thing("star"))
    pair = apply(name, shown)
    assert np.array_equal(pair.output, render(shown, SIZE).image)
    assert (np.abs(pair.input.astype(int) - pair.output) > 8).mean() > 0.005


@pytest.mark.parametrize("kind", ["boxes", "strokes", "specks"])
def test_holes_differ_from_row_to_row(kind: str) -> None:
    values = {"kind": kind, "colour": [1, 2, 3]}
    holes = [
        (apply("fill-holes", scene(thing(), seed=seed), values).input == [1, 2, 3]).all(axis=2)
        for seed in (1, 2)
    ]
    assert all(0.005 < hole.mean() < 0.6 for hole in holes)
    assert not np.array_equal(*holes)


def test_noise_has_the_amount() -> None:
    shown = scene(thing(), ground="grey")
    pair = apply("denoise", shown, {"kind": "gaussian", "amount": 0.1})
    difference = pair.input[:10].astype(int) - pair.output[:10]
    assert difference.std() == pytest.approx(25.5, rel=0.1)
    pair = apply("denoise", shown, {"kind": "salt", "amount": 0.2})
    assert np.isin(pair.input[:10], (0, 255)).all(axis=2).mean() == pytest.approx(0.2, abs=0.05)


def test_resize_and_move() -> None:
    shown = scene(thing(size=0.2))
    pair = apply("resize", shown, {"factor": 0.5})
    before, after = (_mixed(p).sum() for p in (pair.input, pair.output))
    assert after / before == pytest.approx(0.25, rel=0.1)
    pair = apply("move", shown, {"y": 0.125, "x": -0.25})
    before, after = (np.argwhere(_mixed(p)).mean(axis=0) for p in (pair.input, pair.output))
    assert (after - before).tolist() == pytest.approx([8, -16], abs=0.2)


def test_reshape() -> None:
    pair = apply("reshape", scene(thing("star", angle=1.0)), {"shape": "square"})
    assert np.array_equal(pair.output, render(scene(thing("square")), SIZE).image)


def test_mirror_and_rotate() -> None:
    shown = scene(thing("triangle", centre=(0.3, 0.4)))
    pair = apply("mirror", shown, {"axis": "y"})
    assert np.array_equal(pair.output, pair.input[::-1])
    pair = apply("rotate", shown, {"quarters": 1})
    assert np.array_equal(pair.output, np.rot90(pair.input, 3))
    flat = RULES["rotate"].apply(shown, (30, 50), {"quarters": 1})
    assert flat.output.shape == (30, 50, 3)


def test_turn_leaves_the_place() -> None:
    pair = apply("turn", scene(thing("bar")), {"degrees": 90})
    assert np.abs(pair.output.astype(int) - np.rot90(pair.input)).mean() < 1


def test_depth_is_larger_for_larger_things() -> None:
    small, large = thing(centre=(0.5, 0.2), size=0.08), thing(centre=(0.5, 0.7), size=0.22)
    values = {"stops": [[0, 0, 0], [255, 255, 255]], "relief": "bevel"}
    output = apply("depth", scene(small, large), values).output
    assert output[2, 2, 0] == 0 < output[32, 13, 0] < output[32, 45, 0]


def test_normals_face_outwards() -> None:
    output = apply("normals", scene(thing("circle")), {"relief": "dome"}).output.astype(int)
    assert output[2, 2].tolist() == [127, 127, 255]
    assert output[32, 44, 0] > 150 > 100 > output[32, 20, 0]
    assert output[20, 32, 1] > 150 > 100 > output[44, 32, 1]


def test_light_comes_from_its_side() -> None:
    shown = scene(thing("circle", "grey"))
    pair = apply("light", shown, {"relief": "dome", "angle": 0.0})
    assert pair.output[32, 42].sum() > pair.output[32, 22].sum() + 60
    assert np.abs(pair.input[32, 42].astype(int) - pair.input[32, 22]).max() <= 2
    opposite = apply("unlight", shown, {"relief": "dome", "angle": 0.0})
    assert np.array_equal(opposite.input, pair.output)
    assert np.array_equal(opposite.output, pair.input)


def test_shadow_falls_away_from_the_light() -> None:
    pair = apply("shadow", scene(thing()), {"angle": 0.0, "shadow": 0.8})
    darker = (pair.input.astype(int) - pair.output).sum(axis=2) > 30
    assert darker.any()
    assert np.nonzero(darker)[1].mean() < 26


def test_unseen_rules() -> None:
    pair = apply("solarise", scene(thing()))
    assert np.array_equal(pair.output, 2 * np.minimum(pair.input, 255 - pair.input))
    pair = apply("swap-halves", scene(thing()))
    assert np.array_equal(pair.output[:, :32], pair.input[:, 32:])
    pair = apply("pixelate", scene(thing()), {"cells": 8})
    assert (pair.output.reshape(8, 8, 8, 8, 3) == pair.output[::8, None, ::8, None].reshape(8, 1, 8, 1, 3)).all()  # fmt: skip # noqa: E501
    pair = apply("centres", scene(thing("square", centre=(0.25, 0.5), size=0.15)), BLACK_WHITE)
    assert np.argwhere(white(pair.output)).mean(axis=0).tolist() == pytest.approx(
        [15.5, 31.5], abs=0.6
    )
    pair = apply("hull", scene(thing("star")), BLACK_WHITE)
    assert white(pair.output).sum() > 1.3 * _mixed(pair.input).sum()
    pair = apply("colour-pop", scene(thing(), ground="cyan"))
    gray = pair.output.max(axis=2) == pair.output.min(axis=2)
    assert gray[:15].all()
    assert not gray[20:44, 20:44].any()


def test_compositions_are_one_after_the_other() -> None:
    shown = scene(thing("star"))
    values = {"first": {"factor": 0.5}, "second": BLACK_WHITE, **BLACK_WHITE}
    pair = RULES["resize+mask"].apply(shown, SIZE, values)
    small = scene(thing("star", size=0.125))
    assert np.array_equal(pair.output, apply("mask", small).output)
    assert np.array_equal(pair.input, render(shown, SIZE).image)
    values = {"first": BLACK_WHITE, "second": {"axis": "x"}}
    pair = RULES["mask+mirror"].apply(shown, SIZE, values)
    assert np.array_equal(pair.output, apply("mask", shown).output[:, ::-1])
    assert RULES["mask+mirror"].draw(np.random.default_rng(0))["on"] == [255, 255, 255]


def test_what_cannot_be_composed() -> None:
    with pytest.raises(ValueError, match="expected a change of scenes"):
        compose("mask", "outline")
    with pytest.raises(ValueError, match="expected a change of scenes"):
        compose("recolour", "denoise")
    with pytest.raises(ValueError, match="no scene can grant"):
        both(Wish(things=(1, 2)), Wish(things=(3, 4)))
    joint = both(Wish(things=(1, 4), apart=True), Wish(things=(2, 9), attribute="size", value="x"))
    assert joint == Wish(things=(2, 4), apart=True, attribute="size", value="x")


def test_the_papers_tasks() -> None:
    for seed in range(3):
        shown = scene(thing(), seed=seed)
        pair = RULES["paper-color"].apply(shown, (224, 224), {})
        green, blue = ((pair.input == [0, 255, 0]), (pair.output == [0, 0, 255]))
        assert np.array_equal(green.all(axis=2), blue.all(axis=2))
        assert green.all(axis=2).any()
        pair = RULES["paper-size"].apply(shown, (224, 224), {})
        rows = [np.flatnonzero((p != 255).any(axis=(1, 2))) for p in (pair.input, pair.output)]
        if rows[0][0] > 0 and rows[0][-1] < 223:
            assert np.ptp(rows[0]) + 1 == pytest.approx(60, abs=2)
            assert np.ptp(rows[1]) + 1 == pytest.approx(40, abs=2)
