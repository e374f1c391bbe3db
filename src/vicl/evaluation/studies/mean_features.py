"""Examples fused inside a masked autoencoder: the features of their canvases averaged.

Fusing after the decoder needs no engine of its own: the head is linear, so that the mean of the
decoder's features gives the mean of the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from vicl.engine import Filled, Inpainter
from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel


class MeanFeatures:
    """A masked autoencoder that decodes the mean of what its encoder says of several canvases.

    Each canvas shows one of a prompt's examples, on the same grid, so that a token stands for the
    same place on all. What is drawn stands on the first one's canvas.

    Args:
        inpainter: Encodes and decodes.
    """

    max_size: int | None = None

    def __init__(self, inpainter: MaskedAutoencoder) -> None:
        self.inpainter = inpainter
        # Every kind of masked autoencoder is one: see vicl.models.mae and vicl.models.mae_vqgan.
        self._asked = CanvasModel(cast(Inpainter, inpainter), spins=1)

    @property
    def name(self) -> str:
        """The inpainter's."""
        return self.inpainter.name

    @property
    def weights_hash(self) -> str | None:
        """The inpainter's."""
        return self.inpainter.weights_hash

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; there is one answer."""
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Filled:
        alone = [Prompt([example], prompt.query) for example in prompt.examples]
        seen: list[Tensor] = []
        with _afterwards(self.inpainter.encoder, seen.append):
            for one in alone:
                self._asked.answer([one])
        mean = torch.stack(seen).mean(dim=0)
        with _afterwards(self.inpainter.encoder, lambda _: mean):
            return self._asked.answer(alone[:1])[0]


@contextmanager
def _afterwards(module: nn.Module, function: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
    """Let a function see what a module gives, and give something else in its place."""
    hook = module.register_forward_hook(lambda module, given, found: function(found))
    try:
        yield
    finally:
        hook.remove()
