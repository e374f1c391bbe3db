"""Adapters: a bottleneck after the MLP of every layer of a frozen transformer.

Source: Houlsby et al. 2019, arXiv:1902.00751, at the place of Jia et al. 2022, arXiv:2203.12119.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.attaching import Change, altered
from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.classifier import Classifier
from vicl.prompts.linear import last_layer


class Bottleneck(nn.Module):
    """x + up(gelu(down(x)))."""

    def __init__(self, width: int, narrow: int, *, published: bool, generator: Generator) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, narrow), nn.Linear(narrow, width)
        with torch.no_grad():
            for weight in self.parameters():
                weight.zero_()
            if not published:
                most = width**-0.5
                self.down.weight.uniform_(-most, most, generator=generator)

    def forward(self, values: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Each token by itself."""
        found: Tensor = values + self.up(F.gelu(self.down(values)))
        return found


class Adapter(Classifier):
    """Bottlenecks after the backbone's MLPs, before what they give is added to the tokens.

    Args:
        backbone: Frozen.
        classes: Names, in the order of the answers.
        reduction: A bottleneck is so many times narrower.
        published: Both of its matrices start at 0, so that nothing but a bias ever moves; and the
            last layer at random.
        generator: For first weights.

    Raises:
        ValueError: If the backbone's layers have no MLPs.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        *,
        reduction: int = 8,
        published: bool = False,
        generator: Generator,
    ) -> None:
        super().__init__(backbone, classes)
        widths = [_width(mlp) for mlp in self._mlps()]
        self.adapters = nn.ModuleList(
            Bottleneck(width, max(1, width // reduction), published=published, generator=generator)
            for width in widths
        )
        self.head = last_layer(backbone.width, len(classes), generator, published=published)
        self.freeze_all_but([*self.adapters.parameters(), *self.head.parameters()])

    def _mlps(self) -> list[nn.Module]:
        """The backbone's MLPs, in order."""
        found = []
        for block in self.backbone.blocks():
            # In transformers 5.0 that of a ViT is two modules; the second adds the tokens, too.
            inner: Any = getattr(block, "mlp", None) or getattr(block, "output", None)
            inner = getattr(inner, "dense", inner)
            if isinstance(inner, nn.Module) and any(
                isinstance(one, nn.Linear) for one in inner.modules()
            ):
                found.append(inner)
        if not found:
            raise ValueError(
                f"adapter: the layers of {self.backbone.source} have no MLPs, after which adapters "
                "could stand; take a transformer"
            )
        return found

    def forward(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.forward`."""
        found: Tensor = self.head(self.features(self.backbone.normalise(image)))
        return found

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """Features of normalised pixels, as the adapters change them."""
        pairs = zip(self._mlps(), self.adapters, strict=True)
        with altered({mlp: _after(adapter) for mlp, adapter in pairs}):
            return self.backbone.features(pixels)


def _after(adapter: nn.Module) -> Change:
    """What stands after a module's output."""

    def change(_module: nn.Module, _seen: Tensor, output: Tensor) -> Tensor:
        found: Tensor = adapter(output)
        return found

    return change


def _width(mlp: nn.Module) -> int:
    """Numbers that an MLP gives for a token."""
    return [one for one in mlp.modules() if isinstance(one, nn.Linear)][-1].out_features
