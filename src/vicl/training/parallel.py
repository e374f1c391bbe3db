"""One process or many: joining them, sharding, and whole states whatever the sharding.

Data parallelism (DDP) is accelerate's.  Fully sharded data parallelism is PyTorch's `fully_shard`,
block by block, since accelerate offers none on a CPU, where the tests run it.

The rest of training takes accelerate's names from here, so that one place says what to install
where it is absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from vicl.files.extras import to_install
from vicl.models.vit import Block
from vicl.training.checkpoints import TrainingError
from vicl.training.settings import Precision

try:
    from accelerate import Accelerator as Accelerator
    from accelerate import DistributedDataParallelKwargs as DistributedDataParallelKwargs
    from accelerate.state import AcceleratorState
    from accelerate.tracking import get_available_trackers
    from accelerate.utils import ProjectConfiguration
    from accelerate.utils import gather_object as gather_object
except ImportError as error:
    raise TrainingError(f"training needs accelerate: {to_install('train')}") from error

_FOR_ALL = StateDictOptions(full_state_dict=True)
_FOR_FIRST = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""Sent to the CPU at once, what is whole arrives at the first process only."""


@contextmanager
def processes(
    device: torch.device,
    *,
    precision: Precision = "fp32",
    trackers: Sequence[str] = (),
    folder: Path | None = None,
) -> Iterator[Accelerator]:
    """Join the processes that were started together, be it one; leave them after the block.

    Args:
        device: That this process computes on, or the kind of it.
        precision: Of the arithmetic.
        trackers: Of accelerate, by name.
        folder: Of the run, for the trackers.

    Raises:
        TrainingError: If a tracker is not installed, or the device has no such precision.
    """
    there = [str(tracker.value) for tracker in get_available_trackers()]
    for name in trackers:
        if name not in there:
            raise TrainingError(
                f"log.trackers: got {name!r}, expected one of those that are installed: "
                f"{', '.join(there)}; install its package, or say --set log.trackers=[]"
            )
    if precision == "fp16" and device.type == "cpu":
        raise TrainingError("precision: fp16 needs a GPU; on a CPU take bf16 or fp32")
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no" if precision == "fp32" else precision,
        log_with=list(trackers) or None,
        project_config=None
        if folder is None
        else ProjectConfiguration(str(folder), str(folder / "trackers")),
    )
    try:
        yield accelerator
    finally:
        accelerator.end_training()
        # Its precision is global in accelerate; the next run in this process has its own.
        AcceleratorState._reset_state(reset_partial_state=True)


def shard(objective: nn.Module, device: torch.device, processes: int) -> None:
    """Share a module's weights out over all processes, in place: each block, then the rest."""
    mesh = init_device_mesh(device.type, (processes,))
    for module in objective.modules():
        if isinstance(module, Block):
            fully_shard(module, mesh=mesh)
    fully_shard(objective, mesh=mesh)


def whole_state(module: nn.Module) -> dict[str, Any]:
    """All weights and buffers on the CPU, in every process, whatever it holds of them."""
    state: dict[str, Any] = get_model_state_dict(module, options=_FOR_ALL)
    return {name: value.cpu() for name, value in state.items()}


def load_whole_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Take weights and buffers as :func:`whole_state` gave them; every process has them all."""
    set_model_state_dict(module, dict(state), options=_FOR_ALL)


def whole_optimiser_state(module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimiser's state on the CPU, by the names of the module's weights.

    In the first process; empty in the others, and of an optimiser that has taken no step yet.
    """
    if not optimiser.state:
        return {}  # asked for its state, it would take a step first
    return dict(get_optimizer_state_dict(module, optimiser, options=_FOR_FIRST))


def load_whole_optimiser_state(
    module: nn.Module, optimiser: torch.optim.Optimizer, state: Mapping[str, Any]
) -> None:
    """Take an optimiser's state as :func:`whole_optimiser_state` gave it."""
    if state:
        set_optimizer_state_dict(module, optimiser, dict(state), options=_FOR_ALL)


def whole_tensor(value: Tensor) -> Tensor:
    """A tensor itself, or, where the processes share it out, all of it; all of them ask for it."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def copy_whole(source: Tensor, target: Tensor) -> None:
    """Copy a whole tensor into one that the processes may share out."""
    if isinstance(target, DTensor):
        source = distribute_tensor(
            source.to(target.device), target.device_mesh, list(target.placements)
        )
    target.copy_(source)
