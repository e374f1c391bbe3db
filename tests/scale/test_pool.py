"""Several processes answer as one does, whatever becomes of them."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_cli import SEGMENT, vicl
from tests.cli.test_endings import process
from tests.scale.deadly import POISON, SLOW, Deadly
from tests.scale.test_shards import files

from vicl.prompting.prompter import VisualPrompter
from vicl.scale.asking import WorkerDiedError
from vicl.scale.pool import Pool


def prompter(mark: Path | None = None) -> VisualPrompter:
    grey = np.full((8, 8, 3), 99, np.uint8)
    return VisualPrompter(Deadly(None if mark is None else str(mark)), [(grey, grey)])


def pictures(folder: Path, *colours: tuple[int, int, int]) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(len(colours))]
    for path, colour in zip(paths, colours, strict=True):
        Image.new("RGB", (8, 8), colour).save(path)
    return paths


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    for _ in range(50):
        if not children.exists() or "vicl.scale" not in children.read_text():
            return
        time.sleep(0.1)


@pytest.mark.slow
def test_order_errors_and_deaths(tmp_path: Path) -> None:
    colours = [(n, 9, 9) for n in range(9)]
    colours[0], colours[2], colours[5] = SLOW, POISON, POISON
    asked: list[Path] = pictures(tmp_path, *colours)
    asked[3] = tmp_path / "missing.png"
    failed: list[tuple[Path, Exception]] = []
    with Pool(prompter(), 2) as pool:
        found = [(a.index, a.source) for a in pool.map(asked, lambda q, e: failed.append((q, e)))]
        assert found == [(n, asked[n]) for n in (0, 1, 4, 6, 7, 8)]
        assert [query for query, _ in failed] == [asked[n] for n in (2, 3, 5)]
        assert isinstance(failed[0][1], WorkerDiedError)
        assert "2.png: 2 processes that were to answer it died (by SIGKILL)" in str(failed[0][1])
        assert "no such file" in str(failed[1][1])
        # It answers again, also where somebody else killed all of them.
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert len(list(pool.map(asked[:2], lambda *_: None))) == 2
        # A run that is left early leaves no answer to the next one.
        assert next(iter(pool.map([asked[1], asked[0], asked[8]], lambda *_: None))).index == 0
        left = list(pool.map([asked[7], asked[6]], lambda *_: None))
        assert [np.asarray(answer.image)[0, 0, 0] for answer in left] == [248, 249]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_a_process_that_is_killed_once_loses_nothing(tmp_path: Path, workers: int) -> None:
    mark = tmp_path / "mark"
    asked = pictures(tmp_path, (1, 1, 1), POISON, (3, 3, 3), (4, 4, 4))
    with Pool(prompter(mark), workers) as pool:
        found = list(pool.map(asked, lambda query, error: pytest.fail(str(error))))
    assert mark.exists()
    assert [answer.index for answer in found] == [0, 1, 2, 3]
    assert [np.asarray(answer.image)[0, 0, 0] for answer in found] == [254, 0, 252, 251]


@pytest.mark.slow
@pytest.mark.parametrize("more", [("--overlay", "--count"), ("--format", "coco")])
def test_every_byte_is_the_same_whatever_the_number(work: Path, more: tuple[str, ...]) -> None:
    Path("s-0/bad.png").write_bytes(b"broken")
    said, written = [], []
    for count in (1, 2, 3):
        out = f"out-{count}"
        shown = (*SEGMENT, "--model", "matching", *more, "--json", "s-0", "s-1", "-o", f"{out}/")
        done = vicl(*shown, "--workers", str(count))
        assert done.exit_code == 1, done.stderr
        said.append(done.stdout.replace(out, "out"))
        written.append(files(Path(out)))
    assert said[0] == said[1] == said[2]
    assert written[0] == written[1] == written[2]
    rows = [json.loads(line) for line in said[0].splitlines()]
    assert [row["query"] for row in rows if "error" in row] == ["s-0/bad.png"]


@pytest.mark.slow
def test_a_killed_worker_ctrl_c_and_going_on(work: Path) -> None:
    expected = vicl(*SEGMENT, "--model", "copy", "s-0", "s-1", "-o", "alone", "--workers", "1")
    assert expected.exit_code == 0
    command = (*SEGMENT, "--model", "copy", "s-0", "s-1", "-o", "out", "--workers", "2")
    with process(*command) as running:
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=120)
    assert running.returncode in (0, 130)
    assert "Traceback" not in said
    assert vicl(*command, "--skip-existing").exit_code == 0
    assert files(Path("out")) == files(Path("alone"))
