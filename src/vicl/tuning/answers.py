"""Asking a classifier about many images: what it says of each, and which could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vicl.prompts.classifier import Classifier
from vicl.prompts.reading import device_of, reading_of
from vicl.tuning.data import Labelled
from vicl.tuning.reading import Pictures

BATCH = 64


@dataclass(frozen=True, eq=False)
class Answers:
    """What a classifier says of images.

    Attributes:
        logits: Of those that could be read, on the CPU.
        scores: How likely each class is, of each of those.
        labels: Their true classes.
        places: Theirs among all that were asked about.
        broken: What was wrong with the others.
    """

    logits: Float[Tensor, "n c"]
    scores: Float[Tensor, "n c"]
    labels: Int[Tensor, " n"]
    places: tuple[int, ...]
    broken: tuple[str, ...] = ()

    @property
    def right(self) -> list[bool]:
        """Of each image, whether the class of the highest score is the true one."""
        found: list[bool] = (self.logits.argmax(1) == self.labels).tolist()
        return found


@dataclass(frozen=True, eq=False)
class Encoded:
    """Features of images, computed once.

    Attributes:
        features: Of those that could be read, on the CPU.
        labels: Their true classes.
        places: Theirs among all.
        broken: What was wrong with the others.
    """

    features: Float[Tensor, "n w"]
    labels: Int[Tensor, " n"]
    places: tuple[int, ...]
    broken: tuple[str, ...]


@torch.inference_mode()
def ask(classifier: Classifier, pictures: Pictures, *, batch: int = BATCH) -> Answers:
    """Ask about images, in evaluation mode.

    Raises:
        DataError: If none can be read.
    """
    classifier.eval()
    where, logits, places = device_of(classifier), [], []
    for those, images in pictures.once(batch):
        logits.append(classifier(images.to(where)).float().cpu())
        places += those
    found = _whole(logits, pictures)
    labels = _labels(pictures, places)
    return Answers(found, classifier.scores(found), labels, *_told(pictures, places))


@torch.no_grad()
def encode(classifier: Classifier, pictures: Pictures, *, batch: int = BATCH) -> Encoded:
    """Compute the features of images, of a classifier that only learns on top of them.

    Raises:
        DataError: If no image of a class can be read.
    """
    classifier.eval()
    backbone, where = classifier.backbone, device_of(classifier)
    features, places = [], []
    for those, images in pictures.once(batch):
        found = backbone.features(backbone.normalise(images.to(where)))
        features.append(found.float().cpu())
        places += those
    labels = _labels(pictures, places)
    for label in sorted({item.label for item in pictures.items} - set(labels.tolist())):
        raise pictures.emptied(label)
    return Encoded(_whole(features, pictures), labels, *_told(pictures, places))


@torch.inference_mode()
def ask_encoded(classifier: Classifier, encoded: Encoded) -> Answers:
    """Ask about images whose features are there."""
    classifier.eval()
    found = classifier.read(encoded.features.to(device_of(classifier))).float().cpu()
    scores = classifier.scores(found)
    return Answers(found, scores, encoded.labels, encoded.places, encoded.broken)


def pictures_for(
    classifier: Classifier, items: Sequence[Labelled], *, stretch: bool = False, workers: int = 2
) -> Pictures:
    """Images as a classifier takes them, with nothing random, to be asked about once."""
    reading = reading_of(classifier, stretch=stretch)
    return Pictures(items, classifier.classes, reading, workers=workers, kept=0)


def _whole(parts: list[Tensor], pictures: Pictures) -> Tensor:
    if not parts:
        raise pictures.emptied(pictures.items[0].label)
    return torch.cat(parts)


def _labels(pictures: Pictures, places: Sequence[int]) -> Tensor:
    return torch.tensor([pictures.items[place].label for place in places])


def _told(pictures: Pictures, places: Sequence[int]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    return tuple(places), tuple(pictures.broken[place] for place in sorted(pictures.broken))
