"""What training steps: an objective takes a batch and gives one loss an optimiser.

An inpainting model has one optimiser; a VQGAN, whose discriminator learns beside it, has two.  The
loop knows no more of a model than this.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Compute in the tensors' own precision; the meta device, for one, has no other."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


class Losses(NamedTuple):
    """What an objective makes of a batch.

    Attributes:
        losses: One scalar an optimiser, by its name. Backward runs on their sum, so none of them
            may reach what another optimiser trains.
        figures: Further scalars for the log, detached, by name.
    """

    losses: dict[str, Tensor]
    figures: dict[str, Tensor]


class Objective(nn.Module):
    """A model with its losses.

    Attributes:
        model: The network that is looked at and saved.
        rests: Whether some of what is trained may have no part in a step's losses.
    """

    model: nn.Module
    rests = False

    def parts(self) -> Mapping[str, nn.Module]:
        """What each optimiser trains, by its name; the first is `model`'s."""
        return {"model": self.model}

    def tidy(self) -> None:
        """Keep what is learned within its bounds, after a step; most have none."""

    def forward(self, *batch: Any) -> Losses:
        """Compute the losses of a batch.

        Args:
            batch: What a job's batches hold (see :class:`vicl.training.job.Round`), and last the
                number of the optimiser step, counted from 0.
        """
        raise NotImplementedError
