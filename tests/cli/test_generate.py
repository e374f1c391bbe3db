"""`vicl generate`: what is asked reaches the model, and files are guarded; the models elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli.test_cli import pixels, vicl

from vicl.generators.generator import PictureGenerator
from vicl.generators.registry import WAYS
from vicl.images import save_image

BOX = ("--box", "8,4,40,30", "a dog")
END = ("--model", "painter", "--steps", "2", "-o", "out.png")


class Painter(PictureGenerator):
    """Paints noise, and keeps what it was shown."""

    def _paint(self, scene: Any, generator: Any, steps: int, guidance: float) -> torch.Tensor:
        self.shown, self.asked = scene, (steps, guidance)
        return torch.rand(3, *scene.size, generator=generator)


@pytest.fixture
def painter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Painter:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    save_image(Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)), "photo.png")
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:50] = 255
    save_image(Image.fromarray(mask), "mask.png")
    made = Painter("painter", "0" * 64, accepts=frozenset(WAYS), side=64)

    def load(source: str, *, device: str) -> Painter:
        assert (source, device) == ("painter", "auto")
        return made

    monkeypatch.setattr("vicl.loading.load_generator", load)
    return made


def test_what_is_asked_reaches_the_model(painter: Painter) -> None:
    Path("people.json").write_text(json.dumps([[[at + 1, 2 * at] for at in range(17)]]))
    told = vicl(
        "generate", "a park", *BOX, "--like", "8,4,40,30", "photo.png",
        "--like", "40,4,60,30", "photo.png", "--keypoints", "people.json", "--map", "edges",
        "mask.png", "--size", "80x40", "--seed", "3", "--guidance", "5", "--json",
        "--sketch", "asked.png", *END,
    )  # fmt: skip
    assert told.exit_code == 0, told.stderr
    assert json.loads(told.stdout) == {
        "output": "out.png",
        "width": 80,
        "height": 40,
        "text": "a park",
        "ways": ["boxes", "edges", "keypoints", "references"],
        "seed": 3,
        "steps": 2,
        "model": "painter",
        "weights_hash": "0" * 64,
    }
    shown = painter.shown
    assert painter.asked == (2, 5.0)
    assert shown.text == "a park"
    assert shown.phrases == ("a dog", None)
    assert torch.allclose(shown.boxes[0], torch.tensor([8 / 80, 4 / 40, 40 / 80, 30 / 40]))
    assert [reference is None for reference in shown.references] == [False, False]
    assert torch.allclose(shown.keypoints[0, 2], torch.tensor([3 / 80, 4 / 40]))
    assert shown.maps["edges"].shape == (3, 32, 64)
    assert pixels("out.png").shape == (40, 80, 3)
    assert pixels("asked.png").shape == (40, 80, 3)


def test_an_image_changes_in_its_mask_alone(painter: Painter) -> None:
    told = vicl("generate", "a ball", "--image", "photo.png", "--mask", "mask.png", *END)
    assert told.exit_code == 0, told.stderr
    assert told.stdout == "out.png\n"
    assert told.stderr == f"painted by painter, weights sha256 {'0' * 64}\n"
    known = pixels("mask.png") == 0
    assert np.array_equal(pixels("out.png")[known], pixels("photo.png")[known])
    assert not np.array_equal(pixels("out.png"), pixels("photo.png"))


def test_outputs_are_guarded(painter: Painter) -> None:
    assert vicl("generate", "a dog", *END).exit_code == 0
    again = vicl("generate", "a dog", *END)
    assert again.exit_code == 2
    assert "out.png exists already; --overwrite replaces it" in again.stderr
    assert vicl("generate", "a dog", *END, "--overwrite", "--seed", "4").exit_code == 0
    before = Path("photo.png").read_bytes()
    over = ("--model", "painter", "-o", "photo.png", "--overwrite")
    told = vicl("generate", "a", "--image", "photo.png", "--mask", "mask.png", *over)
    assert told.exit_code == 2
    assert "photo.png: is one of the inputs" in told.stderr
    assert Path("photo.png").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--box", "1,2,3", "a"), "--box: got '1,2,3', expected X0,Y0,X1,Y1 in pixels"),
        ((*BOX, *BOX), "--box: one box is given twice"),
        (("--box", "9,9,1,1", "a"), "boxes[0]: got (9.0, 9.0, 1.0, 1.0), expected x0 < x1"),
        (("--map", "lines", "mask.png"), "maps: got 'lines', expected one of edges, depth"),
        (("--map", "edges", "mask.png") * 2, "--map: one kind is given twice"),
        (("--map", "edges", "none.png"), "none.png: no such file"),
        (("--mask", "mask.png"), "--mask goes with --image"),
        (("--image", "photo.png"), "image: expected a hole in it, or boxes"),
        (("--image", "photo.png", "--size", "9x9", *BOX), "size: goes without image"),
        (("--size", "9,9"), "--size: got '9,9', expected WxH"),
        (("--size", "0x9"), "size: got (9, 0), expected (height, width)"),
        (("--sketch", "out.png"), "--sketch and --output: are one file"),
        (("--sketch", "out.txt"), "out.txt: suffix '.txt' is not a format"),
        (("--keypoints", "mask.png"), "mask.png: is no JSON"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_painted(
    painter: Painter, words: tuple[str, ...], fault: str
) -> None:
    told = vicl("generate", "a park", *words, *END)
    assert told.exit_code == 2
    assert fault in " ".join(told.stderr.split())
    assert not Path("out.png").exists()
    assert not hasattr(painter, "shown")


def test_models_that_are_not_there_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = vicl("generate", "a park", "--model", "none", "--sketch", "asked.png", "-o", "out.png")
    assert told.exit_code == 2
    assert "generator: got 'none', expected the folder of a pipeline" in told.stderr
    assert Path("asked.png").is_file()
