"""Classifiers whose classes are words: they can be asked about other classes than they learned."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from vicl.prompts.backbones.worded import WordedBackbone, worded
from vicl.prompts.classifier import Classifier


class WordedClassifier(Classifier):
    """A classifier over a backbone that reads words."""

    @property
    def reader(self) -> WordedBackbone:
        """The backbone."""
        return worded(self.backbone)

    def forward(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.forward`."""
        return self.read(self.backbone.features(self.backbone.normalise(image)))

    def read(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """Logits of the backbone's features."""
        raise NotImplementedError

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
        return found

    def _again(self, classes: Sequence[str]) -> WordedClassifier:
        """One with the same options, which has learned nothing."""
        raise NotImplementedError
