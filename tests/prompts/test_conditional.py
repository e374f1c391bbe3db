"""CoCoOp: the published numbers; and memory that does not grow with the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.prompts.clips import Golden, open_golden
from torch.nn import functional as F  # noqa: N812

from vicl.prompts import conditional
from vicl.prompts.classifier import trainable_parameters
from vicl.prompts.conditional import ConditionalPrompt

OWN = {
    "context": "ctx",
    "shift.0.weight": "meta_net.linear1.weight",
    "shift.0.bias": "meta_net.linear1.bias",
    "shift.2.weight": "meta_net.linear2.weight",
    "shift.2.bias": "meta_net.linear2.bias",
}
"""Published names by vicl's."""


@pytest.fixture(scope="module")
def golden(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return open_golden(shared, "cocoop", tmp_path_factory.mktemp("words"))


def made_of(golden: Golden) -> ConditionalPrompt:
    made = ConditionalPrompt(
        golden.backbone,
        ["cat", "polar_bear", "great white shark"],
        words=None,
        generator=torch.Generator(),
    )
    state = {own: golden.drawn(f"cocoop.{name}") for own, name in OWN.items()}
    made.load_state_dict(state)
    return made


@pytest.mark.parametrize("together", [1 << 15, 1])
def test_shifted_contexts_give_the_published_answers_and_gradients(
    golden: Golden, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All images at once, and one at a time.
    monkeypatch.setattr(conditional, "TOKENS", together)
    made, arrays = made_of(golden), golden.arrays
    assert trainable_parameters(made) == golden.said["cases"]["n_trainable"]
    features = made.backbone.features(made.backbone.normalise(golden.image))
    normalised = F.normalize(features, dim=-1)
    torch.testing.assert_close(normalised, arrays["image_features_normalised"], atol=1e-5, rtol=0)
    shifts = made.shift(normalised)
    torch.testing.assert_close(shifts, arrays["meta_bias"], atol=1e-5, rtol=0)
    texts = made.prompts(features)
    torch.testing.assert_close(texts, arrays["prompts"], atol=1e-5, rtol=0)

    logits = made(golden.image)
    torch.testing.assert_close(logits, arrays["logits"], atol=1e-5, rtol=0)
    F.cross_entropy(logits, torch.as_tensor(arrays["labels"])).backward()
    for own, name in OWN.items():
        found = made.get_parameter(own).grad
        torch.testing.assert_close(found, arrays[f"grad/{name}"], atol=1e-5, rtol=0)


def test_without_gradients_the_answers_are_the_same(golden: Golden) -> None:
    made = made_of(golden)
    with torch.inference_mode():
        found = made(golden.image)
    torch.testing.assert_close(found, golden.arrays["logits"], atol=1e-5, rtol=0)
