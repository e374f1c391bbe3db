"""The U-Net inpainter: convolutions halve the canvas, transposed ones enlarge it again.

Each level has a convolution of 4x4 and stride 2 (leaky ReLU) on the way down and a transposed one
(ReLU; at last tanh) on the way up, which also sees what the way down had at its size.  There is no
normalisation.  The input is the canvas in [-1, 1], its hole 0, and as a fourth channel the hole
itself; that channel is ours, since 0 is also a colour.

The loss is the mean squared error in the hole, in units of [-1, 1].  (A published pseudo-code
takes it on the visible part, where there is nothing to learn: a slip.)

Source: the architecture is that of pix2pix without normalisation (Isola et al. 2016,
arXiv:1611.07004, section 6.1), which is that of U-Net (Ronneberger et al. 2015, arXiv:1505.04597).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.models.batches import send
from vicl.models.configs import CanvasConfig, Size
from vicl.models.inpainter import PixelInpainter
from vicl.models.shapes import Hole, Holes, Images
from vicl.models.tokens import token_pixels

LEAK = 0.2
KERNEL = 4


class UNetConfig(CanvasConfig):
    """A convolutional encoder-decoder with skip connections; the defaults are the published one.

    Attributes:
        canvas_size: (height, width) in pixels, multiples of `patch_size` and of two to the number
            of levels.
        patch_size: Holes are made of whole squares of this side; any divisor of the canvas.
        widths: Channels after each halving of the canvas.
    """

    canvas_size: tuple[Size, Size] = (256, 256)
    widths: tuple[Size, ...] = Field(
        default=(64, 128, 256, 512, 512, 512, 512, 512), min_length=1, max_length=12
    )

    @property
    def width(self) -> int:
        """See :attr:`Config.width`."""
        return max(self.widths)

    @model_validator(mode="after")
    def _check_levels(self) -> UNetConfig:
        step = 2 ** len(self.widths)
        if any(side % step for side in self.canvas_size):
            raise ValueError(
                f"canvas_size: got {self.canvas_size}, expected multiples of {step}, since "
                f"{len(self.widths)} levels halve it"
            )
        return self


class UNet(PixelInpainter):
    """A convolutional encoder-decoder with skip connections.

    Attributes:
        config: The architecture.
        down: Convolutions, finest first.
        up: Transposed convolutions, coarsest first.
    """

    kind = "unet"
    config_class = UNetConfig
    config: UNetConfig

    def _build(self) -> None:
        *finer, coarsest = self.config.widths
        # All but the coarsest see two things: what is below them, and what is beside them.
        up = zip((*(2 * width for width in finer), coarsest), (3, *finer), strict=True)
        self.down = nn.ModuleList(
            nn.Conv2d(before, width, KERNEL, stride=2, padding=1)
            for before, width in pairwise((4, *self.config.widths))
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, width, KERNEL, stride=2, padding=1)
            for before, width in reversed(list(up))
        )
        self._initialise()

    def _initialise(self) -> None:
        """Draw weights so that activations keep their size through all levels.

        Source: He et al. 2015, arXiv:1502.01852, section 2.2. Of a transposed convolution of
        stride 2 a pixel gets a quarter of the taps.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=LEAK)
            elif isinstance(module, nn.ConvTranspose2d):
                taps = module.in_channels * KERNEL * KERNEL // 4
                nn.init.normal_(module.weight, std=math.sqrt(2 / taps))
            else:
                continue
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, "b 4 H W"]) -> Images:
        """Draw canvases in [-1, 1] from canvases in [-1, 1] and their holes."""
        beside: list[Tensor] = []
        for conv in self.down:
            x = F.leaky_relu(conv(x), LEAK)
            beside.append(x)
        x = beside.pop()
        for conv in self.up:
            x = conv(x)
            if beside:
                x = torch.cat([F.relu(x), beside.pop()], dim=1)
        return torch.tanh(x)

    def loss(self, image: Images, hole: Hole, *, target: Images | None = None) -> Float[Tensor, ""]:
        """Mean squared error in the holes, in units of [-1, 1]; see :meth:`LearnedInpainter.loss`.

        A mean over pixels, so that a large hole counts more than a small one.
        """
        holes = self._holes(image, hole)
        count = len(self._places(holes)) * 3 * self.patch_size**2
        drawn = self._run(image, holes)
        clean = 2 * (image if target is None else target) - 1
        where = self._pixels(holes)
        return torch.where(where, (drawn - clean).square(), 0.0).sum() / count

    def _draw(self, image: Images, holes: Holes) -> Images:
        return (self._run(image, holes) + 1) / 2

    def _run(self, image: Images, holes: Holes) -> Images:
        """Draw canvases in [-1, 1], float32; what is under the holes is not looked at."""
        where = self._pixels(holes)
        shown = (2 * image - 1).masked_fill(where, 0.0)
        drawn: Tensor = self(torch.cat([shown, where.to(shown.dtype)], dim=1).to(self.dtype))
        return drawn.float()

    def _pixels(self, holes: Holes) -> Bool[Tensor, "b 1 H W"]:
        """The holes as pixels, on the device."""
        pixels = token_pixels(holes, self.config.grid, self.patch_size)
        return send(pixels, self.device)[:, None]
