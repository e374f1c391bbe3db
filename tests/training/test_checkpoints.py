"""Checkpoints: whole or not there, rotated, the best kept, nothing unpickled."""

from __future__ import annotations

import errno
import json
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vicl.training.checkpoints import (
    CheckpointFolder,
    Index,
    TrainingError,
    random_states,
    set_random_states,
)


def state(value: float) -> dict[str, Any]:
    return {"weights": {"a": torch.full((3,), value)}, "seconds": value}


def test_the_newest_and_the_best_stay(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=2)
    assert folder.index() == Index(steps=(), best=None, best_loss=None)
    for step, loss in ((1, 0.5), (2, 0.3), (3, None), (4, 0.4), (5, 0.6)):
        folder.save(step, state(step), loss=loss)
    assert folder.index() == Index(steps=(2, 4, 5), best=2, best_loss=0.3)
    assert sorted(p.name for p in folder.path.glob("*.pt")) == [
        folder.file(step).name for step in (2, 4, 5)
    ]
    loaded = folder.load(4)
    assert loaded["step"] == 4
    assert loaded["weights"]["a"].tolist() == [4.0] * 3


def test_a_full_disk_leaves_the_earlier_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(1, state(1))

    def full(_state: Any, stream: Any) -> None:
        stream.write(b"half a check")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(TrainingError, match=r"No space left on device.*step 1 is intact"):
            folder.save(2, state(2))
    assert folder.index().steps == (1,)
    assert folder.load(1)["seconds"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints.json", folder.file(1).name]


def test_what_a_killed_process_left_is_cleaned(tmp_path: Path) -> None:
    """A half-written file, and a checkpoint that the index does not know yet."""
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(1, state(1))
    (tmp_path / ".vicl-0123.tmp").write_bytes(b"half")
    folder.file(7).write_bytes(b"unknown")
    assert folder.index().steps == (1,)
    folder.save(2, state(2))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints.json", folder.file(2).name]


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=3)
    folder.save(1, state(1))
    data = folder.file(1).read_bytes()
    folder.file(1).write_bytes(data[: len(data) // 2])
    with pytest.raises(TrainingError, match=r"step-000000001\.pt: cannot be read"):
        folder.load(1)
    folder.save(2, state(2))
    folder.file(2).rename(folder.file(3))
    with pytest.raises(TrainingError, match="got format 1 and step 2"):
        folder.load(3)
    (tmp_path / "checkpoints.json").write_text("{}")
    with pytest.raises(TrainingError, match="damaged"):
        folder.index()


class Attack:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("run-by-a-checkpoint"),)


def test_nothing_in_a_checkpoint_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = CheckpointFolder(tmp_path, keep=3)
    torch.save({"format": 1, "step": 1, "evil": Attack()}, folder.file(1))
    folder.file(2).write_bytes(pickle.dumps({"format": 1, "step": 2, "evil": Attack()}))
    for step in (1, 2):
        with pytest.raises(TrainingError, match="cannot be read"):
            folder.load(step)
    assert not (tmp_path / "run-by-a-checkpoint").exists()


def test_random_states_go_through_a_file(tmp_path: Path) -> None:
    """All global generators continue as if nothing had been in between."""

    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002

    # Brought to a state first, since the type checker of the tests draws from `random`, too.
    before = random_states()
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(1, {"random": [before]})
    set_random_states(before)
    expected = draw()
    draw()
    set_random_states(folder.load(1)["random"][0])
    assert draw() == expected
    set_random_states(before)
    assert json.loads((tmp_path / "checkpoints.json").read_text())["steps"] == [1]
