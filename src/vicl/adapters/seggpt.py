"""SegGPT: an in-context engine of masks, one example or several.

It saw the classes of Pascal and COCO in training. Its weights are MIT.

Source: Wang et al., "SegGPT: Segmenting Everything In Context", ICCV 2023.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from vicl.adapters.transformers_folder import (
    IMAGENET,
    Architecture,
    build,
    colours_of,
    open_folder,
)
from vicl.engine import Filled, drawn
from vicl.files import display
from vicl.images import resize, resize_map, to_tensor
from vicl.prompt import Prompt
from vicl.storage.folder import CONFIG, WEIGHTS, ModelError
from vicl.storage.sharded import hash_weights

_KINDS: Final = {
    "seggpt": Architecture("SegGptConfig", "SegGptForImageSegmentation", unused=("mask_token",))
}


class SegGPT:
    """SegGPT of the transformers library; it computes in float32.

    Example and query are stretched to its square (448 px of the published one), the example over
    the query, and what it paints beside the query is the answer. With several examples each is
    painted with, and what it sees of the query is averaged on the way (its feature ensemble).
    Colours are its own business: masks may have several. One answer, whatever the seed.

    Args:
        folder: With `config.json` and `model.safetensors`.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If transformers is not installed, or the folder is broken or of another kind.
    """

    max_size: int | None = None

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        path = Path(folder)
        architecture, fields = open_folder(path, _KINDS, "an engine")
        self.name = path.resolve().name if name is None else name
        self.weights_hash: str | None = hash_weights(path, WEIGHTS)
        mean, deviation = colours_of(path, IMAGENET)
        self._mean = torch.tensor(mean)[:, None, None]
        self._deviation = torch.tensor(deviation)[:, None, None]
        self._model = build(architecture, fields, path, device=device)
        size = self._model.config.image_size
        if not isinstance(size, list | tuple) or len(size) != 2 or size[0] != 2 * size[1]:
            raise ModelError(
                f"{display(path / CONFIG)}: image_size: got {size}, expected two numbers, the "
                "height twice the width"
            )
        self._side: int = size[1]

    def __repr__(self) -> str:
        return f"SegGPT({self.name!r})"

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; nothing is random."""
        return [self._answer(prompt) for prompt in prompts]

    @torch.inference_mode()
    def _answer(self, prompt: Prompt) -> Filled:
        pairs = [drawn(example) for example in prompt.examples]
        query = to_tensor(prompt.query)
        shown = torch.stack([self._normalised(image) for image, _ in pairs])
        masks = torch.stack([self._normalised(output, nearest=True) for _, output in pairs])
        asked = self._normalised(query).expand(len(pairs), -1, -1, -1)
        device = self._model.device
        out = self._model(
            pixel_values=asked.to(device),
            prompt_pixel_values=shown.to(device),
            prompt_masks=masks.to(device),
            feature_ensemble=len(pairs) > 1,
        )
        # After the ensemble the rows differ by their own example alone.
        lower = out.pred_masks[:, :, self._side :].mean(0).cpu()
        cell = (lower * self._deviation + self._mean).clamp(0, 1)
        return Filled(resize_map(cell, (query.shape[1], query.shape[2])), cell=cell)

    def _normalised(
        self, image: Float[Tensor, "3 h w"], *, nearest: bool = False
    ) -> Float[Tensor, "3 s s"]:
        square = resize(image, (self._side, self._side), filter="nearest" if nearest else "bicubic")
        return (square - self._mean) / self._deviation
