"""Classifiers whose classes are words: they can be asked about other classes than they learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vicl.prompts.backbones.worded import WordedBackbone, worded
from vicl.prompts.classifier import Classifier


class WordedClassifier(Classifier):
    """A classifier over a backbone that reads words."""

    _texts: tuple[list[Tensor], Tensor] | None = None

    @property
    def reader(self) -> WordedBackbone:
        """The backbone."""
        return worded(self.backbone)

    def read_once(self, read: Callable[[], Float[Tensor, "c w"]]) -> Float[Tensor, "c w"]:
        """Features of texts, which are the same for all images.

        Where no gradient is wanted they are read anew only after what is learned has changed.
        """
        if self.training or torch.is_grad_enabled():
            return read()
        learned = [weight.detach() for weight in self.parameters() if weight.requires_grad]
        # By value: a fused optimiser's step does not count up a tensor's version.
        if self._texts is None or not all(map(_same, learned, self._texts[0])):
            self._texts = [weight.clone() for weight in learned], read()
        return self._texts[1]

    def with_classes(self, classes: Sequence[str]) -> WordedClassifier:
        """The same, with what it learned, for other classes.

        Args:
            classes: Names, in the order of the answers.

        Raises:
            ValueError: If what it learned belongs to its classes.
        """
        found = self._again(classes)
        found.load_state_dict(self.state_dict())
        device = next(self.backbone.parameters()).device
        found.to(device).train(self.training)
        found.reading, found.temperature = self.reading, self.temperature
        return found

    def _again(self, classes: Sequence[str]) -> WordedClassifier:
        """One with the same options, which has learned nothing."""
        raise NotImplementedError


def _same(one: Tensor, other: Tensor) -> bool:
    return one.device == other.device and torch.equal(one, other)
