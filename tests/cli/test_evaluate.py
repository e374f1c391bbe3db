"""`vicl evaluate`: what a person types, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from tests.prompting.test_prompter import scene

from vicl.cli import main
from vicl.cli.evaluate.options import RULE_SETS, RULE_SIZE, SHAPES
from vicl.evaluation.datasets.generated.rules import SETS, SIZE
from vicl.evaluation.datasets.generated.shapes import CHANGES
from vicl.evaluation.episodes import read_listing
from vicl.images import save_image, to_pil


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five photographs with masks, two of them of another class."""
    monkeypatch.chdir(tmp_path)
    for seed in range(5):
        image, mask = scene(seed)
        save_image(to_pil(image), f"data/inputs/{seed}.png")
        Path("data/targets").mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * 255).save(f"data/targets/{seed}.png")
    rows = [f"{seed},{'leaf' if seed < 3 else 'twig'}" for seed in range(5)]
    Path("data/classes.csv").write_text("\n".join(["name,class", *rows]) + "\n")
    return tmp_path


def vicl(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *arguments])


SEGMENT = ("segmentation", "--data", "data")


def test_segmentation_prints_a_table_and_fills_a_folder(work: Path) -> None:
    result = vicl(*SEGMENT, "--model", "analogies", "-o", "run", "--trained-classes", "leaf")
    assert result.exit_code == 0, result.stderr
    header = next(line for line in result.stdout.splitlines() if "identity" in line)
    assert all(name in header for name in ("copy", "identity", "analogies", "analogies - copy"))
    assert "IoU (cell), mean over classes" in result.stdout
    assert "run/index.html" in result.stderr
    found = json.loads(Path("run/results.json").read_text())
    assert found["episodes"]["scored"] == 5
    assert found["options"]["order"] == "above"
    values = found["engines"][2]["values"]["iou_cell"]
    assert f"{values['mean']:.3f} [{values['low']:.3f}, {values['high']:.3f}]" in result.stdout
    assert set(found["engines"][2]["groups"]["class"]) == {"leaf", "twig"}
    again = vicl(*SEGMENT, "--model", "analogies", "-o", "run", "--trained-classes", "leaf")
    assert again.exit_code == 2
    assert "--resume" in again.stderr
    assert "Traceback" not in again.stderr


def test_episodes_are_listed_and_replayed(work: Path) -> None:
    listed = vicl(*SEGMENT, "--seed", "3", "--list-episodes", "-")
    assert listed.exit_code == 0, listed.stderr
    assert len(read_listing(listed.stdout)) == 5
    assert vicl(*SEGMENT, "--seed", "3", "--list-episodes", "list.jsonl").stdout == ""
    assert Path("list.jsonl").read_text() == listed.stdout
    Path("short.jsonl").write_text("".join(listed.stdout.splitlines(keepends=True)[3:]))
    replayed = vicl(*SEGMENT, "--replay", "short.jsonl", "-o", "run")
    assert replayed.exit_code == 0, replayed.stderr
    assert Path("run/listing.jsonl").read_text() == Path("short.jsonl").read_text()
    both = vicl(*SEGMENT, "--replay", "short.jsonl", "--episodes", "2")
    assert both.exit_code == 2
    assert "--replay says which" in both.stderr
    other = vicl("shapes", "--replay", "short.jsonl")
    assert other.exit_code == 2
    assert "lists episodes of 'data' (segmentation), expected those of 'shapes" in other.stderr


@pytest.mark.slow
def test_a_list_with_several_examples_goes_with_a_copy_of_the_data(work: Path) -> None:
    first = vicl(*SEGMENT, "--examples", "2", "-o", "run")
    assert first.exit_code == 0, first.stderr
    Path("data").rename("moved")
    again = ("segmentation", "--data", "moved", "--replay", "run/listing.jsonl", "-o", "again")
    assert vicl(*again).exit_code == 0
    compared = vicl("compare", "run", "again")
    assert compared.exit_code == 0, compared.stderr
    assert "3 common episodes" in compared.stdout  # of the class with two others
    published = vicl(*again[:-1], "other", "--published")
    assert published.exit_code == 2
    assert "expected those of 'moved, published'" in published.stderr
    listing = Path("run/listing.jsonl")
    listing.write_text(listing.read_text().replace(".png", ".jpg", 1))
    assert "expected those of 'moved'" in vicl(*again[:-1], "other").stderr
    nothing = vicl("segmentation", "--data", "moved", "--list-episodes", "-", "-o", "x")
    assert nothing.exit_code == 2
    assert "--output" in nothing.stderr


