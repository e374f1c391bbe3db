"""Masks that end where things end are likelier to be meant."""

from __future__ import annotations

import pytest
import torch

from vicl.models.promptable.borders import likely, on_outlines


def square(top: int, left: int, side: int) -> torch.Tensor:
    """Log-odds of a square on the network's grid."""
    odds = torch.full((192, 192), -8.0)
    odds[top : top + side, left : left + side] = 8
    return odds


def test_a_border_on_an_outline_counts() -> None:
    outline = torch.zeros(1, 96, 96)
    outline[0, [20, 59], 20:60] = outline[0, 20:60, [20, 59]] = 0.9
    masks = [square(40, 40, 80), square(60, 60, 40), square(40, 70, 80), square(0, 0, 0)]
    found = on_outlines(torch.stack(masks), outline)
    assert found[0] == pytest.approx(0.9)
    assert found[1] == 0
    assert 0.3 < found[2] < 0.7  # two of its sides
    assert found[3] == 0


def test_what_is_expected_follows_the_border_and_stays_a_share() -> None:
    outline = torch.zeros(1, 96, 96)
    outline[0, [20, 59], 20:60] = outline[0, 20:60, [20, 59]] = 1
    odds = torch.stack([square(60, 60, 40), square(40, 40, 80)])
    on_it = likely(torch.tensor([0.6, 0.5]), odds, outline)
    assert on_it[1] > on_it[0] > 0.2
    ends = likely(torch.tensor([0.0, 1.0]), odds, outline).tolist()
    assert ends == pytest.approx([0, 1])
    assert likely(torch.tensor([0.5, 9.0]), odds, outline)[1] == 1
