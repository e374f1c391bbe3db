from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vicl.exports.sheets import contact_sheet


def _colour(rgb: tuple[float, float, float], height: int, width: int) -> torch.Tensor:
    return (
        torch.tensor(rgb, dtype=torch.float32).view(3, 1, 1).expand(3, height, width).contiguous()
    )


def _box(page: Image.Image, rgb: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The box of a colour on the page, half-open."""
    y, x = np.nonzero((np.asarray(page) == rgb).all(axis=-1))
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_pictures_stand_in_their_columns_with_their_aspect() -> None:
    wide, tall = _colour((1, 0, 0), 50, 100), _colour((0, 0, 1), 30, 15)
    page = contact_sheet([[wide, tall]], headers=["a", "b"], cell=100)
    assert page.mode == "RGB"
    red, blue = _box(page, RED), _box(page, BLUE)
    # A frame of one pixel is drawn on the picture itself.
    assert (red[2] - red[0], red[3] - red[1]) == (98, 48)
    assert (blue[2] - blue[0], blue[3] - blue[1]) == (48, 98)
    assert red[2] < blue[0]
    assert red[1] == blue[1]
    centre = (blue[0] + blue[2]) / 2 - (red[0] + red[2]) / 2
    assert centre == pytest.approx(108, abs=1)  # a cell and the gap


def test_rows_follow_one_another_and_empty_cells_stay_empty() -> None:
    rows = [[_colour((1, 0, 0), 20, 20), None], [None, _colour((0, 0, 1), 20, 20)]]
    page = contact_sheet(rows, headers=["a", "b"], cell=64)
    red, blue = _box(page, RED), _box(page, BLUE)
    assert red[3] < blue[1]
    assert red[2] < blue[0]


def test_words_take_room_and_long_ones_are_cut() -> None:
    rows = [[_colour((1, 0, 0), 20, 20)]]
    plain = contact_sheet(rows, headers=["a"], cell=64)
    labelled = contact_sheet(rows, headers=["a"], labels=["one\ntwo"], cell=64)
    captioned = contact_sheet(rows, headers=["a"], captions=[["0.50\nmore"]], cell=64)
    assert labelled.width > plain.width
    assert labelled.height == plain.height
    assert captioned.height > plain.height
    assert captioned.width == plain.width
    below = np.asarray(captioned)[_box(captioned, RED)[3] + 2 :]
    assert (below < 100).any()  # ink
    long = contact_sheet(rows, headers=["w" * 200], labels=["w" * 200], cell=64)
    assert long.width <= plain.width + 2 * 64 + 8
    edge = np.asarray(long)[:, -10:]
    assert (edge == 255).all()  # the margin stays white


def test_tables_that_do_not_fit_are_refused() -> None:
    picture = _colour((1, 0, 0), 4, 4)
    with pytest.raises(ValueError, match="0 rows"):
        contact_sheet([], headers=["a"])
    with pytest.raises(ValueError, match=r"rows\[1\]: got 1 cells, expected 2"):
        contact_sheet([[picture, picture], [picture]], headers=["a", "b"])
    with pytest.raises(ValueError, match="labels: got 2, expected 1"):
        contact_sheet([[picture]], headers=["a"], labels=["x", "y"])
    with pytest.raises(ValueError, match=r"captions\[0\]: got 2"):
        contact_sheet([[picture]], headers=["a"], captions=[["x", "y"]])
    with pytest.raises(ValueError, match="cell: got 4"):
        contact_sheet([[picture]], headers=["a"], cell=4)
