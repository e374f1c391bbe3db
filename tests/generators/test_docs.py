"""What docs/generation.md says to type, typed: with random models in place of the named ones."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.adapters import tiny
from tests.adapters.pipelines import diffusers, save, save_controlnet
from tests.cli.test_cli import pixels, vicl

from vicl.adapters.registry import ADAPTERS
from vicl.images import save_image

DOCS = Path(__file__).parents[2] / "docs" / "generation.md"
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", DOCS.read_text(), re.M | re.S)

diffusers()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

GATED = {"in_channels": 4, "attention_type": "gated"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A random model for each that is named."""
    root = tmp_path_factory.mktemp("hub")
    tiny.save("grounding-dino", root / "dino")
    base = "StableDiffusionPipeline"
    return {
        "masterful/gligen-1-4-generation-text-box": save(base, root / "boxes", **GATED),
        "masterful/gligen-1-4-inpainting-text-box": save(
            base, root / "anew", **GATED | {"in_channels": 9}
        ),
        "stable-diffusion-v1-5/stable-diffusion-v1-5": save(base, root / "sd", in_channels=4),
        "lllyasviel/sd-controlnet-canny": save_controlnet(root / "net", seed=1),
        "stable-diffusion-v1-5/stable-diffusion-inpainting": save(
            "StableDiffusionInpaintPipeline", root / "hole"
        ),
        "black-forest-labs/FLUX.1-Fill-dev": save("FluxFillPipeline", root / "flux"),
        "IDEA-Research/grounding-dino-tiny": root / "dino",
    }


@pytest.fixture
def place(hub: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the photographs, where the hub's names are those models."""

    def fetch(repo_id: str, *, revision: str | None, files: Sequence[str]) -> Path:
        assert revision in (None, "refs/pr/2")
        return hub[repo_id]

    monkeypatch.setattr("vicl.storage.hub.fetch_from_hub", fetch)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    disc = np.hypot(*(np.mgrid[:48, :64] - np.array([24, 30])[:, None, None])) < 14
    for name in ("dog", "A", "house"):
        photo = np.full((48, 64, 3), (60, 130, 60)) + rng.normal(0, 12, (48, 64, 3))
        photo[disc] = (230, 190, 40)
        save_image(Image.fromarray(photo.clip(0, 255).astype(np.uint8)), f"{name}.jpg")
    mask = Image.fromarray(np.where(disc, 255, 0).astype(np.uint8))
    for name in ("A_mask.png", "dog_mask.png"):
        save_image(mask, name)
    edges = np.abs(np.diff(disc.astype(int), axis=1, append=0)) * 255
    save_image(Image.fromarray(edges.astype(np.uint8)), "A_edges.png")
    return tmp_path


@pytest.mark.parametrize("block", [code for kind, code in BLOCKS if kind == "sh"])
def test_commands_do_what_is_said(block: str, place: Path) -> None:
    for line in block.splitlines():
        program, *words = shlex.split(line)
        assert program == "vicl"
        told = vicl(*words, *(("--steps", "4") if words[0] == "generate" else ()))
        assert told.exit_code == 0, told.stderr
        if "canny" in line:
            assert "by stable-diffusion-v1-5+edges=sd-controlnet-canny, weights" in told.stderr
        output = words[words.index("-o") + 1]
        painted = pixels(output)
        if "--image" in words:
            known = pixels(words[words.index("--mask") + 1]) == 0
            photo = pixels(words[words.index("--image") + 1])
            assert known.any()
            assert np.array_equal(painted[known], photo[known])
            assert not np.array_equal(painted, photo)
        elif "--size" not in words:
            assert painted.shape[:2] == (48, 64)


@pytest.mark.parametrize("block", [code for kind, code in BLOCKS if kind == "python"])
def test_code_does_what_is_said(block: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vicl.adapters.grounding_dino import GroundingDino

    # What a random detector finds is nothing.
    boxes = np.array([(10, 8, 40, 40), (44, 2, 60, 20)], np.float32)
    scores = np.array([0.9, 0.5], np.float32)
    monkeypatch.setattr(GroundingDino, "boxes", lambda *_: (boxes, scores))
    names: dict[str, object] = {}
    exec(compile(block, str(DOCS), "exec"), names)
    if "painted" not in names:
        picture = names["picture"]
        assert isinstance(picture, Image.Image)
        assert picture.size == (512, 512)
        return
    assert names["painted"]
    photo, painted = pixels("dog.jpg"), pixels("cat.png")
    anew = np.zeros((48, 64), bool)
    anew[8:40, 10:40] = anew[2:20, 44:60] = True
    assert np.array_equal(painted[~anew], photo[~anew])
    assert (painted[anew] != photo[anew]).any(1).mean() > 0.9


def test_every_generator_of_the_list_is_there() -> None:
    text = DOCS.read_text()
    for adapter in ADAPTERS:
        if adapter.role == "generator":
            assert adapter.example in text
