"""UPT: one set of learned vectors becomes prompts of words and of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.class_words import ClassWords
from vicl.prompts.drawn import drawn_attention, drawn_linear
from vicl.prompts.text import first_contexts
from vicl.prompts.worded import WordedClassifier

Attention = Literal["intended", "published"]
"""Over which vectors each attends: over all; or, as the published code does, over itself alone."""

DROPOUT = 0.1


class UnifiedPrompt(WordedClassifier):
    """Vectors go through a small transformer layer; some become contexts, the others image tokens.

    The image's tokens stand behind the class token, before the backbone's first normalisation, and
    have no place.

    Args:
        backbone: Frozen; it reads words.
        classes: Names, in the order of the answers.
        text: Vectors that become contexts before the names.
        image: Vectors that become tokens of the image.
        attention: Over which vectors each attends.
        generator: For the first weights.

    Raises:
        ValueError: If the backbone reads no words, or a name is too long.

    Source: Zang et al. 2022, arXiv:2210.07225, and the code that its authors published in 2025.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        *,
        text: int = 4,
        image: int = 4,
        attention: Attention = "intended",
        generator: Generator,
    ) -> None:
        super().__init__(backbone, classes)
        self.counts, self.attention = (text, image), attention
        width = self.reader.word_width
        self.shared = nn.Parameter(first_contexts(self.reader, text + image, None, generator))
        self.attend = drawn_attention(width, 1, generator)
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.widen = drawn_linear(width, width, generator)
        self.narrow = drawn_linear(width, width, generator)
        self.to_image = drawn_linear(width, self.reader.dim, generator)
        own = [module for module in self.children() if module is not backbone]
        learned = [p for module in own for p in module.parameters()]
        self.said = ClassWords(self.reader, classes, slots=text)
        self.freeze_all_but([self.shared, *learned])

    def forward(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c"]:
        """See :meth:`vicl.prompts.classifier.Classifier.forward`."""
        contexts, tokens = self.prompts()
        texts = self.reader.text_features(self.said.assemble(contexts), self.said.ends)
        return self.reader.similarity(self._prompted(image, tokens), texts)

    def prompts(self) -> tuple[Float[Tensor, "t d"], Float[Tensor, "i e"]]:
        """The contexts of all names, and the tokens of all images."""
        # A sequence of all vectors; or, published, a batch of sequences of one.
        rows = self.shared[:, None] if self.attention == "intended" else self.shared[None]
        seen = self.attend(rows, rows, rows, need_weights=False)[0].reshape(self.shared.shape)
        state = self.first_norm(self.shared + self._dropped(seen))
        inner = self.narrow(F.relu(self.widen(self.second_norm(state))))
        contexts, others = (state + self._dropped(inner)).split(self.counts)
        return contexts, self.to_image(others)

    def _dropped(self, values: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        return F.dropout(values, DROPOUT, self.training)

    def _prompted(
        self, image: Float[Tensor, "b 3 s s"], prompts: Float[Tensor, "i e"]
    ) -> Float[Tensor, "b w"]:
        """Features of images with tokens more."""
        reader = self.reader
        tokens = reader.embed(reader.normalise(image))
        first, patches = tokens[:, : reader.prefix], tokens[:, reader.prefix :]
        return reader.through(torch.cat([first, prompts.expand(len(image), -1, -1), patches], 1))

    def _again(self, classes: Sequence[str]) -> WordedClassifier:
        text, image = self.counts
        return type(self)(
            self.backbone, classes, text=text, image=image, attention=self.attention,
            generator=Generator(),
        )  # fmt: skip
