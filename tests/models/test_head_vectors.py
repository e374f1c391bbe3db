"""Heads told apart and replaced, as in the published code of visual task vectors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.models.kinds import KINDS, batch
from tests.prompts.goldens import Golden, close, put
from torch import Tensor

from vicl.models.head_vectors import contributions, patching, recording
from vicl.models.vit import Attention, watching


@pytest.fixture(scope="module")
def golden(shared: Path) -> Golden:
    return Golden(shared, "task_vectors/task_vectors")


@pytest.fixture
def attention(golden: Golden) -> Attention:
    made = Attention(16, 4)
    for name, parameter in made.named_parameters():
        put(parameter, golden.tensor(f"tv.{name}"))
    return made.requires_grad_(False)


def replaced(attention: Attention, x: Tensor, where: Tensor, values: Tensor) -> Tensor:
    """What attention gives with some slices replaced."""
    with watching([attention.heads], lambda slices: torch.where(where, values, slices)):
        found: Tensor = attention(x)
    return found


def test_contributions_are_the_published_ones(golden: Golden, attention: Attention) -> None:
    slices: list[Tensor] = []
    with watching([attention.heads], slices.append):
        close(attention(golden["x"]), golden["plain_out"])
    found = contributions(attention, slices[0])
    close(found, golden["head_contributions"])
    close(found.sum(dim=2) - 3 * attention.proj.bias, golden["check_sum_minus_bias"])


def test_replaced_slices_are_the_published_patches(golden: Golden, attention: Attention) -> None:
    """A slice of 0 drops a head; with the golden's injection, which no slice gives, added by hand.

    And whatever contribution a slice gives, to put the slice is to patch with the contribution.
    """
    x, injected = golden["x"], golden["injection"]
    heads = torch.zeros(1, 4, 6, 1, dtype=torch.bool)
    heads[:, [0, 2]] = True
    pairs = torch.zeros_like(heads)
    for head, token in golden["patched_head_token_pairs"].tolist():
        pairs[0, head, token] = True
    zero = torch.zeros(1, 4, 6, 4)
    close(replaced(attention, x, heads, zero), golden["dropped_heads_0_2_out"])
    for where, name in ((heads, "patched_heads_0_2_out"), (pairs, "patched_pairs_out")):
        at = where.movedim(1, 2)  # (1, n, heads, 1)
        added = ((injected - attention.proj.bias) * at).sum(dim=2)
        close(replaced(attention, x, where, zero) + added, golden[name])
        slices = torch.randn(1, 4, 6, 4, generator=torch.Generator().manual_seed(0))
        given = ((contributions(attention, slices) - attention.proj.bias) * at).sum(dim=2)
        close(replaced(attention, x, where, slices), replaced(attention, x, where, zero) + given)


def test_own_slices_change_nothing_and_others_do() -> None:
    """Each canvas of a batch may have its own; nothing stays behind."""
    model = KINDS["mae-vqgan"].build().requires_grad_(False)
    image, hole = batch()
    image, hole = image[:1].expand(2, -1, -1, -1), hole[:1].expand(2, -1, -1)
    plain = model.features(image, hole)
    with recording(model) as (encoder, decoder):
        model.features(image[:1], hole[:1])
    slices = torch.cat(encoder), torch.cat(decoder)
    everywhere = [torch.ones(one.shape[:3], dtype=torch.bool) for one in slices]
    with patching(model, slices, everywhere):
        close(model.features(image, hole), plain)
    second = [torch.stack([torch.zeros_like(one), one], dim=1) for one in everywhere]
    with patching(model, [one + 1 for one in slices], second):
        found = model.features(image, hole)
    close(found[0], plain[0])
    assert (found[1] - plain[1]).abs().max() > 0.01
    assert torch.equal(model.features(image, hole), plain)
