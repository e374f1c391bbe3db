"""Visual prompt tuning: learned vectors among the tokens of a frozen transformer.

Source: Jia et al. 2022, arXiv:2203.12119, and its published code.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vicl.prompts.backbones.backbone import Backbone, TokenBackbone
from vicl.prompts.classifier import Batches, Classifier
from vicl.prompts.linear import last_layer
from vicl.prompts.options import VptOptions
from vicl.prompts.parts import biases

_PREPENDED: Final = ("prepend", "prepend-pixel")


def reach(patch: int, width: int) -> float:
    """First values of prompts are uniform within so much of 0.

    Args:
        patch: Side of a patch, in pixels.
        width: Numbers in a prompt.
    """
    return math.sqrt(6 / (3 * patch * patch + width))


def uniform(shape: Sequence[int], most: float, generator: Generator) -> nn.Parameter:
    """Numbers within `most` of 0."""
    return nn.Parameter(torch.empty(*shape).uniform_(-most, most, generator=generator))


def check_said(options: VptOptions, heeded: Sequence[str], what: str) -> None:
    """Refuse options that would change nothing.

    Args:
        options: As they were given.
        heeded: Names of those that are heeded.
        what: By what, for the error.

    Raises:
        ValueError: If another one is not as usual, or there is no prompt.
    """
    usual = VptOptions()
    for name in VptOptions.model_fields:
        got = getattr(options, name)
        if name not in heeded and got != getattr(usual, name):
            raise ValueError(f"{name}: got {got}, but {what} heeds {', '.join(heeded)} alone")
    if not options.length:
        raise ValueError(f"length: got 0, expected 1 or more for {what}")


class Tuned(Classifier):
    """What all kinds of visual prompt tuning share: a layer on features that prompts change.

    Args:
        backbone: Frozen; copied where parts of it are learned.
        classes: Names, in the order of the answers.
        options: What is learned.
        width: Of the features.
        generator: For first values.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: Sequence[str],
        options: VptOptions,
        *,
        width: int,
        generator: Generator,
    ) -> None:
        own = backbone if options.also == "nothing" else copy.deepcopy(backbone)
        super().__init__(own, classes)
        self.options = options
        self.drop = nn.Dropout(options.dropout)
        self.head = last_layer(width, len(classes), generator, published=options.published)

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """Features of normalised pixels, as the prompts change them."""
        raise NotImplementedError

    def forward(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.forward`."""
        found: Tensor = self.head(self.features(self.backbone.normalise(image)))
        return found

    def learned(self, prompts: Sequence[nn.Parameter], generator: Generator) -> None:
        """Say what is learned: prompts, the last layer, and what the options name besides."""
        chosen = [*self.head.parameters(), *(prompts if self.options.update else [])]
        if self.options.also == "bias":
            chosen += biases(self.backbone)
        elif self.options.also != "nothing":
            backbone = self.backbone
            tokens = backbone.class_tokens() if isinstance(backbone, TokenBackbone) else []
            if not tokens:
                raise ValueError(f"also: {self.backbone.source} has no class token")
            if self.options.also == "new-class-token":
                with torch.no_grad():
                    for token in tokens:
                        token.copy_(torch.empty(token.shape).normal_(0, 1e-6, generator=generator))
            chosen += tokens
        self.freeze_all_but(chosen)


class DeepPrompt(Tuned):
    """Prompts among the tokens, or added to them: before the first layer, or before many.

    Args:
        backbone: Frozen.
        classes: Names, in the order of the answers.
        options: What is learned.
        generator: For first values.

    Attributes:
        prompt: Before the first layer: (1, p, d); of pixels (1, 3, patch, p patch).
        deep: Before those after it: (l - 1, p, d); absent where only the first is prompted.

    Raises:
        ValueError: If the options do not go together, or do not fit the backbone.
    """

    backbone: TokenBackbone
    prompt: nn.Parameter | None
    deep: nn.Parameter | None
    project: nn.Linear | None

    def __init__(
        self,
        backbone: TokenBackbone,
        classes: Sequence[str],
        options: VptOptions,
        *,
        generator: Generator,
    ) -> None:
        width = backbone.width if options.pool == "original" else backbone.dim
        super().__init__(backbone, classes, options, width=width, generator=generator)
        self._check()
        patch, dim = backbone.patch, backbone.dim
        self.count = {
            "add": backbone.prefix + (backbone.side // patch) ** 2,
            "add-1": 1,
        }.get(options.placement, options.length)
        narrow = options.project or dim
        most = reach(patch, narrow)
        layers = backbone.depth if options.layers is None else options.layers
        self.layers = layers if options.depth == "deep" else 1
        self.first = backbone.depth - self.layers if options.reverse else 0
        pixels = options.placement == "prepend-pixel"
        shape = (3, patch, self.count * patch) if pixels else (self.count, narrow)
        # The published code that overwrites needs nothing before the first layer.
        overwrites = options.reverse and options.published
        rows = self.layers if overwrites else self.layers - 1
        prompt = uniform((1, *shape), most, generator) if self.count and not overwrites else None
        self.register_parameter("prompt", prompt)
        deep = None
        if rows and self.count and (options.published or not options.shared):
            deep = uniform((rows, self.count, narrow), most, generator)
        self.register_parameter("deep", deep)
        self.project = None
        if options.project is not None:
            self.project = nn.Linear(narrow, dim)
            with torch.no_grad():
                self.project.weight.normal_(0, math.sqrt(2 / dim), generator=generator)
                bound = narrow**-0.5
                self.project.bias.uniform_(-bound, bound, generator=generator)
        own = [one for one in (prompt, deep) if one is not None]
        own += [] if self.project is None else list(self.project.parameters())
        self.learned(own, generator)

    def _check(self) -> None:
        options, backbone = self.options, self.backbone
        if options.layers is not None and options.layers > backbone.depth:
            raise ValueError(
                f"layers: got {options.layers}, expected at most the backbone's {backbone.depth}"
            )
        vectors = options.placement == "prepend"
        for name, asked in (("project", options.project), ("init", options.init != "random")):
            if asked and not vectors:
                raise ValueError(f"{name}: goes with placement=prepend, not {options.placement}")
        if options.init != "random" and options.project is not None:
            raise ValueError("init: averages of tokens are as wide as tokens; leave out project")
        pixels = options.placement == "prepend-pixel"
        if pixels and options.depth == "deep":
            raise ValueError("depth: pixels come before the first layer only; say depth=shallow")
        inserted = options.placement in _PREPENDED and options.length and not options.reverse
        if options.pool == "prompt" and not (inserted and options.expand):
            raise ValueError("pool: got prompt, but after the last layer there are no prompts")

    def features(self, pixels: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b w"]:
        """See :meth:`Tuned.features`."""
        backbone = self.backbone
        tokens = backbone.embed(pixels)
        if self.first == 0:
            tokens = self._begin(tokens)
        tokens = backbone.enter(tokens)
        there = self.count if self.first == 0 and self._inserts else 0
        for index in range(backbone.depth):
            tokens, there = self._before(index, tokens, there)
            tokens = backbone.layer(index, tokens)
        return self._pool(tokens, there)

    @property
    def _inserts(self) -> bool:
        """Whether prompts are tokens of their own."""
        return self.options.placement in _PREPENDED and self.prompt is not None

    def _begin(self, tokens: Tensor) -> Tensor:
        """Tokens with the first prompts."""
        if self.prompt is None:
            return tokens
        if self.options.placement == "prepend-pixel":
            made = self.backbone.stem()(self.prompt).flatten(2).transpose(1, 2)
            return self._insert(tokens, self.drop(made))
        if self._inserts:
            return self._insert(tokens, self._block(self.prompt))
        added: Tensor = tokens + self.drop(self.prompt)
        return added

    def _insert(self, tokens: Tensor, block: Tensor) -> Tensor:
        """Tokens with prompts after those that stand before the patches."""
        at = self.backbone.prefix
        block = block.expand(len(tokens), -1, -1)
        return torch.cat([tokens[:, :at], block, tokens[:, at:]], dim=1)

    def _block(self, prompt: Tensor) -> Tensor:
        """Prompts (1, p, d) as they go among the tokens."""
        made: Tensor = self.drop(prompt if self.project is None else self.project(prompt))
        return made

    def _before(self, index: int, tokens: Tensor, there: int) -> tuple[Tensor, int]:
        """What happens to the tokens before a layer, and how many are prompts then."""
        at, options = index - self.first, self.options
        if at == 0 and self.first and self.prompt is not None:
            added = self._begin(tokens)
            return added, self.count if self._inserts else 0
        overwrites = options.reverse and options.published
        if at == self.layers and not options.expand and there:
            return self._drop(tokens, there), 0
        if not (0 if overwrites else 1) <= at < self.layers:
            return tokens, there
        if options.shared and self.prompt is not None:
            new: Tensor = self.prompt
        elif self.deep is not None:
            row = at if overwrites else at - 1
            new = self.deep[row : row + 1]
        else:
            return tokens, there
        if not self._inserts and not overwrites:
            return tokens + self.drop(new), there
        return self._insert(self._drop(tokens, self.count), self._block(new)), there

    def _drop(self, tokens: Tensor, count: int) -> Tensor:
        """Tokens without those after the ones that stand before the patches."""
        at = self.backbone.prefix
        return torch.cat([tokens[:, :at], tokens[:, at + count :]], dim=1)

    def _pool(self, tokens: Tensor, there: int) -> Tensor:
        """Features of the last layer's tokens."""
        backbone, at, pool = self.backbone, self.backbone.prefix, self.options.pool
        if pool == "original":
            return backbone.read(tokens)
        if pool == "mae":
            return backbone.finish(tokens[:, at:].mean(dim=1, keepdim=True))[:, 0]
        start = at + (there if pool == "image" else 0)
        end = at + there if pool == "prompt" else None
        return backbone.finish(tokens)[:, start:end].mean(dim=1)

    @torch.no_grad()
    def prepare(self, epoch: int, batches: Batches) -> None:
        """See :meth:`Classifier.prepare`: the first prompts, if they come of class tokens.

        Images are dealt out to the prompts in turn, so that each is another average.
        """
        if epoch or self.options.init == "random" or not self.count:
            return
        backbone, place = self.backbone, self.backbone.mean.device
        sums = torch.zeros(backbone.depth + 1, self.count, backbone.dim, device=place)
        dealt = torch.zeros(self.count, device=place)
        begun = 0
        for image, _ in batches():
            tokens = backbone.enter(backbone.embed(backbone.normalise(image.to(place))))
            turns = (torch.arange(len(image), device=place) + begun) % self.count
            begun += len(image)
            dealt += torch.bincount(turns, minlength=self.count)
            for index in range(backbone.depth + 1):
                one = tokens[:, 0] if backbone.prefix else tokens.mean(dim=1)
                sums[index].index_add_(0, turns, one)
                if index < backbone.depth:
                    tokens = backbone.layer(index, tokens)
        if begun < self.count:
            raise ValueError(
                f"init: {begun} training images for {self.count} prompts, expected one each or more"
            )
        means = sums / dealt[:, None]
        shift = self.options.init == "class-no-first"
        last = self.options.init == "final-class"
        rows = [-1 if last else self.first + at + shift for at in range(self.layers)]
        chosen = means[rows]  # (l, p, d)
        if self.prompt is not None:
            self.prompt.copy_(chosen[:1])
        if self.deep is not None:
            self.deep.copy_(chosen[-len(self.deep) :])
