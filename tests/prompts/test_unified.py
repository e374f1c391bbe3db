"""UPT: the published numbers, and those of the attention that the paper means."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.prompts.clips import Golden, open_golden

from vicl.prompts.classifier import trainable_parameters
from vicl.prompts.unified import Attention, UnifiedPrompt

OWN = {
    "attend.in_proj_weight": "self_attn.in_proj_weight",
    "attend.in_proj_bias": "self_attn.in_proj_bias",
    "attend.out_proj.weight": "self_attn.out_proj.weight",
    "attend.out_proj.bias": "self_attn.out_proj.bias",
    "first_norm.weight": "norm1.weight",
    "first_norm.bias": "norm1.bias",
    "second_norm.weight": "norm2.weight",
    "second_norm.bias": "norm2.bias",
    "widen.weight": "linear1.weight",
    "widen.bias": "linear1.bias",
    "narrow.weight": "linear2.weight",
    "narrow.bias": "linear2.bias",
    "to_image.weight": "mlp.weight",
    "to_image.bias": "mlp.bias",
}
"""Published names by vicl's."""


@pytest.fixture(scope="module")
def golden(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    return open_golden(shared, "upt", tmp_path_factory.mktemp("words"))


def made_of(golden: Golden, attention: Attention) -> UnifiedPrompt:
    made = UnifiedPrompt(
        golden.backbone,
        ["cat", "polar_bear", "great white shark"],
        attention=attention,
        generator=torch.Generator(),
    )
    state = {own: golden.drawn(f"upt.{name}") for own, name in OWN.items()}
    made.load_state_dict(state | {"shared": golden.drawn("upt.uni_ctx")[0]})
    return made.eval()


def test_published_attention_gives_the_published_answers(golden: Golden) -> None:
    made, arrays = made_of(golden, "published"), golden.arrays
    assert trainable_parameters(made) == golden.said["n_trainable"]
    with torch.no_grad():
        contexts, tokens = made.prompts()
        texts = made.said.assemble(contexts)
        feature = made._prompted(golden.image, tokens)
        logits = made(golden.image)
    for found, name in (
        (contexts, "text_prompt"),
        (tokens, "visual_prompt"),
        (texts, "prompts"),
        (feature, "image_feature"),
        (logits, "logits"),
    ):
        torch.testing.assert_close(found, arrays[name], atol=1e-5, rtol=0)


def test_intended_attention_mixes_the_vectors_as_the_paper_says(golden: Golden) -> None:
    made, arrays = made_of(golden, "intended"), golden.arrays
    with torch.no_grad():
        contexts, tokens = made.prompts()
    torch.testing.assert_close(contexts, arrays["intended_text_prompt"], atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens, arrays["intended_visual_prompt"], atol=1e-5, rtol=0)


def test_vectors_are_dropped_out_while_it_learns_alone(golden: Golden) -> None:
    made = made_of(golden, "intended")
    with torch.no_grad():
        still, again = made(golden.image), made(golden.image)
        assert torch.equal(still, again)
        torch.manual_seed(0)
        assert not torch.allclose(made.train()(golden.image), still, atol=1e-3)
