"""Forests without scikit-learn's own work around every tree: the very same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from vicl.models.analogies.forests import Forest, grow_classes
from vicl.models.kept import bytes_of

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(500, 6))
LABELS = FEATURES[:, 0] + RNG.normal(size=500) > 0
WEIGHTS = RNG.uniform(0.03, 1, 500)
QUERY = RNG.normal(size=(80, 6)).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 7])
def test_growing_gives_the_trees_of_scikit_learn(seed: int) -> None:
    theirs = ExtraTreesClassifier(12, min_samples_leaf=5, max_features=0.5, random_state=seed)
    theirs.fit(FEATURES, LABELS, WEIGHTS)
    ours = grow_classes(FEATURES, LABELS, WEIGHTS, trees=12, leaf=5, tried=0.5, seed=seed)
    np.testing.assert_array_equal(ours.predict(QUERY), theirs.predict_proba(QUERY))
    assert bytes_of(ours) > 12 * 64 * 2  # counted where forests are kept
    other = grow_classes(FEATURES, LABELS, WEIGHTS, trees=12, leaf=5, tried=0.5, seed=seed + 1)
    assert not np.array_equal(other.predict(QUERY), ours.predict(QUERY))


@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_gives_the_means_of_scikit_learn(outputs: int) -> None:
    target = np.stack([FEATURES[:, index] ** 2 for index in range(outputs)], axis=1)
    theirs = ExtraTreesRegressor(9, min_samples_leaf=4, random_state=0)
    theirs.fit(FEATURES, target if outputs > 1 else target[:, 0])
    found = Forest.of(theirs.estimators_).predict(QUERY)
    assert found.shape == (80, outputs)
    np.testing.assert_array_equal(found, theirs.predict(QUERY).reshape(80, outputs))
