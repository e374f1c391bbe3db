"""Stable Diffusion's inpainting models, 1.5 and XL, as hole fillers of a prompt's canvas.

They were trained on photographs and their captions, never on examples: what they make of a canvas
is for the reader to measure.

Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from vicl.adapters.transformers_folder import Architecture, build, check_files, plain, read_json
from vicl.adapters.words import tokenizer
from vicl.engine import Filled, Sampling
from vicl.files import display, hash_file, reason
from vicl.storage.checkpoints import TensorRef, open_checkpoint
from vicl.storage.folder import CONFIG, WEIGHTS, ModelError, checked

INDEX: Final = "model_index.json"
"""Where a pipeline's folder says what it is."""

DIFFUSION: Final = "diffusion_pytorch_model.safetensors"
_SCHEDULER: Final = "scheduler/scheduler_config.json"

_TEXTS: Final[Mapping[str, Mapping[str, Architecture]]] = {
    "StableDiffusionInpaintPipeline": {
        "text_encoder": Architecture("CLIPTextConfig", "CLIPTextModel"),
    },
    "StableDiffusionXLInpaintPipeline": {
        "text_encoder": Architecture("CLIPTextConfig", "CLIPTextModel"),
        "text_encoder_2": Architecture("CLIPTextConfig", "CLIPTextModelWithProjection"),
    },
}
"""By pipeline, its readers of captions."""

FILES: Final = (
    INDEX,
    _SCHEDULER,
    *(f"{part}/{name}" for part in ("unet", "vae") for name in (CONFIG, DIFFUSION)),
    *(f"text_encoder{end}/{name}" for end in ("", "_2") for name in (CONFIG, WEIGHTS)),
    *(f"tokenizer{end}/{name}" for end in ("", "_2") for name in ("vocab.json", "merges.txt")),
)
"""What is read of a folder, if it is there."""

_OLD_NAMES: Final = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Of the autoencoder's attention, as older files have them."""

_LATENT: Final = 8
"""Pixels for one of the latent grid's."""


@dataclass(frozen=True)
class Painting:
    """How a diffusion model is asked.

    Attributes:
        text: The caption; empty for none.
        steps: Of denoising.
        guidance: How much the caption weighs; 1 where there is none.
    """

    text: str = ""
    steps: int = 30
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps: got {self.steps}, expected at least 1")
        if not 1 <= self.guidance <= 100:
            raise ValueError(f"guidance: got {self.guidance}, expected 1 to 100")


class StableDiffusion:
    """An inpainting pipeline of the diffusers library, in float32, by DDIM.

    Known pixels are pasted back. Without generators each canvas starts from one and the same noise.

    Args:
        folder: As its publishers give it, with safetensors.
        name: How it is called; None takes the folder's name.
        device: Where it runs.
        painting: How it is asked.

    Raises:
        ModelError: If diffusers or transformers is not installed, or the folder is broken or of
            another kind.
    """

    most_examples: int | None = None
    spins: int = 1
    patch_size: int = _LATENT

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
        painting: Painting | None = None,
    ) -> None:
        path = Path(folder)
        self.name = path.resolve().name if name is None else name
        self.painting = painting or Painting()
        kind = str(read_json(path / INDEX).get("_class_name"))
        if kind not in _TEXTS:
            raise ModelError(
                f"{display(path / INDEX)}: got the pipeline {display(kind)[:80]!r}, expected one "
                f"of {', '.join(_TEXTS)}"
            )
        diffusers = _library()
        parts: dict[str, Any] = {}
        for part, architecture in _TEXTS[kind].items():
            check_files(path / part, "a text encoder")
            said = read_json(path / part / CONFIG)
            parts[part] = build(architecture, said, path / part, device=device)
            words = part.replace("text_encoder", "tokenizer")
            parts[words] = tokenizer(path / words, "clip")
            parts[words].model_max_length = parts[part].config.max_position_embeddings
        parts["unet"] = _build(diffusers.UNet2DConditionModel, path / "unet").to(device)
        parts["vae"] = _build(diffusers.AutoencoderKL, path / "vae").to(device)
        parts["scheduler"] = _scheduler(diffusers, path)
        if kind == "StableDiffusionInpaintPipeline":
            parts |= {"safety_checker": None, "feature_extractor": None}
            parts["requires_safety_checker"] = False
        self._pipeline = getattr(diffusers, kind)(**parts)
        self._pipeline.set_progress_bar_config(disable=True)
        self._device = torch.device(device)
        side = _LATENT * int(parts["unet"].config.sample_size)
        self.canvas_size = (side, side)
        self.weights_hash: str | None = _hash(path)

    def __repr__(self) -> str:
        return f"StableDiffusion({self.name!r})"

    @torch.inference_mode()
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
            self._fill(canvas, where, seed)
            for canvas, where, seed in zip(image, hole, seeds, strict=True)
        ]
        return Filled(torch.stack(filled))

    def _fill(
        self, canvas: Float[Tensor, "3 H W"], where: Bool[Tensor, "H W"], generator: Generator
    ) -> Float[Tensor, "3 H W"]:
        shown = torch.where(where, 0.5, canvas)
        painted = self._pipeline(
            prompt=self.painting.text,
            image=shown[None].to(self._device),
            mask_image=where[None, None].float().to(self._device),
            height=canvas.shape[1],
            width=canvas.shape[2],
            strength=1.0,
            num_inference_steps=self.painting.steps,
            guidance_scale=self.painting.guidance,
            generator=generator,
            output_type="pt",
        ).images[0]
        return torch.where(where, painted.to(canvas).clamp(0, 1), canvas)


