"""Adversarial reprogramming: a frozen network does another task inside a learned frame.

Sources: Elsayed et al. 2018, arXiv:1806.11146 (tanh); Chen et al. 2022, arXiv:2211.11635 and its
published code (sigmoid, label maps by counts).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.options import ReprogramOptions
from vicl.prompts.pixel import around_grey
from vicl.prompts.readout import Prompted, make_readout


def embedded(image: Float[Tensor, "b 3 t t"], side: int) -> Float[Tensor, "b 3 s s"]:
    """Small images in the middle of otherwise zero ones."""
    over = side - image.shape[-1]
    before = over // 2
    return F.pad(image, (before, over - before) * 2)


def frame(side: int, image: int) -> Float[Tensor, "3 s s"]:
    """1 around the small image in the middle, 0 where it is."""
    return 1 - embedded(torch.ones(1, 3, image, image), side)[0]


def program(
    weight: Float[Tensor, "3 s s"],
    mask: Float[Tensor, "3 s s"],
    kind: Literal["tanh", "sigmoid", "plain"],
) -> Float[Tensor, "3 s s"]:
    """What is added: tanh(W M) in [-1, 1], sigmoid(W) M in [0, 1], or W M."""
    if kind == "tanh":
        return torch.tanh(weight * mask)
    return (weight.sigmoid() if kind == "sigmoid" else weight) * mask


class Reprogram(Prompted):
    """A learned frame around small images; of the backbone's labels some are taken for classes.

    Args:
        backbone: Frozen.
        classes: Names, in the order of the answers.
        options: How the program is.
        generator: For first values, and labels that are drawn.

    Raises:
        ValueError: If the small image leaves no room for a program.
    """

    mask: Tensor

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        options: ReprogramOptions,
        *,
        generator: Generator,
    ) -> None:
        super().__init__(backbone, classes, make_readout(backbone, classes, options, generator))
        whole, image = backbone.side, options.image
        if image >= whole or (not image and 2 * options.border >= whole):
            raise ValueError(
                f"image: got {image} pixels and a border of {options.border}, expected room around "
                f"the image in the backbone's {whole}"
            )
        self._side = image or whole
        self.kind, self.weight_penalty = options.program, options.penalty
        first = torch.zeros(3, whole, whole)
        if options.init == "normal":
            first.normal_(generator=generator)
        self.program = nn.Parameter(first)
        hole = image or whole - 2 * options.border
        self.register_buffer("mask", frame(whole, hole), persistent=False)
        self.learned(self.program)

    @property
    def side(self) -> int:
        """See :meth:`Classifier.side`: that of the small image."""
        return self._side

    def pixels(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 t t"]:
        """See :meth:`Prompted.pixels`."""
        whole = self.backbone.side
        added = program(self.program, self.mask, self.kind)
        if self.kind == "tanh":  # pictures live in [-1, 1]
            return self.backbone.normalise((embedded(2 * image - 1, whole) + added + 1) / 2)
        return self.backbone.normalise(embedded(image, whole) + added)

    @torch.no_grad()
    def pictured(self) -> dict[str, Float[Tensor, "3 h w"]]:
        """See :meth:`Classifier.pictured`."""
        added = program(self.program, self.mask, self.kind)
        return {"program": added if self.kind == "sigmoid" else around_grey(added)}

    def penalty(self) -> Tensor | None:
        """See :meth:`Classifier.penalty`."""
        rest = super().penalty()
        if not self.weight_penalty:
            return rest
        own = self.weight_penalty * self.program.square().sum()
        return own if rest is None else own + rest
