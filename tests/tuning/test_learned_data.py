"""The data and the table of the benchmark of learned prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.tuning.toys import toy_backbone

import learned_data
from learned_prompts import randomised, table


def test_squares_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class is the number of white squares; a set is written once, and the same again."""
    monkeypatch.setattr(learned_data, "_SQUARES", {"train": 20, "test": 10})
    place = learned_data.write("squares", tmp_path / "a", tmp_path)
    files = sorted(place.rglob("*.png"))
    assert len(files) == 30
    for file in files:
        with Image.open(file) as image:
            pixels = np.array(image)
        assert pixels.shape == (36, 36, 3)
        cells = pixels[4::9, 4::9, 0]
        assert (cells == 255).sum() == int(file.parent.name)
        assert (pixels == 255).all(-1).sum() == 81 * int(file.parent.name)
    again = learned_data.write("squares", tmp_path / "b", tmp_path)
    first = files[0].relative_to(place)
    assert (again / first).read_bytes() == files[0].read_bytes()
    files[0].unlink()
    learned_data.write("squares", tmp_path / "a", tmp_path)
    assert not files[0].exists()
    with pytest.raises(ValueError, match="data: got 'dogs', expected one of digits, squares"):
        learned_data.write("dogs", tmp_path, tmp_path)


@pytest.mark.slow
def test_digits_are_split_once(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    splits = [split for split, *_ in learned_data.SETS["digits"](tmp_path)]
    assert len(splits) == 1797
    shares = [splits.count(name) / 1797 for name in ("train", "val", "test")]
    assert shares == pytest.approx([0.6, 0.15, 0.25], abs=0.04)


def test_random_weights_say_something_and_have_no_file() -> None:
    """Each layer's output has unit variance on the images that it was scaled by."""
    backbone = toy_backbone()
    images = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = backbone.mix.weight.clone()
    randomised(backbone, images)
    assert backbone.weights_hash is None
    assert not torch.equal(backbone.mix.weight, before)
    pooled = torch.nn.functional.adaptive_avg_pool2d(backbone.normalise(images), 2).flatten(1)
    assert float(backbone.mix(pooled).std()) == pytest.approx(1, abs=1e-3)


def test_the_table_has_a_line_a_cell() -> None:
    cell = {
        **{"method": "linear", "data": "digits", "shots": "4", "backbone": "b", "random": True},
        **{"set": ["lr=1"], "search": None, "seed": 0, "accuracy": [0.5, 0.4, 0.6]},
        **{"new_classes": [0.25, 0.2, 0.3], "learned": 12810, "seconds": 3.2},
    }
    last = table([cell]).splitlines()[-1]
    assert last == (
        "| digits | 4 | linear lr=1 | b (random) | 0.500 [0.400, 0.600] | 0.250 [0.200, 0.300] "
        "| 12,810 | 3 |"
    )
