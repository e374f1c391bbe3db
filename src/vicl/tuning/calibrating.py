"""Making scores mean what they say: one number, fitted on the validation images."""

from __future__ import annotations

from typing import Final

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

_TEMPERATURES: Final = tuple(2 ** (step / 8) for step in range(193))
"""From 1 to 2^24, in steps of 9%. Below 1 nothing is made surer than it was learned to be: few
images that happen to be all right would ask for that."""


def fit_temperature(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> float:
    """By what to divide logits so that the true classes are likeliest; 1 or more.

    Source: Guo et al. 2017, "On calibration of modern neural networks", section 4.2.
    """
    losses = [float(F.cross_entropy(logits / value, labels)) for value in _TEMPERATURES]
    return round(_TEMPERATURES[losses.index(min(losses))], 4)
