"""Answering with a picture: colours and filters learned from the examples, the best one chosen.

After Hertzmann, Jacobs, Oliver, Curless, Salesin, "Image analogies", SIGGRAPH 2001: what the
output is at a pixel follows from what the input is around it.  Differs: regression in the place of
the nearest neighbour, and the kind of regression chosen by what it predicts in held-out parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float, Int

from vicl.models.analogies import local
from vicl.models.analogies.forests import Forest
from vicl.models.analogies.shapes import RGB, Colours, RGBs, Samples

_SAMPLES: Final = 6000
_TREES: Final = 20
_TRIAL_TREES: Final = 8
_SIMPLER: Final = 0.97
"""A later (less simple) method must bring the error below this share of the best before it."""

_GOOD: Final = 1.5e-5
"""Mean squared error of about one 8-bit step: nothing more complex is tried."""

_LEVELS: Final = 256
_BAND: Final = 2**18
_MARGIN: Final = 48
"""Rows around a band that its features look at, at most."""

_LAW: Final = (1e-4, 4e-4)
"""Mean squared error up to which colours follow from gray values, and from which they do not."""

UNTOLD: Final = 0.06
"""See :func:`told_by_colour`."""

_GRAY: Final = 0.01
"""Mean difference of the brightest and darkest channel in a gray picture, at most."""


@dataclass(frozen=True)
class Method:
    """One way to predict output from input.

    Attributes:
        name: What it can learn.
        features: Of the input.
        forest: A forest of trees instead of a ridge regression.
        curves: A curve for each channel instead.
        residual: What is learned is output minus input.
    """

    name: str
    features: Callable[[RGB], Float[np.ndarray, "h w _"]]
    forest: bool = False
    curves: bool = False
    residual: bool = False


METHODS: Final = (
    Method("curves", local.itself, curves=True),
    Method("colour polynomial", local.colour_terms),
    Method("colour table", local.colours, forest=True),
    Method("filter", local.filters, residual=True),
    Method("surroundings", local.surroundings, forest=True),
)
"""From simple to complex."""


@dataclass(frozen=True, eq=False)
class Learned:
    """A fitted method.

    Attributes:
        method: The method; None answers with the query, and fits nothing.
        model: Gives what was fitted.
        error: Mean squared error on held-out parts of the examples.
        nbytes: Of what it is fitted from, and about as much again for what was fitted.
    """

    method: Method | None
    model: Callable[[], Any]
    error: float
    nbytes: int = 0


def learn_picture(inputs: RGBs, outputs: RGBs, *, seed: int) -> list[Learned]:
    """Fit every method and order them, best first.

    With several examples each half of them is predicted from the other; with one, the black
    squares of a chessboard from the white.
    """
    chosen, part = _choose([image.shape[:2] for image in inputs], seed)
    source, target = (_gather(images, chosen) for images in (inputs, outputs))
    found = [Learned(None, lambda: None, float(((source - target) ** 2).mean()))]
    for method in METHODS:
        if min(learned.error for learned in found) < _GOOD:
            break
        features = _gather([method.features(image) for image in inputs], chosen)
        wanted = target - source if method.residual else target
        error = _held_out(method, features, part, source, target, seed)
        # Fitted when it is first used: most methods are only tried.
        model = cache(partial(_fit, method, features, wanted, seed, trees=_TREES))
        found.append(Learned(method, model, error, 2 * (features.nbytes + wanted.nbytes)))
    best = found[0]
    for learned in found[1:]:
        if learned.error < _SIMPLER * best.error:
            best = learned
    others = sorted((item for item in found if item is not best), key=lambda item: item.error)
    # A simpler method was preferred because it is as good: let its likelihood say so, too.
    return [replace(best, error=min(item.error for item in found)), *others]


def told_by_colour(inputs: RGBs, outputs: RGBs, *, seed: int) -> bool:
    """Whether a pixel's own colour alone tells its output, as in a thresholded photograph.

    That is so if curves or a colour table, learned in one part of the examples, explain all but
    `UNTOLD` of the output's variance in another.
    """
    chosen, part = _choose([image.shape[:2] for image in inputs], seed)
    source, target = (_gather(images, chosen) for images in (inputs, outputs))
    allowed = UNTOLD * float(target.var(axis=0).mean())
    for method in METHODS[:3:2]:
        features = _gather([method.features(image) for image in inputs], chosen)
        if _held_out(method, features, part, source, target, seed) <= allowed:
            return True
    return False


def guesswork(learned: Learned, inputs: RGBs, outputs: RGBs) -> float:
    """How far colours are made up, in [0, 1]: only where the inputs are gray and outputs are not.

    0 if the method explains the output (a palette laid over gray values), 1 if it leaves as much
    as a photograph's colours always leave.
    """
    spread = [float(np.ptp(image, axis=-1).mean()) for image in inputs]
    if max(spread) > _GRAY or max(float(np.ptp(o, axis=-1).mean()) for o in outputs) <= _GRAY:
        return 0.0
    return float(np.interp(learned.error, _LAW, (0, 1)))


def apply_picture(learned: Learned, query: RGB) -> RGB:
    """Answer a query at its own size, in bands of rows, so that features need little memory."""
    if learned.method is None:
        return query
    height, width = query.shape[:2]
    rows = max(1, _BAND // width)
    bands = []
    for top in range(0, height, rows):
        start, stop = max(0, top - _MARGIN), min(height, top + rows + _MARGIN)
        features = learned.method.features(query[start:stop])[top - start :][:rows]
        flat = learned.model().predict(features.reshape(-1, features.shape[-1]))
        bands.append(np.asarray(flat, np.float32).reshape(*features.shape[:2], 3))
    guess = np.concatenate(bands)
    if learned.method.residual:
        guess = guess + query
    return np.asarray(np.clip(guess, 0, 1), np.float32)


def _held_out(
    method: Method,
    features: Samples,
    part: Bool[np.ndarray, " n"],
    source: Colours,
    target: Colours,
    seed: int,
) -> float:
    """Mean squared error on each half of the samples, learned from the other."""
    if method.forest:  # slow to fit, and every other sample ranks it as well
        features, part, source, target = (v[::2] for v in (features, part, source, target))
    if part.all() or not part.any():
        return np.inf
    wanted = target - source if method.residual else target
    wrong = []
    for half in (part, ~part):
        model = _fit(method, features[half], wanted[half], seed, trees=_TRIAL_TREES)
        guess = model.predict(features[~half]) + (source[~half] if method.residual else 0)
        wrong.append(((np.clip(guess, 0, 1) - target[~half]) ** 2).mean())
    return float(np.mean(wrong))


class _Curves:
    """For each channel the mean output at each of its levels, with straight lines between."""

    def fit(self, features: Colours, target: Colours) -> _Curves:
        """See scikit-learn."""
        levels = np.rint(features * (_LEVELS - 1)).astype(np.int64)
        self._curves = []
        for channel in range(3):
            counts = np.bincount(levels[:, channel], minlength=_LEVELS)
            sums = np.bincount(levels[:, channel], target[:, channel], _LEVELS)
            known = np.flatnonzero(counts)
            self._curves.append((known, sums[known] / counts[known]))
        return self

    def predict(self, features: Colours) -> Colours:
        """See scikit-learn."""
        levels = features.T * (_LEVELS - 1)
        mapped = [np.interp(own, *curve) for own, curve in zip(levels, self._curves, strict=True)]
        return np.stack(mapped, axis=1).astype(np.float32)


def _fit(method: Method, features: Samples, target: Colours, seed: int, *, trees: int) -> Any:
    if method.curves:
        return _Curves().fit(features, target)
    if method.forest:
        from sklearn.ensemble import ExtraTreesRegressor

        fitted = ExtraTreesRegressor(
            trees, min_samples_leaf=2, max_features=0.5, random_state=seed
        ).fit(features, target)
        return Forest.of(fitted.estimators_)
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), Ridge(alpha=1e-2 * len(features) ** 0.5)).fit(
        features, target
    )


def _choose(
    sizes: Sequence[tuple[int, ...]], seed: int
) -> tuple[list[Int[np.ndarray, " _n"]], Bool[np.ndarray, " n"]]:
    """Pixels to learn from in each image, and the half that each belongs to."""
    rng = np.random.default_rng(seed)
    chosen, halves = [], []
    for index, (height, width) in enumerate(sizes):
        count = min(height * width, max(1, _SAMPLES // len(sizes)))
        picked = np.sort(rng.choice(height * width, count, replace=False))
        chosen.append(picked)
        if len(sizes) > 1:
            halves.append(np.full(count, index % 2 == 0))
        else:
            rows, columns = np.divmod(picked, width)
            squares = rows * 4 // max(height, 4) + columns * 4 // max(width, 4)
            halves.append(squares % 2 == 0)
    return chosen, np.concatenate(halves)


def _gather(
    maps: Sequence[Float[np.ndarray, "_h _w c"]], chosen: Sequence[Int[np.ndarray, " _n"]]
) -> Float[np.ndarray, "m c"]:
    pairs = zip(maps, chosen, strict=True)
    return np.concatenate([values.reshape(-1, values.shape[-1])[some] for values, some in pairs])
