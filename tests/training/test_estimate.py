"""Estimates against hand-worked numbers, and against tensors that really are there."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Bool, Float
from tests.models.kinds import tiny
from torch import Generator, Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.flop_counter import FlopCounterMode

from vicl.models.configs import VQGANConfig
from vicl.models.vqgan import VQGAN
from vicl.training.dry_run import assumed_tokenizer
from vicl.training.estimate import (
    Flops,
    StepCost,
    count_weights,
    measure_rates,
    memory,
    meta_objective,
    recipe_cost,
    step_cost,
    step_seconds,
)
from vicl.training.masking import RandomPatches, draw_holes
from vicl.training.objectives.objective import Losses, Objective
from vicl.training.recipe.files import check_recipe, load_recipe, shipped_recipes
from vicl.training.recipe.recipe import Recipe


class Plain(Objective):
    """An objective of one part whose loss is what a module makes of the image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, image: Float[Tensor, "b 3 H W"], hole: Bool[Tensor, "b H W"] | None, step: int
    ) -> Losses:
        return Losses({"model": self.model(image).sum()}, {})


class Attention(nn.Module):
    """Four heads of eight channels over the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(3, 96)

    def forward(self, image: Tensor) -> Tensor:
        b, _, height, width = image.shape
        qkv = self.qkv(image.flatten(2).transpose(1, 2)).view(b, height * width, 3, 4, 8)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return F.scaled_dot_product_attention(q, k, v)


def tiny_recipe(**changes: object) -> Recipe:
    config = tiny().model_dump(exclude={"tokenizer"})
    data = {
        "name": "tiny",
        "data": {"train": {"kind": "photos"}},
        "model": {"kind": "mae-vqgan", "tokenizer": "nowhere", **config},
        "masking": {"kind": "patches"},
        "batch": {"size": 8, "micro": 4},
        "schedule": {"steps": 10},
        "precision": "fp32",
        "target_precision": "fp32",
    }
    return check_recipe({**data, **changes}, "tiny")


def test_linear_layers_by_hand() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2))
    cost = step_cost(Plain(model).to("meta"), (7, 2, 2))
    forward = 2 * 7 * (12 * 5 + 5 * 2)
    backward = forward + 2 * 7 * 5 * 2  # the image needs no gradient
    assert cost.trained == Flops(forward + backward, 0)
    assert cost.targets == Flops(0, 0)
    # Image and hidden layer; weights are no activations.
    assert cost.activations == 7 * 12 + 7 * 5


def test_convolutions_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1))
    cost = step_cost(Plain(model).to("meta"), (5, 8, 6))
    forward = 2 * 5 * 8 * 6 * (3 * 4 * 9 + 4 * 2)
    assert cost.trained == Flops(0, 2 * forward + 2 * 5 * 8 * 6 * 4 * 2)
    assert cost.activations == 5 * 8 * 6 * (3 + 4)


def test_attention_keeps_no_map() -> None:
    cost = step_cost(Plain(Attention()).to("meta"), (2, 8, 8))
    n = 64
    products = 2 * 2 * n * 3 * 96 * 2  # forward, and the weight's gradient
    assert cost.trained.products == products + 3 * (2 * 2 * 2 * n * n * 32)
    # The image, queries, keys and values, the output, and one number for each row of each head.
    assert cost.activations == 2 * n * (3 + 96 + 32 + 4)


def blocks(tokens: int, width: int, depth: int) -> int:
    """Operations of a transformer's forward pass, MLPs of four times the width."""
    return depth * (2 * tokens * width * 12 * width + 4 * tokens * tokens * width)


def test_a_masked_autoencoder_by_formula() -> None:
    recipe = tiny_recipe(masking={"kind": "patches", "ratio": 0.75})
    objective = meta_objective(recipe, tiny().tokenizer)
    cost = recipe_cost(recipe, objective)
    embedding = 2 * 16 * 192 * 48  # of the 16 visible patches of 64
    rest = blocks(17, 48, 2) + 2 * 17 * 48 * 32 + blocks(65, 32, 2) + 2 * 48 * 32 * 64
    assert cost.trained == Flops(4 * (2 * embedding + 3 * rest), 0)


def test_naming_targets_costs_what_it_costs_for_real() -> None:
    recipe = tiny_recipe()
    objective = meta_objective(recipe, tiny().tokenizer)
    cost = recipe_cost(recipe, objective)
    tokenizer = VQGAN(tiny().tokenizer)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        tokenizer.encode(torch.rand(1, 3, 64, 64))
    assert counter.get_total_flops() > 0
    convolutions = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
    assert cost.targets.convolutions == 4 * convolutions
    # The first convolution's output, at the full size.
    assert cost.widest == 4 * 8 * 64 * 64


