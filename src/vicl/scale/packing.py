"""A value for other processes, whose tensors and arrays lie in one file that all of them map.

Only what a process of ours packed is ever unpacked; nothing of a stranger's comes here.
"""

from __future__ import annotations

import io
import pickle
import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

_ALIGNED: Final = 64
"""Where tensors begin, as PyTorch's own do: arithmetic is the same to the last bit then."""


@dataclass(frozen=True)
class Packed:
    """What is packed, but for the large parts.

    Attributes:
        plain: A pickle without them.
        cuts: Where each of them lies in the file: its first byte, and how many there are.
    """

    plain: bytes
    cuts: tuple[tuple[int, int], ...]


def pack(value: Any, stream: io.BufferedIOBase) -> Packed:
    """Pack a value; its tensors and arrays are written to a stream.

    Raises:
        ValueError: If something of it cannot be sent to another process, or is on another device
            than the CPU.
    """
    plain, large = io.BytesIO(), list[pickle.PickleBuffer]()
    try:
        _Pickler(plain, protocol=5, buffer_callback=large.append).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{type(value).__name__}: cannot be given to other processes ({error}); answer in one"
        ) from error
    cuts, at = [], 0
    for buffer in large:
        data = buffer.raw()
        at += stream.write(bytes(-at % _ALIGNED))
        cuts.append((at, data.nbytes))
        at += stream.write(data)
    if not at:  # an empty file cannot be mapped
        stream.write(b"\0")
    stream.flush()
    return Packed(plain.getvalue(), tuple(cuts))


def unpack(packed: Packed, memory: memoryview) -> Any:
    """What was packed; its tensors and arrays are views of the file's memory.

    Args:
        packed: By :func:`pack`.
        memory: All of the stream's bytes. Where it is read-only, so are the tensors.
    """
    with warnings.catch_warnings():
        # Models are only asked: nothing writes to their weights.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        parts = [memory[start : start + size] for start, size in packed.cuts]
        return pickle.loads(packed.plain, buffers=parts)


class _Pickler(pickle.Pickler):
    """Puts tensors beside the pickle, as it does arrays by itself."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor:
            return NotImplemented
        if value.device.type != "cpu":
            raise ValueError(
                f"the model is on {value.device}, which several processes cannot share; say "
                "device='cpu' (command line: --device cpu), or answer in one process"
            )
        if value.requires_grad or not value.is_contiguous() or value.is_conj() or value.is_neg():
            return NotImplemented
        return _tensor, (value.view(-1).view(torch.uint8).numpy(), value.dtype, tuple(value.shape))


def _tensor(data: UInt8[np.ndarray, " n"], dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(data).view(dtype).view(shape)
