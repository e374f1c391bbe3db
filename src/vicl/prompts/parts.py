"""Baselines that learn parts of the backbone itself: its biases, its last layers, all of it.

They work on a copy of the backbone, so that others that use it see it as it was.

Source: as compared in Jia et al. 2022, arXiv:2203.12119.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.classifier import Classifier
from vicl.prompts.linear import silent_layer


def biases(backbone: Backbone) -> list[nn.Parameter]:
    """The biases of a backbone's own layers; a table of relative positions is none."""
    own = {id(weight) for weight in backbone.own_parameters()}
    return [
        weight
        for module in backbone.modules()
        for name, weight in module.named_parameters(recurse=False)
        if id(weight) in own and (name == "bias" or name.endswith("_bias"))
    ]


class PartLearned(Classifier):
    """A linear layer on a backbone of which a part is learned.

    Args:
        backbone: Copied.
        classes: Names, in the order of the answers.
    """

    def __init__(self, backbone: Backbone, classes: Sequence[str]) -> None:
        super().__init__(copy.deepcopy(backbone), classes)
        self.head = silent_layer(backbone.width, len(classes))
        self.freeze_all_but([*self.chosen(), *self.head.parameters()])

    def chosen(self) -> Iterable[nn.Parameter]:
        """Which of the backbone's weights are learned."""
        raise NotImplementedError

    def read(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.read`."""
        found: Tensor = self.head(features)
        return found


class Bias(PartLearned):
    """The backbone's biases are learned."""

    def chosen(self) -> Iterable[nn.Parameter]:
        """See :meth:`PartLearned.chosen`."""
        return biases(self.backbone)


class Full(PartLearned):
    """All of the backbone is learned, in training mode."""

    whole = True

    def chosen(self) -> Iterable[nn.Parameter]:
        """See :meth:`PartLearned.chosen`."""
        return self.backbone.own_parameters()


class Partial(PartLearned):
    """The backbone's last layers are learned, and what comes after them.

    Args:
        backbone: Copied.
        classes: Names, in the order of the answers.
        layers: How many.

    Raises:
        ValueError: If it has fewer.
    """

    def __init__(self, backbone: Backbone, classes: Sequence[str], *, layers: int) -> None:
        there = len(backbone.blocks())
        if layers > there:
            raise ValueError(f"layers: got {layers}, expected at most the backbone's {there}")
        self.layers = layers
        super().__init__(backbone, classes)

    def chosen(self) -> Iterable[nn.Parameter]:
        """See :meth:`PartLearned.chosen`."""
        modules = [*self.backbone.blocks()[-self.layers :], *self.backbone.tail()]
        return [weight for module in modules for weight in module.parameters()]
