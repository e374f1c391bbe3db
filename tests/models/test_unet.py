"""The U-Net: its sizes, its skips, its first activations."""

from __future__ import annotations

import pytest
import torch
from tests.models.kinds import PATCH, holes, smooth
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.models.unet import UNet, UNetConfig


def test_the_published_widths() -> None:
    with torch.device("meta"):
        model = UNet(UNetConfig())
    down = [(conv.in_channels, conv.out_channels) for conv in model.down]
    up = [(conv.in_channels, conv.out_channels) for conv in model.up]
    assert down == [(4, 64), (64, 128), (128, 256), (256, 512), *[(512, 512)] * 4]
    assert up == [
        (512, 512),
        *[(1024, 512)] * 3,
        (1024, 256),
        (512, 128),
        (256, 64),
        (128, 3),
    ]
    assert all(conv.kernel_size == (4, 4) for conv in (*model.down, *model.up))


def test_forward_by_hand() -> None:
    """Three levels written out one after the other."""
    model = UNet(UNetConfig(canvas_size=(16, 24), patch_size=8, widths=(3, 5, 7)))
    x = torch.randn(2, 4, 16, 24, generator=torch.Generator().manual_seed(0))

    def run(conv: nn.Module, value: Tensor) -> Tensor:
        function = F.conv2d if isinstance(conv, nn.Conv2d) else F.conv_transpose2d
        return function(value, conv.weight, conv.bias, stride=2, padding=1)

    half = F.leaky_relu(run(model.down[0], x), 0.2)
    quarter = F.leaky_relu(run(model.down[1], half), 0.2)
    eighth = F.leaky_relu(run(model.down[2], quarter), 0.2)
    assert eighth.shape == (2, 7, 2, 3)
    up = F.relu(run(model.up[0], eighth))
    up = F.relu(run(model.up[1], torch.cat([up, quarter], dim=1)))
    expected = run(model.up[2], torch.cat([up, half], dim=1)).tanh()
    assert torch.allclose(model(x), expected, atol=1e-6)


def test_eight_levels_keep_the_size_of_activations() -> None:
    """So that they train without normalisation: nothing fades or explodes, up or down."""
    config = UNetConfig(widths=(16, 32, 32, 32, 32, 32, 32, 32))
    sizes: list[float] = []

    def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        sizes.append(float(output.detach().square().mean().sqrt()))

    # The mean over four models, since at the coarsest levels there are few numbers.
    for seed in range(4):
        model = UNet(config, seed=seed)
        for conv in (*model.down, *model.up):
            conv.register_forward_hook(note)
        image = smooth(2, (256, 256), seed=seed)
        hole = holes((16, 16, 32, 32), size=(256, 256)).expand(2, -1, -1)
        model.inpaint(image, hole)
    means = torch.tensor(sizes).view(8, -1).mean(dim=0)
    # Around a single pixel most of what a kernel sees is the margin of zeros.
    assert 0.05 < float(means.min()) <= float(means.max()) < 1


def test_sizes_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ValueError, match=r"multiples of 256, since 8 levels"):
        UNetConfig(canvas_size=(256, 320))
    with pytest.raises(ValueError, match="multiples of patch_size"):
        UNetConfig(canvas_size=(64, 64), patch_size=3 * PATCH, widths=(4,))
