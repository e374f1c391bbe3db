"""Forests of randomised trees, without what scikit-learn's own do around every tree.

A query asks several forests, some of which learn from it alone, so that checks, copies of settings
and warnings filters around each of their trees cost as much as small trees do. The trees are
scikit-learn's, and so are the numbers.

Source: Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 2006.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees, of which the mean is taken.

    Attributes:
        trees: scikit-learn's, as they are compiled; what a leaf holds are the shares of the
            classes, or what is predicted.
    """

    trees: tuple[Any, ...]

    @classmethod
    def of(cls, trees: Iterable[Any]) -> Forest:
        """Of scikit-learn's fitted trees, such as the `estimators_` of a forest of its own."""
        return cls(tuple(tree.tree_ for tree in trees))

    @property
    def nbytes(self) -> int:
        """Bytes that the trees take: 64 a node, and what it holds."""
        return sum(tree.node_count * 64 + tree.value.nbytes for tree in self.trees)

    def predict(self, features: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n k"]:
        """What the leaves of each sample hold in the mean: of classes their chances, in order."""
        known = np.ascontiguousarray(features, np.float32)
        total = np.zeros((len(known), self.trees[0].value[0].size))
        for tree in self.trees:
            total += tree.predict(known).reshape(total.shape)
        return total / len(self.trees)


def grow_classes(
    features: Float[np.ndarray, "n f"],
    labels: Bool[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    *,
    trees: int,
    leaf: int,
    tried: float,
    seed: int,
) -> Forest:
    """Learn two classes, both of which are there.

    Args:
        features: Of the samples.
        labels: Their classes.
        weights: How much each counts.
        trees: How many.
        leaf: Samples that a leaf has at least.
        tried: Share of the features that a branch may choose from.
        seed: Of the draws; each tree has the seed that it has in scikit-learn's forest.
    """
    from sklearn import config_context
    from sklearn.tree import ExtraTreeClassifier

    rng = np.random.RandomState(seed)
    known = np.ascontiguousarray(features, np.float32)
    counted = np.ascontiguousarray(weights, np.float64)
    with config_context(skip_parameter_validation=True, assume_finite=True):
        return Forest.of(
            ExtraTreeClassifier(
                min_samples_leaf=leaf,
                max_features=tried,
                random_state=rng.randint(np.iinfo(np.int32).max),
            ).fit(known, labels, counted, check_input=False)
            for _ in range(trees)
        )
