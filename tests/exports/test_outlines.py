"""Polygons of components, filled again by three independent readers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import draw, measure

from vicl.exports import simplifying
from vicl.exports.outlines import trace
from vicl.exports.regions import EDGE_INSET

# pycocotools 2.0.11 has not followed NumPy 2 in this.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

disk: Any = draw.disk  # scikit-image has no types
approximate: Any = measure.approximate_polygon
polygon2mask: Any = draw.polygon2mask

DRAWN = hnp.arrays(
    np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=10), fill=st.nothing()
)


def _random_mask(seed: int, density: float, smoothing: float) -> NDArray[np.bool_]:
    values = np.random.default_rng(seed).random((24, 31))
    if smoothing:
        values = ndimage.gaussian_filter(values, smoothing)
    return np.asarray(values <= np.quantile(values, density), dtype=np.bool_)


MASKS = DRAWN | st.builds(
    _random_mask, st.integers(0, 9999), st.sampled_from([0.1, 0.5, 0.9]), st.sampled_from([0, 2])
)
RING = np.pad(np.pad(np.zeros((1, 1), dtype=bool), 1, constant_values=True), 1)
NESTED = np.pad(np.pad(RING, 1, constant_values=True), 1)  # a ring in a ring
CHECKERS = np.indices((7, 6)).sum(axis=0) % 2 == 0
GRATING = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [1, 1, 0, 1, 1], [1, 1, 1, 1, 1]], dtype=bool)


def components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    return labels.astype(np.int64), count


def with_examples(test: Callable[..., None]) -> Callable[..., None]:
    for mask in (np.ones((3, 4), dtype=bool), RING, NESTED, CHECKERS, GRATING, ~GRATING):
        test = example(mask)(test)
    return test


def test_one_pixel_is_a_square_clockwise_from_its_top_left_corner() -> None:
    labels = np.zeros((4, 5), dtype=np.int64)
    labels[2, 3] = 1
    (path,) = trace(labels)
    assert path.tolist() == [[3, 2], [4, 2], [4, 3], [3, 3]]


def test_a_hole_hangs_on_a_line_through_pixels_above_it() -> None:
    (path,) = trace(RING.astype(np.int64))
    assert path.tolist() == [
        *([1, 1], [2.5, 1], [2.5, 2]),  # to the top edge, down to the hole
        *([2, 2], [2, 3], [3, 3], [3, 2]),  # round the hole
        *([2.5, 2], [2.5, 1], [4, 1], [4, 4], [1, 4]),
    ]


@with_examples
@given(MASKS)
def test_pycocotools_gets_every_pixel_back(mask: NDArray[np.bool_]) -> None:
    reference = pytest.importorskip("pycocotools.mask")
    labels, count = components(mask)
    for inset in (0.0, EDGE_INSET):
        paths = trace(labels, inset=inset)
        assert len(paths) == count
        for label, path in enumerate(paths, start=1):
            runs = reference.frPyObjects([path.ravel().tolist()], *mask.shape)
            assert np.array_equal(reference.decode(runs)[..., 0], labels == label)


@with_examples
@given(MASKS)
def test_a_fill_by_pixel_centres_gets_every_pixel_back(mask: NDArray[np.bool_]) -> None:
    labels, _ = components(mask)
    for label, path in enumerate(trace(labels), start=1):
        filled = polygon2mask(mask.shape, path[:, ::-1] - 0.5)
        assert np.array_equal(filled, labels == label)


@with_examples
@given(MASKS)
def test_readers_that_cut_to_whole_pixels_get_every_pixel_back(mask: NDArray[np.bool_]) -> None:
    # LabelMe draws polygons so (Pillow cuts coordinates to integers and draws the outline too).
    labels, _ = components(mask)
    for label, path in enumerate(trace(labels, inset=EDGE_INSET), start=1):
        picture = Image.new("L", mask.shape[::-1])
        ImageDraw.Draw(picture).polygon([(x, y) for x, y in path], outline=1, fill=1)
        assert np.array_equal(np.asarray(picture), labels == label)


@given(MASKS)
def test_area_and_direction(mask: NDArray[np.bool_]) -> None:
    labels, _ = components(mask)
    for label, path in enumerate(trace(labels), start=1):
        x, y = path.T
        shoelace = (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2
        assert shoelace == (labels == label).sum()  # above 0: clockwise, as y points down


def test_tolerance_saves_points_and_keeps_the_shape() -> None:
    labels = np.zeros((200, 200), dtype=np.int64)
    labels[disk((100, 100), 80)] = 1
    labels[disk((90, 90), 30)] = 0
    (exact,), (simple,) = trace(labels), trace(labels, tolerance=1.0)
    assert len(simple) < len(exact) / 5
    filled = polygon2mask(labels.shape, simple[:, ::-1] - 0.5)
    assert (filled & (labels > 0)).sum() / (filled | (labels > 0)).sum() > 0.98


def test_no_point_is_farther_off_than_the_tolerance() -> None:
    noise = np.random.default_rng(0).random((30, 40)) < 0.6
    labels, _ = components(noise)
    measured, smaller = simplifying._squared_distances, 0
    for exact, simple in zip(trace(labels), trace(labels, tolerance=1.5), strict=True):
        assert {*map(tuple, simple)} <= {*map(tuple, exact)}
        off = [
            measured(exact, np.broadcast_to(a, exact.shape), np.broadcast_to(b, exact.shape))
            for a, b in zip(simple, np.roll(simple, -1, axis=0), strict=True)
        ]
        assert np.min(off, axis=0).max() <= 1.5**2
        # The same rule, one piece after the other.
        wanted = len(approximate(np.concatenate([exact, exact[:1]]), 1.5)) - 1
        assert len(simple) <= 1.1 * wanted + 2 or len(simple) == len(exact)
        smaller += len(simple) < len(exact)
    assert smaller


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["noise", "holes", "comb"])
def test_the_work_of_simplifying_grows_as_the_points_do(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    measured = simplifying._squared_distances

    def counted(points: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        nonlocal looked
        looked += len(points)
        return measured(points, starts, ends)

    monkeypatch.setattr(simplifying, "_squared_distances", counted)
    shares = []
    for side in (60, 240):
        mask = np.ones((side, side), dtype=bool)
        if shape == "noise":
            mask = np.random.default_rng(0).random(mask.shape) < 0.5
        elif shape == "holes":
            mask[1:-1:3, 1:-1:3] = False
        else:
            mask[3:, 1::2] = False
        labels, _ = components(mask)
        points, looked = sum(map(len, trace(labels))), 0
        trace(labels, tolerance=1.0)
        shares.append(looked / points)
    # Rounds: at most so many, and then halves.
    assert max(shares) <= simplifying._BALANCED + 2 * np.log2(240)


def test_tolerance_never_makes_a_polygon_a_line() -> None:
    (path,) = trace(np.ones((1, 1), dtype=np.int64), tolerance=5.0)
    assert len(path) == 4


def test_nothing_has_no_outline() -> None:
    assert trace(np.zeros((3, 4), dtype=np.int64)) == []


@pytest.mark.slow
def test_holes_that_hang_on_holes_are_put_together_once() -> None:
    # One below another: each hangs on the one above it, and its path would be copied with each.
    height = 40_001
    mask = np.ones((height, 3), dtype=np.int64)
    mask[1:-1:2, 1] = 0
    begun = time.perf_counter()
    (path,) = trace(mask)
    x, y = path.T
    area = 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
    assert area == mask.sum()
    assert time.perf_counter() - begun < 20  # by copying it takes minutes
