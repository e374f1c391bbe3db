"""CLIP and SigLIP of the transformers library as backbones that read words."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vicl.adapters.transformers_folder import (
    CLIP,
    HALF,
    Architecture,
    Colours,
    build,
    colours_of,
    open_folder,
)
from vicl.adapters.words import Words
from vicl.prompts.backbones.backbone import Reading
from vicl.prompts.backbones.worded import Tokens, WordedBackbone
from vicl.storage.folder import WEIGHTS
from vicl.storage.sharded import hash_weights

KINDS: Final = {
    "clip": Architecture("CLIPConfig", "CLIPModel"),
    "siglip": Architecture("SiglipConfig", "SiglipModel"),
}
"""By model_type."""

Reader = Callable[[str], Int[Tensor, "1 n"]]
"""Numbers of a text, with those of its start and end; see :class:`vicl.adapters.words.Words`."""


class ClipBackbone(WordedBackbone):
    """CLIP: a class token, features projected to those of words, which are read in one direction.

    Args:
        net: The library's model.
        words: Reads its vocabulary.
        source: See :class:`vicl.prompts.backbones.backbone.Backbone`.
        weights_hash: Likewise.
        colours: By which it normalises images.
    """

    prefix = 1

    def __init__(
        self,
        net: Any,
        words: Reader,
        *,
        source: str = "clip",
        weights_hash: str | None = None,
        colours: Colours = CLIP,
    ) -> None:
        super().__init__()
        self.net, self._words = net, words
        self.source, self.weights_hash = source, weights_hash
        text, vision = net.config.text_config, net.config.vision_config
        self.context, self.word_width = text.max_position_embeddings, text.hidden_size
        self.depth, self.dim = vision.num_hidden_layers, vision.hidden_size
        self.patch, self.width = vision.patch_size, self._projected()
        self.reading = Reading(vision.image_size, vision.image_size, "bicubic")
        self.colours(*colours)

    def _projected(self) -> int:
        return int(self.net.config.projection_dim)

    def embed(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b n d"]:
        """See :meth:`vicl.prompts.backbones.backbone.TokenBackbone.embed`."""
        found: Tensor = self.net.vision_model.embeddings(pixels)
        return found

    def enter(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """See the base class; CLIP's own normalisation before its layers."""
        found: Tensor = self.net.vision_model.pre_layrnorm(tokens)
        return found

    def layer(self, index: int, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """See the base class."""
        found: Tensor = self.net.vision_model.encoder.layers[index](tokens, None)
        return found

    def finish(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """See the base class."""
        found: Tensor = self.net.vision_model.post_layernorm(tokens)
        return found

    def pool(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b w"]:
        """See the base class: the class token, projected."""
        found: Tensor = self.net.visual_projection(tokens[:, 0])
        return found

    def class_tokens(self) -> list[nn.Parameter]:
        """See the base class."""
        return [self.net.vision_model.embeddings.class_embedding]

    def blocks(self) -> list[nn.Module]:
        """See the base class."""
        return list(self.net.vision_model.encoder.layers)

    def tail(self) -> list[nn.Module]:
        """See the base class: the last normalisation and the projection."""
        return [self.net.vision_model.post_layernorm, self.net.visual_projection]

    def own_parameters(self) -> list[nn.Parameter]:
        """See the base class: those that images pass, not words."""
        seen = [self.net.vision_model, *self.tail()]
        found = {id(weight): weight for part in seen for weight in part.parameters()}
        return list(found.values())

    def tokenise(self, texts: Sequence[str]) -> Tokens:
        """See the base class; zeros fill up what is shorter, as CLIP was trained."""
        rows = [self._words(text)[0] for text in texts]
        numbers = torch.zeros(len(rows), self.context, dtype=torch.long)
        for row, said in zip(numbers, rows, strict=True):
            row[: len(said)] = said
        return Tokens(numbers, torch.tensor([len(said) - 1 for said in rows]))

    def embed_words(self, numbers: Int[Tensor, "n l"]) -> Float[Tensor, "n l d"]:
        """See the base class."""
        table = self.net.text_model.embeddings.token_embedding
        found: Tensor = table(numbers.to(table.weight.device))
        return found

    def text_features(
        self, embedded: Float[Tensor, "n l d"], ends: Int[Tensor, " n"]
    ) -> Float[Tensor, "n w"]:
        """See the base class; what is behind the last end reaches no feature and is left out."""
        text, long = self.net.text_model, int(ends.max()) + 1
        tokens = embedded[:, :long] + text.embeddings.position_embedding.weight[:long]
        later = torch.full((1, 1, long, long), -torch.inf).triu(1).to(tokens)
        for layer in text.encoder.layers:
            tokens = layer(tokens, later)
        at = torch.arange(len(ends), device=tokens.device)
        last = text.final_layer_norm(tokens)[at, ends.to(tokens.device)]
        found: Tensor = self.net.text_projection(last)
        return found

    def scale(self) -> tuple[Tensor, Tensor | float]:
        """See the base class."""
        return self.net.logit_scale, 0.0


class SiglipBackbone(ClipBackbone):
    """SigLIP: no class token, features pooled by attention; words are read in both directions.

    Source: Zhai et al. 2023, arXiv:2303.15343.
    """

    prefix = 0
    starts = 0

    def _projected(self) -> int:
        return int(self.net.config.vision_config.hidden_size)

    def enter(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """See the base class: nothing."""
        return tokens

    def pool(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b w"]:
        """See the base class."""
        found: Tensor = self.net.vision_model.head(tokens)
        return found

    def class_tokens(self) -> list[nn.Parameter]:
        """See the base class: none."""
        return []

    def tail(self) -> list[nn.Module]:
        """See the base class: the last normalisation and the pooling."""
        return [self.net.vision_model.post_layernorm, self.net.vision_model.head]

    def tokenise(self, texts: Sequence[str]) -> Tokens:
        """See the base class; ends fill up what is shorter, as SigLIP was trained.

        Words are lower-cased and lose their punctuation, so a full stop is no token.
        """
        rows = [self._words(_canonical(text))[0] for text in texts]
        fill = int(rows[0][-1])
        numbers = torch.full((len(rows), self.context), fill, dtype=torch.long)
        for row, said in zip(numbers, rows, strict=True):
            row[: len(said)] = said
        return Tokens(numbers, torch.tensor([len(said) - 1 for said in rows]))

    def text_features(
        self, embedded: Float[Tensor, "n l d"], ends: Int[Tensor, " n"]
    ) -> Float[Tensor, "n w"]:
        """See the base class; the last token of the whole length is read."""
        text = self.net.text_model
        tokens = embedded + text.embeddings.position_embedding.weight
        for layer in text.encoder.layers:
            tokens = layer(tokens, None)
        found: Tensor = text.head(text.final_layer_norm(tokens)[:, -1])
        return found

    def scale(self) -> tuple[Tensor, Tensor | float]:
        """See the base class."""
        return self.net.logit_scale[0], self.net.logit_bias[0]


def _canonical(text: str) -> str:
    bare = text.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\s+", " ", bare).strip()


def open_worded(folder: Path, source: str) -> ClipBackbone:
    """A CLIP or SigLIP from its folder.

    Args:
        folder: With `config.json`, `model.safetensors` and the vocabulary (`tokenizer.json`, or
            `vocab.json` and `merges.txt` of a CLIP).
        source: What it was asked for as.

    Raises:
        vicl.storage.folder.ModelError: If transformers is not installed, or the folder is broken or
            of another kind.
    """
    architecture, fields = open_folder(folder, KINDS, "a model of images and words")
    net = build(architecture, fields, folder)
    text, found = net.config.text_config, hash_weights(folder, WEIGHTS)
    made: type[ClipBackbone]
    if architecture is KINDS["clip"]:
        made, words, usual = ClipBackbone, Words.of_clip(folder, text), CLIP
    else:
        words = Words(folder, "t5", count=text.vocab_size, most=text.max_position_embeddings)
        made, usual = SiglipBackbone, HALF
    return made(net, words, source=source, weights_hash=found, colours=colours_of(folder, usual))
