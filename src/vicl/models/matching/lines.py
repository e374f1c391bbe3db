"""Answering with lines: by the outline head as far as the example's lines are outlines.

What an example calls an edge may be where things end, any strong gradient, a road or a crack. So
the example decides: the outline head, which has learned from no part of it, is compared with the
forest of :mod:`vicl.models.analogies.lines` on parts that this did not learn from. The head's lines
are drawn as thick and as soft as the example draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vicl.engine import Filled
from vicl.images import resize, resize_map, shrink
from vicl.metrics.edges import thin
from vicl.metrics.thinning import thin_lines
from vicl.models.analogies.engine import LEARNING_SIZE
from vicl.models.analogies.lines import (
    LineKnowledge,
    held_out_strengths,
    in_strength,
)
from vicl.models.analogies.outputs import amount
from vicl.models.analogies.shapes import RGB, RGBs

Map = Float[np.ndarray, "h w"]
Maps = Sequence[Float[np.ndarray, "_h _w"]]

_WITHIN: Final = 0.03
"""So much worse, in F, the head may be on the examples. A forest that learned from another part of
the same picture is worse in another picture, by 0.06 (strong gradients) to 0.2 (outlines of
clothes, of nuclei, in scenes); the head, on pictures held out from its training, by less."""

_MARKED: Final = 0.05
"""Strength from which an example's pixel is on a line."""

_TOLERANCE: Final = 0.0075
"""How far from an example's line a pixel is on it, as a fraction of the diagonal."""

_NEAR: Final = 2.0
"""And at least so many pixels."""

_WIDEST: Final = 12
"""Half the width of a line, in pixels, at most."""

_FAINT: Final = 0.1
"""Strength, of that in the middle, at which a line ends."""


@dataclass(frozen=True, eq=False)
class Lines:
    """What examples taught of lines that are outlines.

    Attributes:
        colours: Of the ground and of the lines.
        profile: How strong a line is so many pixels from its middle, where that is 1.
        diagonal: Of the examples that the profile was seen in, in pixels.
    """

    colours: Float[Tensor, "2 3"]
    profile: Float[np.ndarray, " r"]
    diagonal: float


def learn_lines(
    pairs: Sequence[tuple[Float[Tensor, "3 _h _w"], Float[Tensor, "3 _oh _ow"]]],
    colours: Float[np.ndarray, "2 3"],
    forest: LineKnowledge,
    outline: Callable[[Tensor], Tensor],
    *,
    seed: int,
) -> Lines | None:
    """How the examples draw lines, if these are outlines; None if the forest finds them better.

    Args:
        pairs: The examples' inputs and outputs.
        colours: Of the ground and of the lines.
        forest: What the forest learned of them.
        outline: Gives how likely an outline is at each pixel of an image, by the head.
        seed: Of the forests that learn from a part of the examples.
    """
    small = [shrink(image, LEARNING_SIZE) for image, _ in pairs]
    sizes = [(image.shape[1], image.shape[2]) for image in small]
    wanted = [resize(output, size) for (_, output), size in zip(pairs, sizes, strict=True)]
    amounts = [amount(_pixels(output), colours) for output in wanted]
    found = [
        resize_map(outline(image), size) for (image, _), size in zip(pairs, sizes, strict=True)
    ]
    inputs, outlines = [_pixels(image) for image in small], [one.numpy() for one in found]
    if not are_outlines(inputs, amounts, outlines, forest, seed=seed):
        return None
    whole = [amount(_pixels(output), colours) for _, output in pairs]
    first = max(whole, key=lambda one: one.size)
    diagonal = float(np.hypot(*first.shape))
    return Lines(torch.from_numpy(colours), profile_of(first), diagonal)


