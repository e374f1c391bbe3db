"""What training steps: an objective takes a batch and gives one loss an optimiser.

An inpainting model has one optimiser; a VQGAN, whose discriminator learns beside it, has two
(:mod:`vicl.training.vqgan_objective`).  The loop knows no more of a model than this.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vicl.models.code_inpainter import CodeInpainter
from vicl.models.inpainter import LearnedInpainter
from vicl.models.vqgan import VQGAN

PIXELS_AT_ONCE = 2**16
"""Of images whose codes a CPU names together: small ones by the batch, of 224 px one by one."""


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
    """A model with its loss.

    Attributes:
        model: The network that is evaluated and saved.
    """

    model: nn.Module

    def parts(self) -> Mapping[str, nn.Module]:
        """What each optimiser trains, by its name; the first is `model`'s."""
        return {"model": self.model}

    def forward(
        self,
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"] | None,
        step: int,
    ) -> Losses:
        """Compute the losses of a batch.

        Args:
            image: RGB in [0, 1], on the model's device.
            hole: True = to fill, on the CPU; None for a VQGAN.
            step: Number of the optimiser step, counted from 0.
        """
        raise NotImplementedError


class Inpainting(Objective):
    """An inpainting model on its own loss.

    Args:
        model: The model.
        target_dtype: Type of the arithmetic by which a tokenizer names the targets; the model's own
            tokenizer stays as it is.

    Attributes:
        tokenizers: The copy that names the targets, where the model predicts codes.
    """

    model: LearnedInpainter

    def __init__(
        self, model: LearnedInpainter, *, target_dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.model = model
        # In a list, so that it is no part of what is trained, saved or shared between processes.
        self.tokenizers: list[VQGAN] = []
        if isinstance(model, CodeInpainter):
            fast = copy.deepcopy(model.tokenizer)
            fast.to(target_dtype)
            channels_last: Any = {"memory_format": torch.channels_last}
            fast.to(**channels_last)  # quicker to encode with
            self.tokenizers = [fast.requires_grad_(False).eval()]

    def forward(
        self,
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"] | None,
        step: int,
    ) -> Losses:
        """See :meth:`Objective.forward`; `step` makes no difference."""
        assert hole is not None  # recipes see to it
        if isinstance(self.model, CodeInpainter):
            loss = self.model.loss_on_codes(image, hole, self._codes(image))
        else:
            loss = self.model.loss(image, hole)
        return Losses({"model": loss}, {})

    def _codes(self, image: Float[Tensor, "b 3 H W"]) -> Int[Tensor, "b n"]:
        """Name the targets."""
        self.tokenizers = [tokenizer.to(image.device) for tokenizer in self.tokenizers]
        with torch.inference_mode(), without_autocast(image.device):
            at_once = max(1, PIXELS_AT_ONCE // image[0, 0].numel())
            codes = self.tokenizers[0].encode(image, at_once=at_once).flatten(1)
        # Out of inference mode: the loss keeps its targets for the backward pass.
        return codes.clone()
