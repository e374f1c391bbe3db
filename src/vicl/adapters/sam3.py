"""SAM 3: a name, or clicks, a box, strokes or a coarse mask, to masks.

Its checkpoint holds two models that share a body: one finds all things of a name, the other, the
tracker, answers clicks as SAM 2 does. An image is encoded for each when it is first asked.

Source: Carion et al., "SAM 3: Segment Anything with Concepts", 2025.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.adapters.asking import things
from vicl.adapters.sam import ACCEPTS, Sam, prepared
from vicl.adapters.transformers_folder import HALF, Architecture, build, colours_of, open_folder
from vicl.adapters.words import Words
from vicl.engine import Candidates, MaskPrompt
from vicl.images import ImageLike, to_levels
from vicl.segmenters.encoded import EncodedImage
from vicl.storage.folder import WEIGHTS
from vicl.storage.sharded import hash_weights

_SURE: Final = 0.3
"""Chance from which a thing is taken to be there: the library's."""

_MOST: Final = 100
"""So many things at most, of the surest: each is a mask of the whole image."""


def _of_concepts(key: str) -> bool:
    return key.startswith("detector_model.")


CONCEPTS: Final = Architecture("Sam3Config", "Sam3Model", wanted=_of_concepts)

PART: Final = {"sam3_video": "detector_config"}
"""Where in the configuration the model of names is described."""


class Sam3:
    """SAM 3 of the transformers library; it computes in float32.

    What is asked with a name is answered by all things of that name as one mask, then by each;
    with nothing of the name there is no candidate. Whatever else is said chooses among them.

    Args:
        folder: With `config.json`, `model.safetensors` and the vocabulary.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If transformers is not installed, or the folder is broken or of another kind.
    """

    accepts = ACCEPTS | {"text"}

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        path = Path(folder)
        part, fields = open_folder(path, PART, "a segmenter")
        self.name = path.resolve().name if name is None else name
        self.weights_hash: str | None = hash_weights(path, WEIGHTS)
        self._colours = colours_of(path, HALF)
        self._model = build(CONCEPTS, fields.get(part, {}), path, device=device)
        config = self._model.config
        self._words = Words.of_clip(path, config.text_config)
        self._side: int = config.vision_config.image_size
        self._clicked = Sam(path, device=device)
        self._clicked.share_body(self._model)

    def __repr__(self) -> str:
        return f"Sam3({self.name!r})"

    def encode(self, image: ImageLike) -> EncodedImage:
        """See :meth:`vicl.engine.Segmenter.encode`."""
        levels = to_levels(image)
        size = levels.shape[:2]

        @cache
        def clicked() -> EncodedImage:
            return self._clicked.encode(levels)

        @cache
        @torch.inference_mode()
        def seen() -> Any:
            square = (self._side, self._side)
            pixels = prepared(levels, square, self._side, self._colours)
            return self._model.get_vision_features(pixels.to(self._model.device))

        def answer(prompts: Sequence[MaskPrompt]) -> list[Candidates]:
            return [
                self._named(seen(), size, prompt)
                if prompt.text is not None
                else clicked().many([prompt])[0]
                for prompt in prompts
            ]

        return EncodedImage(size, self.accepts, answer)

    @torch.inference_mode()
    def _named(self, seen: Any, size: tuple[int, int], prompt: MaskPrompt) -> Candidates:
        numbers = self._words(prompt.text or "").to(self._model.device)
        out = self._model(
            vision_embeds=seen, input_ids=numbers, attention_mask=torch.ones_like(numbers)
        )
        return things(*found_things(out, size), prompt)


def found_things(
    out: Any, size: tuple[int, int]
) -> tuple[Bool[np.ndarray, "n h w"], Float32[np.ndarray, " n"]]:
    """Masks at an image's size and scores of what SAM 3 found, the surest first."""
    scores: Float[Tensor, " q"] = out.pred_logits[0].sigmoid()
    if out.presence_logits is not None:
        scores = scores * out.presence_logits[0].sigmoid()
    order = scores.argsort(descending=True, stable=True)[:_MOST]
    order = order[scores[order] > _SURE]
    masks = np.zeros((len(order), *size), bool)
    for index, plane in enumerate(out.pred_masks[0][order].sigmoid()):
        full = F.interpolate(plane[None, None], size, mode="bilinear")
        masks[index] = (full[0, 0] > 0.5).cpu().numpy()
    return masks, scores[order].cpu().numpy()
