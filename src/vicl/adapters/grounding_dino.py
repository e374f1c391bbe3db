"""Grounding DINO: a name to boxes, in which another segmenter draws the masks.

Source: Liu et al., "Grounding DINO", ECCV 2024; Ren et al., "Grounded SAM", 2024.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from vicl.adapters.asking import things
from vicl.adapters.sam import prepared
from vicl.adapters.transformers_folder import (
    IMAGENET,
    Architecture,
    build,
    colours_of,
    open_folder,
)
from vicl.adapters.words import Words
from vicl.engine import Candidates, MaskPrompt, PromptableImage, Segmenter
from vicl.images import ImageLike, to_levels
from vicl.segmenters.encoded import EncodedImage
from vicl.storage.folder import WEIGHTS
from vicl.storage.sharded import hash_weights

_KINDS: Final = {
    "grounding-dino": Architecture("GroundingDinoConfig", "GroundingDinoForObjectDetection")
}

_SHORTER, _LONGER = 800, 1333
"""Sides at which it looks at an image: the shorter, or where that makes it too long the longer."""

_SURE: Final = 0.25
"""Score from which a box is taken: the library's."""

_MOST: Final = 100
"""So many boxes at most, of the surest."""


class GroundingDino:
    """Finds what is named; it computes in float32.

    Args:
        folder: With `config.json`, `model.safetensors` and the vocabulary.
        name: How it is called; None takes the folder's name.
        device: Where it runs.

    Raises:
        ModelError: If transformers is not installed, or the folder is broken or of another kind.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        path = Path(folder)
        architecture, fields = open_folder(path, _KINDS, "a detector")
        self.name = path.resolve().name if name is None else name
        self.weights_hash: str | None = hash_weights(path, WEIGHTS)
        self._colours = colours_of(path, IMAGENET)
        # Its kernels would be fetched from the hub.
        fields = {**fields, "disable_custom_kernels": True}
        self._model = build(architecture, fields, path, device=device)
        text = self._model.config.text_config
        self._words = Words(
            path, "bert", count=text.vocab_size, most=self._model.config.max_text_len
        )

    @torch.inference_mode()
    def boxes(
        self, image: UInt8[np.ndarray, "h w 3"], text: str
    ) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, " n"]]:
        """Boxes of what is named, xyxy in pixels, and their scores, the surest first.

        Args:
            image: RGB.
            text: What it is called; several names with full stops between.
        """
        height, width = image.shape[:2]
        scale = min(_SHORTER / min(height, width), _LONGER / max(height, width))
        scaled = (max(1, round(height * scale)), max(1, round(width * scale)))
        pixels = prepared(image, scaled, max(scaled), self._colours)
        numbers = self._words(text.strip().lower().rstrip(".") + ".")
        device = self._model.device
        out = self._model(
            pixel_values=pixels[..., : scaled[0], : scaled[1]].to(device),
            input_ids=numbers.to(device),
            token_type_ids=torch.zeros_like(numbers).to(device),
            attention_mask=torch.ones_like(numbers).to(device),
        )
        scores = out.logits[0].sigmoid().amax(-1)
        order = scores.argsort(descending=True, stable=True)[:_MOST]
        order = order[scores[order] > _SURE]
        centre, sides = out.pred_boxes[0][order].split(2, 1)
        shares = torch.cat([centre - sides / 2, centre + sides / 2], 1).clamp(0, 1)
        boxes = shares.cpu().numpy() * np.array([width, height] * 2, np.float32)
        return boxes, scores[order].cpu().numpy()


class Grounded:
    """A detector of what is named, and a segmenter that draws in its boxes.

    What is asked with a name is answered by all things of that name as one mask, then by each;
    with nothing of the name there is no candidate. Whatever else is said chooses among them. What
    is asked without a name is answered by the segmenter.

    Args:
        detector: Finds boxes.
        segmenter: Draws; it has to take boxes.
    """

    def __init__(self, detector: GroundingDino, segmenter: Segmenter) -> None:
        if "box" not in segmenter.accepts:
            raise ValueError(f"segmenter: {segmenter.name} takes no boxes, expected one that does")
        self.detector, self.segmenter = detector, segmenter
        self.name = f"{detector.name}+{segmenter.name}"
        self.accepts = segmenter.accepts | {"text"}
        both = f"{detector.weights_hash} {segmenter.weights_hash}"
        self.weights_hash: str | None = hashlib.sha256(both.encode()).hexdigest()

    def __repr__(self) -> str:
        return f"Grounded({self.detector.name!r}, {self.segmenter!r})"

    def encode(self, image: ImageLike) -> EncodedImage:
        """See :meth:`vicl.engine.Segmenter.encode`; finding what is named costs as much again."""
        levels = to_levels(image)
        size = levels.shape[:2]
        drawing = self.segmenter.encode(levels)

        @cache
        def found(text: str) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, " n"]]:
            return self.detector.boxes(levels, text)

        def named(prompt: MaskPrompt) -> Candidates:
            boxes, scores = found(prompt.text or "")
            return things(_drawn(drawing, boxes), scores, prompt)

        def answer(prompts: Sequence[MaskPrompt]) -> list[Candidates]:
            return [
                named(prompt) if prompt.text is not None else drawing.many([prompt])[0]
                for prompt in prompts
            ]

        return EncodedImage(size, self.accepts, answer)


def _drawn(image: PromptableImage, boxes: Float32[np.ndarray, "n 4"]) -> np.ndarray:
    """The best mask in each box."""
    masks = np.zeros((len(boxes), *image.size), bool)
    for index, box in enumerate(boxes):
        if (box[:2] < box[2:]).all():
            masks[index] = image.many([MaskPrompt(box=box)])[0].masks[0]
    return masks
