"""VQGAN: a codebook of image patches, with an encoder that names them and a decoder that draws.

On a CPU `encode` and `decode` take images one at a time (:func:`vicl.models.batches.one_by_one`).
Training works with `latents`, `nearest` and `render`, of which the two are made.

Source: Esser, Rombach and Ommer 2021, arXiv:2012.09841.  The discriminator, which only training
needs, is not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.canvas.rects import Rect
from vicl.encoders.layers import Conv2d
from vicl.models.batches import one_by_one
from vicl.models.configs import VQGANConfig
from vicl.models.initialisation import initialise_convolutions, seeded
from vicl.models.pretrained import Pretrained
from vicl.models.shapes import Images, Vectors

NORM_EPS = 1e-6
PART_MARGIN = 4
"""How far beyond a part of an image its decoding looks at each resolution, in pixels of that
resolution."""


def swish(x: Tensor) -> Tensor:
    """Multiply x by its sigmoid; overwrites `x` where no gradient needs it."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def upsample_conv(x: Float[Tensor, "b c h w"], conv: nn.Conv2d) -> Float[Tensor, "b d 2*h 2*w"]:
    """A 3x3 convolution of `x` enlarged to twice its size by repeating pixels.

    Of the nine taps on repeated pixels several fall on the same one. Adding their weights first
    leaves 2x2 taps, different for the four places within a pixel: 4/9 of the work.
    """
    b, _, h, w = x.shape
    rows = (conv.weight[:, :, :1], conv.weight[:, :, 1:2], conv.weight[:, :, 2:])
    padded = F.pad(x, (1, 1, 1, 1))
    out = x.new_empty((b, 2 * h, 2 * w, conv.out_channels)).permute(0, 3, 1, 2)
    for down, tall in enumerate(((rows[0], rows[1] + rows[2]), (rows[0] + rows[1], rows[2]))):
        columns = torch.cat(tall, dim=2)
        left, middle, right = columns[..., :1], columns[..., 1:2], columns[..., 2:]
        for along, wide in enumerate(((left, middle + right), (left + middle, right))):
            part = padded[:, :, down : down + h + 1, along : along + w + 1]
            kernel = torch.cat(wide, dim=3)
            out[:, :, down::2, along::2] = F.conv2d(part, kernel, conv.bias)
    return out


def _enlarge(x: Float[Tensor, "b c h w"], conv: nn.Conv2d) -> Float[Tensor, "b c 2*h 2*w"]:
    """Enlarge twice by repeating pixels, then convolve, the quicker of the two ways."""
    # In small images handling the four kernels costs more than the taps that they save.
    few = x.shape[2] * x.shape[3] < 4 * conv.out_channels
    if few or torch.compiler.is_exporting():  # a graph's runtime has no quicker way
        out: Tensor = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out
    return upsample_conv(x, conv)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after group normalisation and swish, added to the input."""

    def __init__(self, width_in: int, width_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, width_in, eps=NORM_EPS)
        self.conv1 = Conv2d(width_in, width_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, width_out, eps=NORM_EPS)
        self.conv2 = Conv2d(width_out, width_out, 3, padding=1)
        self.shortcut: nn.Module = (
            nn.Identity() if width_in == width_out else Conv2d(width_in, width_out, 1)
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Transform without changing the size."""
        hidden = self.conv1(swish(self.norm1(x)))
        hidden = self.conv2(swish(self.norm2(hidden)))
        out: Tensor = self.shortcut(x) + hidden
        return out


class SpatialAttention(nn.Module):
    """Single-head self-attention over all places, added to the input."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=NORM_EPS)
        self.q = Conv2d(width, width, 1)
        self.k = Conv2d(width, width, 1)
        self.v = Conv2d(width, width, 1)
        self.proj = Conv2d(width, width, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Let every place look at every other."""
        b, c, h, w = x.shape
        normed = self.norm(x)
        q, k, v = (
            layer(normed).flatten(2).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v)
        )  # (b, 1, h w, c)
        mixed = F.scaled_dot_product_attention(q, k, v)[:, 0]  # (b, h w, c)
        out: Tensor = x + self.proj(mixed.transpose(1, 2).reshape(b, c, h, w))
        return out


