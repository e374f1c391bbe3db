"""The processes that make batches."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vicl.training.data.loader import Batch
from vicl.training.job import Seat

SRC = Path(__file__).parents[3] / "src"

SCRIPT = """
import multiprocessing, time
from vicl.training.data.training_data import open_data
from vicl.training.job import Seat
from vicl.training.recipe.data import Data

if __name__ == "__main__":
    data = open_data(Data(train={"kind": "photos"}, workers=1), (8, 8), seed=0)
    batches = data.batches(Seat(2))
    next(batches)
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(60)
"""


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_workers_end_with_a_killed_process(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    training = subprocess.Popen(
        [sys.executable, str(tmp_path / "train.py")],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with training:
        assert training.stdout is not None
        worker = int(training.stdout.readline())
        os.kill(worker, signal.SIGINT)  # which a terminal sends to all of them
        time.sleep(1)
        assert is_running(worker)
        training.kill()
    for _ in range(100):
        if not is_running(worker):
            return
        time.sleep(0.1)
    pytest.fail("the worker is still there")


def test_seats() -> None:
    assert [Seat(4, rank=1, world=3).first(number) for number in (0, 1)] == [4, 16]
    with pytest.raises(ValueError, match="rank=3, world=3"):
        Seat(4, rank=3, world=3)


def test_batches_are_pinned_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = torch.ones(1, 3, 2, 2, dtype=torch.uint8)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned)
    hole = torch.ones(1, 2, 2, dtype=torch.bool)
    batch = Batch(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), hole, ("broken",)).pin_memory()
    assert batch.image is pinned
    assert batch.hole is hole
    assert batch.broken == ("broken",)