def test_a_broken_episode_gives_code_1(work: Path) -> None:
    assert vicl(*SEGMENT, "--list-episodes", "list.jsonl").exit_code == 0
    Path("data/inputs/1.png").write_bytes(b"no picture")
    result = vicl(*SEGMENT, "--replay", "list.jsonl")
    assert result.exit_code == 1, result.stderr
    assert "of 5 episodes failed" in result.stderr


def test_what_is_not_there_is_named(work: Path) -> None:
    for arguments, words in (
        (("segmentation", "--data", "nowhere"), "nowhere"),
        ((*SEGMENT, "--model", "nothing"), "nothing"),
        ((*SEGMENT, "--resume"), "--resume goes with --output"),
        ((*SEGMENT, "--fold", "1"), "only Pascal-5i has folds"),
        (("image", "--data", "data", "--lpips", "none.safetensors"), "none.safetensors"),
        (("shapes", "--task", "taste"), "expected one of color, shape"),
        ((*SEGMENT, "--trained-classes", "@none.txt"), "none.txt"),
    ):
        result = vicl(*arguments)
        assert result.exit_code == 2, arguments
        assert words in result.stderr
        assert "Traceback" not in result.stderr


def test_shapes_have_a_folder_a_task(work: Path) -> None:
    arguments = ("--task", "color", "--task", "size", "--episodes", "2", "-o", "run")
    result = vicl("shapes", *arguments)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in Path("run").iterdir()) == ["color", "size"]
    found = json.loads(Path("run/size/results.json").read_text())
    assert found["options"]["examples"] == 2
    assert found["metrics"][0]["name"] == "color_aware_iou"
    extended = vicl("shapes", "--episodes", "1", "--extended", "--list-episodes", "-")
    assert len({episode.dataset for episode in read_listing(extended.stdout)}) == 10


def test_the_help_names_the_study_and_the_rules_as_they_are() -> None:
    assert SHAPES == CHANGES
    assert RULE_SETS == SETS
    assert RULE_SIZE == SIZE


@pytest.mark.slow
def test_rules_have_a_folder_a_set_and_a_table(work: Path) -> None:
    small = ("rules", "--size", "32")
    result = vicl(*small, "--episodes", "1", "-o", "run")
    assert result.exit_code == 0, result.stderr
    names = sorted(path.name for path in Path("run").iterdir())
    assert names == ["content", "rules.json", "rules.md", "seen", "unseen"]
    found = json.loads(Path("run/unseen/results.json").read_text())
    assert found["metrics"][0]["name"] == "psnr_gain"
    assert [engine["name"] for engine in found["engines"]] == ["copy", "identity", "analogies"]
    table = json.loads(Path("run/rules.json").read_text())
    assert sum(row["episodes"] for row in table) == 3
    assert all(row["rule"] in Path("run/rules.md").read_text() for row in table)
    again = vicl(*small, "--replay", "run/seen/listing.jsonl", "-o", "again")
    assert again.exit_code == 0, again.stderr
    ours = json.loads(Path("run/seen/results.json").read_text())
    theirs = json.loads(Path("again/seen/results.json").read_text())
    assert [e["values"] for e in ours["engines"]] == [e["values"] for e in theirs["engines"]]
    compared = vicl("compare", "run/seen", "again/seen")
    assert compared.exit_code == 0, compared.stderr
    assert "1 common episodes" in compared.stdout
    other = vicl("rules", "--replay", "run/seen/listing.jsonl")
    assert other.exit_code == 2
    assert "expected those of 'rules, seen'" in other.stderr
    listed = vicl(*small, "--set", "unseen", "--list-episodes", "-")
    assert len(read_listing(listed.stdout)) == 100


@pytest.mark.slow
def test_runs_are_compared(work: Path) -> None:
    for name, count in (("a", "4"), ("b", "5")):
        done = vicl(*SEGMENT, "--model", "analogies", "--episodes", count, "-o", name)
        assert done.exit_code == 0, done.stderr
    result = vicl("compare", "a", "b", "-o", "table.json")
    assert result.exit_code == 0, result.stderr
    assert "4 common episodes" in result.stdout
    assert json.loads(Path("table.json").read_text())["episodes"] == 4
    assert vicl("compare", "a", "b", "-o", "table.md").exit_code == 0
    assert Path("table.md").read_text().startswith("data, 4 common episodes\n\n| run |")
    assert "expected a name in .md or .json" in vicl("compare", "a", "-o", "table.txt").stderr
    assert vicl("compare", "data").exit_code == 2
