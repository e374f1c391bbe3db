"""Pipelines that fill the hole of a picture by a caption, as hole fillers of a prompt's canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from vicl.engine import Filled, Sampling


@dataclass(frozen=True)
class Painting:
    """How a diffusion model is asked.

    Attributes:
        text: The caption; empty for none.
        steps: Of denoising.
        guidance: How much the caption weighs; 1 where there is none. Flux reads it as a number of
            its own, and was trained to be told 30.
    """

    text: str = ""
    steps: int = 30
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps: got {self.steps}, expected at least 1")
        if not 1 <= self.guidance <= 100:
            raise ValueError(f"guidance: got {self.guidance}, expected 1 to 100")


class Filler:
    """What all inpainting pipelines have in common.

    Known pixels are pasted back. Without generators each canvas starts from one and the same noise.

    Args:
        pipeline: Of the diffusers library.
        name: How it is called.
        weights_hash: SHA-256 of its weights.
        side: Of its canvas, in pixels.
        step: Its heights and widths are multiples of this, in pixels.
        device: Where it runs.
        painting: How it is asked.
    """

    most_examples: int | None = None
    spins: int = 1

    def __init__(
        self,
        pipeline: Any,
        name: str,
        *,
        weights_hash: str,
        side: int,
        step: int,
        device: torch.device | str,
        painting: Painting,
    ) -> None:
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline, self._device = pipeline, torch.device(device)
        self.name, self.painting, self.patch_size = name, painting, step
        self.canvas_size = (side, side)
        self.weights_hash: str | None = weights_hash

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def inpaint(
        self,
        image: Float[Tensor, "b 3 H W"],
        hole: Bool[Tensor, "b H W"],
        *,
        sampling: Sampling | None = None,
        generators: Sequence[Generator] | None = None,
    ) -> Filled:
        """See :meth:`vicl.engine.Inpainter.inpaint`; there is nothing that `sampling` changes."""
        if tuple(image.shape[2:]) != self.canvas_size:
            raise ValueError(
                f"image: got {image.shape[2]}x{image.shape[3]} pixels, expected "
                f"{self.canvas_size[0]}x{self.canvas_size[1]}"
            )
        seeds = generators or [Generator().manual_seed(0) for _ in image]
        filled = [
            self.fill(canvas, where, seed)
            for canvas, where, seed in zip(image, hole, seeds, strict=True)
        ]
        return Filled(torch.stack(filled))

    @torch.inference_mode()
    def fill(
        self,
        canvas: Float[Tensor, "3 H W"],
        where: Bool[Tensor, "H W"],
        generator: Generator,
        **asked: Any,
    ) -> Float[Tensor, "3 H W"]:
        """Fill one hole; pixels outside it come back unchanged.

        Args:
            canvas: RGB in [0, 1], of any size whose sides are multiples of :attr:`patch_size`.
            where: True = to fill.
            generator: Of the noise.
            **asked: Fields of :class:`Painting` that are to be others than those of the model.
        """
        painting = replace(self.painting, **asked)
        shown = torch.where(where, 0.5, canvas)
        painted = self._pipeline(
            prompt=painting.text,
            image=shown[None].to(self._device),
            mask_image=where[None, None].float().to(self._device),
            height=canvas.shape[1],
            width=canvas.shape[2],
            strength=1.0,
            num_inference_steps=painting.steps,
            guidance_scale=painting.guidance,
            generator=generator,
            output_type="pt",
        ).images[0]
        return torch.where(where, painted.to(canvas).clamp(0, 1), canvas)
