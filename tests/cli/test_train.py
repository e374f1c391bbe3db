"""`vicl train`: what a person types, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file
from tests.models.kinds import tiny
from tests.pictures import picture

import vicl
import vicl.training.train
from vicl.cli import main
from vicl.images import save_image, to_pil
from vicl.models.pretrained import save_folder
from vicl.models.vqgan import VQGAN
from vicl.training.checkpoints import TrainingError
from vicl.training.recipe.files import load_recipe, shipped_recipes
from vicl.training.recipe.recipe import Recipe

SHORT = ("--set", "schedule.steps=2", "--set", "batch.size=4")


@pytest.fixture(autouse=True)
def _work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of twelve pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(12):
        save_image(to_pil(picture(48, 64, seed=seed)), folder / f"{seed}.png")
    return folder


def vicl_train(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["train", *arguments])


class Loop:
    """Stands for the loop: notes what it was asked, and ends as it is told."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.asked: dict[str, Any] = {}
        self.error = error

    def __call__(self, recipe: Recipe, output: Path, **options: Any) -> Path:
        self.asked = {"recipe": recipe, "output": output, **options}
        if self.error is not None:
            raise self.error
        return output / "model"


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    found = Loop()
    monkeypatch.setattr(vicl.training.train, "train", found)
    return found


def test_the_run_is_what_was_asked(loop: Loop) -> None:
    result = vicl_train("smoke", "--set", "seed=5", "--set", "optimiser.lr=1e-5", "--resume")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "runs/smoke/model\n"
    assert loop.asked["recipe"] == load_recipe("smoke", ["seed=5", "optimiser.lr=1e-5"])
    assert loop.asked["output"] == Path("runs/smoke")
    assert (loop.asked["resume"], loop.asked["device"]) == (True, "auto")


def test_output_and_device(loop: Loop) -> None:
    result = vicl_train("smoke", "-o", "here", "--device", "cpu")
    assert result.stdout == "here/model\n"
    assert (loop.asked["resume"], loop.asked["device"]) == (False, "cpu")


def test_a_recipe_of_ones_own(loop: Loop) -> None:
    Path("mine.yaml").write_text(
        "name: mine\ndata: {train: x}\nmodel: {kind: mae}\nmasking: {kind: patches}\n"
        "batch: {size: 4}\nschedule: {steps: 1}\n"
    )
    assert vicl_train("mine.yaml").stdout == "runs/mine/model\n"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (TrainingError("loss: was not a number"), 1, "error: loss: was not a number"),
        (ValueError("data:\n no images"), 1, "error: data: no images"),
        (OSError(28, "No space left on device"), 1, "No space left"),
        (torch.OutOfMemoryError("tried to allocate"), 1, "lower batch.micro"),
        (KeyboardInterrupt(), 130, "stopped; go on with --resume"),
    ],
)
def test_failures_end_in_one_line(loop: Loop, error: BaseException, code: int, words: str) -> None:
    loop.error = error
    result = vicl_train("smoke")
    assert result.exit_code == code
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    debug = vicl_train("smoke", "--debug")
    assert debug.exit_code == code
    assert "Traceback" in debug.stderr


