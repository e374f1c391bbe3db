"""`vicl figures dedup`, `hash`, `pack`, `stats`: what a person types, and what comes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image, ImageOps
from tests.figures.arxiv.extracts import texture, write_extract
from tests.figures.arxiv.test_duplicates import in_this_process

from vicl.cli.figures import figures
from vicl.figures.arxiv.dataset import duplicates, hash_table, packing
from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.images import save_image


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (duplicates, hash_table, packing):
        monkeypatch.setattr(module, "run_each", in_this_process)


def vicl_figures(*arguments: str) -> Result:
    return CliRunner().invoke(figures, arguments)


@pytest.mark.usefixtures("quick")
def test_from_figures_to_shards() -> None:
    pictures = {f"1502.{n:05d}": [texture(n), texture(n + 100)] for n in range(1, 13)}
    pictures["2203.00001"] = [ImageOps.mirror(texture(2)), texture(3), texture(50)]
    write_extract(Path("figures"), pictures)
    save_image(texture(50), "evaluation/a/picture.bmp")
    Path("evaluation/broken.png").write_bytes(b"no picture")

    hashed = vicl_figures("hash", "evaluation", "-o", "hashes.csv")
    assert hashed.exit_code == 1
    assert "evaluation/broken.png" in hashed.stderr
    assert hashed.stdout == "hashed: 1, cannot be read: 1\nhashes.csv\n"

    for place in ("hashes.csv", "evaluation"):
        found = vicl_figures("dedup", "figures", "--exclude", place)
        assert found.exit_code == (0 if place == "hashes.csv" else 1), found.stderr
        assert "figures: 27, kept 24\n" in found.stdout
        assert "left out: 3 (copy 1, exact 1, excluded 1)\n" in found.stdout
        assert found.stdout.endswith("figures/duplicates.jsonl\n")
    assert "evaluation/broken.png: is not excluded" in found.stderr

    packed = vicl_figures("pack", "figures", "-o", "shards", "--validation", "0.3")
    assert packed.exit_code == 0, packed.stderr
    assert "left out: 3 (copy 1, exact 1, excluded 1)\n" in packed.stdout
    recipe = yaml.safe_load(packed.stdout.partition("in a recipe:\n")[2])
    train, held_out = recipe["data"]["train"], recipe["data"]["held_out"]["sources"]
    assert train["urls"] == "shards/train-000000.tar"
    assert train["samples"] + held_out["samples"] == 24

    page = vicl_figures("stats", "figures", "-o", "page.html", "--shards", "shards")
    assert page.exit_code == 0, page.stderr
    assert "figures: 27 of 13 papers, 0 captioned\n" in page.stdout
    assert Path("page.html").read_text().startswith("<!doctype html>")


@pytest.mark.usefixtures("quick")
def test_counts_as_json() -> None:
    write_extract(Path("figures"), {"1502.00001": [texture(1), texture(1)]})
    commands = (
        ("dedup", "figures"),
        ("hash", "figures", "-o", "h.csv"),
        ("pack", "figures", "-o", "shards"),
        ("stats", "figures"),
    )
    said = {}
    for command in commands:
        result = vicl_figures(*command, "--json")
        assert result.exit_code == 0, result.stderr
        said[command[0]] = json.loads(result.stdout)
    assert said["dedup"]["counts"] == {"exact": 1}
    assert said["hash"] == {"hashed": 2, "faults": {}}
    assert said["pack"]["dropped"] == {"exact": 1}
    assert said["stats"]["figures"] == 2


def test_what_is_no_extract_is_refused() -> None:
    Path("figures").mkdir()
    for command in (("dedup", "figures"), ("pack", "figures", "-o", "out"), ("stats", "figures")):
        result = vicl_figures(*command)
        assert result.exit_code == 1
        assert "figures: has no figures.jsonl" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not Path("out").exists()


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "vicl", "figures", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _killed(when: Path, least: int, *arguments: str) -> None:
    """Run a command, and kill it when so much is there."""
    running = _start(*arguments)
    while running.poll() is None:
        there = when.stat().st_size if when.is_file() else len(list(when.glob("*.tar")))
        if there >= least:
            break
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL, running.stderr.read()
    running.communicate()


def _written(folder: str) -> dict[str, bytes]:
    files = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_a_kill_loses_and_doubles_nothing() -> None:
    """Two processes and several kills, against one process and none."""
    pictures = {
        f"1502.{n:05d}": [texture(10 * n + k if k < 4 else k, (240, 160)) for k in range(6)]
        for n in range(1, 61)
    }
    write_extract(Path("one"), pictures)
    write_extract(Path("two"), pictures)
    ran = _start("dedup", "one")
    assert ran.wait() == 0, ran.stderr.read()
    ran.communicate()
    for least in (20_000, 200_000):
        _killed(Path("two/hashes.jsonl"), least, "dedup", "two", "--workers", "2")
        assert not Path("two/duplicates.jsonl").exists()
    again = _start("dedup", "two", "--workers", "2")
    assert again.wait() == 0, again.stderr.read()
    again.communicate()
    assert _written("one") == _written("two")
    small = ("--shard-figures", "12")
    ran = _start("pack", "one", "-o", "shards", *small)
    assert ran.wait() == 0, ran.stderr.read()
    ran.communicate()
    for least in (2, 7):
        _killed(Path("cut"), least, "pack", "two", "-o", "cut", "--workers", "2", *small)
        assert not Path("cut/index.json").exists()
    again = _start("pack", "two", "-o", "cut", "--workers", "2", *small)
    assert again.wait() == 0, again.stderr.read()
    again.communicate()
    assert _written("shards") == _written("cut")
    assert len(_written("cut")) > 15


@pytest.mark.slow
def test_training_on_packed_figures() -> None:
    """From figures to a trained model by commands alone."""
    source = SyntheticFigures(size=64, patch_size=8, seed=3)
    pictures = {
        f"1502.{n:05d}": [Image.fromarray(source.figure(8 * n + k).image) for k in range(8)]
        for n in range(1, 25)
    }
    write_extract(Path("figures"), pictures)
    for arguments in (
        ("dedup", "figures", "--workers", "2"),
        ("pack", "figures", "-o", "shards", "--shard-figures", "50", "--validation", "0.2"),
    ):
        ran = _start(*arguments)
        assert ran.wait() == 0, ran.stderr.read()
        said = ran.communicate()[0].decode()
    data = yaml.safe_load(said.partition("in a recipe:\n")[2])["data"]
    assert "{000000..00000" in data["train"]["urls"]
    settings = {
        "data.train": json.dumps(data["train"]),
        "data.held_out": json.dumps(data["held_out"]),
        "schedule.steps": "30",
        "batch.size": "16",
        "evaluation.every": "30",
        "checkpoints.every": "30",
        "log.every": "10",
    }
    given = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "vicl", "train", "smoke", "-o", "run", "--device", "cpu"]
    ran = subprocess.Popen([*command, *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ran.wait() == 0, ran.stderr.read()
    ran.communicate()
    log = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < losses[0]
    assert all(line["broken_images"] == 0 for line in log if "loss" in line)
    assert any("held_out_loss" in line for line in log)
