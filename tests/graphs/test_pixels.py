"""What graphs do with pixels is what vicl does outside of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from vicl.encoders.handmade import to_lab as reference_lab
from vicl.graphs.pixels import enlarged, resized, shrunk, to_lab
from vicl.images import resize
from vicl.images.upsampling import upsample


def smooth(*shape: int, side: int = 12) -> torch.Tensor:
    """Noise of a few places, drawn large."""
    noise = torch.rand(1, shape[0], side, side, generator=torch.Generator().manual_seed(len(shape)))
    return F.interpolate(noise, shape[1:], mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("size", [(40, 33), (150, 200)])
@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_resizing_is_that_of_pytorch(size: tuple[int, int], filter: str) -> None:
    values = smooth(3, 70, 90)
    wanted = F.interpolate(values, size, mode=filter, antialias=True, align_corners=False)
    torch.testing.assert_close(resized(values, size, filter), wanted, atol=2e-6, rtol=0)


def test_pictures_are_shrunk_as_pillow_does_but_for_rounding() -> None:
    picture = smooth(3, 150, 111)
    levels = picture.mul(255).round().div(255)
    wanted = resize(levels[0], (64, 64))
    assert (shrunk(levels, (64, 64))[0] - wanted).abs().max() < 1.1 / 255


def test_colours_are_those_of_scikit_image() -> None:
    picture = smooth(3, 40, 50)[0]
    wanted = reference_lab(picture.permute(1, 2, 0).numpy())
    np.testing.assert_allclose(to_lab(picture).permute(1, 2, 0).numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("guided", [True, False])
def test_answers_are_enlarged_as_the_prompter_does(guided: bool) -> None:
    query, values = smooth(3, 130, 170), 8 - 16 * smooth(2, 48, 48)[0]
    method = "guided" if guided else "bicubic"
    wanted = upsample(values, (130, 170), guide=query[0], method=method)
    torch.testing.assert_close(enlarged(values, query, guided=guided), wanted, atol=5e-5, rtol=0)
