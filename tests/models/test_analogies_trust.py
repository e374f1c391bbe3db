"""How sure the engine `analogies` is, and of what: what its examples did not show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.models.test_analogies import coloured_scene, one, outline, photo
from torch import Tensor

from vicl.prompt import Prompt

Change = Callable[[Tensor], Tensor]


def strange(query: Tensor, how: str) -> Tensor:
    """What the examples never showed, of the query's size."""
    if how == "gray":
        return query.mean(dim=0, keepdim=True).expand(3, -1, -1).contiguous()
    if how == "noise":
        return torch.rand(query.shape, generator=torch.Generator().manual_seed(0))
    return photo("astronaut", query.shape[1])


@pytest.mark.parametrize("how", ["gray", "noise", "another"])
@pytest.mark.parametrize("kind", ["mask", "lines", "picture"])
def test_confidence_falls_for_what_the_examples_did_not_show(kind: str, how: str) -> None:
    (image, mask), (query, _) = (coloured_scene(seed) for seed in (0, 1))
    output = {"mask": mask, "lines": outline(mask), "picture": 1 - image}[kind]
    means = []
    for asked in (query, strange(query, how)):
        confidence = one(Prompt(((image, output),), asked)).confidence
        assert confidence is not None
        means.append(float(confidence.mean()))
    right, wrong = means
    assert wrong < (0.6 if kind == "mask" else 0.3)
    assert right > wrong + (0.3 if kind == "mask" else 0.2)


def test_confidence_falls_where_a_part_is_strange() -> None:
    (image, mask), (query, _) = (coloured_scene(seed) for seed in (0, 1))
    query[:, :30, :30] = torch.tensor([0.9, 0.1, 0.9])[:, None, None]
    confidence = one(Prompt(((image, mask),), query)).confidence
    assert confidence is not None
    assert confidence[:25, :25].mean() < confidence[40:, 40:].mean() - 0.2


@pytest.mark.parametrize("light", [0.8, 1.2])
def test_confidence_stays_in_another_light(light: float) -> None:
    (image, mask), (query, _) = (coloured_scene(seed) for seed in (0, 1))
    plain, lit = (
        one(Prompt(((image, mask),), asked)).confidence
        for asked in (query, (query * light).clamp(0, 1))
    )
    assert plain is not None
    assert lit is not None
    assert lit.mean() > plain.mean() - 0.1


@pytest.mark.slow
def test_noise_is_strange_though_each_of_its_colours_was_shown() -> None:
    # In a photograph of many colours something is near each pixel of noise.
    image, mask = photo("astronaut", 192), torch.zeros(3, 192, 192)
    mask[:, 20:90, 70:120] = 1
    known, noise = (
        one(Prompt(((image, mask),), asked)).confidence
        for asked in (image.roll(12, dims=2), strange(image, "noise"))
    )
    assert known is not None
    assert noise is not None
    assert noise.mean() < 0.65 < known.mean()


def test_familiarity_does_not_change_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    (image, mask), (query, _) = (coloured_scene(seed) for seed in (0, 1))
    asked = strange(query, "gray")
    found = one(Prompt(((image, mask),), asked), samples=2)
    monkeypatch.setattr(
        "vicl.models.analogies.engine.familiarity",
        lambda _, query, seed: np.ones(query.shape[:2], "f4"),
    )
    plain = one(Prompt(((image, mask),), asked), samples=2)
    assert torch.equal(found.image, plain.image)
    assert found.log_likelihood == plain.log_likelihood
    for one_found, one_plain in zip(found.alternatives, plain.alternatives, strict=True):
        assert torch.equal(one_found.image, one_plain.image)
    assert found.confidence is not None
    assert plain.confidence is not None
    assert (found.confidence <= plain.confidence).all()
    assert found.confidence.mean() < plain.confidence.mean() - 0.2
