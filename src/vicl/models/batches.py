"""What all networks do with batches: places as indices, and members one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device without waiting for what the device is doing."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        # From memory that may be paged out the copy would wait.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def one_by_one(function: Callable[..., Tensor], *batches: Tensor, at_once: int = 1) -> Tensor:
    """Apply `function` to batches: whole, or on a CPU to their members, one at a time.

    A batch is to give what its members give alone.  On a CPU matrix products and normalisations do
    not: how they split their sums, and so the last bits, depends on the size of the batch.  Little
    is lost, since one canvas keeps all cores busy.

    Args:
        function: Takes and gives batches.
        batches: Of equal length; where the first one is, is where it is computed.
        at_once: Take so many members at a time on a CPU after all, where last bits do not matter.
    """
    if batches[0].device.type != "cpu" or len(batches[0]) <= at_once:
        return function(*batches)
    starts = range(0, len(batches[0]), at_once)
    parts = [[batch[i : i + at_once] for batch in batches] for i in starts]
    return torch.cat([function(*part) for part in parts])


def by_count(
    chosen: Bool[Tensor, "b n"],
) -> Iterator[tuple[Int[Tensor, " g"], Int[Tensor, "g v"]]]:
    """Group the members that have equally many places chosen: their rows, and these places.

    Padding a batch to its longest member instead would change the numbers of the others.

    Args:
        chosen: On the CPU.
    """
    counts = chosen.sum(dim=1)
    for count in sorted(set(counts.tolist())):
        rows = (counts == count).nonzero()[:, 0]
        yield rows, chosen[rows].nonzero()[:, 1].view(len(rows), count)
