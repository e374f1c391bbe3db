"""The optimiser's groups, the learning rate and averaged weights, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from tests.models.kinds import tiny
from torch import nn

from vicl.models.mae_vqgan import MAEVQGAN
from vicl.training.optimisation import (
    AveragedWeights,
    decays,
    limit_gradient,
    lr_at,
    make_optimiser,
    peak_lr,
)
from vicl.training.settings import Optimiser, Schedule


def test_only_matrices_and_kernels_decay() -> None:
    """Of a whole model, by name: no bias, norm, token or codebook decays; all others do."""
    model = MAEVQGAN(tiny())
    kept = {n for n, p in model.named_parameters() if not decays(n, p)}
    matrices = {n for n, p in model.named_parameters() if decays(n, p)}
    assert {"cls_token", "mask_token", "tokenizer.codebook", "encoder.norm.weight"} <= kept
    assert "encoder.blocks.0.attn.qkv.bias" in kept
    assert {"head.weight", "patch_embed.proj.weight", "encoder.blocks.0.mlp.fc1.weight"} <= matrices
    assert not any("norm" in name or name.endswith("bias") for name in matrices)
    assert decays("code_embedding.weight", torch.zeros(5, 5)) is False


def test_groups_hold_what_is_trained_once() -> None:
    model = MAEVQGAN(tiny())
    optimiser = make_optimiser(model, Optimiser(weight_decay=0.3, betas=(0.5, 0.6)), 0.1)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.3, 0.0]
    found = [p for group in optimiser.param_groups for p in group["params"]]
    trained = [p for p in model.parameters() if p.requires_grad]
    assert {id(p) for p in found} == {id(p) for p in trained}
    assert len(found) == len(trained)
    assert all(group["betas"] == (0.5, 0.6) for group in optimiser.param_groups)
    assert [group["lr"] for group in optimiser.param_groups] == [0.1, 0.1]


def test_learning_rate_by_hand() -> None:
    """100 steps, 10 of warm-up: 1/10, ..., 1, then half a cosine to the final share."""
    schedule = Schedule(steps=100, warmup=0.1, final=0.2)
    rates = [lr_at(step, 100, schedule, 2.0) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(2 * (0.2 + 0.8 / 2))
    assert rates[99] == pytest.approx(2 * (0.2 + 0.8 * (1 + math.cos(math.pi * 89 / 90)) / 2))
    constant = Schedule(steps=5, warmup=0.0, final=1.0)
    assert [lr_at(step, 5, constant, 3.0) for step in range(5)] == [3.0] * 5


def test_the_learning_rate_follows_the_batch() -> None:
    assert peak_lr(Optimiser(lr=1e-4), 512) == pytest.approx(2e-4)
    assert peak_lr(Optimiser(lr=1e-4, scale_lr=False), 512) == pytest.approx(1e-4)


def test_averaged_weights() -> None:
    """Against the recurrence written out; frozen weights are no part of it."""
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    average = AveragedWeights(layer, 0.9)
    expected = 1.0
    for value in (2.0, 5.0, -1.0):
        with torch.no_grad():
            layer.weight.fill_(value)
        average.update()
        expected = 0.9 * expected + 0.1 * value
    assert list(average.values) == ["weight"]
    assert average.values["weight"].flatten().tolist() == pytest.approx([expected] * 4)
    other = AveragedWeights(layer, 0.9)
    other.load(average.values)
    assert torch.equal(other.values["weight"], average.values["weight"])


def test_gradients_are_limited_only_where_a_limit_is_given() -> None:
    weights = [
        nn.Parameter(torch.zeros(2)),
        nn.Parameter(torch.zeros(1)),
        nn.Parameter(torch.ones(1)),
    ]
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert float(limit_gradient(weights, None)) == 5
    assert float(limit_gradient(weights, 6.0)) == 5
    assert weights[0].grad.tolist() == [3, 0]
    assert float(limit_gradient(weights, 2.5)) == 5
    assert weights[0].grad.tolist() == pytest.approx([1.5, 0])
    assert weights[1].grad.tolist() == pytest.approx([2])
