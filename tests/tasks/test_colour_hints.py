"""Colorization by hints: what dabs say spreads along gray, and the lightness stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vicl
from vicl.images import ImageError
from vicl.tasks.colour_hints import Dab, HintError, colorize

RED, BLUE = (200, 40, 40), (20, 60, 220)


def halves(height: int = 48, width: int = 64) -> np.ndarray:
    """Dark at the left, light at the right."""
    gray = np.full((height, width), 60, np.uint8)
    gray[:, width // 2 :] = 150
    return gray


def luma(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(np.float64) @ (0.299, 0.587, 0.114)


def at_lightness(colour: tuple[int, int, int], level: int) -> list[int]:
    """A colour moved along gray; no channel of what is tried leaves its range."""
    return [round(part - float(np.dot(colour, (0.299, 0.587, 0.114))) + level) for part in colour]


def test_two_flat_parts_get_their_two_colours_exactly() -> None:
    made = np.asarray(colorize(halves(), [Dab(10, 10, (90, 50, 40)), Dab(50, 40, (90, 120, 190))]))
    assert {*map(tuple, made[:, :32].reshape(-1, 3))} == {(*at_lightness((90, 50, 40), 60),)}
    assert {*map(tuple, made[:, 32:].reshape(-1, 3))} == {(*at_lightness((90, 120, 190), 150),)}


def test_lightness_stays_also_where_a_colour_does_not_fit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 300), dtype=np.uint8)
    made = colorize(noise, [Dab(30, 10, (255, 0, 0)), Dab(280, 30, (0, 0, 255))])
    assert made.mode == "RGB"
    assert np.abs(luma(made) - noise).max() <= 0.5
    assert np.ptp(np.asarray(made).astype(int), axis=2).max() > 40


def test_without_hints_and_beyond_their_reach_it_is_gray() -> None:
    gray = np.repeat(halves(160, 256)[..., None], 3, 2)
    assert np.array_equal(np.asarray(colorize(gray, [])), gray)
    silent = np.zeros((160, 256, 4), np.uint8)
    assert np.array_equal(np.asarray(colorize(gray, silent)), gray)
    made = np.asarray(colorize(gray, [Dab(40, 40, RED)])).astype(int)
    assert np.ptp(made[40, 40]) > 80
    assert np.ptp(made[:, 140:], axis=2).max() <= 8


def test_a_gray_dab_keeps_a_place_gray() -> None:
    flat = np.full((60, 60), 128, np.uint8)
    made = np.asarray(colorize(flat, [Dab(5, 30, RED), Dab(55, 30, (9, 9, 9))])).astype(int)
    assert np.ptp(made[30, 5]) > 100
    assert np.ptp(made[30, 55]) == 0


def test_a_later_dab_lies_over_an_earlier_one() -> None:
    flat = np.full((32, 32), 120, np.uint8)
    over = colorize(flat, [Dab(16, 16, RED, 9), Dab(16, 16, BLUE, 9)])
    assert np.array_equal(np.asarray(over), np.asarray(colorize(flat, [Dab(16, 16, BLUE, 9)])))


@pytest.mark.parametrize("size", [(48, 64), (90, 500)])
def test_a_picture_of_hints_says_what_dabs_say(size: tuple[int, int], tmp_path: Path) -> None:
    gray = halves(*size)
    middle = size[0] // 2
    hints = np.zeros((*size, 4), np.uint8)
    hints[middle - 10 : middle + 10, 5:25] = (*RED, 255)
    hints[middle, -20] = (*BLUE, 200)
    hints[middle, -10] = (*RED, 100)  # more than half transparent: nothing
    path = tmp_path / "hints.png"
    Image.fromarray(hints).save(path)
    made = np.asarray(colorize(gray, path)).astype(int)
    assert made[middle, 8, 0] > made[middle, 8, 2] + 50
    assert made[middle, -5, 2] > made[middle, -5, 0] + 20
    assert np.array_equal(made, np.asarray(colorize(gray, hints)))
    assert np.array_equal(made, np.asarray(colorize(gray, Image.fromarray(hints))))


def test_colours_of_the_photograph_do_not_count() -> None:
    rng = np.random.default_rng(1)
    colour = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    gray = np.asarray(Image.fromarray(colour).convert("L"))
    dabs = [Dab(8, 8, BLUE)]
    assert np.array_equal(np.asarray(colorize(colour, dabs)), np.asarray(colorize(gray, dabs)))


def test_edges_of_a_large_photograph_are_kept() -> None:
    gray = halves(300, 2600)
    made = np.asarray(colorize(gray, [Dab(600, 200, RED, 60), Dab(2000, 100, BLUE, 60)])).astype(
        int
    )
    assert made.shape == (300, 2600, 3)
    redder = made[..., 0] - made[..., 2]
    assert redder[:, :1290].min() > 40
    assert redder[:, 1310:].max() < -40
    assert np.abs(made @ (0.299, 0.587, 0.114) - gray).max() <= 0.5


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (1, 700)])
def test_the_smallest_photographs(size: tuple[int, int]) -> None:
    made = colorize(np.full(size, 100, np.uint8), [Dab(0, 0, RED)])
    assert (made.height, made.width) == size
    assert np.ptp(np.asarray(made)[0, 0].astype(int)) > 50


def test_its_name_is_at_the_top() -> None:
    assert (vicl.colorize, vicl.Dab) == (colorize, Dab)


@pytest.mark.parametrize(
    ("hints", "said"),
    [
        ([Dab(64, 3, RED)], r"\(64, 3\) is not on the photograph, which is 64x48"),
        ([Dab(3, -1, RED)], "is not on the photograph"),
        (np.zeros((48, 64, 3), np.uint8), "expected HxWx4 of uint8"),
        (np.zeros((64, 48, 4), np.uint8), "got 48x64 pixels .*, expected the photograph's 64x48"),
        (Image.new("RGB", (64, 48)), "has no transparency"),
        (torch.zeros(3, 48, 64), "expected a file, a PIL image or an array"),
    ],
)
def test_what_is_wrong_is_named(hints: object, said: str) -> None:
    with pytest.raises(HintError, match=said):
        colorize(halves(), hints)


@pytest.mark.parametrize(
    "given",
    [
        {"x": float("nan"), "y": 1, "colour": RED},
        {"x": 1, "y": 1, "colour": (1, 2, 256)},
        {"x": 1, "y": 1, "colour": RED, "size": 0.0},
    ],
)
def test_a_dab_that_cannot_be(given: dict[str, object]) -> None:
    with pytest.raises(HintError, match="dab: got"):
        Dab(**given)


def test_a_file_that_is_no_picture(tmp_path: Path) -> None:
    broken = tmp_path / "hints.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"hints\.png"):
        colorize(halves(), broken)
