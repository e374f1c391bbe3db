"""Our own segmenter: a frozen encoder and a small network, which answer together.

An image is stretched to a square and encoded once, as the engine `matching` looks at it; what is
drawn at that size is brought to the image's own along its edges. Where something is told to be out,
random walks along its colours and outlines are added to what the network draws. Where a box is
given, what it is around is looked at more closely too, and the mean of both is the answer.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.engine import Candidates, Encoder, MaskPrompt
from vicl.images import ImageLike, as_floats, to_levels
from vicl.images.upsampling import LARGE, Upsampling, upsample
from vicl.models.matching.outlines import OutlineHead
from vicl.models.matching.view import FINE, MIDDLE, PICTURE, SIDE, View, look_at_square
from vicl.models.promptable import PromptableNet
from vicl.models.promptable.asked import guide_of
from vicl.models.promptable.borders import likely
from vicl.models.promptable.closer import Part, in_shares, moved, part_around, seen_from
from vicl.models.promptable.guidance import NEAR, Guide, spots
from vicl.models.promptable.network import Neck
from vicl.models.promptable.walks import ahead
from vicl.segmenters.encoded import EncodedImage

Levels: TypeAlias = UInt8[np.ndarray, "h w 3"]

BOUND: Final = 8.0
"""Log-odds are kept within it before they are enlarged."""

_OFFSET: Final = 1.0
"""By how much log-odds are moved for the stability of a mask."""

MARGIN: Final = 0.08
"""By which a box may have been drawn too small, as a share of its sides."""

WALKED: Final = 6.0
"""Log-odds that the random walks add at most, where places are told to be out."""

_CLOSER: Final = 0.8
"""A part that is more of the image than this is not looked at again."""


class Kept(NamedTuple):
    """What is kept of an image, or of a part of it, for all that is asked of it.

    Attributes:
        neck: The network's.
        outline: Chance of an outline, in [0, 1]; all 0 without a head for them.
    """

    neck: Neck
    outline: Float[Tensor, "1 f f"]


class _Seen:
    """An image, and what is kept of it and of the part that was asked about last."""

    def __init__(self, levels: Levels, kept: Kept) -> None:
        self.levels, self.kept = levels, kept
        self.size = (levels.shape[0], levels.shape[1])
        self.closer: tuple[Part, Kept] | None = None


@dataclass(frozen=True, eq=False)
class _Found:
    """An answer.

    Attributes:
        candidates: Best first, the masks on the network's grid.
        odds: Log-odds of each, on a grid of the part.
        part: All of the image, or what was looked at more closely; nothing is found elsewhere.
        picture: Of the part.
    """

    candidates: Candidates
    odds: Float[Tensor, "n p p"]
    part: Part
    picture: Float[Tensor, "3 p p"]


class Promptable:
    """Clicks, a box, scribbles or a coarse mask to masks.

    Args:
        encoder: What encodes; the network was trained on its features.
        net: Trained.
        outlines: A head over the same encoder, where there is one.
    """

    accepts = frozenset({"points", "box", "scribbles", "mask"})

    def __init__(
        self, encoder: Encoder, net: PromptableNet, *, outlines: OutlineHead | None = None
    ) -> None:
        self.encoder, self.net, self.name = encoder, net.eval(), net.name
        self.outlines = None if outlines is None else outlines.eval()

    def __repr__(self) -> str:
        return f"Promptable({self.name!r}, encoder={self.encoder.name!r})"

    @cached_property
    def weights_hash(self) -> str | None:
        """Of the encoder's, the network's and the head's for outlines together."""
        hashes = [self.encoder.weights_hash, self.net.weights_hash]
        if self.outlines is not None:
            hashes.append(self.outlines.weights_hash)
        all_of = " ".join(map(str, hashes))
        return hashlib.sha256(all_of.encode()).hexdigest()

    @torch.no_grad()
    def encode(self, image: ImageLike) -> EncodedImage:
        """See :meth:`vicl.engine.Segmenter.encode`; keeps the image in 8 bits a channel."""
        levels = to_levels(image)
        seen = _Seen(levels, self._look(levels))
        return EncodedImage(
            seen.size, self.accepts, partial(self._answer, seen), partial(self._sketch, seen)
        )

    @torch.no_grad()
    def _look(self, levels: Levels) -> Kept:
        square = Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pixels = as_floats(np.array(square)).to(self._device)
        return keep(look_at_square(pixels, self.encoder), self.net, self.outlines)

    def _look_closer(self, seen: _Seen, part: Part) -> Kept:
        """As :meth:`_look`, at a part; the last one is kept for more clicks on the same thing."""
        last = seen.closer
        if last is None or last[0] != part:
            x0, y0, x1, y1 = part
            last = seen.closer = (part, self._look(seen.levels[y0:y1, x0:x1]))
        return last[1]

    @property
    def _device(self) -> torch.device:
        return self.net.masks.weight.device

    def _answer(self, seen: _Seen, prompts: Sequence[MaskPrompt]) -> list[Candidates]:
        answers = []
        for prompt in prompts:
            found = self._found(seen, prompt)
            masks, (x0, y0, x1, y1) = np.zeros((len(found.odds), *seen.size), bool), found.part
            part = seen.levels[y0:y1, x0:x1]
            masks[:, y0:y1, x0:x1] = _enlarged(found.odds, part, found.picture)
            answers.append(replace(found.candidates, masks=masks))
        return answers

    def _sketch(self, seen: _Seen, prompts: Sequence[MaskPrompt]) -> list[Candidates]:
        return [self._found(seen, prompt).candidates for prompt in prompts]

    @torch.no_grad()
    def _found(self, seen: _Seen, prompt: MaskPrompt) -> _Found:
        # One by one: a network of this size gains nothing by batches on a processor, and so each
        # prompt gets to the last bit what it would get alone.
        guide = guide_of(prompt, seen.size)
        whole: Part = (0, 0, seen.size[1], seen.size[0])
        odds, ious = self._asked(seen.kept, guide)
        on_image, part, picture = odds, whole, seen.kept.neck.picture
        if prompt.box is not None and _is_closer(near := part_around(prompt.box, seen.size), whole):
            shares = in_shares(near, seen.size)
            again = self._look_closer(seen, near)
            closer, expected = self._asked(again, moved(guide, shares))
            odds, ious = (seen_from(odds, shares) + closer) / 2, (ious + expected) / 2
            on_image = _laid(odds, shares)
            part, picture = near, again.neck.picture
        order = ious.argsort(descending=True, stable=True)
        odds, on_image, scores = odds[order], on_image[order], ious[order]
        wide, narrow = ((odds > offset).sum((1, 2)) for offset in (-_OFFSET, _OFFSET))
        stability = narrow / wide.clamp(min=1)
        found = Candidates((on_image > 0).numpy(), scores.numpy(), stability.numpy())
        return _Found(found, odds, part, picture[0].cpu())

    def _asked(
        self, kept: Kept, guide: Guide
    ) -> tuple[Float[Tensor, "n p p"], Float[Tensor, " n"]]:
        """Log-odds of each mask, and the IoU that it is expected to have."""
        neck = kept.neck
        masks, ious = self.net(
            neck, Guide(*(part.to(self._device) for part in vars(guide).values()))
        )
        odds, box = masks[0].cpu(), guide.box[0]
        boxed = bool(box[2] > box[0])
        if boxed or bool((guide.labels == 0).any()):
            # Of clicks in alone nobody knows how far they should reach.
            near = ahead(guide, neck.picture.cpu(), kept.outline.cpu())
            odds = odds + WALKED * grown(near, odds.shape[-1])
        clicked = spots(guide, 1, NEAR / MIDDLE, FINE) - spots(guide, 0, NEAR / MIDDLE, FINE)
        # What was clicked is obeyed.
        odds = odds.clamp(-BOUND, BOUND) + 2 * BOUND * grown(clicked, odds.shape[-1])
        odds = odds.clamp(-BOUND, BOUND)
        odds = within(odds, box) if boxed else odds
        expected = ious[0].cpu()
        if self.outlines is not None:
            expected = likely(expected, odds, kept.outline.cpu())
        return odds, expected


def keep(view: View, net: PromptableNet, outlines: OutlineHead | None) -> Kept:
    """What is kept of what the encoder saw."""
    levels, picture = tuple(level[None] for level in view.levels), view.picture[None]
    if outlines is None:
        outline = picture.new_zeros(1, FINE, FINE)
    else:
        lines = torch.sigmoid(outlines(levels, picture))
        # The surest of what a place holds: a line is thinner than a place.
        outline = F.max_pool2d(lines, PICTURE // FINE)
    return Kept(net.encode(levels, picture), outline)


def grown(values: Float[Tensor, "1 f f"], side: int) -> Float[Tensor, "1 p p"]:
    """A map on a larger grid."""
    return F.interpolate(values[None], (side, side), mode="bilinear", align_corners=False)[0]


def _is_closer(part: Part, whole: Part) -> bool:
    (x0, y0, x1, y1), (_, _, width, height) = part, whole
    return (x1 - x0) * (y1 - y0) <= _CLOSER * width * height


def _laid(odds: Float[Tensor, "n p p"], part: Float[Tensor, " 4"]) -> Float[Tensor, "n p p"]:
    """Log-odds of a part on a grid of the image; elsewhere there is nothing."""
    sides = (part[2:] - part[:2]).repeat(2)
    image = torch.tensor([0.0, 0.0, 1.0, 1.0])
    laid = seen_from(odds, (image - part[:2].repeat(2)) / sides)
    return within(laid, part, margin=0.0)


def within(
    odds: Float[Tensor, "n p p"], box: Float[Tensor, " 4"], *, margin: float = MARGIN
) -> Float[Tensor, "n p p"]:
    """Nothing of what is meant lies far outside its box.

    Args:
        odds: Of the masks.
        box: In shares of the image.
        margin: So far, as a share of its sides.
    """
    beyond = margin * (box[2:] - box[:2])
    low, high = box[:2] - beyond, box[2:] + beyond
    axis = (torch.arange(odds.shape[-1]) + 0.5) / odds.shape[-1]
    across, down = ((axis >= low[i]) & (axis <= high[i]) for i in (0, 1))
    return torch.where(down[:, None] & across, odds, -BOUND)


def _enlarged(
    odds: Float[Tensor, "n p p"], image: Levels, picture: Float[Tensor, "3 p p"]
) -> Bool[np.ndarray, "n h w"]:
    """The masks at the image's own size, along its edges.

    Of an image that is not large only the first: the others differ little from what they are if
    they are enlarged plainly, in a tenth of the time.
    """
    size = (image.shape[0], image.shape[1])
    # Of a large image one after the other: floats of one mask alone are held at full size.
    large = math.prod(size) > LARGE
    masks = []
    for index, one in enumerate(odds):
        method: Upsampling = "guided" if large or index == 0 else "bicubic"
        found = upsample(one[None], size, guide=image, coarse=picture, method=method)
        masks.append((found > 0).numpy())
    return np.concatenate(masks)
