"""Pixel prompts: one picture that is added to every image.

Source: Bahng et al. 2022, arXiv:2203.17274, and its published code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.options import PixelOptions
from vicl.prompts.readout import Prompted, make_readout

Place = Literal["border", "patch", "random-patch", "full"]


class PixelPrompt(nn.Module):
    """A learned picture, in a place of an image; elsewhere it is 0.

    Args:
        side: Of the images, in pixels.
        place: Where it is.
        width: Of the border, or side of the square, in pixels.
        init: Of its first values.
        published: See :class:`vicl.prompts.options.PixelOptions`.
        generator: For them.

    Raises:
        ValueError: If it does not fit.
    """

    def __init__(
        self,
        side: int,
        *,
        place: Place = "border",
        width: int = 30,
        init: Literal["normal", "uniform", "zero"] = "normal",
        published: bool = False,
        generator: Generator,
    ) -> None:
        super().__init__()
        most = (side - 1) // 2 if place == "border" else side - (place == "random-patch")
        if place != "full" and width > most:
            raise ValueError(
                f"width: got {width} pixels, expected at most {most} for a {place} in images of "
                f"{side}"
            )
        self.side, self.place, self.width, self.published = side, place, width, published
        inner = side - 2 * width
        shapes = {
            "border": {
                "up": (width, side),
                "down": (width, side),
                "left": (inner, width),
                "right": (inner, width),
            },
            "full": {"whole": (side, side)},
        }.get(place, {"patch": (width, width)})
        for name, shape in shapes.items():
            first = torch.zeros(1, 3, *shape)
            if init != "zero":
                first = getattr(first, f"{init}_")(generator=generator)
            self.register_parameter(name, nn.Parameter(first))

    def picture(self) -> Float[Tensor, "1 3 s s"]:
        """All of it, as it is added; a square at a new place each time is given in the middle."""
        if self.place == "full":
            return self.get_parameter("whole")
        if self.place == "border":
            up, down, left, right = (
                self.get_parameter(name) for name in ("up", "down", "left", "right")
            )
            middle = up.new_zeros(1, 3, left.shape[2], self.side - 2 * self.width)
            return torch.cat([up, torch.cat([left, middle, right], dim=3), down], dim=2)
        over = self.side - self.width
        start = 0 if self.place == "patch" else over // 2
        return F.pad(self.get_parameter("patch"), (start, over - start) * 2)

    def at(self, offsets: Int[Tensor, "n 2"]) -> Float[Tensor, "n 3 s s"]:
        """The square at places.

        Args:
            offsets: Row and column of its upper left corner, in pixels.
        """
        over, patch = self.side - self.width, self.get_parameter("patch")
        return torch.cat(
            [F.pad(patch, (c, over - c, r, over - r)) for r, c in offsets.tolist()], dim=0
        )

    def offsets(self, images: int, generator: Generator | None = None) -> Int[Tensor, "n 2"]:
        """Places of a batch: as published one for all of them.

        Args:
            images: How many.
            generator: None takes PyTorch's own, as dropout does.
        """
        number, places = (1, 0) if self.published else (images, 1)
        last = self.side - self.width + places
        return torch.randint(last, (number, 2), generator=generator)

    def forward(
        self, image: Float[Tensor, "b 3 s s"], generator: Generator | None = None
    ) -> Float[Tensor, "b 3 s s"]:
        """The prompt added."""
        if self.place == "random-patch" and (self.training or self.published):
            return image + self.at(self.offsets(len(image), generator))
        return image + self.picture()


class PixelClassifier(Prompted):
    """A pixel prompt before a frozen backbone.

    Args:
        backbone: Frozen.
        classes: Names, in the order of the answers.
        options: How the prompt is.
        generator: For first values.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        options: PixelOptions,
        *,
        generator: Generator,
    ) -> None:
        super().__init__(backbone, classes, make_readout(backbone, classes, options, generator))
        self.prompt = PixelPrompt(
            backbone.side,
            place=options.place,
            width=options.width,
            init=options.init,
            published=options.published,
            generator=generator,
        )
        self.space, self.clamp = options.space, options.clamp
        self.learned(*self.prompt.parameters())

    def pixels(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        """See :meth:`Prompted.pixels`."""
        backbone = self.backbone
        if self.space == "image":
            found: Tensor = self.prompt(image)
            return backbone.normalise(found.clamp(0, 1) if self.clamp else found)
        found = self.prompt(backbone.normalise(image))
        if self.clamp:
            ends = (backbone.normalise(torch.full_like(found[:1], end)) for end in (0, 1))
            found = found.clamp(*ends)
        return found

    @torch.no_grad()
    def pictured(self) -> dict[str, Float[Tensor, "3 h w"]]:
        """See :meth:`Classifier.pictured`: grey where nothing is added."""
        picture = self.prompt.picture()[0]
        if self.space == "normalised":
            picture = picture * self.backbone.deviation
        return {"prompt": around_grey(picture)}


def around_grey(picture: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
    """What has both signs as a picture: 0 is grey, the largest black or white."""
    most = picture.abs().max().clamp(min=1e-12)
    return 0.5 + 0.5 * picture / most
