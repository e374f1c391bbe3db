"""The benchmark of clicks and boxes runs from its own command line, on a few objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.test_benchmarks import run

from segmenting import CLICKS, clicked, next_click
from vicl.engine import Candidates, MaskPrompt


@pytest.mark.slow
def test_segmenting(shared: Path, tmp_path: Path) -> None:
    asked = ("--data", shared / "data", "--sources", "davis", "--objects", "1")
    done = run("segmenting.py", *asked)
    assert done.returncode == 0, done.stderr
    for name in ("default", "the box", "random walker", "flood fill", "encoding"):
        assert name in done.stdout
    sheet = tmp_path / "sheet.jpg"
    done = run("segmenting_sheet.py", "--out", sheet, "--rows", "1", "--grid", "2")
    assert done.returncode == 0, done.stderr
    with Image.open(sheet) as drawn:
        assert drawn.width > 6 * 160


def test_simulated_clicks_go_to_the_largest_error() -> None:
    wanted = np.zeros((40, 60), bool)
    wanted[10:30, 10:50] = True
    assert next_click(np.zeros_like(wanted), wanted)[1] == 1
    (x, _), label = next_click(wanted | (np.arange(60) >= 40), wanted)
    assert label == 0
    assert x > 44
    answers = iter((wanted & (np.arange(60) < 30), wanted))

    def ask(prompt: MaskPrompt) -> Candidates:
        answer = next(answers)
        return Candidates(np.stack([answer, wanted]), np.array([0.9, 0.5], np.float32))

    best, first, needed = clicked(ask, wanted)
    assert needed == 2
    assert first[:2] == [0.5, 1]
    assert best[:2] == [1, 1]
    assert len(first) >= max(CLICKS)
