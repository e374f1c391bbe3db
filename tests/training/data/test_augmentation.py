"""Crops, worked out by hand and over many draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pictures import picture

from vicl.canvas.rects import Rect
from vicl.images import to_pil, to_tensor
from vicl.training.data.augmentation import augment, centre, draw_rect, pixels
from vicl.training.recipe.data import Augmentation
from vicl.training.seeds import Purpose, numbers

WHOLE = Augmentation(scale=(1, 1), ratio=(1, 1), flip=False)


def test_the_whole_of_a_square_image_comes_back_unchanged() -> None:
    image = to_pil(picture(31, 31))
    out = augment(image, (31, 31), WHOLE, np.random.default_rng(0))
    assert out.dtype == torch.uint8
    assert torch.equal(out, pixels(image))
    assert torch.equal(out.float() / 255, to_tensor(image))


def test_half_of_the_images_are_mirrored() -> None:
    image = to_pil(picture(8, 8))
    mirror = WHOLE.model_copy(update={"flip": True})
    rng = np.random.default_rng(0)
    outs = [augment(image, (8, 8), mirror, rng) for _ in range(400)]
    flipped = [torch.equal(out, pixels(image).flip(2)) for out in outs]
    assert all(f or torch.equal(out, pixels(image)) for f, out in zip(flipped, outs, strict=True))
    assert 160 < sum(flipped) < 240


def test_crops_are_cut_before_they_are_resized() -> None:
    # A quarter of the area of a square of side 8: 4x4. White everywhere else must not leak in.
    settings = Augmentation(scale=(0.25, 0.25), ratio=(1, 1), flip=False)
    crop = draw_rect((8, 8), settings, np.random.default_rng(5))
    assert crop.size == (4, 4)
    image = torch.ones(3, 8, 8)
    crop.of(image)[:] = 0
    out = augment(to_pil(image), (16, 16), settings, np.random.default_rng(5))
    assert int(out.max()) == 0
    # And exactly as Pillow resizes the part alone.
    noise = to_pil(picture(8, 8))
    part = noise.crop((crop.left, crop.top, crop.right, crop.bottom))
    expected = pixels(part.resize((6, 10), Image.Resampling.BICUBIC))
    assert torch.equal(augment(noise, (10, 6), settings, np.random.default_rng(5)), expected)


def test_crops_have_the_published_distribution() -> None:
    settings = Augmentation()
    rng = np.random.default_rng(0)
    crops = [draw_rect((400, 400), settings, rng) for _ in range(4000)]
    whole = Rect(0, 0, 400, 400)
    assert all(whole.holds(crop) for crop in crops)
    areas = np.array([c.height * c.width / 160000 for c in crops])
    ratios = np.array([math.log(c.width / c.height) for c in crops])
    assert areas.min() > 0.195
    assert areas.max() <= 1
    # Below 3/4 of the area every ratio fits, so there the share is uniform.
    counts, _ = np.histogram(areas, bins=[0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert counts.max() / counts.min() < 1.3
    assert abs(ratios.mean()) < 0.02
    assert np.abs(ratios).max() < math.log(4 / 3) + 0.02
    tops = np.array([c.top / max(1, 400 - c.height) for c in crops if c.height < 300])
    assert abs(tops.mean() - 0.5) < 0.02


@pytest.mark.parametrize(
    ("size", "crop"),
    [
        ((40, 400), Rect(0, (400 - 53) // 2, 40, 53)),  # 4 : 3
        ((400, 40), Rect((400 - 53) // 2, 0, 53, 40)),  # 3 : 4
        ((1, 400), Rect(0, 199, 1, 1)),
    ],
)
def test_where_nothing_fits_it_is_the_middle(size: tuple[int, int], crop: Rect) -> None:
    settings = Augmentation(scale=(1, 1))
    assert draw_rect(size, settings, np.random.default_rng(0)) == crop


def test_a_ratio_that_fits_is_the_whole_image() -> None:
    settings = Augmentation(scale=(1, 1), ratio=(1, 4))
    # 1.5 : 1 lies between the limits, but no draw of exactly this ratio is likely.
    crops = {draw_rect((200, 300), settings, np.random.default_rng(seed)) for seed in range(20)}
    assert crops == {Rect(0, 0, 200, 300)}


def test_the_middle_is_not_distorted() -> None:
    image = to_pil(picture(20, 30))
    assert torch.equal(centre(image, (20, 20)), pixels(image)[:, :, 5:25])
    assert torch.equal(centre(image, (10, 30)), pixels(image)[:, 5:15])
    doubled = pixels(image.resize((60, 40), Image.Resampling.BICUBIC))
    assert torch.equal(centre(image, (40, 40)), doubled[:, :, 10:50])
    # 3 x 1000 to 224: the short side grows, and rounding never leaves the canvas uncovered.
    assert centre(to_pil(picture(3, 1000)), (224, 224)).shape == (3, 224, 224)
    assert centre(to_pil(picture(1000, 3)), (7, 5)).shape == (3, 7, 5)


def test_random_numbers_differ_by_purpose_and_place() -> None:
    places = [(0, Purpose.ORDER, 1), (0, Purpose.REPLACEMENT, 1), (1, Purpose.ORDER, 1)]
    drawn = {float(numbers(seed, what, place).random()) for seed, what, place in places}
    assert len(drawn) == 3
    one, same = (numbers(0, Purpose.ORDER, 1).random() for _ in range(2))
    assert one == same
