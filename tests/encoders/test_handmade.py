"""What the features that nobody trained say, on pictures made here."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vicl.encoders.handmade import SHAPES, HandMade, to_lab


def disc() -> tuple[Tensor, Tensor]:
    """An orange disc on gray, wider than high, and where it is."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    inside = (y - 30) ** 2 + (x - 50) ** 2 < 15**2
    return torch.where(inside, torch.tensor([0.9, 0.5, 0.1])[:, None, None], 0.5), inside


def test_a_pixel_has_its_colour_first_and_what_stands_out_last() -> None:
    image, inside = disc()
    pixels = HandMade().encode(image[None]).levels[0][0]
    lab = torch.from_numpy(to_lab(np.ascontiguousarray(image.permute(1, 2, 0).numpy())))
    assert torch.equal(pixels[:3], lab.permute(2, 0, 1))
    for standing_out in pixels[-2:]:
        assert standing_out.min() >= 0
        assert standing_out.max() <= 1
        assert standing_out[inside].mean() > standing_out[~inside].mean() + 0.5


def test_oriented_gradients_tell_what_runs_across_from_what_runs_down() -> None:
    """Of eight orientations the first is a change across, the fifth one down, however dim."""
    stripes = (torch.arange(64) // 8 % 2).float().expand(3, 64, 64)
    across, down, dim = (
        HandMade()
        .encode(torch.stack([stripes, stripes.mT, stripes * 0.5]))
        .levels[1]
        .flatten(2)
        .mean(2)[:, :SHAPES]
        .unflatten(1, (9, 8))
        .mean(1)
    )
    assert across.argmax() == 0
    assert down.argmax() == 4
    assert dim.argmax() == 0


def test_colours_around_a_point_are_the_images() -> None:
    image, _ = disc()
    tints = HandMade().encode(image[None]).levels[1][0, SHAPES:].unflatten(0, (9, 3))
    assert tints[4, :, 7, 12].allclose(
        HandMade().encode(image[None]).levels[0][0, :3, 30, 50], atol=0.05
    )


def test_the_whole_is_a_histogram_of_colours() -> None:
    image, inside = disc()
    whole = HandMade().encode(image[None]).whole[0]
    assert whole.sum().item() == 1
    shares = whole[whole > 0].sort().values
    share = inside.float().mean()
    assert shares.allclose(torch.stack([share, 1 - share]))