def test_a_fault_of_the_program_is_not_hidden(loop: Loop) -> None:
    loop.error = RuntimeError("shapes do not fit")
    assert isinstance(vicl_train("smoke").exception, RuntimeError)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("smoke", "--set", "seed=-1"),
        ("smoke", "--set", "seed"),
        ("smoke", "--device", "tpu"),
        (),
    ],
)
def test_wrong_usage(loop: Loop, arguments: tuple[str, ...]) -> None:
    result = vicl_train(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert not loop.asked


def test_only_the_first_process_speaks(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    result = vicl_train("smoke")
    assert (result.exit_code, result.output) == (0, "")


def test_a_dry_run_prints_a_recipe_and_trains_nothing(loop: Loop) -> None:
    result = vicl_train("smoke", "--dry-run", "--set", "seed=7", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert not loop.asked
    assert list(Path().iterdir()) == []
    # What it prints is itself the recipe, with all defaults, and comments.
    Path("resolved.yaml").write_text(result.stdout)
    assert load_recipe("resolved.yaml") == load_recipe("smoke", ["seed=7"])
    assert "warmup: 0.1" in result.stdout
    comments = [line for line in result.stdout.splitlines() if line.startswith("#")]
    for word in ("parameters:", "data:", "run:", "learning rate:", "memory:", "time:", "assumed:"):
        assert any(word in line for line in comments), word
    assert any("200 steps of 32 images" in line and "6,400 images" in line for line in comments)


@pytest.mark.slow
def test_a_dry_run_tells_what_is_missing() -> None:
    result = vicl_train("mae-vqgan-tiny-cpu", "--dry-run", "--device", "cpu")
    assert result.exit_code == 1
    errors = result.stderr.splitlines()
    assert len(errors) == 2
    assert "error: model.tokenizer: " in errors[0]
    assert "error: data: " in errors[1]
    assert "# memory:" in result.stdout


@pytest.mark.slow
def test_epochs_become_steps(pictures: Path) -> None:
    result = vicl_train(
        *("smoke", "--dry-run", "--device", "cpu", "--set", "schedule={epochs: 7, warmup: 0}"),
        *("--set", "batch={size: 4, micro: 2}", "--set", "data.held_out={}"),
        *("--set", f"data.train={pictures}"),
    )
    assert result.exit_code == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("# run:")]
    assert "21 steps of 4 images (2 x 2): 84 images seen, 7 epochs" in line


def test_two_steps_of_smoke() -> None:
    result = vicl_train("smoke", *SHORT, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert Path(result.stdout.strip(), "model.safetensors").is_file()
    again = vicl_train("smoke", *SHORT, "--device", "cpu")
    assert again.exit_code == 1
    assert "--resume" in again.stderr


def small_model(recipe: Recipe) -> dict[str, Any]:
    """Sizes that shrink a recipe's model to a few thousand weights, of the tiny tokenizer."""
    config = tiny()
    narrow = {
        "embed_dim": 24,
        "depth": 1,
        "num_heads": 2,
        "decoder_embed_dim": 16,
        "decoder_depth": 1,
        "decoder_num_heads": 2,
        "canvas_size": [64, 64],
        "patch_size": 8,
        "crop_size": 32,
        "widths": [4, 4, 4],
        **config.tokenizer.model_dump(mode="json"),
    }
    known = type(recipe.model).model_fields
    return {key: value for key, value in narrow.items() if key in known}


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_recipes())
def test_two_steps_of_every_shipped_recipe(name: str, pictures: Path) -> None:
    recipe = load_recipe(name)
    sizes = {"model": recipe.model.model_dump(mode="json") | small_model(recipe)}
    if "tokenizer" in sizes["model"]:
        save_folder(VQGAN(tiny().tokenizer), "tokenizer")
        sizes["model"]["tokenizer"] = "tokenizer"
    changes: dict[str, Any] = {
        **sizes,
        "data.train": str(pictures),
        "data.held_out": {"fraction": 0.2},
        "data.workers": 0,
        "batch": {"size": 4, "micro": 2},
        "schedule.epochs": None,
        "schedule.steps": 2,
        "compile": False,
    }
    if recipe.vqgan is not None and recipe.vqgan.quantise_after:
        changes["vqgan.quantise_after"] = 1
    overrides = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    overrides = [part.replace("None", "null") for part in overrides]
    result = vicl_train(name, *overrides, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert Path("runs", name, "model", "model.safetensors").is_file()


@pytest.fixture
def default_data() -> None:
    """Cut-outs, photographs and their masks, where the default recipes look for them."""
    folders = [Path("data", name) for name in ("objects", "images/ccp", "masks/ccp")]
    for folder in folders:
        folder.mkdir(parents=True)
    for number in range(3):
        image = to_pil(picture(80, 80, seed=number))
        alpha = Image.new("L", image.size)
        alpha.paste(255, (20, 20, 60, 60))
        save_image(image, folders[1] / f"{number}.png")
        save_image(alpha.point(lambda value: value // 255), folders[2] / f"{number}.png")
        cut = image.copy()
        cut.putalpha(alpha)
        cut.save(folders[0] / f"{number}.png")


@pytest.mark.slow
@pytest.mark.usefixtures("default_data")
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_default_recipes_on_a_few_steps(kind: str) -> None:
    """Tokenizer and predictor, at small sizes, on figures with their own content and masking."""
    for name in (f"vqgan-default-{kind}", f"mae-vqgan-default-{kind}"):
        recipe = load_recipe(name)
        sizes = small_model(recipe)
        held_out = ["data.held_out.count=2", "evaluation.rows=2"]
        settings = [f"model.{key}={value}" for key, value in sizes.items() if key != "tokenizer"]
        rest = ["data.workers=0", "batch.size=4", "schedule.steps=3", "compile=false"]
        if recipe.vqgan is not None:
            rest += ["vqgan.quantise_after=1", "vqgan.revive_after=1", "model.crop_size=64"]
        overrides = [part for text in (*settings, *held_out, *rest) for part in ("--set", text)]
        result = vicl_train(name, *overrides, "--device", "cpu")
        assert result.exit_code == 0, result.stderr
        saved = load_file(Path("runs", name, "model", "model.safetensors"))
        assert {weight.dtype for weight in saved.values()} == {torch.float16}
