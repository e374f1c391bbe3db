"""The patch discriminator: its layers, its weights, and the hinge losses by hand."""

from __future__ import annotations

import pytest
import torch
from tests.pictures import picture
from torch import nn

from vicl.training.objectives.discriminator import (
    PatchDiscriminator,
    discriminator_loss,
    generator_loss,
)
from vicl.training.settings import Discriminator


def convolutions(judge: PatchDiscriminator) -> list[nn.Conv2d]:
    return [part for part in judge.layers if isinstance(part, nn.Conv2d)]


def test_layers_are_the_published() -> None:
    """Each score of the published three-layer network looks at 70 x 70 pixels."""
    judge = PatchDiscriminator(Discriminator(base_width=4, layers=3))
    found = [(c.in_channels, c.out_channels, c.stride[0]) for c in convolutions(judge)]
    assert found == [(3, 4, 2), (4, 8, 2), (8, 16, 2), (16, 32, 1), (32, 1, 1)]
    field = 1
    for layer in reversed(convolutions(judge)):
        field = (field - 1) * layer.stride[0] + layer.kernel_size[0]
    assert field == 70
    widest = convolutions(PatchDiscriminator(Discriminator(base_width=2, layers=6)))
    assert [c.out_channels for c in widest] == [2, 4, 8, 16, 16, 16, 16, 1]


def test_channels_are_normalised_in_groups() -> None:
    groups = {
        width: part.num_groups
        for width in (1, 6, 8, 64)
        for part in PatchDiscriminator(Discriminator(base_width=width, layers=1)).layers
        if isinstance(part, nn.GroupNorm)
    }  # the normalised layer is twice as wide
    assert groups == {1: 1, 6: 1, 8: 4, 64: 8}


def test_weights_follow_from_the_seed() -> None:
    before = torch.random.get_rng_state()
    judge = PatchDiscriminator(Discriminator(base_width=16, layers=2), seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
    again = PatchDiscriminator(Discriminator(base_width=16, layers=2), seed=3).state_dict()
    other = convolutions(PatchDiscriminator(Discriminator(base_width=16, layers=2), seed=4))
    for name, value in judge.state_dict().items():
        assert torch.equal(value, again[name])
    for layer, otherwise in zip(convolutions(judge), other, strict=True):
        assert abs(float(layer.weight.detach().std()) / 0.02 - 1) < 0.2
        assert not bool(layer.bias.any())
        assert not torch.equal(layer.weight, otherwise.weight)


def test_images_are_judged_alone() -> None:
    judge = PatchDiscriminator(Discriminator(base_width=8, layers=2), seed=0)
    images = torch.stack([picture(16, 20, seed=i) for i in range(3)]) * 2 - 1
    scores = judge(images).detach()
    assert scores.shape == (3, 1, 2, 3)
    assert float(scores.std()) > 1e-3
    for row in range(3):
        alone = judge(images[row : row + 1])
        assert torch.allclose(alone[0], scores[row], atol=1e-6)


def test_small_images_are_refused() -> None:
    judge = PatchDiscriminator(Discriminator(base_width=4, layers=2))
    assert judge(torch.zeros(1, 3, 12, 12)).shape == (1, 1, 1, 1)
    with pytest.raises(
        ValueError, match=r"image: got \(12, 11\) px, expected sides of at least 12"
    ):
        judge(torch.zeros(1, 3, 12, 11))


def test_hinge_losses_by_hand() -> None:
    """(0 + 0.5 + 3) / 3 for photographs; (0 + 1 + 2.5) / 3 for drawings."""
    real, drawn = torch.tensor([2.0, 0.5, -2.0]), torch.tensor([-1.5, 0.0, 1.5])
    assert float(discriminator_loss(real, drawn)) == pytest.approx(3.5 / 3 + 3.5 / 3)
    assert float(generator_loss(drawn + 1)) == pytest.approx(-1.0)
    assert discriminator_loss(real.bfloat16(), drawn.bfloat16()).dtype == torch.float32
