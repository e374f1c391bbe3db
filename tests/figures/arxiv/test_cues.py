"""Pages are cut along their gutters, and what is found is told in numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.figures.arxiv.pages import grid, shot, text

from vicl.figures.arxiv.filtering.cues import CUES, layout_cues
from vicl.figures.arxiv.filtering.cutting import cut_page


def cues(image: np.ndarray) -> dict[str, float]:
    return dict(zip(CUES, map(float, layout_cues(image)), strict=True))


@pytest.mark.parametrize("ground", [255, 0, 128])
@pytest.mark.parametrize("gap", [1, 7])
def test_a_grid_is_cut_into_its_cells(ground: int, gap: int) -> None:
    page = grid(rows=2, columns=3, gap=gap)
    page[(page == 255).all(axis=-1)] = ground
    cut = cut_page(page.astype(np.float32).mean(axis=-1))
    assert [rect.size for rect in cut.parts] == [(60, 80)] * 6
    assert [(r.top, r.left) for r in cut.parts[:2]] == [(gap, gap), (gap, 2 * gap + 80)]
    assert sum(gutter.across for gutter in cut.gutters) == 1
    assert {gutter.width for gutter in cut.gutters} == {gap}
    assert {round(gutter.level) for gutter in cut.gutters} == {ground}


def test_noise_of_jpeg_in_a_gutter_does_not_hide_it() -> None:
    page = grid().astype(float) + np.random.default_rng(0).normal(0, 3, grid().shape)
    assert len(cut_page(page.clip(0, 255).mean(axis=-1)).parts) == 6


def test_cues_tell_grids_photographs_and_text_apart() -> None:
    table, alone, lines = cues(grid()), cues(shot(5, (200, 300))), cues(text())
    assert table["photographs"] > alone["photographs"] > lines["photographs"] == 0
    assert table["photographs_like_sized"] == 1 > alone["photographs_like_sized"]
    assert alone["largest_photograph"] > 0.9 > table["largest_photograph"]
    assert lines["small_parts"] > table["small_parts"] == alone["small_parts"] == 0
    assert lines["flat"] > 0.5 > table["flat"]


def test_pictures_that_touch_have_a_seam() -> None:
    page = np.concatenate([shot(1, (120, 120)) // 3, 170 + shot(2, (120, 120)) // 3], axis=1)
    found = cues(page)
    assert found["seam_down"] > 0.7 > 0.2 > found["seam_across"]
    assert cues(page.transpose(1, 0, 2))["seam_across"] == pytest.approx(found["seam_down"])


@settings(max_examples=30)
@given(
    st.integers(1, 90), st.integers(1, 90), st.sampled_from(["zeros", "noise", "lines"]), st.data()
)
def test_any_picture_has_finite_cues(high: int, wide: int, what: str, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    image = np.zeros((high, wide, 3), np.uint8)
    if what == "noise":
        image[:] = rng.integers(0, 256, image.shape)
    elif what == "lines":
        image[:: 1 + high // 4] = 255
    found = layout_cues(image)
    assert found.shape == (len(CUES),)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
