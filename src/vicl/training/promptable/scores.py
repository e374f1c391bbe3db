"""Fitting what tells how good a mask is, once the network that draws it stands still."""

from __future__ import annotations

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.models.promptable.guidance import Guide
from vicl.models.promptable.network import PromptableNet
from vicl.training.promptable.objective import corrected, overlaps_of, shortened
from vicl.training.promptable.prompts import Asked
from vicl.training.seeds import Purpose, numbers

_STEPS: Final = 1500
_BATCH: Final = 256
_DROPPED: Final = 0.3
"""Share of what is told of a mask that is dropped while fitting."""


def fit_scores(net: PromptableNet, asked: Asked, *, count: int, rounds: int) -> float:
    """Fit the predicted IoU to the IoU that the masks have; nothing else of the network changes.

    While the network learns, its masks get better and their scores have to follow; what a step
    teaches of them is little beside what it teaches of masks.

    Args:
        net: Trained; changed in place.
        asked: Prompts to fit to.
        count: How many of them.
        rounds: Answers to each: the first, and those after clicks.

    Returns:
        The mean squared error that is left.
    """
    told, overlaps = _collected(net, asked, count, rounds)
    generator = torch.Generator().manual_seed(asked.seed)
    was: Any = net.ious
    known = was[0].in_features
    first, last = nn.Linear(known, was[0].out_features), nn.Linear(*reversed(was[2].weight.shape))
    for layer in (first, last):
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
        nn.init.zeros_(layer.bias)
    head = nn.Sequential(first, nn.ReLU(), last)
    mean, spread = told.mean(0), told.std(0).clamp(min=1e-3)
    inputs = (told - mean) / spread
    optimiser = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    for _ in range(_STEPS):
        rows = torch.randint(len(inputs), (min(_BATCH, len(inputs)),), generator=generator)
        kept = torch.rand(len(rows), known, generator=generator) >= _DROPPED
        loss = F.mse_loss(torch.sigmoid(head(inputs[rows] * kept)), overlaps[rows])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        left = float(F.mse_loss(torch.sigmoid(head(inputs)), overlaps))
        # The network is told the values as they are: their scale goes into the first layer.
        first.weight.div_(spread)
        first.bias.sub_(first.weight @ mean)
        net.ious.load_state_dict(head.state_dict())
    return left


@torch.no_grad()
def _collected(
    net: PromptableNet, asked: Asked, count: int, rounds: int
) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n m"]]:
    """What the head is told of each answer, and the IoU of its masks."""
    place = net.masks.weight.device
    told: list[Tensor] = []
    overlaps: list[Tensor] = []

    def listen(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        told.append(given[0].cpu())

    hook = net.ious.register_forward_pre_hook(listen)
    for number in range(count):
        # Not those that the network learned from first.
        parts = [part[None].to(place) for part in asked[2**31 + number]]
        *levels, picture, truth, points, labels, box, earlier = parts
        rng = numbers(asked.seed, Purpose.CLICKS, 2**31 + number)
        guide = shortened(Guide(points, labels, box, earlier))
        neck = net.encode(tuple(levels), picture)
        for one in range(rounds):
            found = net(neck, guide)
            overlaps.append(overlaps_of(found.masks, truth).cpu())
            if one < rounds - 1:
                guide = corrected(rng, found, truth, guide)
    hook.remove()
    return torch.cat(told), torch.cat(overlaps)
