"""`vicl tune`, `vicl classify` and `vicl evaluate classification`, on toys."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from tests.cli.test_cli import vicl
from tests.tuning.toys import ToyBackbone, squares, toy

__all__ = ["toy"]
SMALL = ("--set", "epochs=8", "--set", "batch=8", "--set", "lr=3")


@pytest.fixture
def data(toy: ToyBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return squares(tmp_path / "data", {"train": 6, "val": 2, "test": 3})


def test_from_images_to_labels(data: Path) -> None:
    """Learn, print the accuracy last, classify as JSON, CSV and text, and score."""
    words = ("--backbone", "toy", "--data", "data", "--device", "cpu", *SMALL)
    done = vicl("tune", "linear", *words, "-o", "run")
    assert done.exit_code == 0, done.output
    *_, folder, last = done.stdout.splitlines()
    assert folder == "run/prompt"
    assert re.fullmatch(r"accuracy 1.000 \[1.000, 1.000\] on 9 test images", last)
    (data / "test/red/00.png").write_bytes(b"broken")

    ask = ("classify", "data/test", "--prompt", "run", "--device", "cpu")
    found = vicl(*ask, "--format", "json")
    assert found.exit_code == 1
    assert "data/test/red/00.png" in found.stderr
    assert "8 answered, 1 failed" in found.stderr
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(rows) == 8
    assert all(row["label"] == Path(row["image"]).parent.name for row in rows)
    assert vicl(*ask, "--format", "csv", "-o", "labels.csv").exit_code == 1
    table = list(csv.DictReader(Path("labels.csv").read_text().splitlines()))
    assert table[0].keys() == {"image", "label", "score", "blue", "green", "red"}
    assert [row["label"] for row in table] == [row["label"] for row in rows]
    plain = vicl("classify", "data/test/blue/01.png", "--prompt", "run/prompt")
    assert plain.exit_code == 0
    assert plain.stdout.startswith("data/test/blue/01.png\tblue\t0.")

    scored = vicl(
        *("evaluate", "classification", "--data", "data", "--prompt", "run"),
        *("--device", "cpu", "-o", "out"),
    )
    assert scored.exit_code == 1, scored.output
    assert scored.stdout.startswith("run: accuracy 1.000 [1.000, 1.000], mean per-class accuracy")
    assert "skipped: data/test/red/00.png" in scored.stderr
    results = json.loads(Path("out/results.json").read_text())["results"]["run"]
    assert results["accuracy"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 8}
    assert results["classes"]["red"]["n"] == 2
    assert "## run" in Path("out/results.md").read_text()


def test_a_search_and_a_second_run(data: Path) -> None:
    words = ("tune", "linear", "--backbone", "toy", "--data", "data", "-o", "run", *SMALL)
    done = vicl(*words, "--search", "2", "--shots", "2", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "of 2 runs the best in validation: lr=3, weight_decay=" in done.stderr
    again = vicl(*words, "--search", "2", "--shots", "2")
    assert again.exit_code == 1
    assert "run: has a run in it; go on with it by --resume" in again.stderr
    resumed = vicl(*words, "--search", "2", "--shots", "2", "--device", "cpu", "--resume")
    assert resumed.stdout == done.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nothing",), 2, "method: got 'nothing', expected one of linear"),
        (("linear", "--set", "rate=1"), 2, "--set rate: there is no such key"),
        (("linear", "--search", "soon"), 2, "--search: got 'soon'"),
        (("linear", "--backbone", "gone"), 1, "backbone: got 'gone'"),
        (("linear", "--data", "nowhere"), 1, "nowhere: is no folder"),
    ],
)
def test_what_is_wrong_with_tune_is_named(
    data: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    done = vicl("tune", "--backbone", "toy", "--data", "data", "-o", "run", *words)
    assert done.exit_code == code
    assert message in done.stderr
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give --prompt DIR, or --classes NAME,... and --backbone"),
        (("--classes", "a,b"), "give --prompt DIR, or --classes"),
        (("--prompt", "run", "--classes", "a,b"), "--classes does not go with --prompt"),
        (("--prompt", "run", "--template", "a {}"), "--template does not go with --prompt"),
        (("--prompt", "nowhere"), "nowhere: is no saved prompt"),
        (("--classes", "a,b", "--backbone", "toy", "--method", "no"), "method: got 'no'"),
    ],
)
def test_what_is_wrong_with_classify_is_named(
    data: Path, words: tuple[str, ...], message: str
) -> None:
    done = vicl("classify", "data/test", *words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_method_without_training_is_asked_by_the_names(data: Path) -> None:
    """`--method` of one that needs words would be zero-shot; the toy stands for it here."""
    words = ("--method", "toy", "--backbone", "toy", "--device", "cpu")
    asked = vicl("classify", "data/test", "--classes", 'red,"blue, dark"', *words)
    assert asked.exit_code == 0, asked.output
    assert {line.split("\t")[1] for line in asked.stdout.splitlines()} <= {"red", "blue, dark"}
    wrong = vicl("classify", "data/test", "--classes", "red,blue", "--template", "a {}.", *words)
    assert wrong.exit_code == 2
    assert "templates: there is no such key" in wrong.stderr
    scored = vicl("evaluate", "classification", "--data", "data", *words)
    assert scored.exit_code == 0, scored.output
    assert scored.stdout.startswith("toy: accuracy 0.")


def test_classes_that_a_prompt_does_not_know_are_named(data: Path) -> None:
    words = ("--backbone", "toy", "--data", "data", "--device", "cpu", "-o", "run", *SMALL)
    assert vicl("tune", "linear", *words).exit_code == 0
    (data / "test/red").rename(data / "test/pink")
    done = vicl("evaluate", "classification", "--data", "data", "--prompt", "run")
    assert done.exit_code == 2
    assert "has images of pink, which the prompt does not know; it knows blue, green, red" in (
        done.stderr
    )
