"""Linear layers and convolutions whose weights a CPU keeps in the order in which it multiplies.

In bfloat16 a CPU multiplies with weights in blocks, into which PyTorch puts them at every call:
a third of the time where there are few rows. Here the blocks are kept for as long as no gradient is
asked for and the layer is in evaluation, beside the weights. On one thread the products of
contiguous inputs are the same, bit for bit; several may share a long sum out otherwise, which
changes its last bit (`benchmarks/inference.py` measures the gain).
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


class Linear(nn.Linear):
    """:class:`torch.nn.Linear`, with kept blocks."""

    def forward(self, input: Float[Tensor, "*b n"]) -> Float[Tensor, "*b m"]:
        """Multiply, and add the bias."""
        blocks = _blocks(self, input, _linear_blocks)
        if blocks is None:
            return super().forward(input)
        out: Tensor = _onednn()._linear_pointwise(input, blocks, self.bias, *_NOTHING_AFTER)
        return out


class Conv2d(nn.Conv2d):
    """:class:`torch.nn.Conv2d` with zeros around and without groups, with kept blocks."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d p q"]:
        """Convolve, and add the bias."""
        found = _convolved(self, input, _NOTHING_AFTER)
        return super().forward(input) if found is None else found


def convolve(
    layer: nn.Conv2d, input: Float[Tensor, "b c h w"], *, relu6: bool
) -> Float[Tensor, "b d p q"]:
    """A convolution and what follows it in one pass, with kept blocks in float32, too.

    In float32 the last bits are not those of PyTorch's convolution, and with `relu6` what is no
    number becomes 0.
    """
    found = _convolved(layer, input, _RELU6_AFTER if relu6 else _NOTHING_AFTER, torch.float32)
    if found is not None:
        return found
    found = layer(input)
    return F.relu6(found) if relu6 else found


def _convolved(
    layer: nn.Conv2d, input: Tensor, after: _After, *dtypes: torch.dtype
) -> Tensor | None:
    if input.ndim != 4 or layer.padding_mode != "zeros":
        return None
    blocks = _blocks(layer, input, _convolution_blocks, *dtypes)
    if blocks is None:
        return None
    nearby = input.contiguous(memory_format=torch.channels_last)
    out: Tensor = _onednn()._convolution_pointwise(
        nearby, blocks, layer.bias, *_shape(layer), *after
    )
    return out


class _Kept(NamedTuple):
    """Blocks, the weights that they were made of, as they were, and the pixels of the input.

    oneDNN chooses a convolution's blocks by its input. Those for a smaller one may be several times
    as slow, or be put into others at every call, which can take longer than the product.
    """

    weight: Tensor
    state: tuple[int, int, float]
    pixels: int
    blocks: Tensor


_KEPT: Final[WeakKeyDictionary[nn.Module, _Kept]] = WeakKeyDictionary()

_After: TypeAlias = tuple[str, list[float], str]
"""An activation in the same call: its name, its numbers, and how it is computed."""

_LOOKED_AT: Final = 64
"""So many weights are looked at, to see whether they changed."""

_NOTHING_AFTER: Final[_After] = ("none", [], "")
_RELU6_AFTER: Final[_After] = ("hardtanh", [0.0, 6.0], "")


def _blocks(
    layer: nn.Linear | nn.Conv2d,
    input: Tensor,
    make: Callable[[Any, Tensor], Tensor],
    *dtypes: torch.dtype,
) -> Tensor | None:
    """The weights in blocks; None where PyTorch's own layer is as quick, or needed.

    Args:
        layer: Whose weights.
        input: What they are multiplied with.
        make: Makes the blocks.
        dtypes: Of which blocks are kept, besides bfloat16.
    """
    tracing: Any = torch.jit.is_tracing  # type: ignore[attr-defined]
    if torch.compiler.is_compiling() or torch.compiler.is_exporting() or tracing():
        return None
    weight = layer.weight
    if (
        torch.is_grad_enabled()  # what follows may be a step of training
        or weight.grad is not None
        or layer.training
        or weight.device.type != "cpu"
    ):
        _KEPT.pop(layer, None)
        return None
    if not (
        weight.dtype == input.dtype
        and weight.dtype in (torch.bfloat16, *dtypes)
        and input.device.type == "cpu"
        and not weight.is_inference()  # changes to it would not be seen
        and _is_dense(weight)
        and not torch.is_autocast_enabled("cpu")
        and _multiplies_blocks(weight.dtype)
    ):
        return None
    kept = _KEPT.get(layer)
    state = _state(weight)
    pixels = input.shape[2] * input.shape[3] if isinstance(layer, nn.Conv2d) else 0
    if kept is None or kept.weight is not weight or kept.state != state or kept.pixels < pixels:
        kept = _KEPT[layer] = _Kept(weight, state, pixels, make(layer, input))
    return kept.blocks


def _is_dense(weight: Tensor) -> bool:
    """Whether the numbers lie one after the other, in one of two orders."""
    last = torch.channels_last
    return weight.is_contiguous() or (weight.ndim == 4 and weight.is_contiguous(memory_format=last))


def _state(weight: Tensor) -> tuple[int, int, float]:
    """What changes with the weights: where they are, their version, and the sum of some.

    Some ways of writing (`.data`, fused optimisers) do not count the version up.
    """
    step = max(1, weight.numel() // _LOOKED_AT)
    some = weight.detach().as_strided((weight.numel() // step,), (step,))
    return weight.data_ptr(), weight._version, float(some.float().sum())


def _linear_blocks(layer: nn.Linear, _: Tensor) -> Tensor:
    blocks: Tensor = _onednn()._reorder_linear_weight(layer.weight.detach())
    return blocks


def _convolution_blocks(layer: nn.Conv2d, input: Tensor) -> Tensor:
    blocks: Tensor = _onednn()._reorder_convolution_weight(
        layer.weight.detach(), *_shape(layer), list(input.shape)
    )
    return blocks


def _shape(layer: nn.Conv2d) -> tuple[list[int], list[int], list[int], int]:
    """Padding, strides, dilation and groups."""
    assert not isinstance(layer.padding, str)
    return list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups


def _onednn() -> Any:
    return torch.ops.mkldnn


@cache
def _multiplies_blocks(dtype: torch.dtype) -> bool:
    """Whether this PyTorch lets us keep the blocks, and this processor multiplies them."""
    needed = (
        *("_linear_pointwise", "_convolution_pointwise"),
        *("_reorder_linear_weight", "_reorder_convolution_weight", "_is_mkldnn_bf16_supported"),
    )
    available: Any = torch.backends.mkldnn.is_available
    return (
        platform.machine() in ("x86_64", "AMD64")
        and available()
        and all(hasattr(_onednn(), name) for name in needed)
        and (dtype == torch.float32 or bool(_onednn()._is_mkldnn_bf16_supported()))
    )
