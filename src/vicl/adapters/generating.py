"""Pictures from words, maps and holes: Stable Diffusion, its ControlNets, and what fills holes.

Source: Zhang et al., "Adding Conditional Control to Text-to-Image Diffusion Models" (ControlNet),
ICCV 2023.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from vicl.adapters.diffusers_folder import (
    DIFFUSION,
    ONE_READER,
    hash_pipeline,
    library,
    read_kind,
    read_part,
    read_readers,
    read_scheduler,
    read_side,
)
from vicl.adapters.filling import Filler
from vicl.adapters.flux import FluxFill
from vicl.adapters.gligen import Gligen, is_grounded
from vicl.adapters.stable_diffusion import UNCHECKED, StableDiffusion
from vicl.adapters.transformers_folder import read_json
from vicl.files import display
from vicl.generators.generator import PictureGenerator
from vicl.generators.registry import MAPS
from vicl.generators.scene import Drawn
from vicl.storage.folder import CONFIG, ModelError
from vicl.storage.sharded import hash_together, hash_weights

BASES: Final = (
    "StableDiffusionPipeline",
    "StableDiffusionGLIGENPipeline",
    "StableDiffusionGLIGENTextImagePipeline",
)
"""Pipelines that may be GLIGEN's; published ones are called by the first name too."""

FILLERS: Final = {
    "StableDiffusionInpaintPipeline": StableDiffusion,
    "StableDiffusionXLInpaintPipeline": StableDiffusion,
    "FluxFillPipeline": FluxFill,
}


def open_base(
    folder: Path, *, name: str | None = None, device: torch.device | str = "cpu"
) -> PictureGenerator:
    """GLIGEN, or Stable Diffusion by words alone, whichever a folder's UNet is.

    Args:
        folder: Of one of :data:`BASES`.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If a library is not installed, or the folder is broken or of another kind.
    """
    if is_grounded(folder):
        return Gligen(folder, name=name, device=device)
    return Controlled(folder, name=name, device=device)


class Controlled(PictureGenerator):
    """Stable Diffusion 1.5 of the diffusers library, and ControlNets; float32, DDIM.

    By itself it takes words alone. :meth:`with_net` gives the same with a ControlNet, and so a map;
    then an image too, in whose hole alone it paints.

    Args:
        folder: Of a StableDiffusionPipeline, as its publishers give it, with safetensors.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If a library is not installed, or the folder is broken or of another kind.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        path = Path(folder)
        self._device = torch.device(device)
        read_kind(path, BASES)
        self._parts = read_readers(path, ONE_READER, device=device)
        self._parts["unet"] = read_part("UNet2DConditionModel", path / "unet", device=device)
        self._parts["vae"] = read_part("AutoencoderKL", path / "vae", device=device)
        self._parts["scheduler"] = read_scheduler(path, "DDIMScheduler")
        self._parts |= UNCHECKED
        self._nets: dict[str, Any] = {}
        super().__init__(
            path.resolve().name if name is None else name,
            hash_pipeline(path),
            accepts=frozenset(),
            side=read_side(self._parts["unet"], path / "unet", self.step),
        )

    def with_net(self, map_: str, folder: Path, name: str | None = None) -> Controlled:
        """See :meth:`vicl.generators.generator.PictureGenerator.with_net`."""
        if map_ not in MAPS or map_ in self._nets:
            free = ", ".join(name for name in MAPS if name not in self._nets)
            raise ValueError(f"map: got {map_!r}, expected one of {free}")
        found = copy.copy(self)
        found._nets = self._nets | {map_: _net(folder, self._device)}
        found.name = f"{self.name}+{map_}={name or folder.resolve().name}"
        found.weights_hash = hash_together([self.weights_hash, hash_weights(folder, DIFFUSION)])
        found.accepts = self.accepts | {map_, "image"}
        found.needs = (frozenset(found._nets),)
        return found

    def _paint(
        self, scene: Drawn, generator: Generator, steps: int, guidance: float
    ) -> Float[Tensor, "3 h w"]:
        diffusers = library()
        asked: dict[str, Any] = {}
        parts = dict(self._parts)
        if scene.maps:
            shown = [drawn[None].to(self._device) for drawn in scene.maps.values()]
            nets = [self._nets[name] for name in scene.maps]
            one = len(nets) == 1
            parts["controlnet"] = nets[0] if one else nets
            asked["control_image" if scene.image is not None else "image"] = (
                shown[0] if one else shown
            )
            asked["controlnet_conditioning_scale"] = 1.0 if one else [1.0] * len(nets)
        kind = diffusers.StableDiffusionControlNetPipeline
        if not scene.maps:
            kind = diffusers.StableDiffusionPipeline
        elif scene.image is not None and scene.hole is not None:
            kind = diffusers.StableDiffusionControlNetInpaintPipeline
            asked["image"] = scene.image[None].to(self._device)
            asked["mask_image"] = scene.hole[None, None].float().to(self._device)
            asked["strength"] = 1.0
        pipeline = kind(**parts)
        pipeline.set_progress_bar_config(disable=True)
        found: Tensor = pipeline(
            prompt=scene.text,
            height=scene.size[0],
            width=scene.size[1],
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=generator,
            output_type="pt",
            **asked,
        ).images[0]
        return found


class HoleByWords(PictureGenerator):
    """An inpainting pipeline that fills a hole of an image by words.

    Args:
        folder: Of one of :data:`FILLERS`.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If a library is not installed, or the folder is broken or of another kind.
    """

    needs = (frozenset({"image"}),)

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        path = Path(folder)
        filler: Filler = FILLERS[read_kind(path, tuple(FILLERS))](path, name=name, device=device)
        self._filler = filler
        self.step = filler.patch_size
        # Flux was trained to be told its own; the others have the usual one where there are words.
        self.guidance = max(PictureGenerator.guidance, filler.painting.guidance)
        assert filler.weights_hash is not None
        super().__init__(
            filler.name,
            filler.weights_hash,
            accepts=frozenset({"image"}),
            side=filler.canvas_size[0],
        )

    def _paint(
        self, scene: Drawn, generator: Generator, steps: int, guidance: float
    ) -> Float[Tensor, "3 h w"]:
        assert scene.image is not None
        assert scene.hole is not None
        return self._filler.fill(
            scene.image, scene.hole, generator, text=scene.text, steps=steps, guidance=guidance
        )


def _net(folder: Path, device: torch.device) -> Any:
    path = folder / CONFIG
    if not path.is_file() or read_json(path).get("_class_name") != "ControlNetModel":
        raise ModelError(f"{display(folder)}: is no folder of a ControlNetModel, by its {CONFIG}")
    return read_part("ControlNetModel", folder, device=device)
