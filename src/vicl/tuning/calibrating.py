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

    def loss(place: int) -> float:
        return float(F.cross_entropy(logits / _TEMPERATURES[place], labels))

    # It is convex in the inverse temperature, so that it falls up to the best one, then rises.
    low, high = 0, len(_TEMPERATURES) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if loss(middle) <= loss(middle + 1) else (middle + 1, high)
    return round(_TEMPERATURES[low], 4)
