"""Rendering: areas and places by geometry, occlusion, and that only what changed differs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vicl.figures.synthetic.scenes.outlines import outline, reach
from vicl.figures.synthetic.scenes.rendering import geometry, render
from vicl.figures.synthetic.scenes.scene import (
    BACKGROUNDS,
    SHAPES,
    TEXTURES,
    Background,
    Camera,
    Lettering,
    Light,
    Picture,
    Scene,
    Surface,
    Thing,
)

WHITE = Background("plain", Surface((1.0, 1.0, 1.0)))
RED, BLUE = Surface((1.0, 0.0, 0.0)), Surface((0.0, 0.0, 1.0))
SIZE = (96, 96)


def thing(shape: str = "circle", *, size: float = 0.25, surface: Surface = RED) -> Thing:
    return Thing(shape, (0.5, 0.5), size, surface)


def scene(*things: Thing, background: Background = WHITE) -> Scene:
    return Scene(things, background)


def area(one: Thing, size: tuple[int, int] = SIZE) -> float:
    return float(render(scene(one), size).visible.sum()) / 255


@pytest.mark.parametrize(
    ("shape", "share"),
    [
        ("circle", math.pi),
        ("square", 4.0),
        ("triangle", 1.8),
        ("diamond", 2 * 0.7),
        ("bar", 4 * 0.35),
        ("ellipse", math.pi * 0.6),
        ("ring", math.pi * (1 - 0.55**2)),
        ("hexagon", 1.5 * math.sqrt(3)),
    ],
)
def test_areas_are_those_of_the_shapes(shape: str, share: float) -> None:
    # Half the box has 24 px, so the area is the unit shape's times 24 squared; a hexagon that
    # stands on a corner is 2 high.
    assert area(thing(shape)) == pytest.approx(share * 24**2, rel=0.03)


@pytest.mark.parametrize("shape", [*SHAPES, "blob", "polygon"])
def test_outlines_fill_their_box(shape: str) -> None:
    points = outline(shape, 5)
    low, high = points.min(axis=0), points.max(axis=0)
    assert (high - low).max() == pytest.approx(2, abs=1e-5)
    assert low + high == pytest.approx([0, 0], abs=1e-5)
    farthest = max(math.hypot(x, y) for x, y in points.tolist())
    assert reach(shape, 5) == pytest.approx(farthest, rel=1e-5)


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="shape: got 'cube', expected one of circle"):
        outline("cube")
    with pytest.raises(ValueError, match="kind 'sea', expected one of plain"):
        render(scene(background=Background("sea", RED.__class__((0.0, 0.0, 0.0)))), SIZE)
    with pytest.raises(ValueError, match="texture: got 'fur'"):
        render(scene(thing(surface=replace(RED, texture="fur"))), SIZE)
    with pytest.raises(ValueError, match="size: got"):
        render(scene(), (4, 96))


def test_a_thing_but_for_some_fields() -> None:
    one = thing("star")
    assert one.but(size=0.1, angle=1.0) == replace(one, size=0.1, angle=1.0)
    assert one == thing("star")
    with pytest.raises(TypeError, match="got colour, expected fields"):
        one.but(colour="red")


def test_a_thing_stands_where_its_centre_is_also_in_oblong_cells() -> None:
    one = replace(thing(), centre=(0.25, 0.75), size=0.1)
    shown = render(scene(one), (60, 120)).visible[0]
    rows, columns = np.nonzero(shown >= 128)
    assert rows.mean() + 0.5 == pytest.approx(15, abs=0.2)
    assert columns.mean() + 0.5 == pytest.approx(90, abs=0.2)
    assert shown.sum() / 255 == pytest.approx(math.pi * 6**2, rel=0.06)  # of the shorter side


def test_turns_go_clockwise_and_mirrors_come_first() -> None:
    right = thing("arrow")
    down = render(scene(replace(right, angle=math.pi / 2)), SIZE).visible[0].astype(int)
    still = render(scene(right), SIZE).visible[0].astype(int)
    assert np.abs(np.rot90(still, -1) - down).mean() < 2
    left = render(scene(replace(right, mirrored=True)), SIZE).visible[0].astype(int)
    assert np.abs(still[:, ::-1] - left).mean() < 2
    both = (
        render(scene(replace(right, mirrored=True, angle=math.pi / 2)), SIZE).visible[0].astype(int)
    )
    assert np.abs(np.rot90(left, -1) - both).mean() < 2
    assert np.abs(still - left).mean() > 10


def test_what_is_in_front_hides_what_is_behind() -> None:
    behind = thing("square", size=0.25, surface=RED)
    front = replace(thing("square", size=0.125, surface=BLUE), centre=(0.5, 0.5))
    shown = render(scene(behind, front), SIZE)
    assert shown.image[48, 48].tolist() == [0, 0, 255]
    assert shown.image[30, 30].tolist() == [255, 0, 0]
    assert shown.image[2, 2].tolist() == [255, 255, 255]
    assert shown.visible[0, 48, 48] == 0
    alone = [render(scene(one), SIZE).visible[0] for one in (behind, front)]
    assert alone[0][48, 48] == 255
    total = shown.visible[0].astype(int) + shown.visible[1]
    assert (np.abs(total - np.maximum(*alone)) <= 1).all()


def test_half_transparent_things_show_what_is_behind() -> None:
    shown = render(scene(replace(thing("square"), opacity=0.5)), SIZE)
    assert shown.image[48, 48].tolist() == pytest.approx([255, 127, 127], abs=2)
    assert shown.visible[0, 48, 48] == 128


def test_things_may_stand_partly_or_wholly_outside() -> None:
    edge = replace(thing("square"), centre=(0.0, 0.5))
    gone = replace(thing("square"), centre=(-3.0, 0.5))
    shown = render(scene(edge, gone), SIZE)
    assert shown.visible[0].sum() / 255 == pytest.approx(24 * 48, rel=0.05)
    assert not shown.visible[1].any()


def busy(things: tuple[Thing, ...]) -> Scene:
    light = Light(angle=-2.0, shading=0.6, shadow=0.5)
    ground = Background("clouds", Surface((0.6, 0.7, 0.6), (0.9, 0.9, 0.8), scale=0.2, seed=4))
    return Scene(things, ground, light, Camera(noise=0.03, vignetting=0.3), seed=9)


def test_only_what_a_rule_changes_differs() -> None:
    left = replace(thing(), centre=(0.5, 0.2), size=0.1, relief="dome")
    right = replace(thing("star"), centre=(0.5, 0.8), size=0.1)
    before = render(busy((left, right)), SIZE).image
    after = render(busy((replace(left, surface=BLUE), right)), SIZE).image
    changed = (before != after).any(axis=2)
    assert changed[48, 19]
    assert not changed[:, 48:].any()
    assert changed.sum() <= (render(busy((left, right)), SIZE).visible[0] > 0).sum()


def test_shadows_fall_away_from_the_light() -> None:
    bare = scene(replace(thing(), size=0.15))
    lit = replace(bare, light=Light(angle=math.pi, shadow=0.8))  # from the left
    darker = render(bare, SIZE).image.astype(int).sum(2) - render(lit, SIZE).image.sum(2)
    rows, columns = np.nonzero(darker > 60)
    assert columns.min() >= 40
    assert columns.mean() > 58
    assert rows.mean() == pytest.approx(47.5, abs=1)


def test_reliefs_are_brighter_towards_the_light() -> None:
    grey = Surface((0.5, 0.5, 0.5))
    for relief in ("flat", "dome", "cone", "bevel"):
        one = replace(thing(surface=grey), relief=relief)
        lit = replace(scene(one), light=Light(angle=math.pi, shading=0.8))
        row = render(lit, SIZE).image[48, :, 0].astype(int)
        if relief == "flat":
            assert set(row[26:70].tolist()) == {128}
        else:
            assert row[25:30].mean() > row[67:72].mean() + 20


def test_geometry_by_hand() -> None:
    first = replace(thing(), centre=(0.5, 0.3), size=0.15)
    second = replace(first, centre=(0.5, 0.7), relief="dome")
    found = geometry(scene(first, second), SIZE)
    assert found.depth[2, 2] == 0
    assert found.depth[48, 29] == pytest.approx(0.5 * 0.67, abs=1e-3)
    assert found.depth[48, 67] > found.depth[48, 60] > found.depth[48, 29]
    assert found.depth.max() <= 1
    assert np.linalg.norm(found.normals, axis=-1) == pytest.approx(np.ones(SIZE), abs=1e-4)
    # The dome is a half ball: the normal of a point is its offset from the centre.
    assert found.normals[48, 60] == pytest.approx(
        [-7 / 14.4, 0, math.sqrt(1 - (7 / 14.4) ** 2)], abs=0.07
    )
    assert found.normals[41, 67][1] > 0.3  # up


def test_camera_noise_has_its_width_and_mean() -> None:
    grey = Background("plain", Surface((0.5, 0.5, 0.5)))
    noisy = render(Scene((), grey, camera=Camera(noise=0.04), seed=3), (256, 256)).image
    assert noisy.std() == pytest.approx(0.04 * 255, rel=0.05)
    assert noisy.mean() == pytest.approx(128, abs=0.5)
    other = render(Scene((), grey, camera=Camera(noise=0.04), seed=4), (256, 256)).image
    correlation = np.corrcoef(noisy.ravel(), other.ravel())[0, 1]
    assert abs(correlation) < 0.05


@pytest.mark.parametrize("texture", [name for name in TEXTURES if name != "plain"])
def test_textures_show_both_colours_and_move_along(texture: str) -> None:
    surface = Surface((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), texture, scale=0.12, angle=0.7, seed=5)
    one = replace(thing("square", surface=surface), centre=(0.375, 0.375))
    image = render(scene(one), SIZE).image
    inside = image[14:58, 14:58].astype(int)
    reddest, bluest = inside[..., 0].max(), inside[..., 2].max()
    assert min(reddest, bluest) > 170
    moved = render(scene(replace(one, centre=(0.5, 0.5))), SIZE).image[26:70, 26:70].astype(int)
    assert np.abs(moved - inside).mean() < 2


@pytest.mark.parametrize("kind", [kind for kind in BACKGROUNDS if kind != "picture"])
def test_backgrounds_are_repeated_and_differ_by_seed(kind: str) -> None:
    surface = Surface((0.2, 0.5, 0.3), (0.7, 0.8, 0.9), scale=0.2, seed=1)
    first = render(scene(background=Background(kind, surface)), SIZE).image
    again = render(scene(background=Background(kind, replace(surface))), SIZE).image
    assert (first == again).all()
    if kind in ("noise", "clouds", "paper", "mosaic", "landscape"):
        other = render(scene(background=Background(kind, replace(surface, seed=2))), SIZE).image
        assert (first != other).any()
    if kind != "plain":
        assert first.std() > 2


def test_text_is_written_and_slants() -> None:
    upright = Thing("text", (0.5, 0.5), 0.3, RED, lettering=Lettering("I"), aspect=0.3)
    slanted = replace(upright, lettering=Lettering("I", slant=0.3))
    shown = render(scene(upright), SIZE)
    assert (shown.image[48, 48] == [255, 0, 0]).all()
    tall = np.flatnonzero((shown.visible[0] > 127).any(axis=1))
    assert len(tall) == pytest.approx(0.6 * 96, abs=2)
    lean = render(scene(slanted), SIZE).visible[0] > 127
    top, bottom = np.flatnonzero(lean[25]).mean(), np.flatnonzero(lean[70]).mean()
    assert top > bottom + 3
    with pytest.raises(ValueError, match="nothing can be seen"):
        render(scene(replace(upright, lettering=Lettering(" "))), SIZE)


def test_pictures_are_placed_turned_and_tinted() -> None:
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[:20] = (0, 255, 0, 255)  # green above, transparent below
    one = replace(thing("picture"), picture=Picture(pixels, "half.png", "CC0-1.0"))
    shown = render(scene(one), SIZE)
    assert shown.image[36, 48].tolist() == [0, 255, 0]
    assert shown.image[60, 48].tolist() == [255, 255, 255]
    assert shown.visible.sum() / 255 == pytest.approx(24 * 48, rel=0.05)
    turned = render(scene(replace(one, angle=math.pi / 2)), SIZE)
    assert turned.image[48, 60].tolist() == [0, 255, 0]
    assert turned.image[48, 36].tolist() == [255, 255, 255]
    red, green, blue = render(scene(replace(one, tint=True)), SIZE).image[36, 48].tolist()
    assert red > 200
    assert green == blue == 0
    with pytest.raises(ValueError, match="needs a picture"):
        render(scene(thing("picture")), SIZE)


def test_regions_have_masks_and_draw_nothing() -> None:
    alpha = np.zeros((64, 64, 1), np.uint8)
    alpha[:, 32:] = 255
    region = replace(thing("region"), picture=Picture(alpha, "m.png", "CC0-1.0"))
    photograph = np.full((64, 64, 3), 90, np.uint8)
    ground = Background("picture", RED, Picture(photograph, "p.jpg", "CC0-1.0"))
    shown = render(scene(region, background=ground), SIZE)
    assert (shown.image == 90).all()
    assert (shown.visible[0][:, 50:] == 255).all()
    assert (shown.visible[0][:, :46] == 0).all()
