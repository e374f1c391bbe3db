"""The benchmarks run from their own command lines, on a few episodes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_resolution(shared: Path) -> None:
    done = run("resolution.py", "--data", shared / "data", "--count", "1", "--engine", "identity")
    assert done.returncode == 0, done.stderr
    assert "guided" in done.stdout


@pytest.mark.slow
def test_human_edges(shared: Path) -> None:
    done = run("human_edges.py", "--data", shared / "data", "--images", "4")
    assert done.returncode == 0, done.stderr
    assert "4 images" in done.stdout
    value = float(done.stdout.split("F ")[1].split()[0])
    assert 0.65 < value < 0.9


@pytest.mark.parametrize("script", ["human_edges.py", "resolution.py", "fit_trust.py"])
def test_absent_data_are_named(script: str, tmp_path: Path) -> None:
    done = run(script, "--data", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_demo(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vicl", "demo", "--output", str(tmp_path / "demo.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "segmentation" in done.stdout
    assert (tmp_path / "demo.png").stat().st_size > 100_000


@pytest.mark.slow
def test_synthetic(tmp_path: Path) -> None:
    few = ("--seconds", "0.3", "--rounds", "1", "--processes", "1", "--batch", "4")
    done = run("synthetic.py", *few, "--no-rules", "--out", tmp_path / "rates.json")
    assert done.returncode == 0, done.stderr
    rates = json.loads((tmp_path / "rates.json").read_text())["rates"]
    assert {"grids", "pages", "shipped mixture, 1 process"} <= rates.keys()
    assert min(rates.values()) > 1