def draw_lines(lines: Lines, outline: Float[Tensor, "h w"]) -> Filled:
    """The answer to a query.

    Args:
        lines: What the examples taught.
        outline: How likely an outline is at each pixel of the query, by the head.
    """
    scale = float(np.hypot(*outline.shape)) / lines.diagonal
    drawn = torch.from_numpy(draw(outline.numpy(), lines.profile, scale))
    ground, mark = lines.colours[:, :, None, None]
    return Filled((ground + drawn * (mark - ground)).clamp(0, 1), (2 * drawn - 1).abs())


def are_outlines(
    inputs: RGBs, amounts: Maps, outlines: Maps, forest: LineKnowledge, *, seed: int
) -> bool:
    """Whether the head finds the examples' lines, or the forest would find them better.

    Args:
        inputs: The examples' pictures.
        amounts: How strong their lines are at each pixel, [0, 1].
        outlines: How likely an outline is there, by the head.
        forest: What the forest learned of them.
        seed: Of the forests that learn from a part of them.
    """
    held = [in_strength(one, forest) for one in held_out_strengths(inputs, amounts, seed=seed)]
    own, head = (np.mean(list(map(crest_f, found, amounts))) for found in (held, outlines))
    return bool(head > own - _WITHIN)


def crest_f(strength: Map, wanted: Map) -> float:
    """F of a map's crests against an example's lines, at the cut that is best for it.

    A coarse :func:`vicl.metrics.edges.image_f`: pixels are not matched one to one.
    """
    from scipy import ndimage

    lines = thin_lines(wanted > _MARKED)
    crest = thin(strength)
    found = crest > 0
    if not lines.any() or not found.any():
        return 0.0
    reach = max(_NEAR, _TOLERANCE * float(np.hypot(*wanted.shape)))
    right = (ndimage.distance_transform_edt(~lines) <= reach)[found]
    rows, columns = np.mgrid[-int(reach) : int(reach) + 1, -int(reach) : int(reach) + 1]
    disc = rows**2 + columns**2 <= reach**2
    near = np.sort(ndimage.grey_dilation(crest, footprint=disc)[lines])
    order = np.argsort(-crest[found])
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    recall = 1 - np.searchsorted(near, crest[found][order]) / len(near)
    return float((2 * precision * recall / np.maximum(precision + recall, 1e-9)).max())


def profile_of(marks: Map) -> Float[np.ndarray, " r"]:
    """How strong lines are at so many pixels from their middle: 1 there, and falling."""
    from scipy import ndimage

    middle = thin_lines(marks > _MARKED)
    if not middle.any():
        return np.ones(1, np.float32)
    far = np.rint(ndimage.distance_transform_edt(~middle)).astype(int)
    strength = ndimage.mean(marks, far, np.arange(min(_WIDEST, int(far.max())) + 1))
    falling = np.minimum.accumulate(strength / max(float(strength[0]), 1e-6))
    return np.asarray(falling[falling > _FAINT], np.float32)


def draw(strength: Map, profile: Float[np.ndarray, " r"], scale: float) -> Map:
    """Draw the crests of a map of strengths as lines.

    Args:
        strength: In [0, 1].
        profile: As :func:`profile_of` gives it.
        scale: By which lines are to be thicker.
    """
    from scipy.ndimage import maximum_filter1d

    grown = np.asarray(thin(strength), np.float32)
    drawn = grown
    # Lines of one pixel stay so in a smaller picture, and in one up to twice as large.
    reach = min(_WIDEST, int(scale * (len(profile) - 0.5)))
    for step in range(1, reach + 1):
        across = [maximum_filter1d(grown, 3, axis=axis) for axis in (0, 1)]
        # Squares and crosses by turns make an octagon.
        grown = np.maximum(*across) if step % 2 else maximum_filter1d(across[0], 3, axis=1)
        share = np.interp(step / scale, np.arange(len(profile) + 1), np.append(profile, 0))
        drawn = np.maximum(drawn, np.float32(share) * grown)
    return drawn


def _pixels(image: Float[Tensor, "3 h w"]) -> RGB:
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())
