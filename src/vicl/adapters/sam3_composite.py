"""SAM 3 as an in-context engine: examples and query in one picture, a box on what is marked.

SAM 3 finds in a picture whatever looks like what a box of the same picture shows. So the examples
are pasted beside the query, and what it finds on the query's side is the answer.

Source: the trick of users of SAM 3 (its repository's issue 183).
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.adapters.sam import prepared
from vicl.adapters.sam3 import CONCEPTS, PART, found_things
from vicl.adapters.transformers_folder import HALF, build, colours_of, open_folder
from vicl.adapters.words import Words
from vicl.engine import Filled, drawn
from vicl.images import resize, to_levels, to_tensor
from vicl.prompt import Prompt
from vicl.storage.folder import WEIGHTS
from vicl.storage.sharded import hash_weights
from vicl.tasks.boxes import component_boxes

_WORD: Final = "visual"
"""What the model reads where boxes say what is meant."""

_GRAY: Final = 128
_SURE: Final = 0.5
"""Chance from which a thing is drawn."""


class _Place(NamedTuple):
    """Where an image lies in the picture, in pixels."""

    top: int
    left: int
    height: int
    width: int


class Sam3Composite:
    """SAM 3 of the transformers library asked by examples; it computes in float32.

    It tells objects apart, and answers nothing where it finds nothing alike; the chance of the
    likeliest thing is the answer's presence. It tells no classes apart: examples have one. Beside
    each other images are seen at half the size or less.

    Args:
        folder: With `config.json`, `model.safetensors` and the vocabulary.
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
        part, fields = open_folder(path, PART, "an engine")
        self.name = path.resolve().name if name is None else name
        self.weights_hash: str | None = hash_weights(path, WEIGHTS)
        self._colours = colours_of(path, HALF)
        self._model = build(CONCEPTS, fields.get(part, {}), path, device=device)
        _complete(self._model)
        config = self._model.config
        words = Words.of_clip(path, config.text_config)
        self._word = words(_WORD).to(device)
        self._side: int = config.vision_config.image_size

    def __repr__(self) -> str:
        return f"Sam3Composite({self.name!r})"

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; nothing is random."""
        return [self._answer(prompt) for prompt in prompts]

    @torch.inference_mode()
    def _answer(self, prompt: Prompt) -> Filled:
        pairs = [drawn(example) for example in prompt.examples]
        query = to_tensor(prompt.query)
        images = [query, *(image for image, _ in pairs)]
        picture, places = paste(images, self._side)
        outputs = [output for _, output in pairs]
        boxes = [
            box
            for output, place in zip(outputs, places[1:], strict=True)
            for box in _boxes(output, place, self._side)
        ]
        size = (query.shape[1], query.shape[2])
        if not boxes:
            return Filled(torch.zeros(3, *size), presence=0.0)
        pixels = prepared(picture, (self._side, self._side), self._side, self._colours)
        device = self._model.device
        out = self._model(
            pixel_values=pixels.to(device),
            input_ids=self._word,
            attention_mask=torch.ones_like(self._word),
            input_boxes=torch.tensor([boxes], device=device),
            input_boxes_labels=torch.ones(1, len(boxes), dtype=torch.long, device=device),
        )
        masks, scores = found_things(out, (self._side, self._side))
        return _on_the_query(masks, scores, places[0], size)


def paste(
    images: Sequence[Float[Tensor, "3 _h _w"]], side: int
) -> tuple[UInt8[np.ndarray, "s s 3"], list[_Place]]:
    """Images in one square: the first has one half, the others share the other.

    Args:
        images: At least two, RGB in [0, 1]; each keeps its proportions.
        side: Of the square, in pixels.

    Returns:
        The square, and where each image lies in it.
    """
    half, count = side // 2, len(images) - 1
    beside = [_Place(0, 0, side, half)]
    beside += [_Place(at * side // count, half, side // count, half) for at in range(count)]
    above = [_Place(left, top, width, height) for top, left, height, width in beside]
    scales = [min(_scale(images[0], cells[0]), 1e9) for cells in (beside, above)]
    cells = beside if scales[0] >= scales[1] else above
    picture = np.full((side, side, 3), _GRAY, np.uint8)
    places = []
    for image, cell in zip(images, cells, strict=True):
        scale = _scale(image, cell)
        height, width = (max(1, int(length * scale)) for length in image.shape[1:])
        small = to_levels(resize(image, (height, width)))
        picture[cell.top : cell.top + height, cell.left : cell.left + width] = small
        places.append(_Place(cell.top, cell.left, height, width))
    return picture, places


def _scale(image: Float[Tensor, "3 h w"], cell: _Place) -> float:
    return min(cell.height / image.shape[1], cell.width / image.shape[2])


def _boxes(output: Float[Tensor, "3 h w"], place: _Place, side: int) -> list[list[float]]:
    """Centres and sides, in shares of the picture, of what an example marks."""
    marked = (output.mean(0) > 0.5).numpy().astype(np.uint8)
    found = []
    for box in component_boxes(marked, (place.height, place.width)):
        x0, y0, x1, y1 = box.box
        centre = (place.left + (x0 + x1) / 2, place.top + (y0 + y1) / 2)
        found.append([value / side for value in (*centre, x1 - x0, y1 - y0)])
    return found


def _on_the_query(
    masks: np.ndarray, scores: Float32[np.ndarray, " n"], place: _Place, size: tuple[int, int]
) -> Filled:
    """What was found, as far as it lies on the query, at its size."""
    top, left, height, width = place
    inside = masks[:, top : top + height, left : left + width]
    there = inside.any((1, 2)) & (inside.sum((1, 2)) > 0.5 * masks.sum((1, 2)))
    image, objects = torch.zeros(size), torch.zeros(size, dtype=torch.int32)
    confidence = torch.ones(size)
    sure = np.flatnonzero(there & (scores >= _SURE))
    # The surest last, so that it keeps what others claim too.
    for number, index in reversed(list(enumerate(sure, 1))):
        plane = torch.from_numpy(inside[index])[None, None].float()
        full = F.interpolate(plane, size, mode="bilinear")[0, 0] > 0.5
        image[full], objects[full], confidence[full] = 1.0, number, float(scores[index])
    presence = float(scores[there].max(initial=0))
    return Filled(
        image.expand(3, -1, -1).contiguous(), confidence, presence=presence, objects=objects
    )


def _complete(model: Any) -> None:
    """Give the library the one operation of torchvision that boxes need, where it is missing."""
    module = sys.modules[type(model).__module__]
    if not hasattr(module, "torchvision"):
        module.torchvision = SimpleNamespace(  # type: ignore[attr-defined]
            ops=SimpleNamespace(roi_align=roi_align)
        )


def roi_align(
    features: Float[Tensor, "b c h w"], boxes: Sequence[Float[Tensor, "_n 4"]], side: int
) -> Float[Tensor, "m c s s"]:
    """Means of features in the cells of boxes.

    Args:
        features: On a grid.
        boxes: xyxy of each image, in places of the grid.
        side: Cells a side.

    Source: He et al., "Mask R-CNN", ICCV 2017; as torchvision does it, not aligned, with as many
    samples a cell as it has places.
    """
    found = []
    for grid, of_image in zip(features, boxes, strict=True):
        for x0, y0, x1, y1 in of_image.tolist():
            rows = _samples(y0, y1, side).to(grid)
            columns = _samples(x0, x1, side).to(grid)
            across = 2 * columns / max(1, grid.shape[2] - 1) - 1
            down = 2 * rows / max(1, grid.shape[1] - 1) - 1
            at = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1)
            seen = F.grid_sample(grid[None], at[None], padding_mode="border", align_corners=True)
            cells = seen[0].reshape(len(grid), side, len(rows) // side, side, len(columns) // side)
            found.append(cells.mean((2, 4)))
    return torch.stack(found)


def _samples(start: float, stop: float, side: int) -> Float[Tensor, " n"]:
    """Where along one axis the cells of a box are looked at, cell by cell."""
    length = max(stop - start, 1.0)
    count = side * math.ceil(length / side)
    return start + (torch.arange(count) + 0.5) * (length / count)
