"""Optimisers and their learning rates: AdamW as for masked autoencoders, and others; averages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vicl.training.parallel import copy_whole
from vicl.training.settings import AnyOptimiser, Optimiser, Rate, Schedule

BATCH_OF_LR = 256
"""The batch size for which recipes state their learning rate.

Source: Goyal et al. 2017, arXiv:1706.02677, section 2.1; He et al. 2021, appendix A.1."""


def decays(name: str, weight: Tensor) -> bool:
    """Whether weight decay applies: to matrices and kernels only.

    Biases and the scales of norms have one dimension; tokens (class, mask, start) have leading
    ones; a codebook and other embeddings are tables of things, not maps between them.
    """
    flat = sum(side > 1 for side in weight.shape) <= 1
    table = name.rpartition(".")[2] in ("codebook", "positions") or "embedding" in name
    return not flat and not table


def make_optimiser(part: nn.Module, settings: Optimiser, lr: float) -> torch.optim.Optimizer:
    """An optimiser over what a module trains, in two groups: with decay, and without."""
    trained = [(name, p) for name, p in part.named_parameters() if p.requires_grad]
    kind = settings.kind if isinstance(settings, AnyOptimiser) else "adamw"
    last = _last_bias([name for name, _ in trained])
    groups = [
        {
            "params": [
                p
                for name, p in trained
                if (decays(name, p) if kind == "adamw" else name != last) == decaying
            ],
            "weight_decay": settings.weight_decay if decaying else 0.0,
        }
        for decaying in (True, False)
    ]
    kept = [group for group in groups if group["params"]]
    # One kernel for all weights, on CPUs too.
    if isinstance(settings, AnyOptimiser) and kind == "sgd":
        return torch.optim.SGD(kept, lr=lr, momentum=settings.momentum, fused=True)
    if kind == "adam":
        return torch.optim.Adam(kept, lr=lr, betas=settings.betas, fused=True)
    return torch.optim.AdamW(kept, lr=lr, betas=settings.betas, fused=True)


def _last_bias(names: Sequence[str]) -> str | None:
    """The bias of the last layer: of what is called `head`."""
    biases = [name for name in names if name.endswith(".bias") and "head" in name.split(".")]
    return biases[-1] if biases else None


def limit_gradient(weights: Sequence[Tensor], limit: float | None) -> Tensor:
    """Scale gradients down to a norm, where they exceed it; gives the norm that they had.

    Args:
        weights: With gradients.
        limit: Greatest norm; None leaves the gradients as they are, and unread but once.
    """
    norm = nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
    if limit is not None:
        nn.utils.clip_grads_with_norm_(weights, limit, norm)
    return norm


def peak_lr(settings: Optimiser, batch_size: int) -> float:
    """The highest learning rate of a run."""
    return settings.lr * (batch_size / BATCH_OF_LR if settings.scale_lr else 1.0)


def lr_at(step: int, steps: int, schedule: Schedule, peak: float) -> float:
    """The learning rate of an optimiser step, counted from 0: linear warm-up, then a cosine.

    A function of the step alone, so that there is no schedule to save.

    Source: Loshchilov and Hutter 2016, arXiv:1608.03983, section 3.
    """
    rising = round(schedule.warmup * steps)
    if step < rising:
        return peak * (step + 1) / rising
    way = (step - rising) / max(1, steps - rising)
    low = schedule.final
    return peak * (low + (1 - low) * (1 + math.cos(math.pi * way)) / 2)


def rate_at(place: int, length: int, rate: Rate, peak: float) -> float:
    """The learning rate of a step or an epoch, counted from 0.

    Args:
        place: Which step or epoch, as `rate.by` says;
        length: of so many.
        rate: How it moves.
        peak: The highest.
    """
    if place < rate.warmup:
        if rate.first is not None:
            return rate.first
        return peak * (place + (rate.by == "step")) / rate.warmup
    if rate.kind == "cosine":
        whole = length if rate.first is not None else max(1, length - rate.warmup)
        return peak * (1 + math.cos(math.pi * (place - rate.warmup) / whole)) / 2
    if rate.kind == "restarts":
        way = (place - rate.warmup) % rate.every / rate.every
        return peak * (1 + math.cos(math.pi * way)) / 2
    if rate.kind == "milestones":
        passed = sum(place >= share * length for share in rate.milestones)
        return peak * float(rate.factor**passed)
    if rate.kind == "decay":
        return peak * float(rate.factor ** (place // rate.every))
    return peak


class AveragedWeights:
    """The exponential moving average of a module's weights.

    Attributes:
        decay: What of the average stays at a step.
        values: The averages, by name.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        self.values = {name: p.detach().clone() for name, p in _trained(model).items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        now = _trained(self._model)
        torch._foreach_lerp_(
            list(self.values.values()), [now[name] for name in self.values], 1 - self.decay
        )

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Go on from saved averages."""
        for name, value in self.values.items():
            copy_whole(values[name], value)


def _trained(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.data for name, p in model.named_parameters() if p.requires_grad}
