"""An inpainting model on its own loss; a tokenizer names the targets where it predicts codes."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vicl.models.code_inpainter import CodeInpainter
from vicl.models.inpainter import LearnedInpainter
from vicl.models.vqgan import VQGAN
from vicl.training.objectives.objective import Losses, Objective, without_autocast

PIXELS_AT_ONCE = 2**16
"""Of images whose codes a CPU names together: small ones by the batch, of 224 px one by one."""


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
        """Compute the loss of a batch.

        Args:
            image: RGB in [0, 1], on the model's device.
            hole: True = to fill, on the CPU.
            step: Number of the optimiser step, counted from 0; makes no difference.
        """
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
