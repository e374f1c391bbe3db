"""How what a frozen backbone says of changed pixels becomes logits of classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.backbones.worded import WordedBackbone
from vicl.prompts.classifier import Batches, Classifier
from vicl.prompts.labels import LabelMap, count
from vicl.prompts.linear import silent_layer
from vicl.prompts.options import ReadoutOptions
from vicl.prompts.zero_shot import WordReadout


class Readout(nn.Module):
    """Pixels to logits of classes, with a backbone that it is given each time."""

    def forward(self, backbone: Backbone, pixels: Float[Tensor, "b 3 s s"]) -> Tensor:
        """Logits (b, c) of normalised pixels."""
        raise NotImplementedError

    def prepare(
        self, epoch: int, backbone: Backbone, answers: Iterable[tuple[Tensor, Tensor]]
    ) -> None:
        """Learn by counting before an epoch; most have nothing to count.

        Args:
            epoch: Counted from 0.
            backbone: As for :meth:`forward`.
            answers: Normalised pixels as they are now, and their classes; read only if wanted.
        """

    def extra(self) -> Tensor | None:
        """What is added to the loss of the last batch; None: nothing."""
        return None

    def tidy(self) -> None:
        """Keep what is learned within its bounds, after a step."""


class ByLayer(Readout):
    """A linear layer on the features, which is learned."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.head = silent_layer(width, classes)

    def forward(self, backbone: Backbone, pixels: Float[Tensor, "b 3 s s"]) -> Tensor:
        """See :meth:`Readout.forward`."""
        found: Tensor = self.head(backbone.features(pixels))
        return found


class ByWords(Readout):
    """The classes' names as texts, with a backbone that reads words; nothing of it is learned.

    Args:
        words: Features to logits.
    """

    def __init__(self, words: WordReadout) -> None:
        super().__init__()
        self.words = words

    def forward(self, backbone: Backbone, pixels: Float[Tensor, "b 3 s s"]) -> Tensor:
        """See :meth:`Readout.forward`."""
        found: Tensor = self.words(backbone.features(pixels))
        return found

    def tidy(self) -> None:
        """See :meth:`Readout.tidy`."""
        self.words.tidy()


class ByLabels(Readout):
    """The backbone's own labels, taken for classes; nothing of it is learned by gradients.

    Args:
        labels: Which are taken for which.
        over_all: Whether chances are over all labels, so that what the other labels get counts
            against an answer. Cross-entropy over the classes alone then lacks a part, which
            :meth:`extra` gives: -log of what all classes together get.
    """

    def __init__(self, labels: LabelMap, *, over_all: bool) -> None:
        super().__init__()
        self.labels, self.over_all = labels, over_all
        self._lost: Tensor | None = None

    def forward(self, backbone: Backbone, pixels: Float[Tensor, "b 3 s s"]) -> Tensor:
        """See :meth:`Readout.forward`."""
        return self.read(backbone.source_logits(pixels))

    def read(self, logits: Float[Tensor, "b n"]) -> Float[Tensor, "b c"]:
        """Logits of the classes, of those of all labels."""
        found: Tensor = self.labels(logits)
        self._lost = None
        if self.over_all and self.training:
            self._lost = (logits.logsumexp(dim=1) - found.logsumexp(dim=1)).mean()
        return found

    @torch.no_grad()
    def prepare(
        self, epoch: int, backbone: Backbone, answers: Iterable[tuple[Tensor, Tensor]]
    ) -> None:
        """See :meth:`Readout.prepare`: which labels the classes' images are taken for."""
        if self.labels.wants(epoch):
            taken = ((backbone.source_logits(x).argmax(dim=1), true) for x, true in answers)
            self.labels.recount(count(taken, backbone.labels, len(self.labels.sets)))

    def extra(self) -> Tensor | None:
        """See :meth:`Readout.extra`; once a batch."""
        lost, self._lost = self._lost, None
        return lost


def make_readout(
    backbone: Backbone, classes: Sequence[str], options: ReadoutOptions, generator: Generator
) -> Readout:
    """The readout that options ask for.

    Raises:
        ValueError: If the backbone has no labels, too few, or no words.
    """
    kind = options.readout
    if kind == "auto":
        labelled = backbone.labels >= len(classes) * options.each
        kind = "words" if isinstance(backbone, WordedBackbone) else "linear"
        kind = "labels" if labelled else kind
    if kind == "words":
        return ByWords(WordReadout(backbone, classes))
    if kind == "linear":
        return ByLayer(backbone.width, len(classes))
    if not backbone.labels:
        raise ValueError(
            f"readout: {backbone.source} has no classifier of its own, whose labels could be taken "
            "for classes; take readout=linear, or a backbone with a classifier"
        )
    chosen = LabelMap(
        len(classes),
        backbone.labels,
        mapping=options.labels,
        each=options.each,
        combine=options.combine,
        generator=generator,
    )
    return ByLabels(chosen, over_all=options.softmax == "labels")


class Prompted(Classifier):
    """A classifier that changes the pixels, and reads the frozen backbone's answer.

    Args:
        backbone: Frozen.
        classes: Names, in the order of the answers.
        readout: Makes logits of classes.
    """

    def __init__(self, backbone: Backbone, classes: Sequence[str], readout: Readout) -> None:
        super().__init__(backbone, classes)
        self.readout = readout

    def pixels(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 t t"]:
        """Changed, normalised pixels of images in [0, 1]."""
        raise NotImplementedError

    def forward(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c"]:
        """See :meth:`Classifier.forward`."""
        found: Tensor = self.readout(self.backbone, self.pixels(image))
        return found

    @torch.no_grad()
    def shown(self, image: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 t t"]:
        """See :meth:`Classifier.shown`; what no picture has is cut off."""
        backbone = self.backbone
        return (self.pixels(image) * backbone.deviation + backbone.mean).clamp(0, 1)

    @torch.no_grad()
    def prepare(self, epoch: int, batches: Batches) -> None:
        """See :meth:`Classifier.prepare`."""
        training, place = self.training, self.backbone.mean.device
        self.eval()
        answers = ((self.pixels(image.to(place)), true.to(place)) for image, true in batches())
        self.readout.prepare(epoch, self.backbone, answers)
        self.train(training)

    def penalty(self) -> Tensor | None:
        """See :meth:`Classifier.penalty`."""
        return self.readout.extra()

    def tidy(self) -> None:
        """See :meth:`Classifier.tidy`."""
        self.readout.tidy()

    def learned(self, *own: nn.Parameter) -> None:
        """Say what is learned: these, and what the readout has."""
        self.freeze_all_but([*own, *self.readout.parameters()])