def test_costs_grow_with_the_batch() -> None:
    objective = meta_objective(tiny_recipe(), tiny().tokenizer)
    hole = draw_holes(RandomPatches(), 6, (64, 64), 8, Generator().manual_seed(0))
    one, three = (step_cost(objective, (n, 64, 64), hole[:n]) for n in (2, 6))
    assert sum(three.trained) == 3 * sum(one.trained)
    assert sum(three.targets) == 3 * sum(one.targets)
    assert 2.9 < three.activations / one.activations <= 3


@pytest.mark.slow
def test_maskings_are_averaged_by_weight() -> None:
    maskings = [{"kind": "patches", "ratio": r} for r in (0.25, 0.75)]
    objective = meta_objective(tiny_recipe(), tiny().tokenizer)
    low, high = (recipe_cost(tiny_recipe(masking=m), objective) for m in maskings)
    mixed = tiny_recipe(masking=[{**maskings[0], "weight": 3}, maskings[1]])
    both = recipe_cost(mixed, objective)
    assert sum(low.trained) > sum(high.trained)
    expected = (3 * sum(low.trained) + sum(high.trained)) / 4
    assert sum(both.trained) == pytest.approx(expected)
    assert both.activations == max(low.activations, high.activations)


def test_memory_by_hand() -> None:
    cost = StepCost(Flops(0.0, 0.0), Flops(0.0, 0.0), activations=1000.0, widest=10.0)
    recipe = tiny_recipe(precision="bf16", target_precision="bf16", ema=0.9)
    objective = meta_objective(recipe, tiny().tokenizer)
    trained, frozen = count_weights(objective)
    n = trained["model"]
    # The tiny model has no weights but those of its tokenizer and those that are trained.
    frozen_by_hand = sum(p.numel() for p in VQGAN(tiny().tokenizer).parameters())
    assert frozen == frozen_by_hand
    assert n == sum(p.numel() for p in objective.model.parameters()) - frozen_by_hand
    found = memory(recipe, objective, cost)
    assert found.weights == 4 * (n + frozen) + 2 * n + 2 * frozen
    assert (found.gradients, found.moments, found.averages) == (4 * n, 8 * n, 4 * n)
    assert found.activations == 2000
    assert sum(found) == 4 * (n + frozen) + 18 * n + 2 * frozen + 2000
    wide = StepCost(Flops(0.0, 0.0), Flops(0.0, 0.0), activations=1000.0, widest=10_000.0)
    assert memory(recipe, objective, wide).activations == 60_000
    plain = memory(tiny_recipe(), objective, cost)
    assert (plain.averages, plain.activations) == (0, 4000)


def test_seconds_by_hand() -> None:
    cost = StepCost(Flops(100.0, 10.0), Flops(20.0, 30.0), 0.0, 0.0)
    assert step_seconds(tiny_recipe(), cost, Flops(10.0, 5.0)) == 2 * (120 / 10 + 40 / 5)


def test_rates_are_plausible() -> None:
    rates = measure_rates(torch.device("cpu"), "fp32", 64)
    assert 1e8 < rates.products < 1e14
    assert 1e8 < rates.convolutions < 1e14


@pytest.mark.parametrize("patch_size", [1, 2, 4, 8, 16])
def test_the_tokenizer_assumed_fits(patch_size: int) -> None:
    assert assumed_tokenizer(patch_size).patch_size == patch_size
    assert assumed_tokenizer(16) == VQGANConfig()


QUICK = ("smoke", "mae-vqgan-default-cpu")
"""Recipes that are built in every run of the tests; the others are marked slow."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in shipped_recipes()
    ],
)
def test_every_shipped_recipe_can_be_built(name: str) -> None:
    recipe = load_recipe(name)
    tokenizer = None
    if "tokenizer" in type(recipe.model).model_fields:
        tokenizer = assumed_tokenizer(recipe.model.patch_size)
    objective = meta_objective(recipe, tokenizer)
    weights = sum(count_weights(objective)[0].values())
    assert all(weight.device.type == "meta" for weight in objective.parameters())
    # One block of them runs; a large one has 6 million weights.
    shallow = ["model.depth=1"] if "depth" in type(recipe.model).model_fields else []
    small = load_recipe(name, ["batch={size: 2}", *shallow])
    less = meta_objective(small, tokenizer)
    assert sum(count_weights(less)[0].values()) <= weights
    assert sum(recipe_cost(small, less).trained) > 1e6
