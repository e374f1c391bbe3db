"""What is stepped when a classifier learns: cross-entropy, and what its method adds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.prompts.classifier import Batches, Classifier
from vicl.training.objectives.objective import Losses, Objective


class TuneObjective(Objective):
    """Cross-entropy of images (or of their features, which were computed before) and classes.

    Before the first step of an epoch the method may count (:meth:`Classifier.prepare`); that it has
    is part of the state, so that a run that goes on within an epoch does not count again.

    Args:
        model: What learns.
        epoch: Of a step.
        batches: All images that are learned from, for the counting.
        encoded: Whether features come instead of images.
    """

    model: Classifier
    prepared: Tensor

    def __init__(
        self,
        model: Classifier,
        *,
        epoch: Callable[[int], int],
        batches: Batches,
        encoded: bool,
    ) -> None:
        super().__init__()
        self.model, self.epoch, self.batches, self.encoded = model, epoch, batches, encoded
        self.register_buffer("prepared", torch.tensor(-1))

    def forward(self, *batch: Any) -> Losses:
        """See :class:`vicl.training.objectives.objective.Objective`.

        Args:
            batch: Images in [0, 1] or features, classes, and the number of the step.
        """
        given, labels, step = batch
        self._prepare(self.epoch(int(step)))
        logits = self.model.read(given) if self.encoded else self.model(given)
        loss = F.cross_entropy(logits.float(), labels)
        penalty = self.model.penalty()
        right = (logits.detach().argmax(1) == labels).float().mean()
        return Losses(
            {"model": loss if penalty is None else loss + penalty},
            {"accuracy": right, "entropy": loss.detach()},
        )

    def tidy(self) -> None:
        """See :class:`vicl.training.objectives.objective.Objective`."""
        with torch.no_grad():
            self.model.tidy()

    def _prepare(self, epoch: int) -> None:
        if int(self.prepared) >= epoch:
            return
        with torch.no_grad():
            self.model.prepare(epoch, self.batches)
        self.model.train()
        self.prepared.fill_(epoch)
