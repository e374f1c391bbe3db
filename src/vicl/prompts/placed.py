"""Visual prompts at a network's pixels: a ring around the image, or channels below its colours.

They suit any network, also those of convolutions.

Source: Jia et al. 2022, arXiv:2203.12119, and its published code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.attaching import altered
from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.deep import Tuned, check_said, reach, uniform
from vicl.prompts.options import VptOptions

_SAID: Final = ("length", "placement", "depth", "dropout", "also", "update", "published")
"""Of the options those that prompts at the pixels heed, or that change nothing of them."""


class PaddedPrompt(Tuned):
    """A ring of pixels that makes the image larger.

    Attributes:
        rows: Above and below, (1, 3, 2 p, s + 2 p), in [0, 1] at first: pixels before the
            backbone's normalisation.
        columns: Left and right, (1, 3, s, 2 p).
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        options: VptOptions,
        *,
        generator: Generator,
    ) -> None:
        check_said(options, _SAID, f"placement={options.placement}")
        super().__init__(backbone, classes, options, width=backbone.width, generator=generator)
        wide, side = 2 * options.length, backbone.side
        self.rows = nn.Parameter(torch.rand(1, 3, wide, side + wide, generator=generator))
        self.columns = nn.Parameter(torch.rand(1, 3, side, wide, generator=generator))
        self.learned([self.rows, self.columns], generator)

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """See :meth:`Tuned.features`."""
        return self.backbone.features(self.ringed(pixels))

    def ringed(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 t t"]:
        """Normalised pixels with the ring."""
        backbone = self.backbone
        rows, columns = (
            self.drop((one - backbone.mean) / backbone.deviation).expand(len(pixels), -1, -1, -1)
            for one in (self.rows, self.columns)
        )
        (up, down), (left, right) = rows.chunk(2, dim=2), columns.chunk(2, dim=3)
        return torch.cat([up, torch.cat([left, pixels, right], dim=3), down], dim=2)

    @torch.no_grad()
    def pictured(self) -> dict[str, Float[Tensor, "3 h w"]]:
        """See :meth:`Classifier.pictured`: the ring, black inside."""
        side = self.backbone.side
        return {"ring": self.shown(self.rows.new_zeros(1, 3, side, side))[0]}

    @torch.no_grad()
    def shown(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 t t"]:
        """See :meth:`Classifier.shown`."""
        backbone = self.backbone
        ringed = self.ringed(backbone.normalise(image))
        return (ringed * backbone.deviation + backbone.mean).clamp(0, 1)


class BelowPrompt(Tuned):
    """Channels beside red, green and blue, and a first convolution that is learned for all.

    Of the convolution, what is for the colours starts as the backbone's; what is for the prompt,
    and the prompt itself, at random.

    Attributes:
        prompt: (1, p, s, s).
        weight: Of the convolution, (d, 3 + p, k, k).
        bias: Of it; absent where the backbone's has none.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        options: VptOptions,
        *,
        generator: Generator,
    ) -> None:
        check_said(options, _SAID, f"placement={options.placement}")
        super().__init__(backbone, classes, options, width=backbone.width, generator=generator)
        count, stem = options.length, backbone.stem()
        outputs, _, kernel, across = stem.weight.shape
        most = reach(kernel, outputs)
        self.prompt = uniform((1, count, backbone.side, backbone.side), most, generator)
        extra = torch.empty(outputs, count, kernel, across).uniform_(
            -most, most, generator=generator
        )
        colours = stem.weight.detach()
        self.weight = nn.Parameter(torch.cat([colours, extra.to(colours)], dim=1))
        bias = None if stem.bias is None else nn.Parameter(stem.bias.detach().clone())
        self.register_parameter("bias", bias)
        own = [self.prompt, self.weight, *([] if bias is None else [bias])]
        self.learned(own, generator)

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """See :meth:`Tuned.features`."""
        stem = self.backbone.stem()
        with altered({stem: self._convolve}):
            return self.backbone.features(pixels)

    def _convolve(self, module: nn.Module, seen: Tensor, _: Tensor) -> Tensor:
        assert isinstance(module, nn.Conv2d)
        # A network may have padded its pixels: before them, too, if by two or more.
        over = seen.shape[-1] - self.prompt.shape[-1]
        prompt = F.pad(self.drop(self.prompt), (over // 2, over - over // 2) * 2)
        both = torch.cat([seen, prompt.expand(len(seen), -1, -1, -1)], dim=1)
        padding: Any = module.padding
        return F.conv2d(both, self.weight, self.bias, module.stride, padding)
