"""The registry: one row a kind, from which folders, recipes and training follow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.models.kinds import KINDS

import vicl
from vicl.models.registry import ENGINES, kinds

TOY = '''
from __future__ import annotations

from torch import nn

from vicl.models.batches import send
from vicl.models.configs import CanvasConfig, Size
from vicl.models.inpainter import PixelInpainter
from vicl.models.tokens import token_pixels


class ToyConfig(CanvasConfig):
    """One convolution."""

    side: Size = 3

    @property
    def width(self):
        return 3


class Toy(PixelInpainter):
    """One convolution over a canvas with grey holes."""

    kind = "toy"
    config_class = ToyConfig
    config: ToyConfig

    def _build(self):
        self.only = nn.Conv2d(3, 3, self.config.side, padding=self.config.side // 2)

    def loss(self, image, hole, *, target=None):
        drawn = self._draw(image, self._holes(image, hole))
        return (drawn - (image if target is None else target)).square().mean()

    def _draw(self, image, holes):
        where = send(token_pixels(holes, self.config.grid, self.patch_size), image.device)
        return self.only(image.masked_fill(where[:, None], 0.5))
'''

RUN = """
import sys
from pathlib import Path

import torch
from tests.training.runs import plain

import vicl
from vicl.models.registry import kinds
from vicl.training.train import train
from vicl.training.dry_run import describe
from vicl.training.recipe.files import check_recipe

assert "/toy_house/" in vicl.__file__
print(", ".join(kinds()))
work = Path(sys.argv[1])
section = {"kind": "toy", "canvas_size": [32, 32], "patch_size": 4, "asking": {"spins": 2}}
recipe = check_recipe(plain(work, model=section, schedule={"steps": 2}), "test")
describe(recipe, device="cpu")
model = vicl.load_model(train(recipe, work / "run", device="cpu"), device="cpu")
assert (type(model).__name__, model.spins, model.config.side) == ("Toy", 2, 3)
image = torch.rand(3, 40, 40)
vicl.predict(image, examples=[(image, image)], model=work / "run" / "model")
model.save_pretrained(work / "again")
assert vicl.load_model(work / "again", device="cpu").weights_hash == model.weights_hash
"""


@pytest.mark.slow
def test_a_new_kind_is_one_file_and_one_row(tmp_path: Path) -> None:
    """In a copy of the package: it is listed, trains by a recipe, saves, loads and answers."""
    house = tmp_path / "toy_house"
    shutil.copytree(Path(vicl.__file__).parent, house / "vicl")
    (house / "vicl/models/toy.py").write_text(TOY)
    registry = house / "vicl/models/registry.py"
    text = registry.read_text()
    for before, after in (
        ("mae_vqgan, unet", "mae_vqgan, toy, unet"),
        _row("unet.UNet", "toy.Toy"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    registry.write_text(text)
    (tmp_path / "work").mkdir()
    paths = (house, Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", RUN, tmp_path / "work"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "toy" in done.stdout.splitlines()[0].split(", ")


def _row(before: str, toy: str) -> tuple[str, str]:
    """A row more in front of another."""
    return f"Kind({before},", f'Kind({toy}, "one convolution"),\n        Kind({before},'


def test_rows_say_what_their_classes_say() -> None:
    for name, row in kinds().items():
        assert name == row.model.kind
        assert hasattr(row.model, "inpaint") == (row.objective == "inpainting")
        assert row.use
    assert {kind.model.kind for kind in KINDS.values()} == kinds().keys() - {
        "vqgan",
        "matching-head",
        "outline-head",
        "promptable",
    }
    names = [engine.name for engine in ENGINES]
    assert len(set(names)) == len(names)
    assert [engine.make().name for engine in ENGINES if engine.make] == names[2:]


def test_listing_engines_imports_nothing_heavy() -> None:
    code = (
        "import sys, vicl.loading\n"
        "assert len(vicl.loading.ENGINES) == 5\n"
        "assert not {'torch', 'pydantic', 'vicl.engine'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
