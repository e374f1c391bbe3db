"""Every method is tuned, saved and loaded again: the same answers, on a backbone that suits it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from tests.prompts.folders import kept
from tests.tuning.toys import squares

from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.saved import load_classifier
from vicl.tuning.answers import ask, pictures_for
from vicl.tuning.data import open_data
from vicl.tuning.tune import tune

CASES = [
    ("mlp", "vit", ("layers=2",)),
    ("partial", "vit", ()),
    ("full", "resnet-classifies", ()),
    ("bias", "vit", ()),
    ("side", "vit", ()),
    ("adapter", "vit", ()),
    ("lora", "vit", ("rank=2",)),
    ("vpt", "vit", ("length=3", "dropout=0.1")),
    ("vpt", "swin", ("length=2",)),
    ("pixel", "vit-classifies", ("width=4", "epochs=4")),
    ("pixel", "vit-classifies", ("width=4", "place=random-patch", "labels=frequency")),
    ("reprogram", "vit-classifies", ("image=16", "labels=iterative")),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind", "more"), CASES)
def test_what_is_saved_answers_as_what_was_learned(
    tmp_path: Path, name: str, kind: str, more: tuple[str, ...]
) -> None:
    data = squares(tmp_path / "data", {"train": 4, "val": 2, "test": 2})
    net = load_backbone(str(kept(kind, tmp_path)), device="cpu")
    plain = copy.deepcopy(net)
    overrides = ("batch=6", "epochs=3", *more)
    tuned = tune(name, tmp_path / "out", backbone=net, data=data, overrides=overrides)
    items = open_data(data).test
    mine = tuned.fitted.classifier
    again = load_classifier(tuned.folder, device="cpu")
    first, second = (ask(one, pictures_for(one, items)).logits for one in (mine, again))
    assert torch.allclose(first, second, atol=1e-5)
    assert tuned.fitted.learned > 0
    if name not in ("full", "partial", "bias", "lora"):
        for key, value in plain.state_dict().items():
            assert torch.equal(net.state_dict()[key], value), key
