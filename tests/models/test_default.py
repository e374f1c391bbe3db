"""The model that comes with the package: there, small, offline, and the one that is chosen."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest
import torch
from tests.pictures import picture

import vicl
from vicl.engine import TokenInpainter
from vicl.files import hash_file
from vicl.files.packaged import WEIGHTS
from vicl.images import to_tensor
from vicl.loading import BEST_FOR_TASK, load_model
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.models.registry import ENGINES
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.prompter import VisualPrompter

FOLDER = WEIGHTS / "default"
ROOT = Path(__file__).resolve().parents[2]


def test_it_is_a_mae_vqgan_of_its_folder() -> None:
    model = load_model("default")
    assert isinstance(model, MAEVQGAN)
    assert isinstance(model, TokenInpainter)
    assert model.name == "default"
    assert model.weights_hash == hash_file(FOLDER / "model.safetensors")
    assert model.dtype == torch.float32
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())


def test_the_folder_is_small_and_has_a_card() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 24 * 2**20
    card = (FOLDER / "README.md").read_text()
    for part in ("Apache-2.0", "Seed", "Known failures", "Recipe", "analogies", "copy"):
        assert part in card
    shown = [line.split("(")[1].split(")")[0] for line in card.splitlines() if line[:2] == "!["]
    assert shown
    assert all((FOLDER / name).is_file() for name in shown)


def test_every_task_has_an_engine_of_the_packages() -> None:
    assert set(BEST_FOR_TASK) == {"image", "segmentation", "detection", "edges", "colorization"}
    assert set(BEST_FOR_TASK.values()) <= {engine.name for engine in ENGINES}
    mask = torch.zeros(3, 40, 40)
    mask[:, 10:30, 10:30] = 1
    example = (picture(40, 40), mask)
    for task, engine in BEST_FOR_TASK.items():
        assert VisualPrompter(None, [example], task).model.name == engine


@pytest.mark.slow
def test_a_disc_is_recoloured_as_the_example_says() -> None:
    """Blue discs become red ones; elsewhere white stays."""

    def disc(y: int, x: int, colour: tuple[float, float, float]) -> torch.Tensor:
        rows, columns = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
        inside = (rows - y) ** 2 + (columns - x) ** 2 < 20**2
        return torch.where(inside, torch.tensor(colour)[:, None, None], torch.ones(3, 1, 1))

    blue, red = (0.1, 0.2, 0.9), (0.9, 0.1, 0.1)
    query, truth = disc(60, 40, blue), disc(60, 40, red)
    answer = vicl.predict(
        query, examples=[(disc(36, 60, blue), disc(36, 60, red))], model="default"
    )
    got = to_tensor(answer.image)
    inside = (query[0] < 0.5).expand(3, -1, -1)
    assert (got - truth)[inside].abs().mean() < (query - truth)[inside].abs().mean() / 2
    assert (got - truth)[~inside].abs().mean() < 0.1


@pytest.mark.slow
def test_several_examples_are_answered_one_by_one() -> None:
    model = load_model("default")
    assert isinstance(model, MAEVQGAN)
    examples = [(picture(40, 40, seed=i), picture(40, 40, seed=i + 9)) for i in range(2)]
    query = picture(40, 40, seed=5)
    prompts = [vicl.Prompt(part, query) for part in (examples, examples[:1], examples[1:])]
    both, first, second = (answer.image for answer in CanvasModel(model).answer(prompts))
    assert torch.allclose(both, (first + second) / 2, atol=1e-6)


@pytest.mark.slow
def test_a_prompt_file_opens_without_being_told_the_model(tmp_path: Path) -> None:
    prompter = VisualPrompter("default", [(picture(40, 40), picture(40, 40, seed=1))])
    prompter.save(tmp_path / "p.vicl")
    again = VisualPrompter.load(tmp_path / "p.vicl")
    query = picture(30, 50, seed=2)
    assert again.predict(query).image == prompter.predict(query).image


@pytest.mark.slow
def test_a_wheel_works_offline(tmp_path: Path) -> None:
    """Built, installed into an environment of its own, and run with no way to any network."""
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "-q",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--no-deps", "-q", str(wheel)]
    subprocess.run(install, check=True)
    script = tmp_path / "use.py"
    script.write_text(
        f"""
import site, socket, sys

def refuse(*a, **k):
    raise OSError("no network here")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.path.append({str(Path(torch.__file__).parents[1])!r})  # what vicl depends on
import vicl, torch
assert {str(tmp_path)!r} in vicl.__file__, vicl.__file__
image = torch.rand(3, 50, 60)
print(vicl.load_model("default").name, vicl.predict(image, examples=[(image, image)]).image.size)
"""
    )
    done = subprocess.run(
        [str(python), "-I", str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["default", "(60,", "50)"]
