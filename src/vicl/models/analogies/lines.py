"""Answering with thin marks, such as edges: how likely is one at each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from vicl.encoders.handmade import blur
from vicl.models.analogies.local import surroundings
from vicl.models.analogies.shapes import RGB, RGBs

_SAMPLES: Final = 8000
_TREES: Final = 30
_LEAF: Final = 15
_BLUR: Final = 1.0
"""Sigma in pixels by which the forest's answer is smoothed: it was asked pixel by pixel."""

_AROUND: Final = 4.0
_SURROUND: Final = 0.7
"""So much of the strength around a pixel (blurred by so many pixels) is taken from its own: a line
stands out, a texture does not (surround inhibition: Grigorescu, Petkov, Westenberg, 2003)."""

_STRONG: Final = 0.75
"""The strength drawn for a pixel that just belongs to the strongest half of the marks."""


@dataclass(frozen=True, eq=False)
class LineKnowledge:
    """What the examples taught.

    Attributes:
        model: A forest from surroundings to the square root of the strength.
        share: Share of the pixels that are marked.
        strong: The forest's answer that so many pixels of the examples reach, half of `share`.
    """

    model: Any
    share: float
    strong: float


def learn_lines(
    inputs: RGBs, amounts: Sequence[Float[np.ndarray, "_h _w"]], *, seed: int
) -> LineKnowledge:
    """Learn from as many pixels with a mark as without one."""
    from scipy import ndimage
    from sklearn.ensemble import ExtraTreesRegressor

    rng = np.random.default_rng(seed)
    features, target = [], []
    for image, amount in zip(inputs, amounts, strict=True):
        # A mark is where somebody put it, give or take a pixel.
        wide = ndimage.grey_dilation(amount, size=(3, 3))
        flat = surroundings(image).reshape(amount.size, -1)
        marked, clear = np.flatnonzero(amount > 0.05), np.flatnonzero(wide <= 0.05)
        for members in (marked, clear):
            count = min(len(members), _SAMPLES // (2 * len(inputs)))
            picked = rng.choice(members, count, replace=False)
            features.append(flat[picked])
            target.append(np.sqrt(amount.ravel()[picked]))
    model = ExtraTreesRegressor(
        _TREES, min_samples_leaf=_LEAF, max_features=0.15, random_state=seed
    ).fit(np.concatenate(features), np.concatenate(target))
    share = float(np.mean([(amount > 0.05).mean() for amount in amounts]))
    strong = float(np.mean([_strongest(_strength(model, image), share) for image in inputs]))
    return LineKnowledge(model, share, strong)


def answer_lines(learned: LineKnowledge, query: RGB) -> Float[np.ndarray, "h w"]:
    """Strength of the mark at each pixel, [0, 1].

    It is scaled so that about as many pixels are strong as in the examples, but by no more than
    two, so that a query without marks is not filled with them.
    """
    strength = _strength(learned.model, query)
    reached = _strongest(strength, learned.share)
    limit = float(np.clip(reached, learned.strong / 2, learned.strong * 2))
    return np.clip(strength * (_STRONG / max(limit, 1e-6)), 0, 1).astype(np.float32)


def _strength(model: Any, image: RGB) -> Float[np.ndarray, "h w"]:
    features = surroundings(image)
    flat = model.predict(features.reshape(-1, features.shape[-1]))
    smooth = blur(flat.reshape(image.shape[:2]).astype(np.float32), _BLUR)
    return np.maximum(smooth - np.float32(_SURROUND) * blur(smooth, _AROUND), 0)


def _strongest(strength: Float[np.ndarray, "h w"], share: float) -> float:
    return float(np.quantile(strength, 1 - share / 2))
