"""Layers that keep their weights in blocks: the same numbers, and none of weights that changed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vicl.encoders import layers
from vicl.encoders.layers import Conv2d, Linear

LAYERS: dict[str, Callable[[], tuple[nn.Module, nn.Module, Tensor]]] = {
    "linear": lambda: (Linear(64, 48), nn.Linear(64, 48), torch.randn(3, 5, 64)),
    "convolution": lambda: (
        Conv2d(32, 16, 3, padding=1),
        nn.Conv2d(32, 16, 3, padding=1),
        torch.randn(2, 32, 9, 14),
    ),
    "strides": lambda: (
        Conv2d(32, 16, 3, stride=2),
        nn.Conv2d(32, 16, 3, stride=2),
        torch.randn(1, 32, 9, 14),
    ),
}
blocks = pytest.mark.skipif(
    not layers._multiplies_blocks(torch.bfloat16),
    reason="this processor does not multiply in bfloat16",
)


def made(kind: str, dtype: torch.dtype = torch.bfloat16) -> tuple[nn.Module, nn.Module, Tensor]:
    torch.manual_seed(0)
    ours, plain, x = LAYERS[kind]()
    plain.load_state_dict(ours.state_dict())
    return ours.to(dtype).eval(), plain.to(dtype).eval(), x.to(dtype)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_numbers_are_those_of_pytorch(kind: str, dtype: torch.dtype) -> None:
    ours, plain, x = made(kind, dtype)
    with torch.no_grad():
        assert all(torch.equal(ours(x), plain(x)) for _ in range(2))
        assert torch.equal(ours(x[:1]), plain(x[:1]))
    assert torch.equal(ours(x), plain(x))


@blocks
@pytest.mark.parametrize("kind", LAYERS)
def test_blocks_are_kept_while_no_gradient_is_asked_for(kind: str) -> None:
    ours, _, x = made(kind)
    with torch.inference_mode():
        ours(x)
        kept = layers._KEPT[ours].blocks
        ours(x)
        assert layers._KEPT[ours].blocks is kept
    ours(x)
    assert ours not in layers._KEPT
    assert set(ours.state_dict()) == {"weight", "bias"}


@blocks
@pytest.mark.parametrize(("inputs", "outputs", "side"), [(208, 1248, 1), (48, 32, 3)])
def test_blocks_are_made_anew_for_larger_inputs(inputs: int, outputs: int, side: int) -> None:
    torch.manual_seed(0)
    layer = Conv2d(inputs, outputs, side, padding=side // 2).to(torch.bfloat16).eval()
    plain = nn.Conv2d(inputs, outputs, side, padding=side // 2).to(torch.bfloat16).eval()
    plain.load_state_dict(layer.state_dict())
    kept = []
    with torch.inference_mode():
        for size in (4, 12, 7, 4, 12):
            x = torch.randn(1, inputs, size, size).bfloat16()
            assert torch.equal(layer(x), plain(x))
            kept.append(layers._KEPT[layer].blocks)
    assert kept[1] is not kept[0]
    assert kept[1] is kept[2] is kept[3] is kept[4]


@blocks
def test_blocks_are_made_for_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    onednn = torch.ops.mkldnn
    made_for: list[list[int]] = []

    def reorder(weight: Tensor, *shape: Any) -> Tensor:
        made_for.append(shape[-1])
        blocks: Tensor = onednn._reorder_convolution_weight(weight, *shape)
        return blocks

    spy = SimpleNamespace(
        _reorder_convolution_weight=reorder,
        _convolution_pointwise=onednn._convolution_pointwise,
    )
    monkeypatch.setattr(layers, "_onednn", lambda: spy)
    layer = Conv2d(16, 32, 3, padding=1).to(torch.bfloat16).eval()
    with torch.inference_mode():
        for size in (4, 12, 7):
            layer(torch.zeros(1, 16, size, size + 1).bfloat16())
    assert made_for == [[1, 16, 4, 5], [1, 16, 12, 13]]


def changed_in_place(layer: nn.Module) -> None:
    with torch.no_grad():
        layer.get_parameter("weight").mul_(2)


def loaded(layer: nn.Module) -> None:
    layer.load_state_dict({name: 2 * value for name, value in layer.state_dict().items()})


def assigned(layer: nn.Module) -> None:
    state = {name: 2 * value for name, value in layer.state_dict().items()}
    layer.load_state_dict(state, assign=True)


def written_through(layer: nn.Module) -> None:
    """What does not count versions up."""
    layer.get_parameter("weight").data.mul_(2)


def replaced(layer: nn.Module) -> None:
    layer.register_parameter("weight", nn.Parameter(2 * layer.get_parameter("weight").detach()))


def stepped_late(layer: nn.Module) -> None:
    """A fused step, with a look without gradients between it and the gradients."""
    x = torch.randn(LAYERS["linear"]()[2].shape if isinstance(layer, nn.Linear) else (1, 32, 9, 9))
    layer(x.to(torch.bfloat16)).sum().backward()
    with torch.no_grad():
        layer(x.to(torch.bfloat16))
    torch.optim.AdamW(layer.parameters(), lr=0.5, fused=True).step()
    layer.zero_grad(set_to_none=True)


def trained(layer: nn.Module) -> None:
    """A fused step, which does not count versions up."""
    x = torch.randn(LAYERS["linear"]()[2].shape if isinstance(layer, nn.Linear) else (1, 32, 9, 9))
    layer(x.to(torch.bfloat16)).sum().backward()
    torch.optim.AdamW(layer.parameters(), lr=0.5, fused=True).step()


CHANGES = (*(changed_in_place, loaded, assigned, written_through, replaced, stepped_late, trained),)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", LAYERS)
def test_weights_that_change_are_seen(kind: str, change: Callable[[nn.Module], None]) -> None:
    ours, plain, x = made(kind)
    with torch.no_grad():
        before = ours(x)
    change(ours)
    plain.load_state_dict(ours.state_dict())
    with torch.no_grad():
        assert torch.equal(ours(x), plain(x))
        assert not torch.equal(ours(x), before)


@blocks
def test_no_blocks_are_kept_in_training() -> None:
    ours, plain, x = made("linear")
    ours.train()
    with torch.no_grad():
        assert torch.equal(ours(x), plain(x))
    assert ours not in layers._KEPT


@blocks
def test_other_weights_for_one_call() -> None:
    ours, plain, x = made("linear")
    with torch.no_grad():
        ours(x)
        for number in range(8):
            weights = {"weight": torch.full_like(ours.get_parameter("weight"), number)}
            found = torch.func.functional_call(ours, weights, (x,))
            assert torch.equal(found, torch.func.functional_call(plain, weights, (x,)))


@blocks
def test_a_copy_has_blocks_of_its_own() -> None:
    ours, _, x = made("linear")
    with torch.no_grad():
        ours(x)
        other = copy.deepcopy(ours)
        other.get_parameter("weight").zero_()
        assert not torch.equal(ours(x), other(x))
        assert torch.equal(other(x), ours.get_parameter("bias").expand(3, 5, -1))
