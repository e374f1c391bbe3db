"""`vicl figures tokenize`: what a person types, and the whole path to a trained model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tests.training.data.test_named_shards import write_pictures
from tests.training.runs import plain, tokenizer, write

from vicl.cli.figures import figures


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tokenizer(Path("tokenizer"))


ARGUMENTS = [
    *("tokenize", "s-{0..1}.tar", "--tokenizer", "tokenizer", "--size", "32"),
    *("--crops", "2", "--precision", "fp32", "--device", "cpu"),
]


def test_what_is_printed_is_a_part_of_a_recipe(tmp_path: Path) -> None:
    write_pictures(tmp_path, [range(3), range(3, 5)])
    done = CliRunner().invoke(figures, [*ARGUMENTS, "-o", "named", "--no-flip"])
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "s-0.tar: 0002.png" in done.stderr
    counts, _, said = done.stdout.partition("in a recipe:\n\n")
    assert counts == "images: 4, left out 1\n"
    part = yaml.safe_load(said)
    source = {"kind": "shards", "urls": "named/s-{0..1}.tar", "samples": 4, "codes": True}
    assert part["data"]["train"] == source
    assert part["data"]["augmentation"]["flip"] is False
    assert part["target_precision"] == "fp32"
    wrong = CliRunner().invoke(figures, [*ARGUMENTS, "-o", "other", "--scale", "0.5", "2"])
    assert wrong.exit_code == 2
    assert "scale" in wrong.stderr
    odd = CliRunner().invoke(figures, [*ARGUMENTS, "-o", "other", "--size", "30"])
    assert odd.exit_code == 1
    assert "expected multiples of 4" in odd.stderr


@pytest.mark.slow
def test_from_shards_to_a_model(tmp_path: Path) -> None:
    write_pictures(tmp_path, [range(3, 300), range(300, 400)])
    vicl = [sys.executable, "-m", "vicl"]
    command = [*vicl, "figures", *ARGUMENTS]
    # Killed after its first shard, and gone on with by another number of processes.
    with subprocess.Popen([*command, "-o", "named"]) as run:
        until = time.monotonic() + 120
        done_with = Path("named/shards.jsonl")
        while not (done_with.exists() and done_with.stat().st_size) and time.monotonic() < until:
            time.sleep(0.01)
        run.kill()
    assert not Path("named/index.json").exists()
    first = Path("named/s-0.tar").stat().st_mtime_ns
    for out in ("named", "anew"):
        workers = ["--workers", "2" if out == "named" else "1", "--json", "-o", out]
        done = subprocess.run([*command, *workers], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["images"] == 397
    assert Path("named/s-0.tar").stat().st_mtime_ns == first
    for shard in ("s-0.tar", "s-1.tar"):
        assert Path("named", shard).read_bytes() == Path("anew", shard).read_bytes()
    source = {"kind": "shards", "urls": "named/s-{0..1}.tar", "samples": 397, "codes": True}
    data = {"train": source, "held_out": {"sources": "s-1.tar"}, "workers": 1}
    recipe = plain(tmp_path, "mae-vqgan", data=data, schedule={"epochs": 1})
    file = write(recipe, tmp_path / "recipe.yaml")
    estimate = subprocess.run(
        [*vicl, "train", str(file), "--dry-run"], capture_output=True, text=True, check=True
    )
    assert "codes named beforehand" in estimate.stdout
    assert "to name the targets" not in estimate.stdout
    subprocess.run([*vicl, "train", str(file), "-o", "run"], check=True)
    lines = [json.loads(line) for line in Path("run/log.jsonl").read_text().splitlines()]
    assert any("held_out_loss" in line for line in lines)
    refused = subprocess.run(
        [*vicl, "train", str(file), "-o", "other", "--set", "target_precision=bf16"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert "precision fp32, the recipe says bf16" in refused.stderr
