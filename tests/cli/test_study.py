"""`vicl evaluate study`: what a person types, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from tests.models.kinds import KINDS
from tests.prompting.test_prompter import scene
from tests.training.runs import plain, write

from vicl.cli import main
from vicl.cli.evaluate.study import study
from vicl.images import save_image, to_pil
from vicl.models.pretrained import save_folder

FILES = {"table.json", "table.md", "figure.svg", "figure.png"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs with masks, and a tiny model."""
    root = tmp_path_factory.mktemp("study")
    for seed in range(3):
        image, mask = scene(seed)
        save_image(to_pil(image), root / f"data/inputs/{seed}.png")
        (root / "data/targets").mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype("uint8") * 255).save(root / f"data/targets/{seed}.png")
    save_folder(KINDS["mae-vqgan"].build(), root / "tiny")
    return root


@pytest.fixture
def work(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def vicl(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", "study", *arguments])


MODEL = ("--model", "tiny", "--data", "data", "--episodes", "2")


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize(
    ("name", "options", "variant"),
    [
        pytest.param("layout", (), "columns swapped", marks=pytest.mark.slow),
        pytest.param("mask-style", (), "outline", marks=pytest.mark.slow),
        pytest.param("examples", ("--most", "2"), "the best example alone", marks=pytest.mark.slow),
        pytest.param(
            "ensembling", ("--examples", "2"), "8 arrangements: maximum", marks=pytest.mark.slow
        ),
        ("attention", ("--arrangements", "1,4", "--pictured", "1"), "arrangement 4: query"),
        pytest.param(
            "fine-tuning",
            ("--shots", "1", "--steps", "2"),
            "1 labelled image",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_each_study_is_a_table_and_a_figure(
    name: str, options: tuple[str, ...], variant: str
) -> None:
    result = vicl(name, *MODEL, *options, "-o", f"out/{name}")
    assert result.exit_code == 0, result.stderr
    written = {path.name for path in Path("out", name).iterdir()}
    assert written >= FILES
    assert (name == "attention") == ("attention.png" in written)
    assert f"| {variant} | tiny |" in result.stdout
    assert result.stdout == Path("out", name, "table.md").read_text("utf-8")
    rows = json.loads(Path("out", name, "table.json").read_text())["rows"]
    assert {row["engine"] for row in rows} >= {"tiny"}
    assert all(1 <= len(row["scores"]) <= 2 for row in rows)


@pytest.mark.slow
@pytest.mark.usefixtures("work")
def test_checkpoints_and_recipes_are_compared(tmp_path: Path) -> None:
    file = write(plain(tmp_path), tmp_path / "recipe.yaml")
    training = ("--recipe", str(file), "--set", "batch.size=2", "--steps", "2", "--shares", "0.5,1")
    given = ("--checkpoint", "tiny", "-", *MODEL[1:])
    result = vicl("training-data", *given, *training, "--device", "cpu", "-o", str(tmp_path / "o"))
    assert result.exit_code == 0, result.stderr
    assert "| tiny | model |" in result.stdout
    assert "| 50% of the images of tiny | tiny |" in result.stdout
    assert "Trained for 2 steps of 2 images (tiny)." in result.stdout
    assert (tmp_path / "o/runs/tiny-0.5/model/model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("work")
def test_checkpoints_are_put_side_by_side() -> None:
    data = ("--data", "data", "--episodes", "2", "-o", "out/amounts")
    few, many = ("--checkpoint", "a few", "10", "tiny"), ("--checkpoint", "many", "90", "tiny")
    result = vicl("training-data", *few, *many, *data)
    assert result.exit_code == 0, result.stderr
    assert "| nothing | copy |" in result.stdout
    rows = json.loads(Path("out/amounts/table.json").read_text())["rows"]
    assert [(row["variant"], row["x"]) for row in rows[1:]] == [("a few", 10.0), ("many", 90.0)]
    wrong = vicl("training-data", "--checkpoint", "a few", "some", "tiny", *data)
    assert wrong.exit_code == 2
    assert "got 'some' images" in wrong.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("work")
def test_the_synthetic_study_can_be_asked_about() -> None:
    options = ("--model", "tiny", "--shapes", "color", "--episodes", "1", "--most", "2")
    result = vicl("examples", *options, "-o", "out/shapes")
    assert result.exit_code == 0, result.stderr
    assert "shapes, color" in result.stdout


@pytest.mark.usefixtures("work")
def test_what_cannot_be_run_is_said_in_a_line() -> None:
    wrong = {
        ("layout", "--model", "tiny"): "give --data PATH, or --shapes TASK",
        ("layout", "--model", "copy", "--data", "data"): "copy has no canvas",
        ("layout", "--model", "nowhere", "--data", "data"): "there is no such file",
        ("examples", "--model", "tiny", "--data", "none"): "no such folder",
        ("fine-tuning", *MODEL, "--shots", "0"): "expected numbers from 1 on",
        ("training-data", *MODEL[2:]): "checkpoints: got none",
        ("training-data", *MODEL[2:], "--shares", "2"): "expected shares up to 1",
        ("mask-style", *MODEL[:4], "--task", "image"): "expected segmentation or detection",
    }
    for arguments, message in wrong.items():
        result = vicl(*arguments, "--episodes", "2", "-o", "out/none")
        assert result.exit_code == 2, arguments
        assert message in " ".join(result.stderr.split())
        assert "Traceback" not in result.stderr
    assert not Path("out/none").exists()


def test_every_study_has_its_command() -> None:
    studies = {"layout", "mask-style", "examples", "ensembling", "attention", "fine-tuning"}
    studies |= {"training-data"}
    assert set(study.commands) == studies
    result = vicl("--help")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in studies)
