"""Making the head's chances mean what they say, on held-out episodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.models.matching.head import MatchingHead

_STEP: Final = 5
"""Every so many-th pixel of a row and of a column is looked at: neighbours say the same."""

_TEMPERATURES: Final = tuple(2 ** (step / 8) for step in range(-8, 17))
"""From 0.5 to 4, in steps of 9%."""


@torch.inference_mode()
def fit_temperature(head: MatchingHead, episodes: Iterable[Sequence[Tensor]]) -> float:
    """By what to divide log-odds so that the held-out truth is likeliest.

    Args:
        head: Trained.
        episodes: That it was not trained on, as :class:`vicl.training.matching.episodes.Episodes`
            has them; those whose thing is not there are left out.

    Returns:
        0.5 to 4; 1 where no episode tells.

    Source: Guo et al. 2017, "On calibration of modern neural networks", section 4.2.
    """
    place = next(head.parameters()).device
    odds: list[Tensor] = []
    wanted: list[Tensor] = []
    for parts in episodes:
        *seen, truth, _, _ = (part.float()[None].to(place) for part in parts)
        truth = truth[:, ::_STEP, ::_STEP]
        if bool((truth > 0.5).any()):
            scored = head(*seen).mask[:, ::_STEP, ::_STEP]
            odds.append(scored[truth >= 0])
            wanted.append(truth[truth >= 0])
    if not odds:
        return 1.0
    found, true = torch.cat(odds), torch.cat(wanted)
    losses = [
        float(F.binary_cross_entropy_with_logits(found / temperature, true))
        for temperature in _TEMPERATURES
    ]
    return round(_TEMPERATURES[losses.index(min(losses))], 3)
