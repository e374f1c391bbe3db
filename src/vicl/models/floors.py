"""The floors that every result is shown beside: Copy and Identity.

Both look at half of the prompt, so that what an engine gains over them is what it made of the
other half.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vicl.engine import Filled, rank
from vicl.images import resize, to_tensor
from vicl.prompt import Prompt


class Copy:
    """The answer is the example's output, at the query's size; of several, their mean.

    Alternatives are the single examples' outputs.

    Source: the Copy baseline of Bar et al. 2022, section 4, table 1.
    """

    def __repr__(self) -> str:
        return "Copy()"

    name = "copy"
    weights_hash: str | None = None
    max_size: int | None = None

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; nothing is random."""
        return [self._answer(prompt, samples) for prompt in prompts]

    def _answer(self, prompt: Prompt, samples: int) -> Filled:
        size = _size(to_tensor(prompt.query))
        outputs = [resize(to_tensor(example.output), size) for example in prompt.examples]
        answers = [torch.stack(outputs).mean(dim=0), *outputs][:samples]
        return rank([Filled(image) for image in answers])


class Identity:
    """The answer is the query."""

    def __repr__(self) -> str:
        return "Identity()"

    name = "identity"
    weights_hash: str | None = None
    max_size: int | None = None

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; nothing is random, there is one answer."""
        return [Filled(to_tensor(prompt.query)) for prompt in prompts]


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[1], image.shape[2]
