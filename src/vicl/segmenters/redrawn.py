"""An engine finds what the examples mark, and a segmenter draws it: training-free.

The engine's answer says where the thing is, roughly. Each connected part of it is put to the
segmenter as points, a box and a mask; those of the masks that come back that fit the engine's
chances are averaged, and both together decide. If none fits, the part stays as it was. Of a part
that is a box, by an engine that finds boxes, the segmenter's mask is the answer.

Source: the idea of PerSAM (Zhang et al., ICLR 2024), Matcher (Liu et al., ICLR 2024) and GF-SAM
(Zhang et al., NeurIPS 2024). Differs: the engine's chances, not raw likenesses, make the prompts
and weigh the masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from torch import Tensor

from vicl.engine import (
    Filled,
    InContextModel,
    MaskPrompt,
    PartialModel,
    PromptableImage,
    Segmenter,
    drawn,
)
from vicl.images import to_levels
from vicl.models.matching.engine import ground_first, is_plain, output_kind
from vicl.prompt import Prompt
from vicl.tasks.boxes import mask_box

_FITS: Final = 0.8
"""A mask is taken from this expected IoU on, as a share of that of the engine's own."""

_WEIGHT: Final = 0.3
"""Of the segmenter's masks beside the engine's chances."""

_CERTAIN, _FULL = 0.999, 0.95
"""Chance of every pixel, and share of its box, from which a part is a box: see :func:`_is_box`."""

_MOST: Final = 32
"""So many parts are drawn anew at most: the largest."""

_LEAST: Final = 0.0005
"""Share of the image under which a part stays as it is."""

_POINTS: Final = 3
"""So many points stand for a part."""


class Redrawn:
    """An engine whose masks a segmenter draws.

    Outputs that are not black and white masks are answered as the engine does; so is what the
    engine does not find. Of an engine that tells objects apart each object is drawn.

    Args:
        engine: Finds.
        segmenter: Draws; takes points, a box, a mask, or several of them.

    Raises:
        ValueError: If it takes none of them.
    """

    def __init__(self, engine: InContextModel, segmenter: Segmenter) -> None:
        if not segmenter.accepts & {"points", "box", "mask"}:
            raise ValueError(
                f"segmenter: {segmenter.name} takes {', '.join(sorted(segmenter.accepts))}, "
                "expected one that takes points, a box or a mask"
            )
        self.engine, self.segmenter = engine, segmenter
        self.name = f"{engine.name}+{segmenter.name}"
        self.max_size: int | None = engine.max_size
        both = f"{engine.name} {engine.weights_hash} {segmenter.weights_hash}"
        self.weights_hash: str | None = hashlib.sha256(both.encode()).hexdigest()

    def __repr__(self) -> str:
        return f"Redrawn({self.engine!r}, {self.segmenter!r})"

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; of masks there is one answer."""
        found = self.engine.answer(prompts, samples=samples, seed=seed)
        return [
            self._redrawn(prompt, one) if self._marks(prompt) else one
            for prompt, one in zip(prompts, found, strict=True)
        ]

    def _marks(self, prompt: Prompt) -> bool:
        """Whether the examples' outputs are masks of one class, black and white."""
        return _are_masks(prompt)

    def _redrawn(self, prompt: Prompt, first: Filled) -> Filled:
        chances = first.image.mean(0).cpu().numpy().astype(np.float32)
        numbers = _parts(chances, first.objects)
        if not numbers.any():
            return first
        image = self.segmenter.encode(to_levels(prompt.query))
        chances, numbers = redraw(image, chances, numbers)
        fused = torch.from_numpy(chances)
        return Filled(
            fused.expand(3, -1, -1).contiguous(),
            torch.maximum(fused, 1 - fused),
            first.log_likelihood,
            presence=first.presence,
            objects=None if first.objects is None else torch.from_numpy(numbers),
        )


class RedrawnParts(Redrawn):
    """Likewise, of an engine that learns from parts of a mask; see :class:`PartialModel`."""

    def __init__(self, engine: PartialModel, segmenter: Segmenter, *, masks: bool = False) -> None:
        super().__init__(engine, segmenter)
        self.masks = masks

    def asked(
        self, *, min_presence: float | None = None, objects: bool = False, masks: bool = False
    ) -> RedrawnParts:
        """This engine, asked otherwise."""
        assert isinstance(self.engine, PartialModel)
        asked = self.engine.asked(min_presence=min_presence, objects=objects, masks=masks)
        return RedrawnParts(asked, self.segmenter, masks=masks)

    def _marks(self, prompt: Prompt) -> bool:
        return _are_masks(prompt, masks=self.masks)


def redrawn(engine: InContextModel, segmenter: Segmenter) -> Redrawn:
    """An engine whose masks a segmenter draws, asked as the engine can be."""
    if isinstance(engine, PartialModel):
        return RedrawnParts(engine, segmenter)
    return Redrawn(engine, segmenter)


