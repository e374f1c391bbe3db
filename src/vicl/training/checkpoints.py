"""Checkpoints of a run: written whole, a few of them kept, the newest and the best known by name.

A checkpoint is one file of tensors and plain values, read with `weights_only`: nothing in it can
run.  `checkpoints.json` beside them says which is the latest and which the best; it is replaced
after a checkpoint has its name and before an old one goes, so that the process may die at any
moment.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from vicl.files import TEMPORARY_PREFIX, FileError, display, open_atomic, reason, write_atomic
from vicl.files.faults import said

FORMAT_VERSION = 1
_INDEX = "checkpoints.json"


class TrainingError(FileError):
    """A training run that cannot begin or go on; the message says why and what to do."""


class Index(BaseModel):
    """Which checkpoints there are.

    Attributes:
        steps: Optimiser steps after which the kept ones were made, ascending.
        best: The best one's; None before the first evaluation.
        best_loss: Its loss on held-out images.
    """

    model_config = ConfigDict(frozen=True)

    steps: tuple[int, ...]
    best: int | None
    best_loss: float | None


class CheckpointFolder:
    """The checkpoints of one run.

    Attributes:
        path: The folder.
        keep: How many are kept, beside the best.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self.path = path
        self.keep = keep

    def file(self, step: int) -> Path:
        """The file of a checkpoint."""
        return self.path / f"step-{step:09d}.pt"

    def index(self) -> Index:
        """What is there; empty for a new run.

        Raises:
            TrainingError: If it cannot be read.
        """
        file = self.path / _INDEX
        if not file.exists():
            return Index(steps=(), best=None, best_loss=None)
        try:
            return Index.model_validate_json(file.read_bytes())
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{display(file)}: is damaged ({said(error)}); name the newest of the "
                "checkpoints beside it in its place, or start anew"
            ) from error

    def save(self, step: int, state: dict[str, Any], *, loss: float | None = None) -> None:
        """Write a checkpoint, then let old ones go.

        Args:
            step: Optimiser steps done.
            state: Tensors and plain values.
            loss: On held-out images, where it was evaluated at this step; the lowest is the best.

        Raises:
            TrainingError: If it cannot be written; the earlier ones stay.
        """
        before = self.index()
        try:
            with open_atomic(self.file(step)) as stream:
                torch.save({"format": FORMAT_VERSION, "step": step, **state}, stream)
            better = loss is not None and (before.best_loss is None or loss < before.best_loss)
            best, best_loss = (step, loss) if better else (before.best, before.best_loss)
            steps = sorted({*before.steps, step})
            kept = {*steps[-self.keep :], *({best} if best in steps else ())}
            after = Index(steps=tuple(sorted(kept)), best=best, best_loss=best_loss)
            write_atomic(self.path / _INDEX, json.dumps(after.model_dump()).encode())
        except (FileError, OSError, RuntimeError) as error:
            at = f"step {before.steps[-1]} is" if before.steps else "none is"
            raise TrainingError(
                f"checkpoint of step {step}: cannot be written ({reason(error)}); of the earlier "
                f"ones {at} intact. Free some space or check the permissions, then go on with "
                "--resume"
            ) from error
        # And what a killed process left half-written.
        for pattern in ("step-*.pt", f"{TEMPORARY_PREFIX}*.tmp"):
            for path in self.path.glob(pattern):
                if path not in map(self.file, kept):
                    path.unlink(missing_ok=True)

    def load(self, step: int) -> dict[str, Any]:
        """Read a checkpoint, to the CPU.

        Raises:
            TrainingError: If it is missing or damaged.
        """
        file = self.file(step)
        try:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            version, found = state["format"], state["step"]
        except Exception as error:  # what a damaged file raises depends on where it is damaged
            raise TrainingError(
                f"{display(file)}: cannot be read ({reason(error)}); remove it from {_INDEX}, to "
                "go on from an earlier one, or start anew"
            ) from error
        if version != FORMAT_VERSION or found != step:
            raise TrainingError(
                f"{display(file)}: got format {version} and step {found}, expected "
                f"{FORMAT_VERSION} and {step}; it is another version's or has been renamed"
            )
        return state


def random_states() -> dict[str, Any]:
    """The states of all global random generators, as tensors and plain values.

    Nothing of vicl draws from them; a dataset or tracker of the user's may.
    """
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": (str(kind), [int(k) for k in keys], int(position), int(has_gauss), float(cached)),
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Bring all global random generators to saved states."""
    torch.set_rng_state(states["torch"])
    saved: list[Tensor] = states["cuda"]
    if torch.cuda.is_available() and len(saved) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(saved)
    random.setstate(states["python"])
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
