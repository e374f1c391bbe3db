"""What the goldens do not say of prompts among tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.prompts.folders import SIDE, kept
from torch import Tensor

from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.classifier import trainable_parameters
from vicl.prompts.deep import DeepPrompt, reach
from vicl.prompts.options import VptOptions


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("backbones")
    return {
        kind: load_backbone(str(kept(kind, root)), device="cpu")
        for kind in ("vit", "dinov2-registers", "siglip")
    }


def made(backbone: Any, **options: Any) -> Any:
    return DeepPrompt(backbone, "ab", VptOptions(**options), generator=generator())


def entering(one: Any, pixels: Tensor) -> list[Tensor]:
    """The tokens that enter each layer."""
    found: list[Tensor] = []
    handles = [
        block.register_forward_pre_hook(lambda _module, inputs: found.append(inputs[0]))
        for block in one.backbone.blocks()
    ]
    one.features(pixels)
    for handle in handles:
        handle.remove()
    return found


def test_prompts_stand_after_the_class_token_and_the_registers(backbones: Any) -> None:
    pixels = torch.randn(2, 3, SIDE, SIDE)
    for kind, prefix in (("vit", 1), ("dinov2-registers", 4), ("siglip", 0)):
        one = made(backbones[kind], length=3)
        first, second, third = entering(one, pixels)
        plain = backbones[kind].embed(pixels)
        expected = one.prompt.expand(2, -1, -1)
        joined = torch.cat([plain[:, :prefix], expected, plain[:, prefix:]], dim=1)
        assert torch.equal(first, joined)
        for tokens, row in ((second, 0), (third, 1)):
            assert torch.equal(tokens[0, prefix : prefix + 3], one.deep[row])


def test_first_values_lie_within_the_published_reach(backbones: Any) -> None:
    assert reach(16, 768) == pytest.approx((6 / (3 * 256 + 768)) ** 0.5)
    one = made(backbones["vit"], length=100)
    most = reach(8, 32)
    for prompt in (one.prompt, one.deep):
        assert 0.95 * most < prompt.max() <= most
        assert -most <= prompt.min() < -0.95 * most
        assert prompt.mean().abs() < 0.1 * most
    narrow = made(backbones["vit"], length=100, project=8)
    assert 0.9 * reach(8, 8) < narrow.prompt.abs().max() <= reach(8, 8)


def test_the_last_layers_get_prompts_of_their_own(backbones: Any) -> None:
    backbone, pixels = backbones["vit"], torch.randn(1, 3, SIDE, SIDE)
    ours = made(backbone, length=3, layers=2, reverse=True)
    theirs = made(backbone, length=3, layers=2, reverse=True, published=True)
    patches = (SIDE // 8) ** 2
    assert [t.shape[1] for t in entering(ours, pixels)] == [1 + patches, 4 + patches, 4 + patches]
    assert [t.shape[1] for t in entering(theirs, pixels)] == [1 + patches] * 3
    assert trainable_parameters(ours) == trainable_parameters(theirs) == 2 * 3 * 32 + 2 * 33


def test_shared_prompts_are_counted_once(backbones: Any) -> None:
    ours = made(backbones["vit"], length=3, shared=True)
    theirs = made(backbones["vit"], length=3, shared=True, published=True)
    assert trainable_parameters(ours) == 3 * 32 + 2 * 33
    assert trainable_parameters(theirs) == 3 * 3 * 32 + 2 * 33
    pixels = torch.randn(1, 3, SIDE, SIDE)
    with torch.no_grad():
        theirs.prompt.copy_(ours.prompt)
    assert torch.equal(ours.features(pixels), theirs.features(pixels))
    for tokens in entering(ours, pixels):
        assert torch.equal(tokens[0, 1:4], ours.prompt[0])


def test_a_control_learns_the_last_layer_alone(backbones: Any) -> None:
    one = made(backbones["vit"], length=3, update=False)
    assert trainable_parameters(one) == 2 * 33
    kept_ones = {name for name, p in one.named_parameters() if p.requires_grad}
    assert kept_ones == {"head.weight", "head.bias"}


def test_dropout_drops_prompts_in_training_only(backbones: Any) -> None:
    one = made(backbones["vit"], length=50, dropout=0.5)
    pixels = torch.randn(1, 3, SIDE, SIDE)
    one.train()
    dropped = (entering(one, pixels)[1][0, 1:51] == 0).float().mean()
    assert 0.4 < dropped < 0.6
    one.eval()
    assert entering(one, pixels)[1][0, 1:51].all()


@pytest.mark.parametrize("init", ["final-class", "class-no-last", "class-no-first"])
def test_prompts_that_begin_as_averages_of_class_tokens(init: str, backbones: Any) -> None:
    one = made(backbones["vit"], length=2, init=init)
    image = torch.rand(7, 3, SIDE, SIDE)
    labels = torch.zeros(7, dtype=torch.long)
    states = entering(made(backbones["vit"], length=0), one.backbone.normalise(image))
    last = one.backbone.layer(2, states[-1])
    levels = torch.stack([tokens[:, 0] for tokens in (*states, last)])  # (l + 1, b, d)
    means = torch.stack([levels[:, 0::2].mean(dim=1), levels[:, 1::2].mean(dim=1)], dim=1)
    rows = {"final-class": [3, 3, 3], "class-no-last": [0, 1, 2], "class-no-first": [1, 2, 3]}
    before = one.prompt.clone()
    one.prepare(1, lambda: pytest.fail("is done before the first epoch"))
    assert torch.equal(one.prompt, before)
    one.prepare(0, lambda: zip(image.split(3), labels.split(3), strict=True))
    found = torch.cat([one.prompt, one.deep])
    torch.testing.assert_close(found, means[rows[init]], atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="1 training images for 2 prompts"):
        one.prepare(0, lambda: [(image[:1], labels[:1])])
