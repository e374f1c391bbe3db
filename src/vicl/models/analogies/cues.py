"""What speaks for a pixel being in the mask: place, appearance, correspondence, saliency.

Each cue is a map of evidence (log-odds against the mask's share of the image); the statistics say
how far the examples let each be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

from vicl.encoders.handmade import blur, places
from vicl.models.analogies.forests import Forest
from vicl.models.analogies.matching import dissimilarity, transfer
from vicl.models.analogies.shapes import Map, Samples
from vicl.models.analogies.view import GRID, WORKING_SIZE, View

CUES: Final = (
    "place 3",
    "place 8",
    "place 16",
    "moved by shape and colour",
    "moved by shape",
    "moved stiffly",
    "appearance",
    "appearance and place",
    "inside",
    "contrast",
)
"""Place: the example's mask blurred by so many pixels of the working size."""

_SAMPLES: Final = 1200
_TREES: Final = 40
_LEAF: Final = 5


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What the examples teach about one class, before any query.

    Attributes:
        views: The examples.
        masks: Share of each pixel that is in the mask, [0, 1].
        areas: Share of each example that is in its mask.
        appearance: Forest on :attr:`View.pixels`; None if the masks are all empty or all full.
        placed: Forest on the same and the place.
        standing_out: Area under the ROC curve of :attr:`View.inside` for the mask.
        compactness: Area under the ROC curve of the blurred mask for itself: near 1 if it keeps to
            one place, near 0.5 if it is everywhere.
    """

    views: tuple[View, ...]
    masks: tuple[Map, ...]
    areas: tuple[float, ...]
    appearance: Forest | None
    placed: Forest | None
    standing_out: float
    compactness: float


def learn(views: tuple[View, ...], masks: tuple[Map, ...], *, seed: int) -> Knowledge:
    """Learn one class from examples at the working size."""
    from sklearn.metrics import roc_auc_score

    truth = np.concatenate([mask.ravel() > 0.5 for mask in masks])
    rng = np.random.default_rng(seed)
    chosen = _balanced(truth, rng)
    areas = tuple(float(mask.mean()) for mask in masks)
    if truth.all() or not truth.any():
        return Knowledge(views, masks, areas, None, None, 0.5, 0.5)
    features = _flat([view.pixels for view in views])[chosen]
    where = np.tile(places(WORKING_SIZE, WORKING_SIZE).reshape(-1, 2), (len(views), 1))[chosen]
    labels = truth[chosen]
    inside = np.concatenate([view.inside.ravel() for view in views])
    blurred = np.concatenate([blur(mask, 16.0).ravel() for mask in masks])
    return Knowledge(
        views=views,
        masks=masks,
        areas=areas,
        appearance=_forest(features, labels, seed),
        placed=_forest(with_place(features, where), labels, seed),
        standing_out=float(roc_auc_score(truth, inside)),
        compactness=float(roc_auc_score(truth, blurred)),
    )


def evidence(
    known: Knowledge, query: View
) -> tuple[Float[np.ndarray, "n s s"], Float[np.ndarray, " m"], float]:
    """Gather the cues for a query.

    Returns:
        The maps in the order of `CUES`, the numbers of :func:`_statistics`, and the share of the
        query expected to be in the mask.
    """
    distances = np.array([dissimilarity(view, query) for view in known.views])
    weights = np.exp(-(distances - distances.min()) / 0.1)
    weights /= weights.sum()
    area = float(np.clip(weights @ known.areas, 1e-3, 1 - 1e-3))
    prior = sum(w * mask for w, mask in zip(weights, known.masks, strict=True))
    maps = [blur(np.asarray(prior, np.float32), sigma) for sigma in (3.0, 8.0, 16.0)]
    coarse = [_shrink(blur(mask, 1.5)) for mask in known.masks]
    for colour, smoothing in ((0.3, 2.0), (0.0, 2.0), (0.05, 4.0)):
        carried = sum(
            w * transfer(view, mask, query, colour=colour, smoothing=smoothing)
            for w, view, mask in zip(weights, known.views, coarse, strict=True)
        )
        maps.append(_grow(np.asarray(carried, np.float32)))
    pixels = _flat([query.pixels])
    where = places(WORKING_SIZE, WORKING_SIZE).reshape(-1, 2)
    for forest, features in ((known.appearance, pixels), (known.placed, with_place(pixels, where))):
        chance = forest.predict(features)[:, 1] if forest else np.full(len(pixels), area)
        maps.append(chance.reshape(WORKING_SIZE, WORKING_SIZE).astype(np.float32))
    trust = 4 * (known.standing_out - 0.5)
    cues = [log_odds(values) - log_odds(np.asarray(area, np.float32)) for values in maps]
    cues += [trust * (query.inside - 0.5), trust * (query.contrast - 0.3)]
    found = np.stack(cues).astype(np.float32)
    return found, _statistics(known, query, found, float(distances.min()), area), area


def _statistics(
    known: Knowledge, query: View, cues: Float[np.ndarray, "n s s"], distance: float, area: float
) -> Float[np.ndarray, " m"]:
    """What tells how far each cue can be trusted, centred and scaled to about [-1, 1]."""
    appearance, place, moved = (
        cues[CUES.index(name)] for name in ("appearance", "place 16", "moved by shape and colour")
    )
    overlap = max(float(np.minimum(v.histogram, query.histogram).sum()) for v in known.views)
    chance = 1 / (1 + np.exp(-appearance))
    most = np.sort(chance, axis=None)[-max(8, int(area * chance.size)) :]
    numbers = [
        1.0,
        2 * (distance - 0.5),  # dissimilarity of example and query
        3 * (overlap - 0.5),  # of their colours
        3 * (known.compactness - 0.75),  # of the mask
        2 * _correlation(appearance, place),
        2 * _correlation(appearance, moved) - 0.5,
        float(appearance.std()) - 1,  # decisiveness of appearance
        float(np.log((chance.mean() + 0.02) / (area + 0.02))) - 1,  # area by appearance
        4 * (float(most.mean()) - 0.75),  # certainty of appearance
    ]
    return np.clip(np.array(numbers, np.float32), -3, 3)


def _correlation(first: Map, second: Map) -> float:
    if first.std() < 1e-6 or second.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def log_odds(chance: Float[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """Logit, kept finite."""
    return np.asarray(np.log((chance + 0.02) / (1.02 - chance)), np.float32)


def with_place(features: Samples, where: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n g"]:
    """Append the place, three times so that a forest's random draw of features often has it."""
    return np.concatenate([features, where, where, where], axis=1)


