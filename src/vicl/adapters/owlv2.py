"""OWLv2: what the examples mark, found in the query by its likeness, as boxes.

Source: Minderer et al., "Simple Open-Vocabulary Object Detection with Vision Transformers",
ECCV 2022 (section 4.5), and "Scaling Open-Vocabulary Object Detection", NeurIPS 2023.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from vicl.adapters.sam import prepared
from vicl.adapters.transformers_folder import (
    CLIP,
    Architecture,
    build,
    colours_of,
    open_folder,
)
from vicl.engine import Filled, drawn
from vicl.images import to_levels
from vicl.metrics import box_iou
from vicl.prompt import Prompt
from vicl.storage.folder import WEIGHTS
from vicl.storage.sharded import hash_weights
from vicl.tasks.boxes import component_boxes

_KINDS: Final = {"owlv2": Architecture("Owlv2Config", "Owlv2ForObjectDetection")}

_GRAY: Final = 0.5
"""An image that is not square is padded with it."""

_SURE: Final = 0.9
"""Chance from which a box is taken: the library's example's."""

_OVERLAP: Final = 0.3
"""Of two boxes whose IoU is larger the likelier stays: the library's."""

_MOST: Final = 100
"""So many boxes at most, of the likeliest."""

_Boxes = Float32[np.ndarray, "n 4"]


class OWLv2:
    """Image-guided detection with OWLv2 of the transformers library, in float32.

    Every connected thing that an example marks is looked up among the boxes that the model sees
    in it; boxes of the query that are alike are drawn, filled, white on black, the chance as the
    confidence, and numbered. Nothing alike gives an empty answer; the chance of the likeliest box
    is the answer's presence. It tells no classes apart: examples have one.

    Args:
        folder: With `config.json` and `model.safetensors`.
        name: How it is called; None takes the folder's name.
        device: Where it runs.
        min_chance: From which a box is taken, [0, 1].

    Raises:
        ModelError: If transformers is not installed, or the folder is broken or of another kind.
        ValueError: If `min_chance` is out of its range.
    """

    max_size: int | None = None

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        device: torch.device | str = "cpu",
        min_chance: float = _SURE,
    ) -> None:
        if not 0 <= min_chance <= 1:
            raise ValueError(f"min_chance: got {min_chance}, expected 0 to 1")
        path = Path(folder)
        architecture, fields = open_folder(path, _KINDS, "an engine")
        self.name = path.resolve().name if name is None else name
        self.weights_hash: str | None = hash_weights(path, WEIGHTS)
        self.min_chance = min_chance
        self._colours = colours_of(path, CLIP)
        self._model = build(architecture, fields, path, device=device)
        self._side: int = self._model.config.vision_config.image_size

    def __repr__(self) -> str:
        return f"OWLv2({self.name!r})"

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; nothing is random."""
        return [self._answer(prompt) for prompt in prompts]

    @torch.inference_mode()
    def _answer(self, prompt: Prompt) -> Filled:
        query = to_levels(prompt.query)
        size = (query.shape[0], query.shape[1])
        meant = [self._meant(*drawn(example)) for example in prompt.examples]
        boxes, chances = self._alike(query, torch.cat(meant)) if meant else (None, None)
        image, confidence = torch.zeros(3, *size), torch.ones(size)
        objects = torch.zeros(size, dtype=torch.int32)
        presence = 0.0
        if boxes is not None and chances is not None and len(boxes):
            presence = float(chances[0])
            # The likeliest last, so that it keeps what others claim too.
            for number in range(len(boxes), 0, -1):
                box, chance = boxes[number - 1], chances[number - 1]
                if chance >= self.min_chance:
                    x0, y0, x1, y1 = (round(float(at)) for at in box)
                    image[:, y0:y1, x0:x1] = 1
                    confidence[y0:y1, x0:x1] = float(chance)
                    objects[y0:y1, x0:x1] = number
        return Filled(image, confidence, presence=presence, objects=objects)

    def _meant(
        self, image: Float[Tensor, "3 h w"], output: Float[Tensor, "3 h w"]
    ) -> Float[Tensor, "n d"]:
        """What each thing that an example marks looks like."""
        size = (image.shape[1], image.shape[2])
        marked = (output.mean(0) > 0.5).numpy().astype(np.uint8)
        seen = self._seen(to_levels(image))
        boxes = self._boxes(seen, size)
        wanted = [np.array(found.box, np.float32) for found in component_boxes(marked, size)]
        _, classes = self._model.class_predictor(seen[1])
        chosen = [max(range(len(boxes)), key=lambda at: box_iou(boxes[at], box)) for box in wanted]
        meant: Tensor = classes[0][chosen]
        return meant

    def _alike(self, query: np.ndarray, meant: Float[Tensor, "k d"]) -> tuple[_Boxes, Any]:
        """Boxes of the query that look like what is meant, the likeliest first, and chances."""
        if not len(meant):
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        found = self._seen(query)
        logits, _ = self._model.class_predictor(found[1], meant[None])
        chances = logits[0].amax(-1).sigmoid().cpu().numpy()
        boxes = self._boxes(found, query.shape[:2])
        order = np.argsort(-chances, kind="stable")
        kept: list[int] = []
        for index in order[: 10 * _MOST]:
            if len(kept) < _MOST and all(
                box_iou(boxes[other], boxes[index]) <= _OVERLAP for other in kept
            ):
                kept.append(int(index))
        return boxes[kept], chances[kept]

    def _seen(self, image: np.ndarray) -> tuple[Tensor, Tensor]:
        """The map of features of an image, and the same row by row."""
        longest = max(image.shape[:2])
        padded = np.full((longest, longest, 3), round(255 * _GRAY), np.uint8)
        padded[: image.shape[0], : image.shape[1]] = image
        pixels = prepared(padded, (self._side, self._side), self._side, self._colours)
        features = self._model.image_embedder(pixel_values=pixels.to(self._model.device))[0]
        return features, features.flatten(1, 2)

    def _boxes(self, found: tuple[Tensor, Tensor], size: tuple[int, int]) -> _Boxes:
        """Xyxy in pixels, cut to the image."""
        shares = self._model.box_predictor(found[1], found[0])[0]
        centre, sides = shares.split(2, 1)
        corners = torch.cat([centre - sides / 2, centre + sides / 2], 1).cpu().numpy()
        height, width = size
        limits = np.array([width, height] * 2)
        cut: _Boxes = np.clip(corners * max(size), 0, limits).astype(np.float32)
        return cut
