"""Saved prompts: loaded onto their own backbone, refused on another; strangers' folders checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.tuning.toys import COLOURS, TOY, Toy, ToyBackbone, ToyOptions, toy, toy_backbone

import vicl
from vicl.prompts.backbones.backbone import Reading
from vicl.prompts.saved import load_classifier, save_classifier
from vicl.storage.folder import KeysError, ModelError

__all__ = ["toy"]


def made(backbone: ToyBackbone) -> Toy:
    """A classifier as if it had learned."""
    found = TOY.make(backbone, tuple(COLOURS), ToyOptions(), torch.Generator().manual_seed(5))
    assert isinstance(found, Toy)
    found.temperature = 2.5
    with torch.no_grad():
        found.prompt.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(1))
        found.counted.copy_(torch.tensor([4, 5, 6]))
    return found


@pytest.fixture
def folder(toy: ToyBackbone, tmp_path: Path) -> Path:
    place = tmp_path / "prompt"
    save_classifier(made(toy), place, method=TOY, options=ToyOptions(scale=0.5), card="# toy\n")
    return place


def test_it_is_loaded_as_it_was(toy: ToyBackbone, folder: Path) -> None:
    """Only what was learned is saved, and counts stay whole numbers."""
    names = {"prompt", "head.weight", "head.bias", "counted"}
    assert set(load_file(folder / "model.safetensors")) == names
    again, before = load_classifier(folder, device="cpu"), made(toy)
    assert isinstance(again, Toy)
    for name, value in before.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    assert (again.counted.dtype, again.scale, again.training) == (torch.long, 0.5, False)
    assert again.classes == tuple(COLOURS)
    assert (again.reading, again.temperature) == (Reading(9, 8), 2.5)


def test_it_refuses_another_backbone(toy: ToyBackbone, folder: Path) -> None:
    assert load_classifier(folder, backbone=toy_backbone()).classes[0] == "blue"
    with pytest.raises(ModelError, match=r"was learned on the backbone toy \(SHA-256 .* got toy"):
        load_classifier(folder, backbone=toy_backbone(1))
    with pytest.raises(ModelError, match=r"give the one that it was learned on"):
        load_classifier(folder, backbone="other", device="cpu")
    with pytest.raises(ModelError, match=r"on the backbone toy: backbone: got 'gone'"):
        load_classifier(folder, backbone="gone", device="cpu")


def test_one_image_in_one_line(toy: ToyBackbone, folder: Path, tmp_path: Path) -> None:
    """From a folder or a classifier, of a file, a picture or an array: the same answer."""
    pixels = np.random.default_rng(0).integers(0, 255, (20, 12, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = vicl.classify(tmp_path / "a.png", folder, device="cpu")
    assert sum(found.scores.values()) == pytest.approx(1)
    assert found.label == max(found.scores, key=lambda name: found.scores[name])
    classifier = vicl.load_classifier(folder)
    for image in (pixels, Image.fromarray(pixels)):
        assert vicl.classify(image, classifier).scores == pytest.approx(found.scores)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("method", "nothing", "method: got 'nothing'"),
        ("classes", ["one"], "classes"),
        ("classes", ["one", "one"], "each once"),
        ("crop", 10**6, "crop: got 1000000, expected at most 4096"),
        ("options", {"scale": "wide"}, "scale: got 'wide', expected a number"),
        ("more", 1, "more: is no key"),
    ],
)
def test_a_strangers_folder_is_checked(
    toy: ToyBackbone, folder: Path, key: str, value: object, message: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["architecture"][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=message):
        load_classifier(folder)


def test_weights_that_do_not_fit_are_named(toy: ToyBackbone, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["architecture"]["classes"] = ["a", "b"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(KeysError, match=r"head.bias: got \(3,\), expected \(2,\)"):
        load_classifier(folder)
    (folder / "config.json").write_text(json.dumps(config | {"model": "mae"}))
    with pytest.raises(ModelError, match=r"kind 'mae', expected 'tuned'"):
        load_classifier(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"has no model.safetensors"):
        load_classifier(folder)
