"""The words around learned contexts: what stands before and behind them for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vicl.prompts.backbones.worded import WordedBackbone

Position = Literal["end", "middle", "front"]
"""Where the class's name stands: behind the contexts, amid them, before them."""

_SLOT = "X"


def spoken(name: str) -> str:
    """A class's name as a text says it: folders have "_" for a space."""
    return name.replace("_", " ").strip()


class ClassWords(nn.Module):
    """The embedded words of "[contexts] name." for each class, with room for the contexts.

    Nothing of it is learned or kept, so that contexts can be used with other names.

    Args:
        backbone: Reads words.
        classes: Names.
        slots: Tokens of the contexts.
        position: Of the names.

    Raises:
        ValueError: If a text is too long for the backbone.

    Source: Zhou et al. 2021, arXiv:2109.01134, published code.
    """

    ends: Int[Tensor, " c"]
    before: Float[Tensor, "c s d"]
    behind: Float[Tensor, "c r d"]

    def __init__(
        self,
        backbone: WordedBackbone,
        classes: Sequence[str],
        *,
        slots: int,
        position: Position = "end",
    ) -> None:
        super().__init__()
        self.slots, self.position = slots, position
        names = [spoken(name) for name in classes]
        alone = backbone.tokenise(names)
        self.lengths = [int(end) - backbone.starts for end in alone.ends]
        start = backbone.starts
        tokens = backbone.tokenise([f"{' '.join([_SLOT] * slots)} {name}." for name in names])
        for name, length, end in zip(names, self.lengths, tokens.ends, strict=True):
            if int(end) < start + slots + length:  # it was cut off
                raise ValueError(
                    f"class {name!r}: has {length} tokens, which with {slots} of the context are "
                    f"too many for the {backbone.context} that {backbone.source} reads; give it a "
                    "shorter name, or take fewer (--set context=4)"
                )
        with torch.no_grad():
            embedded = backbone.embed_words(tokens.numbers)
        self.ends = tokens.ends
        self.register_buffer("before", embedded[:, :start].clone(), persistent=False)
        self.register_buffer("behind", embedded[:, start + slots :].clone(), persistent=False)

    def assemble(self, contexts: Float[Tensor, "*c m d"]) -> Float[Tensor, "c l d"]:
        """The texts' embeddings with contexts in their room, without places.

        Args:
            contexts: The same for all classes (m, d), or of each (c, m, d).
        """
        count = len(self.lengths)
        own = contexts if contexts.dim() == 3 else contexts.expand(count, *contexts.shape)
        if self.position == "end":
            return torch.cat([self.before, own, self.behind], 1)
        half = self.slots // 2 if self.position == "middle" else 0
        rows = []
        for row, length in enumerate(self.lengths):
            name, rest = self.behind[row, :length], self.behind[row, length:]
            rows.append(torch.cat([self.before[row], own[row, :half], name, own[row, half:], rest]))
        return torch.stack(rows)


def embedded_words(backbone: WordedBackbone, words: str) -> Float[Tensor, "m d"]:
    """The embeddings of some words, without those of a text's start and end.

    Raises:
        ValueError: If there are none.
    """
    tokens = backbone.tokenise([spoken(words)])
    count = int(tokens.ends[0]) - backbone.starts
    if count < 1:
        raise ValueError(f"words: got {words!r}, expected some, such as 'a photo of a'")
    with torch.no_grad():
        embedded = backbone.embed_words(tokens.numbers)[0]
    return embedded[backbone.starts : backbone.starts + count].clone()
