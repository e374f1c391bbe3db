"""`vicl figures`: what a person types, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from vicl.cli.figures import figures
from vicl.images import open_image


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def vicl_figures(*arguments: str) -> Result:
    return CliRunner().invoke(figures, arguments)


def test_shards() -> None:
    small = ("--count", "5", "--size", "64", "--patch-size", "8")
    result = vicl_figures("synthesize", "out", *small)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "out/figures-000000.tar\n"
    noted = json.loads(Path("out/figures.json").read_text())
    assert (noted["count"], noted["size"], noted["form"]) == (5, 64, "shards")
    again = vicl_figures("synthesize", "out", *small)
    assert again.exit_code == 0
    other = vicl_figures("synthesize", "out", *small, "--seed", "1")
    assert other.exit_code == 1
    assert "other settings" in other.stderr
    assert len(other.stderr.splitlines()) <= 2


def test_a_folder_with_content_of_ones_own() -> None:
    Path("things").mkdir()
    cut = np.zeros((40, 40, 4), np.uint8)
    cut[8:32, 8:32] = [10, 200, 30, 255]
    Image.fromarray(cut).save("things/a.png")
    result = vicl_figures(
        *("synthesize", "out", "--count", "6", "--size", "64", "--patch-size", "8"),
        *("--format", "folder", "--cutouts", "things", "--cutouts-licence", "OFL-1.1"),
        *("--encoding", "png", "--clean", "1"),
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "out\n"
    assert open_image("out/000000005.png").size == (64, 64)
    noted = [json.loads(path.read_text()) for path in Path("out").glob("0*.json")]
    assert {note["kind"] for note in noted} == {"grid"}
    assert len(noted) == 6


def test_sheets_of_chosen_rules() -> None:
    result = vicl_figures("sheet", "sheets", "--rule", "mask", "--rule", "negative")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "sheets/rules-chosen.png\n"
    assert open_image("sheets/rules-chosen.png").width > 400


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("synthesize", "out", "--size", "100"), 2, "multiple of patch_size"),
        (("synthesize", "out", "--count", "0"), 2, "--count"),
        (("synthesize", "out", "--cutouts", "nosuch"), 2, "does not exist"),
        (("synthesize",), 2, "OUT"),
        (("sheet", "out", "--rule", "nosuch"), 1, "rule: got 'nosuch'"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], code: int, words: str) -> None:
    result = vicl_figures(*arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr
