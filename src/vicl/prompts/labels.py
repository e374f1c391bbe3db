"""Maps from a network's own labels to other classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

Mapping = Literal["first", "random", "frequency", "iterative"]


def first(classes: int, each: int = 1) -> Int[Tensor, "c k"]:
    """The first labels, in order: `each` of them for every class."""
    return torch.arange(classes * each).view(classes, each)


def drawn(classes: int, labels: int, each: int, generator: Generator) -> Int[Tensor, "c k"]:
    """Labels drawn without repetition."""
    order = torch.randperm(labels, generator=generator)
    return order[: classes * each].view(classes, each)


def count(
    answers: Iterable[tuple[Int[Tensor, " b"], Int[Tensor, " b"]]], labels: int, classes: int
) -> Int[Tensor, "n c"]:
    """How often images of a class are taken for a label.

    Args:
        answers: Labels that images are taken for, and their classes; a batch at a time.
        labels: How many labels there are.
        classes: Likewise.
    """
    found = torch.zeros(labels * classes, dtype=torch.long)
    for taken, true in answers:
        places = (taken * classes + true).cpu()
        found += torch.bincount(places, minlength=len(found))
    return found.view(labels, classes)


def frequent(counts: Int[Tensor, "n c"], each: int = 1) -> Int[Tensor, "c k"]:
    """Labels for classes by counts, the largest first, each label once.

    Ties go to the smaller label, then to the smaller class.

    Source: Chen et al. 2023, arXiv:2211.11635, published code; there `each` is 1.
    """
    classes = counts.shape[1]
    found: list[list[int]] = [[] for _ in range(classes)]
    left = counts.clone()
    for _ in range(classes * each):
        label, target = divmod(int(left.flatten().argmax()), classes)
        found[target].append(label)
        left[label] = -1
        if len(found[target]) == each:
            left[:, target] = -1
    return torch.tensor(found)


class LabelMap(nn.Module):
    """Logits of a network's labels become those of classes, each of a set of labels.

    Args:
        classes: How many.
        labels: How many the network has.
        mapping: How labels are chosen; those that are counted start as the first.
        each: Labels of a class.
        combine: Whether a class gets the mean of its labels' logits, or the sum of their chances.
        generator: For those that are drawn.

    Attributes:
        sets: Labels of each class; part of the state.

    Raises:
        ValueError: If the network has too few labels.
    """

    sets: Tensor

    def __init__(
        self,
        classes: int,
        labels: int,
        *,
        mapping: Mapping = "first",
        each: int = 1,
        combine: Literal["mean", "sum"] = "mean",
        generator: Generator,
    ) -> None:
        super().__init__()
        if classes * each > labels:
            raise ValueError(
                f"labels: {classes} classes with {each} labels each need {classes * each}, but the "
                f"backbone has {labels}; take fewer each, or readout=linear"
            )
        self.mapping, self.combine = mapping, combine
        random = mapping == "random"
        sets = drawn(classes, labels, each, generator) if random else first(classes, each)
        self.register_buffer("sets", sets)

    def forward(self, logits: Float[Tensor, "b n"]) -> Float[Tensor, "b c"]:
        """Logits of the classes."""
        each = logits[:, self.sets]  # (b, c, k)
        return each.mean(dim=2) if self.combine == "mean" else each.logsumexp(dim=2)

    def wants(self, epoch: int) -> bool:
        """Whether labels are counted before an epoch."""
        return self.mapping == "iterative" or (self.mapping == "frequency" and epoch == 0)

    def recount(self, counts: Int[Tensor, "n c"]) -> None:
        """Choose by counts."""
        self.sets.copy_(frequent(counts, self.sets.shape[1]))
