"""Optimisers and learning rates that learned prompts were published with, against the goldens."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vicl.training.optimisation import lr_at, make_optimiser, peak_lr, rate_at
from vicl.training.settings import AnyOptimiser, Rate, Schedule

COOP = Rate(warmup=1, first=1e-5)


@pytest.mark.parametrize(
    ("name", "rate", "peak"),
    [
        ("vpt_lr1_warm10_total100", Rate(warmup=10), 1.0),
        ("coop_lr0.002_epochs10", COOP, 0.002),
        ("coop_lr0.002_epochs50", COOP, 0.002),
        ("coop_lr0.002_epochs200", COOP, 0.002),
    ],
)
def test_rates_by_epoch_are_the_published_ones(
    shared: Path, name: str, rate: Rate, peak: float
) -> None:
    with np.load(shared / "goldens/schedules/schedules.npz") as arrays:
        golden = arrays[name]
    found = [rate_at(epoch, len(golden), rate, peak) for epoch in range(len(golden))]
    np.testing.assert_allclose(found, golden, rtol=1e-9, atol=1e-12)


def test_the_rate_by_step_is_the_published_one(shared: Path) -> None:
    """VP's; and the loop's own, with the same share of warm-up, is the same."""
    with np.load(shared / "goldens/vp/vp.npz") as arrays:
        golden = arrays["lr_base40_warm10_total50"]
    rate = Rate(by="step", warmup=10)
    found = [rate_at(step, 50, rate, 40.0) for step in range(50)]
    np.testing.assert_allclose(found, golden, rtol=1e-9)
    same = [lr_at(step, 50, Schedule(steps=50, warmup=0.2), 40.0) for step in range(50)]
    np.testing.assert_allclose(found, same, rtol=1e-9)


def test_rates_that_fall_by_hand() -> None:
    """Times 0.1 at half and at 72 % of 200 epochs; times 0.96 every two epochs; constant."""
    steps = [rate_at(epoch, 200, Rate(kind="milestones"), 0.01) for epoch in range(200)]
    assert steps[99] == 0.01
    assert steps[100] == steps[143] == pytest.approx(1e-3)
    assert steps[144] == steps[199] == pytest.approx(1e-4)
    decay = [rate_at(e, 30, Rate(kind="decay", factor=0.96), 0.05) for e in range(6)]
    assert decay == pytest.approx([0.05 * 0.96 ** (e // 2) for e in range(6)])
    assert rate_at(7, 30, Rate(kind="constant"), 3.0) == 3.0


class Headed(nn.Module):
    """A prompt and a last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.prompt = nn.Parameter(torch.ones(3))
        self.hidden = nn.Linear(2, 2)
        self.head = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_all_decays_but_the_last_bias(kind: str) -> None:
    module = Headed()
    settings = AnyOptimiser(kind=kind, weight_decay=0.1, momentum=0.7)
    optimiser = make_optimiser(module, settings, 0.5)
    decaying, kept = optimiser.param_groups
    assert [id(p) for p in kept["params"]] == [id(module.head[2].bias)]
    assert len(decaying["params"]) == len(list(module.parameters())) - 1
    assert (decaying["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    if kind == "sgd":
        assert decaying["momentum"] == 0.7


def test_sgd_steps_as_written_out() -> None:
    """Momentum and decay by hand, two steps."""
    module = Headed()
    optimiser = make_optimiser(module, AnyOptimiser(kind="sgd", weight_decay=0.1), 0.5)
    value, speed = 1.0, 0.0
    for gradient in (2.0, -1.0):
        module.prompt.grad = torch.full((3,), gradient)
        optimiser.step()
        speed = 0.9 * speed + gradient + 0.1 * value
        value -= 0.5 * speed
    assert module.prompt.tolist() == pytest.approx([value] * 3)


def test_adamw_is_as_before_and_rates_are_for_256_images() -> None:
    module = Headed()
    names = [type(make_optimiser(module, AnyOptimiser(kind=k), 0.1)) for k in ("adamw", "adam")]
    assert names == [torch.optim.AdamW, torch.optim.Adam]
    assert peak_lr(AnyOptimiser(kind="sgd", lr=2.5), 64) == pytest.approx(2.5 / 4)
    assert math.isclose(rate_at(1, 10, Rate(warmup=2), 3.0), 1.5)
