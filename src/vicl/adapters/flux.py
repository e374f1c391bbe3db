"""Flux: FluxFill, a hole filler of a prompt's canvas; and VisualCloze, an engine of its own grid.

Sources: Black Forest Labs, "FLUX.1 Fill [dev]", 2024 (its weights are for non-commercial use); Li
et al., "VisualCloze: A Universal Image Generation Framework via Visual In-Context Learning", ICCV
2025.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Generator

from vicl.adapters.diffusers_folder import (
    FLUX_READERS,
    INDEX,
    hash_pipeline,
    library,
    read_kind,
    read_part,
    read_readers,
    read_scheduler,
    read_side,
)
from vicl.adapters.filling import Filler, Painting
from vicl.adapters.transformers_folder import read_json
from vicl.engine import Filled, drawn
from vicl.files import display
from vicl.images import resize_map, to_pil, to_tensor
from vicl.prompt import Prompt
from vicl.storage.folder import ModelError

STEP: Final = 16
"""Pixels for one of the places that the transformer sees."""

TOLD: Final = 30.0
"""The guidance that it was trained to be told."""

_SIDES: Final = (64, 1024)
"""Least and most for a picture of VisualCloze's grid, in pixels."""

ROWS: Final = "In each row, the same task makes [IMAGE2] of [IMAGE1]."
"""What VisualCloze is told where nobody says more."""


class FluxFill(Filler):
    """FLUX.1 Fill of the diffusers library; it computes in bfloat16 on CUDA, else in float32.

    Args:
        folder: As its publishers give it, with safetensors: 12 billion weights.
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
        read_kind(path, ("FluxFillPipeline",))
        parts = _parts(path, device)
        super().__init__(
            library().FluxFillPipeline(**parts),
            path.resolve().name if name is None else name,
            weights_hash=hash_pipeline(path),
            side=read_side(parts["vae"], path / "vae"),
            step=STEP,
            device=device,
            painting=painting or Painting(guidance=TOLD),
        )


class VisualCloze:
    """VisualCloze of the diffusers library; it computes in bfloat16 on CUDA, else in float32.

    Examples and query are the rows of its grid, each picture of about the area that its folder
    says (384 x 384 px of the published one), in the shape of its row's input; what it paints
    beside the query is the answer, brought to the query's size.

    Args:
        folder: As its publishers give it, with safetensors: 12 billion weights.
        name: How it is called; None takes the folder's name.
        device: Where it runs.
        painting: How it is asked: its text says the task, for which :data:`ROWS` is taken where it
            is empty.

    Raises:
        ModelError: If diffusers or transformers is not installed, or the folder is broken or of
            another kind.
    """

    max_size: int | None = None

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
        painting: Painting | None = None,
    ) -> None:
        path = Path(folder)
        read_kind(path, ("VisualClozePipeline", "VisualClozeGenerationPipeline"))
        self.name = path.resolve().name if name is None else name
        self.painting = painting or Painting(guidance=TOLD)
        side = read_json(path / INDEX).get("resolution", 384)
        if type(side) is not int or not _SIDES[0] <= side <= _SIDES[1]:
            raise ModelError(
                f"{display(path / INDEX)}: resolution: got {display(str(side))[:80]}, expected "
                f"{_SIDES[0]} to {_SIDES[1]}"
            )
        kind = library().VisualClozeGenerationPipeline
        self._pipeline = kind(**_parts(path, device), resolution=side)
        self._pipeline.set_progress_bar_config(disable=True)
        self.weights_hash: str | None = hash_pipeline(path)

    def __repr__(self) -> str:
        return f"VisualCloze({self.name!r})"

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; it gives one answer."""
        return [self._answer(prompt, seed) for prompt in prompts]

    @torch.inference_mode()
    def _answer(self, prompt: Prompt, seed: int) -> Filled:
        rows: list[list[Any]] = [
            [to_pil(image), to_pil(output)] for image, output in map(drawn, prompt.examples)
        ]
        query = to_tensor(prompt.query)
        painted = self._pipeline(
            task_prompt=self.painting.text or ROWS,
            content_prompt="",
            image=[*rows, [to_pil(query), None]],
            num_inference_steps=self.painting.steps,
            guidance_scale=self.painting.guidance,
            generator=Generator().manual_seed(seed),
            output_type="pil",
        ).images[0][0]
        cell = to_tensor(painted)
        return Filled(resize_map(cell, (query.shape[1], query.shape[2])), cell=cell)


def computed_in(device: torch.device | str) -> torch.dtype:
    """How so large a model computes: in float32 it would not fit on most GPUs."""
    return torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32


def _parts(folder: Path, device: torch.device | str) -> dict[str, Any]:
    dtype = computed_in(device)
    parts = read_readers(folder, FLUX_READERS, device=device, dtype=dtype)
    for part, name in (("transformer", "FluxTransformer2DModel"), ("vae", "AutoencoderKL")):
        parts[part] = read_part(name, folder / part, device=device, dtype=dtype)
    parts["scheduler"] = read_scheduler(folder, "FlowMatchEulerDiscreteScheduler")
    return parts
