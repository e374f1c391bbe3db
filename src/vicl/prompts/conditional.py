"""CoCoOp: each image shifts the learned words before the classes' names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.checkpoint import checkpoint

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.class_words import ClassWords
from vicl.prompts.drawn import drawn_linear
from vicl.prompts.text import first_contexts
from vicl.prompts.worded import WordedClassifier

_NARROW: Final = 16
"""The network's inner width is so many times less than that of features."""

TOKENS: Final = 1 << 15
"""So many tokens of text are read at a time, if an image's are no more."""


class ConditionalPrompt(WordedClassifier):
    """Learned contexts, to which a small network adds a shift that it makes of the image.

    Text is read for each image and class, as many images at a time as fit :data:`TOKENS`; while it
    learns, what lies between is computed again for the gradient, so memory does not grow with the
    batch.

    Args:
        backbone: Frozen; it reads words.
        classes: Names, in the order of the answers.
        context: Tokens that are learned.
        words: The contexts begin at these, and are as many; None: they begin at random.
        generator: For the first weights.

    Raises:
        ValueError: If the backbone reads no words, or a name is too long.

    Source: Zhou et al. 2022, arXiv:2203.05557.
    """

    head_only = True

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        *,
        context: int = 4,
        words: str | None = "a photo of a",
        generator: Generator,
    ) -> None:
        super().__init__(backbone, classes)
        self.context = nn.Parameter(first_contexts(self.reader, context, words, generator))
        inner = max(1, backbone.width // _NARROW)
        self.shift = nn.Sequential(
            drawn_linear(backbone.width, inner, generator),
            nn.ReLU(),
            drawn_linear(inner, self.reader.word_width, generator),
        )
        self.said = ClassWords(self.reader, classes, slots=self.context.shape[-2])
        self.freeze_all_but([self.context, *self.shift.parameters()])

    def read(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.read`."""
        long = int(self.said.ends.max()) + 1
        together = max(1, TOKENS // (long * len(self.classes)))
        if torch.is_grad_enabled():
            parts = [
                checkpoint(self._read, part, use_reentrant=False)
                for part in torch.split(features, together)
            ]
        else:
            parts = [self._read(part) for part in torch.split(features, together)]
        return torch.cat(parts)

    def _read(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        embedded = self.prompts(features)
        ends = self.said.ends.repeat(len(features))
        texts = self.reader.text_features(embedded.flatten(0, 1), ends)
        return self.reader.similarity(features, torch.unflatten(texts, 0, embedded.shape[:2]))

    def prompts(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c l d"]:
        """The texts' embeddings for each image, without places."""
        shifts = self.shift(F.normalize(features, dim=-1))
        contexts = self.context + shifts[:, None]
        return torch.stack([self.said.assemble(one) for one in contexts])

    def _again(self, classes: Sequence[str]) -> WordedClassifier:
        return type(self)(
            self.backbone, classes, context=self.said.slots, words=None, generator=Generator()
        )
