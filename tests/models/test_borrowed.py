"""The matching engine on another encoder: whose levels it sees, and what it says of itself."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

import vicl
from vicl.encoders.borrowed import Borrowed
from vicl.engine import Encoder, Features, InContextModel
from vicl.files.packaged import PHOTOS
from vicl.models.matching import Matching
from vicl.models.matching.view import SIDE

EXAMPLE = (PHOTOS / "coins_1.jpg", PHOTOS / "coins_1_mask.png")


class Patches:
    """The mean colours of patches: a stand-in, with a level for each step."""

    def __init__(self, name: str, *strides: int) -> None:
        self.weights_hash: str | None = f"of {name}"
        self.name, self.strides, self.channels = name, strides, (3,) * len(strides)

    def encode(self, image: torch.Tensor) -> Features:
        assert image.shape[2] % max(self.strides) == image.shape[3] % max(self.strides) == 0
        levels = [F.avg_pool2d(image, step) for step in self.strides]
        levels[0] = 1 - levels[0]
        return Features(tuple(levels), image.mean((2, 3)))


def test_levels_are_of_both_encoders() -> None:
    own, other = Patches("own", 4, 8, 16, 16, 32), Patches("patches", 14, 14)
    both = Borrowed(own, other)
    assert isinstance(both, Encoder)
    assert both.name == "own+patches"
    assert both.strides == (4, 8, 16, 16, 16)
    assert both.channels == (3,) * 5
    image = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    found = both.encode(image)
    assert [tuple(level.shape[2:]) for level in found.levels] == [
        (64 // stride, 96 // stride) for stride in both.strides
    ]
    for kept, level in zip(own.encode(image).levels[:2], found.levels, strict=False):
        assert torch.equal(kept, level)
    assert torch.equal(found.levels[3], found.levels[4])  # it has two levels only
    assert torch.allclose(found.levels[2], 1 - found.levels[3], atol=1e-6)
    assert torch.allclose(found.levels[4], F.avg_pool2d(image, 16), atol=0.1)
    assert both.encode(torch.zeros(1, 3, SIDE, SIDE)).levels[2].shape == (1, 3, 24, 24)
    of = {Borrowed(*pair).weights_hash for pair in ((own, other), (other, own), (own, own))}
    assert len(of) == 3


@pytest.mark.slow
def test_it_answers_under_its_own_name_and_says_what_it_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        engine = vicl.load_model("matching:handmade", device="cpu")
    assert "features of efficientnet-lite2; on those of handmade" in caplog.text
    assert isinstance(engine, Matching)
    assert isinstance(engine, InContextModel)
    assert engine.name == "matching:handmade"
    assert engine.asked(min_presence=0.0).name == pickle.loads(pickle.dumps(engine)).name
    assert engine.weights_hash != vicl.load_model("matching", device="cpu").weights_hash
    prompter = vicl.VisualPrompter(engine, [EXAMPLE], task="segmentation")
    answer = prompter.predict(PHOTOS / "coins_2.jpg")
    prompter.save(tmp_path / "coins.vicl")
    with pytest.raises(ValueError, match="made with model 'matching:handmade'"):
        vicl.VisualPrompter.load(tmp_path / "coins.vicl")
    again = vicl.VisualPrompter.load(tmp_path / "coins.vicl", model="matching:handmade")
    assert (again.predict(PHOTOS / "coins_2.jpg").mask == answer.mask).all()


def test_what_is_no_encoder_says_so() -> None:
    with pytest.raises(ValueError, match="encoder: got 'nothing', expected one of efficientnet"):
        vicl.load_model("matching:nothing")