def _library() -> ModuleType:
    try:
        import diffusers
    except ImportError as error:
        raise ModelError(
            'models of the diffusers library need it: pip install "vicl[diffusers]"'
        ) from error
    found: ModuleType = diffusers
    return found


def _scheduler(diffusers: ModuleType, folder: Path) -> Any:
    said = read_json(folder / _SCHEDULER) if (folder / _SCHEDULER).is_file() else {}
    kept = {key: value for key, value in plain(said).items() if not key.startswith("_")}
    try:
        return diffusers.DDIMScheduler.from_config(kept)
    except (ValueError, TypeError, NotImplementedError) as error:  # an unknown schedule: the last
        raise ModelError(
            f"{display(folder / _SCHEDULER)}: cannot be used ({reason(error)}); get a whole copy"
        ) from error


def _build(model_class: Any, folder: Path) -> Any:
    """A part of the diffusers library with its weights, in float32."""
    name = display(folder)
    if not (folder / DIFFUSION).is_file():
        raise ModelError(
            f"{name}: has no {DIFFUSION}; vicl reads no pickled weights, so take a version of the "
            "model that has safetensors"
        )
    said = plain(read_json(folder / CONFIG))
    kept = {key: value for key, value in said.items() if not key.startswith("_")}
    with open_checkpoint(folder / DIFFUSION) as checkpoint:
        data = checkpoint.data if isinstance(checkpoint.data, dict) else {}
        refs = {str(key): ref for key, ref in data.items() if isinstance(ref, TensorRef)}
        try:
            with torch.device("meta"):
                empty = model_class.from_config(kept)
            needed = sum(value.numel() for value in empty.parameters())
            there = sum(ref.storage.numel for ref in refs.values())
            if needed > 2 * there:  # before memory is taken for them
                raise ModelError(f"it needs {needed:,} weights, but the file has {there:,}")
            model = model_class.from_config(kept)
            tensors = {
                _today(key): checked(tensor, key, checkpoint.path).float()
                for key, tensor in checkpoint.load(refs).items()
            }
            model.load_state_dict(tensors)
        except Exception as error:  # the library's errors share no base class but Exception
            raise ModelError(
                f"{name}: its configuration and weights make no {model_class.__name__} "
                f"({reason(error)}); get whole copies of both"
            ) from error
    return model.requires_grad_(False).eval()


def _today(key: str) -> str:
    """The name of a weight as the library has it today."""
    found = re.fullmatch(r"(.*\.attentions\.\d+\.)(query|key|value|proj_attn)(\.\w+)", key)
    return f"{found[1]}{_OLD_NAMES[found[2]]}{found[3]}" if found else key


def _hash(folder: Path) -> str:
    """Of all weights together."""
    files = sorted(path for path in map(folder.joinpath, FILES) if path.suffix == ".safetensors")
    hashes = [hash_file(path) for path in files if path.is_file()]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()
