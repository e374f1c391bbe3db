"""Attaching to the inside of a network while it runs, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

Change = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""What a module gives instead, of (module, input, output)."""


@contextmanager
def altered(changes: Mapping[nn.Module, Change]) -> Iterator[None]:
    """Let modules give something else for a while.

    A hook that stayed would be seen by whoever else uses the network, and would keep what it was
    made with when its owner is copied.
    """
    handles = [module.register_forward_hook(_hook(change)) for module, change in changes.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(change: Change) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return change(module, inputs[0], output)

    return hook