class Level(nn.Module):
    """The residual blocks of one resolution, and what leads to the next: `resample`, or None."""

    resample: nn.Conv2d | None

    def __init__(
        self,
        widths: list[int],
        groups: int,
        *,
        attention: bool,
        resample: nn.Conv2d | None,
    ) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.blocks = nn.ModuleList(ResidualBlock(a, b, groups) for a, b in pairs)
        self.attentions = nn.ModuleList(SpatialAttention(b, groups) for _, b in pairs if attention)
        self.resample = resample

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Run the blocks, each followed by attention where the level has it."""
        for index, block in enumerate(self.blocks):
            x = block(x)
            if len(self.attentions):
                x = self.attentions[index](x)
        return x


class Middle(nn.Module):
    """Residual block, attention, residual block, at the coarsest resolution."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(width, width, groups)
        self.attention = SpatialAttention(width, groups)
        self.block_2 = ResidualBlock(width, width, groups)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Transform without changing the shape."""
        out: Tensor = self.block_2(self.attention(self.block_1(x)))
        return out


class Encoder(nn.Module):
    """Image in [-1, 1] to latents, one for each patch."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        groups = config.norm_groups
        widths = [config.base_width * m for m in config.multipliers]
        self.conv_in = Conv2d(3, config.base_width, 3, padding=1)
        self.levels = nn.ModuleList()
        before = config.base_width
        for index, width in enumerate(widths):
            last = index == len(widths) - 1
            level = Level(
                [before] + [width] * config.blocks,
                groups,
                attention=index in config.attention_levels,
                resample=None if last else Conv2d(width, width, 3, stride=2),
            )
            self.levels.append(level)
            before = width
        self.middle = Middle(before, groups)
        self.norm_out = nn.GroupNorm(groups, before, eps=NORM_EPS)
        self.conv_out = Conv2d(before, config.latent_dim, 3, padding=1)

    def forward(self, image: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        """Encode."""
        x = self.conv_in(image)
        for level in _levels(self.levels):
            x = level(x)
            if level.resample is not None:
                # The published padding: one row below and one column on the right.
                x = level.resample(F.pad(x, (0, 1, 0, 1)))
        x = self.middle(x)
        out: Tensor = self.conv_out(swish(self.norm_out(x)))
        return out


class Decoder(nn.Module):
    """Latents to an image, in [-1, 1] up to overshoot. `levels` counts from 0 = finest."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        groups = config.norm_groups
        widths = [config.base_width * m for m in config.multipliers]
        self.finest_attention = min(config.attention_levels, default=len(widths))
        self.conv_in = Conv2d(config.latent_dim, widths[-1], 3, padding=1)
        self.middle = Middle(widths[-1], groups)
        self.levels = nn.ModuleList()
        for index, width in enumerate(widths):
            before = widths[min(index + 1, len(widths) - 1)]
            level = Level(
                [before] + [width] * (config.blocks + 1),
                groups,
                attention=index in config.attention_levels,
                resample=None if index == 0 else Conv2d(width, width, 3, padding=1),
            )
            self.levels.append(level)
        self.norm_out = nn.GroupNorm(groups, widths[0], eps=NORM_EPS)
        self.conv_out = Conv2d(widths[0], 3, 3, padding=1)

    def forward(
        self, z: Float[Tensor, "b c h w"], part: Rect | None = None
    ) -> Float[Tensor, "b 3 H W"]:
        """Decode, from the coarsest level to the finest.

        Args:
            z: Latents.
            part: In latents: draw only this part. Levels with attention, and coarser ones, see
                everything; the finer ones see the part and a margin.
        """
        x = self.middle(self.conv_in(z))
        window = Rect(0, 0, z.shape[2], z.shape[3])  # what x shows, in its own pixels
        whole, wanted = window, part
        for index, level in reversed(list(enumerate(_levels(self.levels)))):
            if wanted is not None and index < self.finest_attention:
                around = _grow(wanted, PART_MARGIN, whole)
                x, window = _crop(x, window, around), around
            x = level(x)
            if level.resample is not None:
                x = _enlarge(x, level.resample)
                window, whole = _double(window), _double(whole)
                wanted = None if wanted is None else _double(wanted)
        x = self.conv_out(swish(self.norm_out(x)))
        drawn: Tensor = x if wanted is None else _crop(x, window, wanted)
        return drawn


def _last_of_branches(model: nn.Module) -> Iterator[nn.Conv2d]:
    """What each residual branch ends with."""
    for module in model.modules():
        if isinstance(module, ResidualBlock):
            yield module.conv2
        elif isinstance(module, SpatialAttention):
            yield module.proj


def _levels(modules: nn.ModuleList) -> list[Level]:
    return [cast(Level, module) for module in modules]


def _double(rect: Rect) -> Rect:
    return Rect(2 * rect.top, 2 * rect.left, 2 * rect.height, 2 * rect.width)


def _grow(rect: Rect, margin: int, whole: Rect) -> Rect:
    top, left = max(0, rect.top - margin), max(0, rect.left - margin)
    bottom, right = min(whole.bottom, rect.bottom + margin), min(whole.right, rect.right + margin)
    return Rect(top, left, bottom - top, right - left)


def _crop(x: Tensor, window: Rect, part: Rect) -> Tensor:
    """Cut `part` out of `x`, which shows `window`."""
    return Rect(part.top - window.top, part.left - window.left, *part.size).of(x)


class VQGAN(Pretrained, nn.Module):
    """A VQGAN as a :class:`vicl.engine.Tokenizer`; built with random weights.

    Attributes:
        config: What it was built from.
        codebook: Vectors of the codes (codebook_size, codebook_dim).
    """

    kind = "vqgan"
    config_class = VQGANConfig
    config: VQGANConfig

    def __init__(self, config: VQGANConfig, *, seed: int = 0) -> None:
        """Build the model.

        Args:
            config: The architecture.
            seed: Of the random weights.
        """
        super().__init__()
        self.config = config
        self.name = self.kind
        self.weights_hash = None
        with seeded(seed):
            self.encoder = Encoder(config)
            self.to_code = Conv2d(config.latent_dim, config.codebook_dim, 1)
            self.codebook = nn.Parameter(torch.empty(config.codebook_size, config.codebook_dim))
            self.from_code = Conv2d(config.codebook_dim, config.latent_dim, 1)
            self.decoder = Decoder(config)
            initialise_convolutions(self, quiet=_last_of_branches(self))
            nn.init.uniform_(self.codebook, -1 / config.codebook_size, 1 / config.codebook_size)

    @property
    def codebook_size(self) -> int:
        """Number of codes."""
        return self.config.codebook_size

    @property
    def patch_size(self) -> int:
        """Side of the square of pixels that a code stands for."""
        return self.config.patch_size

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.codebook.device

    def latents(self, image: Images) -> Vectors:
        """What the encoder makes of images in [0, 1], before the codebook; float32.

        Args:
            image: RGB, sides multiples of the patch's.

        Returns:
            A vector of codebook_dim numbers a patch.
        """
        scaled = (image * 2 - 1).to(self.codebook.dtype)
        latents: Tensor = self.to_code(self.encoder(scaled))
        return latents.float()

    def nearest(self, latents: Vectors) -> Int[Tensor, "b h w"]:
        """The code of each latent: the nearest by squared distance."""
        z = latents.permute(0, 2, 3, 1)  # (b, h, w, codebook_dim)
        codes = self.codebook.float()
        # |z - e|^2 without |z|^2, which is the same for every code e.
        distances: Tensor = codes.square().sum(dim=1) - 2 * (z @ codes.T)
        return distances.argmin(dim=-1)

    def render(self, vectors: Vectors, part: Rect | None = None) -> Images:
        """Draw vectors of the codebook, or others near them.

        Args:
            vectors: One a patch.
            part: See :meth:`decode`.

        Returns:
            Images in [-1, 1] up to overshoot; float32.
        """
        drawn: Tensor = self.decoder(self.from_code(vectors.to(self.codebook.dtype)), part)
        return drawn.float()

    def encode(self, image: Images, *, at_once: int = 1) -> Int[Tensor, "b h w"]:
        """Name the code of each patch of images in [0, 1], sides multiples of the patch's.

        Args:
            image: The images.
            at_once: Images that a CPU takes at a time. With more than 1, which is quicker for small
                ones, the codes of an image may depend on the others where two are equally near.
        """
        return one_by_one(lambda some: self.nearest(self.latents(some)), image, at_once=at_once)

    def decode(self, tokens: Int[Tensor, "b h w"], part: Rect | None = None) -> Images:
        """Draw codes as images in [0, 1], float32.

        Args:
            tokens: Codes of whole images, in raster order.
            part: In tokens: draw only this part. It costs less and is not quite the same as
                cutting it out of the whole drawing, because the normalisation of the finer
                levels then sees only the part.
        """
        return self.draw(self.vectors(tokens), part)

    def vectors(self, tokens: Int[Tensor, "b h w"]) -> Vectors:
        """The vectors of codes."""
        return F.embedding(tokens, self.codebook).permute(0, 3, 1, 2)

    def draw(self, vectors: Vectors, part: Rect | None = None) -> Images:
        """Draw vectors of codes, or means of some, as images in [0, 1], float32.

        Args:
            vectors: Of whole images.
            part: See :meth:`decode`.
        """
        return one_by_one(lambda one: (self.render(one, part).clamp(-1, 1) + 1) / 2, vectors)
