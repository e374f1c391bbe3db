"""The patch discriminator of a VQGAN's training, and the hinge losses.

Sources: Isola, Zhu, Zhou and Efros 2017, arXiv:1611.07004, section 3.2.2 (the network); Lim and Ye
2017, arXiv:1705.02894 (the losses); Esser, Rombach and Ommer 2021, arXiv:2012.09841, section 3.1,
puts both to this use.
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.models.initialisation import seeded
from vicl.training.settings import Discriminator

_SLOPE = 0.2
_WIDEST = 8


class PatchDiscriminator(nn.Module):
    """Convolutions that score overlapping patches of an image; its weights are N(0, 0.02).

    Differs from the published network in its normalisation: over groups of channels instead of
    over the batch.  So an image's scores do not depend on which others it is judged with, nor on
    how a batch is shared out among processes.

    Attributes:
        smallest: Least side of an image that it takes, in pixels.
    """

    def __init__(self, settings: Discriminator, *, seed: int = 0) -> None:
        """Build the network.

        Args:
            settings: Its width, which each further layer doubles up to eight times, and its layers
                that halve the image; two that keep its size follow.
            seed: Of the random weights.
        """
        super().__init__()
        base_width, layers = settings.base_width, settings.layers
        self.smallest = 3 * 2**layers
        widths = [base_width * min(2**i, _WIDEST) for i in range(layers + 1)]
        with seeded(seed):
            parts: list[nn.Module] = [_conv(3, base_width, 2), nn.LeakyReLU(_SLOPE)]
            for index, width in enumerate(widths[1:], start=1):
                stride = 2 if index < layers else 1
                parts += [
                    _conv(widths[index - 1], width, stride),
                    nn.GroupNorm(_groups(width), width),
                    nn.LeakyReLU(_SLOPE),
                ]
            self.layers = nn.Sequential(*parts, _conv(widths[-1], 1, 1))
            for part in self.layers:
                if isinstance(part, nn.Conv2d) and part.bias is not None:
                    nn.init.normal_(part.weight, std=0.02)
                    nn.init.zeros_(part.bias)

    def forward(self, image: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 1 h w"]:
        """Score patches: high = real.

        Args:
            image: RGB in [-1, 1], up to overshoot.

        Raises:
            ValueError: If the images are too small for any patch.
        """
        if min(image.shape[-2:]) < self.smallest:
            raise ValueError(
                f"image: got {tuple(image.shape[-2:])} px, expected sides of at least "
                f"{self.smallest}; train on larger crops, or give the discriminator fewer layers"
            )
        scores: Tensor = self.layers(image)
        return scores


def discriminator_loss(
    real: Float[Tensor, "*shape"], drawn: Float[Tensor, "*shape"]
) -> Float[Tensor, ""]:
    """Hinge loss of the discriminator: mean max(0, 1 - D(real)) + mean max(0, 1 + D(drawn)).

    Args:
        real: Scores of photographs.
        drawn: Scores of what the generator drew.

    Source: Lim and Ye 2017.
    """
    return F.relu(1 - real.float()).mean() + F.relu(1 + drawn.float()).mean()


def generator_loss(drawn: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """What the generator lowers: -mean D(drawn).

    Args:
        drawn: Scores of what it drew.

    Source: Lim and Ye 2017.
    """
    return -drawn.float().mean()


def _groups(width: int) -> int:
    """Up to 8 groups, of 4 channels or more: a group of one would lose how much of it there is."""
    return max(1, math.gcd(32, width) // 4)


def _conv(width_in: int, width_out: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, 4, stride=stride, padding=1)
