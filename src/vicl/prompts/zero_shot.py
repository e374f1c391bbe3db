"""Zero-shot: images are compared with texts that name the classes; nothing is learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.backbones.worded import WordedBackbone, worded
from vicl.prompts.templates import GENERIC, VISUAL_PROMPTING, filled, templates_of
from vicl.prompts.worded import WordedClassifier

GREATEST_SCALE: Final = 4.6052
"""Of a scale of logits that is learned, in logarithms: 100 times the cosine.

Source: Bahng et al. 2022, arXiv:2203.17274, published code; 0 is the least.
"""

_TOGETHER: Final = 256
"""So many texts are read at a time."""


class ZeroShot(WordedClassifier):
    """The classes' texts, by one template or the mean over several.

    Args:
        backbone: Frozen; it reads words.
        classes: Names, in the order of the answers.
        templates: Texts with `{}` for the name, or names of sets of templates, or both.

    Raises:
        ValueError: If the backbone reads no words, or a template is none.
    """

    head_only = True

    def __init__(
        self, backbone: Backbone, classes: Sequence[str], *, templates: Sequence[str] = (GENERIC,)
    ) -> None:
        super().__init__(backbone, classes)
        self.templates = tuple(templates)
        self.words = WordReadout(backbone, classes, templates=templates)
        self.freeze_all_but([])

    def read(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.read`."""
        found: Tensor = self.words(features)
        return found

    def _again(self, classes: Sequence[str]) -> WordedClassifier:
        return type(self)(self.backbone, classes, templates=self.templates)


class WordReadout(nn.Module):
    """Logits of classes from features, by texts that stay: what a pixel prompt on CLIP learns by.

    Args:
        backbone: Frozen; it reads words. It is no part of this module.
        classes: Names.
        templates: As of :class:`ZeroShot`; as published for pixel prompts unless told.
        learn_scale: Whether the scale of the logits is learned, too; :meth:`tidy` keeps it bounded.

    Raises:
        ValueError: If the backbone reads no words, or a template is none.
    """

    texts: Float[Tensor, "c w"]

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        *,
        templates: Sequence[str] = (VISUAL_PROMPTING,),
        learn_scale: bool = False,
    ) -> None:
        super().__init__()
        reader = worded(backbone)
        self._similarity = reader.similarity
        texts = class_features(reader, classes, templates)
        self.register_buffer("texts", texts, persistent=False)
        self.scale: nn.Parameter | None = None
        if learn_scale:
            self.scale = nn.Parameter(reader.scale()[0].detach().clone().reshape(()))

    def forward(self, features: Float[Tensor, "b w"]) -> Float[Tensor, "b c"]:
        """Logits of the backbone's features."""
        return self._similarity(features, self.texts, self.scale)

    @torch.no_grad()
    def tidy(self) -> None:
        """Keep a learned scale within [0, :data:`GREATEST_SCALE`]: after each step."""
        if self.scale is not None:
            self.scale.clamp_(0, GREATEST_SCALE)


@torch.no_grad()
def class_features(
    reader: WordedBackbone, classes: Sequence[str], templates: Sequence[str]
) -> Float[Tensor, "c w"]:
    """A feature of length 1 for each class: the mean over templates of features of length 1.

    Args:
        reader: Reads the texts.
        classes: Names.
        templates: As of :class:`ZeroShot`.

    Raises:
        ValueError: If a template is none.
    """
    forms = templates_of(templates)
    texts = [text for name in classes for text in filled(forms, name)]
    parts = [
        F.normalize(reader.text_side(texts[at : at + _TOGETHER]), dim=-1)
        for at in range(0, len(texts), _TOGETHER)
    ]
    each = torch.unflatten(torch.cat(parts), 0, (len(classes), len(forms)))
    return F.normalize(each.mean(1), dim=-1)