def redraw(
    image: PromptableImage,
    chances: Float32[np.ndarray, "h w"],
    numbers: Int[np.ndarray, "h w"],
) -> tuple[Float32[np.ndarray, "h w"], Int[np.ndarray, "h w"]]:
    """Draw parts anew, each by the masks that fit it.

    Args:
        image: Encoded.
        chances: Of being of what is wanted, [0, 1].
        numbers: Of the parts, from 1; 0 is none of them.

    Returns:
        Both anew; where several parts claim a pixel, the one that had it keeps it, else the one
        with the lower number gets it.
    """
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    chosen = np.argsort(-sizes, kind="stable")[:_MOST]
    chosen = np.sort(chosen[sizes[chosen] >= max(1, _LEAST * numbers.size)])
    fused, found = chances.copy(), numbers.copy()
    for number in chosen:
        part = numbers == number
        free = part | (found == 0)
        boxed = "box" in image.accepts and _is_box(part, chances)
        weight = 1.0 if boxed else _WEIGHT
        vote = _in_box(image, part) if boxed else _vote(image, np.where(free, chances, 0), part)
        if vote is None:
            continue
        where = free & (part | (vote > 0))
        fused[where] = (1 - weight) * chances[where] + weight * vote[where]
        found[where] = np.where(fused[where] > 0.5, number, 0)
    return fused, found


def _is_box(part: Bool[np.ndarray, "h w"], chances: Float32[np.ndarray, "h w"]) -> bool:
    """Whether an engine of boxes gave a part: it is sure everywhere, and fills its box."""
    x0, y0, x1, y1 = mask_box(part)
    return bool((chances[part] >= _CERTAIN).all() and part.sum() >= _FULL * (x1 - x0) * (y1 - y0))


def _in_box(
    image: PromptableImage, part: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"] | None:
    """What a segmenter sees in a box; None if nothing."""
    (answer,) = image.many([MaskPrompt(box=mask_box(part))])
    return answer.masks[0].astype(np.float32) if answer.masks[:1].any() else None


def _vote(
    image: PromptableImage,
    chances: Float32[np.ndarray, "h w"],
    part: Bool[np.ndarray, "h w"],
) -> Float32[np.ndarray, "h w"] | None:
    """The mean of the masks that fit a part; None if none does."""
    least = _FITS * _expected_iou(part, chances)
    total, count = np.zeros(part.shape, np.float32), 0
    for answer in image.many(_prompts(image.accepts, chances, part)):
        for mask in answer.masks:
            if _expected_iou(mask, chances) >= least:
                total += mask
                count += 1
    return total / count if count else None


def _are_masks(prompt: Prompt, *, masks: bool = False) -> bool:
    kind = output_kind([drawn(example)[1] for example in prompt.examples], masks=masks)
    return kind.name == "mask" and is_plain(ground_first(kind))


def _expected_iou(mask: Bool[np.ndarray, "h w"], chances: Float32[np.ndarray, "h w"]) -> float:
    inside = float(chances[mask].sum())
    union = float(mask.sum()) + float(chances.sum()) - inside
    return inside / union if union else 0.0


def _prompts(
    accepts: frozenset[str], chances: Float32[np.ndarray, "h w"], part: Bool[np.ndarray, "h w"]
) -> list[MaskPrompt]:
    """A part in every way that a segmenter takes, and in all of them together."""
    ways: dict[str, object] = {
        "points": _hearts(chances, part),
        "box": mask_box(part),
        "mask": part,
    }
    taken = {way: said for way, said in ways.items() if way in accepts}
    prompts = [_prompt({way: said}) for way, said in taken.items()]
    return [*prompts, _prompt(taken)] if len(taken) > 1 else prompts


def _prompt(said: dict[str, object]) -> MaskPrompt:
    return MaskPrompt(said.get("points"), box=said.get("box"), mask=said.get("mask"))


def _hearts(
    chances: Float32[np.ndarray, "h w"], part: Bool[np.ndarray, "h w"]
) -> list[tuple[float, float]]:
    """Places deep inside a part where it is likely, apart from one another."""
    from scipy import ndimage

    # With a border: what the frame cuts off ends there.
    depth = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    worth = depth * chances
    found: list[tuple[float, float]] = []
    radius = 2 * float(depth.max())
    rows, columns = np.arange(part.shape[0])[:, None], np.arange(part.shape[1])
    while len(found) < _POINTS and worth.max() > 0.25 * (depth * chances).max():
        row, column = divmod(int(worth.argmax()), worth.shape[1])
        found.append((column + 0.5, row + 0.5))
        near = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        worth = np.where(near, 0, worth)
    return found


def _parts(chances: Float32[np.ndarray, "h w"], objects: Tensor | None) -> Int[np.ndarray, "h w"]:
    """Numbers of the engine's objects, or of what is connected."""
    from scipy import ndimage

    if objects is not None:
        return np.asarray(objects.cpu().numpy(), np.int32)
    numbers, _ = ndimage.label(chances > 0.5, structure=np.ones((3, 3)))
    return np.asarray(numbers, np.int32)
