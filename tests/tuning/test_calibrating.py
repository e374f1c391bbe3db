"""The temperature that is fitted in validation, against trying all."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from vicl.tuning.calibrating import fit_temperature


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 1e6])
def test_it_is_the_best_of_all(scale: float) -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 5, (80,), generator=generator)
    logits = F.one_hot(labels, 5) + torch.randn(80, 5, generator=generator)
    tried = [2 ** (step / 8) for step in range(193)]
    losses = [float(F.cross_entropy(scale * logits / one, labels)) for one in tried]
    best = tried[losses.index(min(losses))]
    assert fit_temperature(scale * logits, labels) == pytest.approx(best, rel=1e-4)
    assert (best == 1) == (scale <= 1)


def test_what_knows_nothing_is_made_unsure() -> None:
    labels = torch.arange(100) % 5
    logits = 1000 * torch.randn(100, 5, generator=torch.Generator().manual_seed(0))
    scores = (logits / fit_temperature(logits, labels)).softmax(1)
    assert float(scores.amax(1).mean()) < 0.4
