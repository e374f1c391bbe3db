"""Lines are thinned as scikit-image thins them, at a cost that is linear in their pixels."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from vicl.metrics.thinning import thin_lines


@pytest.mark.parametrize("seed", range(20))
def test_what_is_left_is_what_scikit_image_leaves(seed: int) -> None:
    from skimage.morphology import thin

    rng = np.random.default_rng(seed)
    lines = rng.random(rng.integers(1, 60, 2)) < rng.random()
    thick = binary_dilation(rng.random((50, 70)) < 0.01, iterations=1 + seed % 5)
    for drawn in (lines, thick, ~thick):
        before = drawn.copy()
        assert (thin_lines(drawn) == thin(drawn)).all()  # type: ignore[no-untyped-call]
        assert (drawn == before).all()


def test_a_filled_shape_costs_what_its_pixels_cost() -> None:
    """In passes over the picture four times the pixels would take eight times as long."""

    def seconds(side: int) -> float:
        start = time.process_time()
        thin_lines(np.ones((side, side), bool))
        return time.process_time() - start

    small = min(seconds(400) for _ in range(3))
    assert min(seconds(1600) for _ in range(2)) < 32 * small + 1
