"""What a backbone is: pixels to features, with the places where prompts attach."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Reading:
    """How an image becomes what a backbone takes.

    Attributes:
        resize: Side in pixels that the image's shorter side gets; None: both sides become `crop`,
            whatever the image's shape.
        crop: Side of the square that is cut from the middle, in pixels.
        filter: Of the resizing.
    """

    resize: int | None
    crop: int
    filter: Literal["bilinear", "bicubic"] = "bilinear"


class Backbone(nn.Module):
    """A pretrained network: in evaluation mode, its weights not trained unless a method asks.

    Attributes:
        source: What :func:`vicl.prompts.backbones.registry.load_backbone` takes to make it again.
        weights_hash: SHA-256, in hex, of its weights; None where there is no file of them.
        reading: How images are brought to its size.
        width: Numbers in its features.
        labels: Labels of its own classifier, such as ImageNet's 1,000; 0 without one.
        step: Sides of images that it takes are multiples of this; 0: it takes its own side alone.
        mean: Of red, green and blue in [0, 1], (3, 1, 1), for the normalisation;
        deviation: likewise.
    """

    source: str
    weights_hash: str | None
    reading: Reading
    width: int
    labels: int = 0
    step: int = 0
    mean: Tensor
    deviation: Tensor

    def colours(self, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        """Set what images are normalised by."""
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)

    @property
    def side(self) -> int:
        """Side of the square images that it takes, in pixels."""
        return self.reading.crop

    def at(self, side: int) -> Backbone:
        """This backbone, the same weights, for images of another side.

        Args:
            side: Of the square images, in pixels.

        Raises:
            ValueError: If it takes no images of that side.
        """
        if side == self.side:
            return self
        if not self.step or side % self.step:
            fits = f"multiples of {self.step}" if self.step else f"images of {self.side} alone"
            raise ValueError(f"side: got {side} pixels, but {self.source} takes {fits}")
        was = self.reading
        resize = None if was.resize is None else round(was.resize * side / was.crop)
        other = copy.copy(self)
        other.reading = replace(was, resize=resize, crop=side)
        return other

    def normalise(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        """Pixels as the network takes them, of images in [0, 1]."""
        return (image - self.mean) / self.deviation

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """What its classifier would see of normalised pixels; gradients reach the pixels."""
        raise NotImplementedError

    def classifier(self) -> nn.Module | None:
        """What makes logits of its own labels from its features; None: it has none."""
        return None

    def source_logits(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b n"]:
        """Logits of its own labels, of normalised pixels.

        Raises:
            ValueError: If it has no classifier of its own.
        """
        head = self.classifier()
        if head is None:
            raise ValueError(
                f"{self.source}: has no classifier of its own, whose labels could be taken for "
                "classes; take efficientnet-lite0, or a model with a classification head"
            )
        found: Tensor = head(self.features(pixels))
        return found

    def stem(self) -> nn.Conv2d:
        """The convolution that sees the pixels; of a transformer, what makes patches tokens."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.in_channels == 3:
                return module
        raise ValueError(f"{self.source}: has no convolution of red, green and blue")

    def blocks(self) -> list[nn.Module]:
        """Its layers, in order, for what learns the last of them or beside them."""
        raise NotImplementedError

    def tail(self) -> list[nn.Module]:
        """What comes after the last layer and before the features: normalisation, pooling."""
        raise NotImplementedError

    def own_parameters(self) -> list[nn.Parameter]:
        """Its weights, without those of its classifier."""
        head = self.classifier()
        theirs = set() if head is None else {id(weight) for weight in head.parameters()}
        return [weight for weight in self.parameters() if id(weight) not in theirs]


class TokenBackbone(Backbone):
    """A backbone that is a stack of transformer layers over tokens, all of one width.

    Attributes:
        depth: How many layers.
        dim: Width of a token.
        prefix: Tokens before those of the patches: class token, registers.
        patch: Side of a patch, in pixels.
    """

    depth: int
    dim: int
    prefix: int
    patch: int

    def embed(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b n d"]:
        """Tokens of normalised pixels, their places added: those before the patches first."""
        raise NotImplementedError

    def enter(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """What happens to all tokens before the first layer: CLIP normalises them there."""
        return tokens

    def layer(self, index: int, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """One layer, counted from 0."""
        raise NotImplementedError

    def finish(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """The last normalisation, of each of the last layer's tokens."""
        raise NotImplementedError

    def pool(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b w"]:
        """Features, of tokens as :meth:`finish` gives them."""
        raise NotImplementedError

    def read(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b w"]:
        """Features, of the last layer's tokens."""
        return self.pool(self.finish(tokens))

    def class_tokens(self) -> list[nn.Parameter]:
        """The learned token that stands before those of the patches, if there is one."""
        return []

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """See :meth:`Backbone.features`."""
        return self.through(self.embed(pixels))

    def through(self, tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b w"]:
        """Features of tokens as :meth:`embed` gives them, others among them or not."""
        tokens = self.enter(tokens)
        for index in range(self.depth):
            tokens = self.layer(index, tokens)
        return self.read(tokens)
