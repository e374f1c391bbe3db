"""`vicl figures filter`, `train-filter` and `label`: what a person types, and what comes of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from tests.figures.arxiv.pages import bare_filter, extract, grid, scores_of, text

from vicl.cli.figures import figures
from vicl.figures.arxiv.filtering.figure_filter import FigureFilter
from vicl.figures.arxiv.filtering.labels import Label, write_labels
from vicl.files.journal import complete_lines


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def vicl_figures(*arguments: str) -> Result:
    return CliRunner().invoke(figures, arguments)


def test_what_is_missing_is_named() -> None:
    for arguments, said in (
        (("filter", "nowhere"), "nowhere: has no figures.jsonl"),
        (
            ("filter", "nowhere", "--filter", "mine"),
            "mine/config.json: no such file, so this is no filter",
        ),
        (("train-filter", "labels.csv", "-o", "mine"), "labels.csv: no such file"),
    ):
        result = vicl_figures(*arguments)
        assert result.exit_code == 1, result.output
        assert said in result.stderr
    result = vicl_figures("label", ".", "-o", "labels.csv", "--no-browser")
    assert result.exit_code == 2
    assert "no figures" in result.stderr


def test_a_filter_of_an_encoder_that_is_not_here() -> None:
    extract(Path("figures"))
    bare_filter(Path("mine"))
    result = vicl_figures("filter", "figures", "--filter", "mine")
    assert result.exit_code == 1
    assert "features of none" in result.stderr
    assert "train-filter" in result.stderr


@pytest.mark.slow
def test_the_filter_of_the_package_whatever_the_workers() -> None:
    files = extract(Path("figures"), count=6)
    (Path("figures") / files[5]).write_bytes(b"no picture")
    result = vicl_figures("filter", "figures", "--threshold", "0.5")
    assert result.exit_code == 0, result.stderr
    assert "figures: 6 (scored 5, unreadable 1)" in result.stdout
    assert files[5] in result.stderr
    scores = scores_of(Path("figures"))
    assert min(scores[files[0]], scores[files[2]]) > max(scores[files[1]], scores[files[3]])
    written = Path("figures/scores.jsonl").read_bytes()
    Path("figures/scores.jsonl").unlink()
    again = vicl_figures("filter", "figures", "--workers", "2", "--json")
    counts = json.loads(again.stdout)
    assert (counts["scored"], counts["unreadable"], counts["new"]) == (5, 1, 6)
    assert Path("figures/scores.jsonl").read_bytes() == written


@pytest.mark.slow
def test_a_filter_of_ones_own() -> None:
    labels = []
    for number in range(24):
        path = Path(f"images/{number}.png")
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(text(number) if number % 2 else grid(number)).save(path)
        labels.append(Label(path, number % 2 == 0, f"paper{number // 2}"))
    write_labels(Path("labels.csv"), [*labels, Label(Path("images/gone.png"), True)])
    result = vicl_figures("train-filter", "labels.csv", "-o", "mine")
    assert result.exit_code == 0, result.stderr
    assert "gone.png" in result.stderr
    assert "| 0.50 | 1.000 [1.000, 1.000] | 1.000 [1.000, 1.000] | 12/24 |" in result.stdout
    assert "24 labelled figures of 12 papers" in Path("mine/README.md").read_text()
    assert FigureFilter.open(Path("mine")).config.features == 1280
    assert Path("mine/model.safetensors").stat().st_size < 200_000
    files = extract(Path("figures"))
    scored = vicl_figures("filter", "figures", "--filter", "mine")
    assert "score of at least 0.5: 2 (50.0%)" in scored.stdout, scored.output
    assert scores_of(Path("figures"))[files[0]] > 0.9
    refused = vicl_figures("train-filter", "labels.csv", "-o", "mine")
    assert refused.exit_code == 1
    assert "overwrite" in refused.stderr


@pytest.mark.slow
def test_a_run_that_is_killed_is_gone_on_with() -> None:
    extract(Path("figures"), count=16)
    journal = Path("figures/scoring.jsonl")
    command = [sys.executable, "-m", "vicl", "figures", "filter", "figures", "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
        while not journal.exists() or len(complete_lines(journal)) < 2:
            assert run.poll() is None
            time.sleep(0.01)
        run.kill()
    left = len(complete_lines(journal))
    assert not Path("figures/scores.jsonl").exists()
    again = vicl_figures("filter", "figures", "--json")
    assert json.loads(again.stdout)["new"] == 16 - left
    written = Path("figures/scores.jsonl").read_bytes()
    Path("figures/scores.jsonl").unlink()
    assert json.loads(vicl_figures("filter", "figures", "--json").stdout)["new"] == 16
    assert Path("figures/scores.jsonl").read_bytes() == written
