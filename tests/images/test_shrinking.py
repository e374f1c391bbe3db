"""Images that are opened no larger than needed, or held in bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pictures import picture

from vicl.images import (
    ImageError,
    ImageLike,
    as_floats,
    open_levels,
    open_shrunk,
    resize,
    shrink,
    size_of,
    to_levels,
    to_pil,
    to_tensor,
)
from vicl.images.decoding import open_reduced


def in_mode(mode: str) -> Image.Image:
    image = to_pil(picture(90, 140, seed=2))
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
    if mode == "L, transparent":
        gray = image.convert("L")
        gray.info["transparency"] = int(np.asarray(gray)[40, 40])
        return gray
    return image.convert(mode)


@pytest.mark.parametrize(
    "mode", ["1", "L", "L, transparent", "P", "RGB", "RGBA", "CMYK", "LA", "I;16"]
)
def test_shrunk_as_it_is_opened_is_shrunk_afterwards(mode: str) -> None:
    image = in_mode(mode)
    found, size = open_shrunk(image, 50)
    assert torch.equal(found, shrink(to_tensor(image), 50))
    assert size == (90, 140)
    assert torch.equal(open_shrunk(image, 200)[0], to_tensor(image))


def test_arrays_and_tensors_are_shrunk_too() -> None:
    levels = np.asarray(to_pil(picture(60, 90)))
    for image in (levels, levels[..., 0], to_tensor(levels)):
        found, size = open_shrunk(image, 40)
        assert torch.equal(found, shrink(to_tensor(image), 40))
        assert size == size_of(image) == (60, 90)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_large_jpeg_is_decoded_small_and_upright(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "photo.jpg"
    image = to_pil(resize(picture(12, 20, seed=1), (600, 1001)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, quality=92, exif=exif)
    full = to_tensor(path)
    decoded, size = open_reduced(path, 100)
    assert max(decoded.size) == 251  # a quarter: at least twice what is needed
    assert size == size_of(path) == tuple(full.shape[1:])
    found, size = open_shrunk(path, 100)
    assert size == tuple(full.shape[1:])
    assert found.shape == shrink(full, 100).shape
    assert (found - shrink(full, 100)).abs().mean() < 0.02


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "tensor", "array"])
def test_a_huge_picture_is_halved_by_the_mean_of_four_pixels(mode: str) -> None:
    whole = in_mode(mode) if mode not in ("tensor", "array") else in_mode("RGB")
    given: ImageLike = whole
    if mode in ("tensor", "array"):
        given = to_tensor(whole) if mode == "tensor" else np.asarray(whole)
    levels = to_levels(given)[:89, :139]  # odd sides, of which the last is cut
    four = levels[:88, :138].astype(int).reshape(44, 2, 69, 2, 3).sum(axis=(1, 3))
    half, size = open_levels(levels, halve_over=89 * 139 - 1)
    assert size == (89, 139)
    assert np.array_equal(half, (four + 2) // 4)
    half, size = open_levels(given, halve_over=1)
    assert (half.shape, size) == ((45, 70, 3), (90, 140))
    same, _ = open_levels(given, halve_over=90 * 140)
    assert np.array_equal(same, to_levels(given))


@pytest.mark.parametrize("size", [(300, 400), (301, 401)])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_huge_jpeg_is_halved_as_it_is_decoded(
    tmp_path: Path, orientation: int, size: tuple[int, int]
) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    to_pil(resize(picture(12, 20, seed=1), size)).save(path, quality=95, exif=exif)
    whole = to_levels(path)
    decoded, full = open_reduced(path, None, halve_over=100_000)
    assert full == whole.shape[:2]
    assert max(decoded.size) == (200 if size == (300, 400) else 401)
    half, full = open_levels(path, halve_over=100_000)
    assert full == whole.shape[:2]
    assert half.shape[:2] == (full[0] // 2, full[1] // 2)
    by_four, _ = open_levels(whole, halve_over=100_000)
    assert np.abs(half.astype(int) - by_four).mean() < 1.5
    with pytest.raises(ImageError, match="more pixels"):
        open_levels(path, limit_pixels=100_000, halve_over=50_000)


def test_the_callers_own_picture_stays_at_its_size(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    to_pil(picture(300, 400)).save(path)
    with Image.open(path) as image:
        open_shrunk(image, 20)
        assert image.size == (400, 300)


def test_the_limit_is_that_of_the_full_size(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    to_pil(picture(300, 400)).save(path)
    with pytest.raises(ImageError, match="more pixels"):
        open_shrunk(path, 20, limit_pixels=100_000)


def test_levels_are_the_tensor_in_bytes(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    in_mode("RGBA").save(path)
    levels = to_levels(path)
    assert levels.dtype == np.uint8
    assert torch.equal(as_floats(levels), to_tensor(path))
    tensor = to_tensor(path)
    assert np.array_equal(to_levels(tensor), levels)
    assert as_floats(tensor) is tensor
