"""Work in processes that may die of it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from vicl.figures.arxiv.workers import Bounds, Died, run_each

BOUNDS = Bounds(seconds=60, memory=1 << 30, file=1 << 20)


def work(item: str) -> str:
    """What tests ask of a process."""
    what, _, rest = item.partition(" ")
    if what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "exit":
        os._exit(3)
    elif what == "raise":
        raise KeyError("no such thing")
    elif what == "memory":
        bytearray(1 << 31)
    elif what == "hang":
        time.sleep(600)
    elif what == "once":  # as where several together have too little memory
        if not Path(rest).exists():
            Path(rest).touch()
            os._exit(9)
    elif what == "file":
        Path(rest).write_bytes(bytes(2 << 20))
    elif what == "full":
        raise ValueError("nothing can be written") from OSError(28, "No space left on device")
    return f"did {what}"


def found(items: list[str], *, workers: int = 2, bounds: Bounds = BOUNDS) -> dict[str, str]:
    results = run_each(work, items, workers=workers, bounds=bounds)
    return {item: f"died: {one.how}" if isinstance(one, Died) else one for item, one in results}


@pytest.mark.slow
def test_what_dies_is_tried_again_alone(tmp_path: Path) -> None:
    once, large = f"once {tmp_path / 'tried'}", f"file {tmp_path / 'large'}"
    items = [once, "segfault", "a", "exit", "raise", "memory", large, "b"]
    assert found(items) == {
        once: "did once",
        "segfault": "died: its process died (by SIGSEGV)",
        "a": "did a",
        "exit": "died: its process died (with exit code 3)",
        "raise": "died: KeyError: 'no such thing'",
        "memory": "died: ran out of memory",
        large: "died: OSError: File too large",
        "b": "did b",
    }
    assert found([]) == {}


@pytest.mark.slow
def test_what_takes_too_long_is_ended() -> None:
    bounds = Bounds(seconds=5, memory=1 << 30, file=1 << 20)
    assert found(["hang", "a"], bounds=bounds) == {"hang": "died: took over 5 s", "a": "did a"}


@pytest.mark.slow
def test_a_full_disk_ends_all() -> None:
    with pytest.raises(OSError, match="nothing can be written"):
        found(["full", "a"], workers=1)


@pytest.mark.slow
def test_fresh_processes_take_over() -> None:
    items = [str(number) for number in range(120)]
    assert found(items, workers=1) == {item: f"did {item}" for item in items}