def _forest(features: Samples, labels: Bool[np.ndarray, " n"], seed: int) -> Forest:
    from sklearn.ensemble import ExtraTreesClassifier

    fitted = ExtraTreesClassifier(
        _TREES,
        min_samples_leaf=_LEAF,
        max_features="sqrt",
        class_weight="balanced",
        random_state=seed,
    ).fit(features, labels)
    return Forest.of(fitted.estimators_)


def _balanced(truth: Bool[np.ndarray, " n"], rng: np.random.Generator) -> Int[np.ndarray, " m"]:
    picked = [
        rng.choice(members, min(len(members), limit), replace=False)
        for members, limit in (
            (np.flatnonzero(truth), _SAMPLES),
            (np.flatnonzero(~truth), 3 * _SAMPLES // 2),
        )
    ]
    return np.concatenate(picked)


def _flat(maps: list[Float[np.ndarray, "s s f"]]) -> Samples:
    return np.concatenate([values.reshape(-1, values.shape[-1]) for values in maps])


def _shrink(values: Map) -> Float[np.ndarray, "g g"]:
    step = WORKING_SIZE // GRID
    return np.asarray(values.reshape(GRID, step, GRID, step).mean(axis=(1, 3)))


def _grow(values: Float[np.ndarray, "g g"]) -> Map:
    from scipy import ndimage

    grown: Map = ndimage.zoom(values, WORKING_SIZE // GRID, order=1, grid_mode=True, mode="nearest")
    return grown
