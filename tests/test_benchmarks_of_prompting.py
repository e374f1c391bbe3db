"""The benchmarks of prompting run from their own command lines, on a few episodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.models.kinds import tiny
from tests.test_benchmarks import run

from vicl.models.mae_vqgan import MAEVQGAN
from vicl.models.pretrained import save_folder


@pytest.mark.slow
def test_selection(shared: Path) -> None:
    done = run("selection.py", "--rows", "300", "--queries", "2")
    assert done.returncode == 0, done.stderr
    assert "mapped, exact" in done.stdout
    few = ("--episodes", "1", "--images", "12", "--model", "copy", "--encoder", "handmade")
    done = run("selection.py", "--data", shared / "data", *few)
    assert done.returncode == 0, done.stderr
    assert "nearest, copied" in done.stdout


@pytest.mark.slow
def test_views(shared: Path, tmp_path: Path) -> None:
    model, sheet = tmp_path / "tiny", tmp_path / "views.png"
    save_folder(MAEVQGAN(tiny()), model)
    few = ("--episodes", "2", "--examples", "2", "--model", model, "--sheet", sheet)
    done = run("views.py", "--data", shared / "data", *few)
    assert done.returncode == 0, done.stderr
    for way in ("one view", "8 arrangements: product", "agree 0.9", "2 examples: mean of features"):
        assert way in done.stdout
    assert sheet.exists()


@pytest.mark.slow
def test_what_is_learned_in_the_study(tmp_path: Path) -> None:
    few = ("--tasks", "size", "--pairs", "12", "--queries", "3")
    border = ("--border", "epochs=1", "batch=4", "restart=1")
    vectors = ("--vectors", "tried=4", "recorded=2", "iterations=2", "samples=2", "images=2")
    for times in (1, 2):  # the second time nothing is learned
        done = run("learned_in_study.py", "--output", tmp_path, *few, *border, *vectors)
        assert done.returncode == 0, done.stderr
        assert ("learned in" in done.stdout) == (times == 1)
        for named in ("one example, border", "task vectors", "Copy"):
            assert named.split()[-1] in done.stdout
    assert (tmp_path / "answers.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_page_of_remedies(tmp_path: Path) -> None:
    done = run("prompting_sheet.py", "--out", tmp_path / "page.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "page.png") as page:
        assert page.width > 1000
        assert np.asarray(page.convert("L")).std() > 40
