"""Stable Diffusion's inpainting models, 1.5 and XL, as hole fillers of a prompt's canvas.

They were trained on photographs and their captions, never on examples: what they make of a canvas
is for the reader to measure.

Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import torch

from vicl.adapters.diffusers_folder import (
    ONE_READER,
    TWO_READERS,
    hash_pipeline,
    library,
    read_kind,
    read_part,
    read_readers,
    read_scheduler,
    read_side,
)
from vicl.adapters.filling import Filler
from vicl.adapters.filling import Painting as Painting

_READERS: Final = {
    "StableDiffusionInpaintPipeline": ONE_READER,
    "StableDiffusionXLInpaintPipeline": TWO_READERS,
}

LATENT: Final = 8
"""Pixels for one of the latent grid's."""

UNCHECKED: Final[dict[str, Any]] = {
    "safety_checker": None,
    "feature_extractor": None,
    "requires_safety_checker": False,
}
"""No checker of what is painted runs."""


class StableDiffusion(Filler):
    """An inpainting pipeline of the diffusers library, in float32, by DDIM.

    Args:
        folder: As its publishers give it, with safetensors.
        name: How it is called; None takes the folder's name.
        device: Where it runs.
        painting: How it is asked.

    Raises:
        ModelError: If diffusers or transformers is not installed, or the folder is broken or of
            another kind.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
        painting: Painting | None = None,
    ) -> None:
        path = Path(folder)
        kind = read_kind(path, tuple(_READERS))
        diffusers = library()
        parts: dict[str, Any] = read_readers(path, _READERS[kind], device=device)
        parts["unet"] = read_part("UNet2DConditionModel", path / "unet", device=device)
        parts["vae"] = read_part("AutoencoderKL", path / "vae", device=device)
        parts["scheduler"] = read_scheduler(path, "DDIMScheduler")
        if kind == "StableDiffusionInpaintPipeline":
            parts |= UNCHECKED
        super().__init__(
            getattr(diffusers, kind)(**parts),
            path.resolve().name if name is None else name,
            weights_hash=hash_pipeline(path),
            side=read_side(parts["unet"], path / "unet", LATENT),
            step=LATENT,
            device=device,
            painting=painting or Painting(),
        )
