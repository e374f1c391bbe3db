"""CoOp: the words before a class's name are learned, as embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.backbones.worded import WordedBackbone
from vicl.prompts.class_words import ClassWords, Position, embedded_words
from vicl.prompts.worded import WordedClassifier

DEVIATION = 0.02
"""Of contexts that begin at random."""


class TextPrompt(WordedClassifier):
    """Learned contexts before, around or behind the names of classes; images are read as ever.

    Args:
        backbone: Frozen; it reads words.
        classes: Names, in the order of the answers.
        context: Tokens that are learned.
        words: The contexts begin at these, and are as many; None: they begin at random.
        position: Where the names stand.
        class_specific: Each class has contexts of its own.
        generator: For the first contexts.

    Raises:
        ValueError: If the backbone reads no words, or a name is too long.

    Source: Zhou et al. 2021, arXiv:2109.01134.
    """

    head_only = True

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        *,
        context: int = 16,
        words: str | None = None,
        position: Position = "end",
        class_specific: bool = False,
        generator: Generator,
    ) -> None:
        super().__init__(backbone, classes)
        first = first_contexts(
            self.reader, context, words, generator, *([len(classes)] if class_specific else [])
        )
        self.context = nn.Parameter(first)
        self.said = ClassWords(self.reader, classes, slots=first.shape[-2], position=position)
        self.freeze_all_but([self.context])

    def read(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.read`."""
        return self.reader.similarity(features, self.read_once(self.text_features))

    def text_features(self) -> Float[Tensor, "c w"]:
        """Features of the classes' texts, not normalised."""
        return self.reader.text_features(self.said.assemble(self.context), self.said.ends)

    def _again(self, classes: Sequence[str]) -> WordedClassifier:
        if self.context.dim() == 3:
            raise ValueError(
                "class_specific: each class has contexts of its own, so there are none for other "
                "classes; tune without class_specific"
            )
        return type(self)(
            self.backbone, classes, context=self.said.slots, position=self.said.position,
            generator=Generator(),
        )  # fmt: skip


def first_contexts(
    reader: WordedBackbone, count: int, words: str | None, generator: Generator, *each: int
) -> Float[Tensor, "*c m d"]:
    """Where contexts begin: at random, or at some words.

    Args:
        reader: Embeds the words.
        count: Tokens, where they begin at random.
        words: None: at random.
        generator: For that.
        each: How many such contexts; none: one, without the dimension.
    """
    if words is not None:
        found = embedded_words(reader, words)
        return found.expand(*each, *found.shape).clone()
    drawn = torch.empty(*each, count, reader.word_width)
    return drawn.normal_(0, DEVIATION, generator=generator)
