"""Answering with thin marks, such as edges: how likely is one at each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from vicl.encoders.handmade import blur
from vicl.models.analogies.forests import Forest
from vicl.models.analogies.local import surroundings
from vicl.models.analogies.shapes import RGB, RGBs

_SAMPLES: Final = 8000
_TREES: Final = 30
_TRIAL_TREES: Final = 8
_SQUARES: Final = 2
"""Squares a side of the chessboard by which one example is halved."""

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

    model: Forest
    share: float
    strong: float


def learn_lines(
    inputs: RGBs, amounts: Sequence[Float[np.ndarray, "_h _w"]], *, seed: int
) -> LineKnowledge:
    """Learn from as many pixels with a mark as without one."""
    model = _fit([surroundings(image) for image in inputs], amounts, None, _TREES, seed)
    share = float(np.mean([(amount > 0.05).mean() for amount in amounts]))
    strong = float(np.mean([_strongest(_strength(model, image), share) for image in inputs]))
    return LineKnowledge(model, share, strong)


def answer_lines(learned: LineKnowledge, query: RGB) -> Float[np.ndarray, "h w"]:
    """Strength of the mark at each pixel, [0, 1].

    It is scaled so that about as many pixels are strong as in the examples, but by no more than
    two, so that a query without marks is not filled with them.
    """
    return in_strength(_strength(learned.model, query), learned)


def in_strength(
    values: Float[np.ndarray, "h w"], learned: LineKnowledge
) -> Float[np.ndarray, "h w"]:
    """What the method makes of an image, scaled as :func:`answer_lines` says."""
    reached = _strongest(values, learned.share)
    limit = float(np.clip(reached, learned.strong / 2, learned.strong * 2))
    return np.clip(values * (_STRONG / max(limit, 1e-6)), 0, 1).astype(np.float32)


def held_out_strengths(
    inputs: RGBs, amounts: Sequence[Float[np.ndarray, "_h _w"]], *, seed: int
) -> list[Float[np.ndarray, "_h _w"]]:
    """What the method makes of parts of the examples that it did not learn from.

    With several examples each half of them is predicted from the other; with one, the black
    squares of a chessboard from the white.
    """
    features = [surroundings(image) for image in inputs]
    halves = [_half(index, amount.shape, len(amounts)) for index, amount in enumerate(amounts)]
    found = [np.zeros(amount.shape, np.float32) for amount in amounts]
    for turned in (False, True):
        shown = [half != turned for half in halves]
        model = _fit(features, amounts, shown, _TRIAL_TREES, seed)
        for strength, each, known in zip(found, features, shown, strict=True):
            if not known.all():
                strength[~known] = model.predict(each[~known])[:, 0]
    return [_standing_out(strength) for strength in found]


def _half(index: int, size: tuple[int, ...], count: int) -> Bool[np.ndarray, "h w"]:
    if count > 1:
        return np.full(size, index % 2 == 0)
    rows, columns = (np.arange(length) * _SQUARES // length for length in size)
    return np.asarray((rows[:, None] + columns) % 2 == 0)


def _fit(
    features: Sequence[Float[np.ndarray, "_h _w f"]],
    amounts: Sequence[Float[np.ndarray, "_h _w"]],
    shown: Sequence[Bool[np.ndarray, "_h _w"]] | None,
    trees: int,
    seed: int,
) -> Forest:
    """Learn the square root of the strength, of what is shown."""
    from scipy import ndimage
    from sklearn.ensemble import ExtraTreesRegressor

    rng = np.random.default_rng(seed)
    chosen, target = [], []
    for index, (each, amount) in enumerate(zip(features, amounts, strict=True)):
        # A mark is where somebody put it, give or take a pixel.
        wide = ndimage.grey_dilation(amount, size=(3, 3))
        known = True if shown is None else shown[index]
        for members in (amount > 0.05, wide <= 0.05):
            places = np.flatnonzero(members & known)
            count = min(len(places), _SAMPLES // (2 * len(features)))
            picked = rng.choice(places, count, replace=False)
            chosen.append(each.reshape(amount.size, -1)[picked])
            target.append(np.sqrt(amount.ravel()[picked]))
    fitted = ExtraTreesRegressor(
        trees, min_samples_leaf=_LEAF, max_features=0.15, random_state=seed
    ).fit(np.concatenate(chosen), np.concatenate(target))
    return Forest.of(fitted.estimators_)


def _strength(model: Forest, image: RGB) -> Float[np.ndarray, "h w"]:
    features = surroundings(image)
    flat = model.predict(features.reshape(-1, features.shape[-1]))[:, 0]
    return _standing_out(flat.reshape(image.shape[:2]).astype(np.float32))


def _standing_out(strength: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    smooth = blur(strength, _BLUR)
    return np.maximum(smooth - np.float32(_SURROUND) * blur(smooth, _AROUND), 0)


def _strongest(strength: Float[np.ndarray, "h w"], share: float) -> float:
    return float(np.quantile(strength, 1 - share / 2))
