"""Random walks along colours, and the part of an image that is looked at more closely."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vicl.engine import MaskPrompt
from vicl.models.promptable.asked import guide_of
from vicl.models.promptable.closer import in_shares, moved, part_around, seen_from
from vicl.models.promptable.walks import ahead, paths, walked

SIZE = (192, 192)
NOWHERE = torch.zeros(1, 96, 96)


def two_colours() -> torch.Tensor:
    """Left third red, the rest blue."""
    image = torch.zeros(1, 3, *SIZE)
    image[:, 0, :, :64], image[:, 2, :, 64:] = 0.8, 0.6
    return image


def test_walks_stop_at_an_edge() -> None:
    guide = guide_of(MaskPrompt([(20, 90), (150, 90)], [1, 0]), SIZE)
    found = ahead(guide, two_colours(), NOWHERE)
    assert found.shape == (1, 96, 96)
    assert found.abs().max() <= 1
    assert (found[0, 30:60, :30] > 0.1).all()
    assert (found[0, 30:60, 45:80] < -0.1).all()
    # A few places beyond the edge the far click counts for more, not the near one.
    assert found[0, 40:50, 38:].max() < 0


def test_walks_stop_at_an_outline_that_no_colour_shows() -> None:
    flat = torch.full((1, 3, *SIZE), 0.5)
    guide = guide_of(MaskPrompt([(20, 90), (150, 90)], [1, 0]), SIZE)
    outline = NOWHERE.clone()
    outline[..., 60] = 1
    found, without = ahead(guide, flat, outline), ahead(guide, flat, NOWHERE)
    assert found[0, 45, 42] > 0.2 > 0 > without[0, 45, 42]  # nearer to the click out
    assert found[0, 45, 66] < -0.7
    boxed = guide_of(MaskPrompt(box=(8, 30, 90, 170)), SIZE)
    assert torch.equal(ahead(boxed, flat, outline), ahead(boxed, flat, NOWHERE))


def test_walks_from_a_box_start_in_its_middle() -> None:
    guide = guide_of(MaskPrompt(box=(8, 30, 90, 170)), SIZE)
    found = ahead(guide, two_colours(), NOWHERE)[0]
    assert found[48, 20] > 0.1
    assert found[48, 40] < 0  # in the box, but beyond the edge
    assert found[48, 80] < -0.1


def test_chances_are_those_of_the_linear_system() -> None:
    side, told = 6, torch.zeros(2, 6, 6)
    told[0, 1, 1], told[1, 4, 4] = 3.0, 3.0
    made = torch.Generator().manual_seed(0)
    along = paths(
        torch.rand(1, 3, side, side, generator=made), torch.rand(1, side, side, generator=made)
    )
    count = side * side
    matrix = np.diag(np.full(count, 2e-3) + told.sum(0).flatten().numpy().astype(float))
    for row in range(side):
        for column in range(side):
            one = row * side + column
            ways = ((along.across, one + 1, column), (along.down, one + side, row))
            for map_, other, place in ways:
                if place + 1 < side:
                    much = float(map_[0, row, column])
                    matrix[[one, other], [one, other]] += much
                    matrix[[one, other], [other, one]] -= much
    wanted = np.linalg.solve(matrix, told.flatten(1).numpy().T.astype(float)).T
    wanted = 1 - np.log(wanted.clip(1e-3, 1)) / np.log(1e-3)
    found = walked(along, told[:1], told[1:])[0].flatten(1).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_a_picture_of_one_colour_is_finite() -> None:
    guide = guide_of(MaskPrompt([(20, 90), (150, 90)], [1, 0]), SIZE)
    found = ahead(guide, torch.full((1, 3, *SIZE), 0.5), NOWHERE)
    assert found.isfinite().all()
    assert found[0, 45, 10] > 0 > found[0, 45, 75]


@pytest.mark.parametrize(
    ("box", "part"),
    [
        ((40, 40, 50, 50), (29, 29, 61, 61)),  # no side is under 32
        ((100, 50, 200, 100), (70, 35, 230, 115)),
        ((0, 0, 50, 50), (0, 0, 65, 65)),
        ((90, 100, 110, 200), (60, 70, 140, 230)),
    ],
)
def test_a_part_is_the_box_and_its_surroundings(
    box: tuple[int, ...], part: tuple[int, ...]
) -> None:
    found = part_around(np.array(box, np.float32), (300, 400))
    x0, y0, x1, y1 = found
    assert 0 <= x0 <= box[0] < box[2] <= x1 <= 400
    assert 0 <= y0 <= box[1] < box[3] <= y1 <= 300
    assert np.abs(np.array(found) - part).max() <= 2


def test_a_prompt_is_moved_to_a_part() -> None:
    mask = np.zeros((100, 200), bool)
    mask[50:, 100:] = True
    prompt = MaskPrompt([(150, 75), (10, 10)], [1, 0], box=(120, 60, 180, 90), mask=mask)
    part = in_shares((100, 50, 200, 100), (100, 200))
    found = moved(guide_of(prompt, (100, 200)), part)
    torch.testing.assert_close(found.points[0, 0], torch.tensor([0.5, 0.5]))
    assert found.labels.tolist() == [[1, -1]]
    torch.testing.assert_close(found.box[0], torch.tensor([0.2, 0.2, 0.8, 0.8]))
    assert found.earlier[0, 2:, 2:].min() == 1
    without = moved(guide_of(MaskPrompt(box=(120, 60, 180, 90)), (100, 200)), part)
    assert (without.earlier == -1).all()


def test_a_map_is_seen_from_a_part() -> None:
    values = torch.arange(8.0).expand(1, 8, 8)
    found = seen_from(values, torch.tensor([0.5, 0.0, 1.0, 1.0]))
    torch.testing.assert_close(found[0, 0, :7], torch.arange(3.75, 7.0, 0.5))
