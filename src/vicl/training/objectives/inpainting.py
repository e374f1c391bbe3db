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


def target_tokenizer(tokenizer: VQGAN, dtype: torch.dtype) -> VQGAN:
    """A frozen copy of a tokenizer that names targets.

    Args:
        tokenizer: Stays as it is.
        dtype: Type of the copy's arithmetic.
    """
    fast = copy.deepcopy(tokenizer)
    fast.to(dtype)
    channels_last: Any = {"memory_format": torch.channels_last}
    fast.to(**channels_last)  # quicker to encode with
    return fast.requires_grad_(False).eval()


def name_targets(tokenizer: VQGAN, image: Float[Tensor, "b 3 H W"]) -> Int[Tensor, "b n"]:
    """The codes of clean canvases, RGB in [0, 1], in raster order."""
    with torch.inference_mode(), without_autocast(image.device):
        at_once = max(1, PIXELS_AT_ONCE // image[0, 0].numel())
        codes = tokenizer.encode(image, at_once=at_once).flatten(1)
    # Out of inference mode: the loss keeps its targets for the backward pass.
    return codes.clone()


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
            self.tokenizers = [target_tokenizer(model.tokenizer, target_dtype)]

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
            self.tokenizers = [tokenizer.to(image.device) for tokenizer in self.tokenizers]
            codes = name_targets(self.tokenizers[0], image)
            loss = self.model.loss_on_codes(image, hole, codes)
        else:
            loss = self.model.loss(image, hole)
        return Losses({"model": loss}, {})


class NamedInpainting(Objective):
    """A model that predicts codes on its own loss, the targets named beforehand.

    Args:
        model: The model; its tokenizer has no part in a step.
    """

    model: CodeInpainter

    def __init__(self, model: CodeInpainter) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"],
        codes: Int[Tensor, "b n"],
        step: int,
    ) -> Losses:
        """Compute the loss of a batch.

        Args:
            image: RGB in [0, 1], on the model's device.
            hole: True = to fill, on the CPU.
            codes: Of the images, in raster order, on the model's device.
            step: Number of the optimiser step, counted from 0; makes no difference.
        """
        return Losses({"model": self.model.loss_on_codes(image, hole, codes)}, {})
