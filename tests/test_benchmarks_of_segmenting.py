"""The benchmarks of clicks and boxes run from their own command lines, on a few objects."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.test_benchmarks import run

from fit_borders import Answer, fit, main, table
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


@pytest.mark.slow
def test_fit_borders(shared: Path) -> None:
    few = ("--clothes", "2", "--things", "1")
    done = run("fit_borders.py", "--data", shared / "data", *few)
    assert done.returncode == 0, done.stderr
    for name in ("squared error", "5 clicks", "scribbles", "best", "_BASE, _OWN, _BORDER = "):
        assert name in done.stdout


def test_fit_borders_names_absent_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fit_borders.py", "--data", str(tmp_path / "nowhere")])
    assert main() == 2
    assert "nowhere" in capsys.readouterr().err


def test_borders_are_weighed_as_they_tell(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    answers = []
    for kind in ("1 click", "box"):
        for own, border in rng.random((20, 2, 3)):
            answers.append(Answer(kind, own, border, 0.1 + 0.4 * own + 0.4 * 0.7 * border))
    fits = {ratio: fit(answers, ratio) for ratio in (0.0, 0.7)}
    assert fits[0.0].error > 0.001
    found = fits[0.7]
    assert (found.base, found.own, found.border) == pytest.approx((0.1, 0.4, 0.28))
    assert found.error == pytest.approx(0)
    Console(width=120).print(table(answers, fits))
    plain, right, best = (
        line.split("│") for line in capsys.readouterr().out.splitlines() if "0." in line
    )
    assert plain[6] < right[6] == best[6]
