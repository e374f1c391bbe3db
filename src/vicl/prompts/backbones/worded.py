"""Backbones that read words, too: what prompts of words attach to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.backbones.backbone import Backbone, TokenBackbone


@dataclass(frozen=True, eq=False)
class Tokens:
    """Texts as a backbone's numbers; on the CPU.

    Attributes:
        numbers: Of all texts at the backbone's whole length, filled up behind the end.
        ends: Place of each text's end.
    """

    numbers: Int[Tensor, "n l"]
    ends: Int[Tensor, " n"]


class WordedBackbone(TokenBackbone):
    """A backbone whose features of images and of texts are compared by their angle.

    Attributes:
        context: Tokens of a text, at most, with those of its start and end.
        word_width: Width of a text's token.
        starts: Tokens before a text's first word.
    """

    context: int
    word_width: int
    starts: int = 1

    def tokenise(self, texts: Sequence[str]) -> Tokens:
        """Texts as numbers; what is too long is cut off."""
        raise NotImplementedError

    def embed_words(self, numbers: Int[Tensor, "n l"]) -> Float[Tensor, "n l d"]:
        """Tokens' embeddings, without their places: among them learned ones can be set."""
        raise NotImplementedError

    def text_features(
        self, embedded: Float[Tensor, "n l d"], ends: Int[Tensor, " n"]
    ) -> Float[Tensor, "n w"]:
        """Features of texts, not normalised.

        Args:
            embedded: At the whole length, without their places.
            ends: Place of each text's end; on the CPU.
        """
        raise NotImplementedError

    def scale(self) -> tuple[Tensor, Tensor | float]:
        """The logarithm of what cosines are multiplied by, and what is added to them then."""
        raise NotImplementedError

    def similarity(
        self,
        images: Float[Tensor, "b w"],
        texts: Float[Tensor, "*n c w"],
        scale: Float[Tensor, ""] | None = None,
    ) -> Float[Tensor, "b c"]:
        """Logits of texts, given images: scaled cosines.

        Args:
            images: Features.
            texts: Features, the same for all images or others for each.
            scale: Logarithm of what cosines are multiplied by; None: the backbone's.
        """
        own, shift = self.scale()
        cosines = F.normalize(texts, dim=-1) @ F.normalize(images, dim=-1)[..., None]
        found: Tensor = (own if scale is None else scale).exp() * cosines[..., 0] + shift
        return found

    def text_side(self, texts: Sequence[str]) -> Float[Tensor, "n w"]:
        """Features of texts, not normalised."""
        tokens = self.tokenise(texts)
        return self.text_features(self.embed_words(tokens.numbers), tokens.ends)


def worded(backbone: Backbone) -> WordedBackbone:
    """A backbone that reads words.

    Raises:
        ValueError: If it reads none.
    """
    if not isinstance(backbone, WordedBackbone):
        raise ValueError(
            f"{backbone.source}: reads no words, which this method needs; take the folder of a "
            "CLIP, or hub:openai/clip-vit-base-patch16"
        )
    return backbone
