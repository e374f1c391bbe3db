"""Weights in one file or several: all are read, and what is not whole or not plain is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vicl.files import hash_file
from vicl.storage.folder import ModelError
from vicl.storage.sharded import hash_weights, open_weights, weight_files

NAME = "model.safetensors"
PARTS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4), "c": torch.zeros(1)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file({"a": TENSORS["a"]}, tmp_path / PARTS[0])
    save_file({"b": TENSORS["b"], "c": TENSORS["c"].half()}, tmp_path / PARTS[1])
    write(tmp_path, {"a": PARTS[0], "b": PARTS[1], "c": PARTS[1]})
    return tmp_path


def write(folder: Path, places: object) -> None:
    said = {"metadata": {"total_size": 44}, "weight_map": places}
    (folder / f"{NAME}.index.json").write_text(json.dumps(said))


def test_several_files_are_one_set_of_weights(folder: Path, tmp_path: Path) -> None:
    assert [path.name for path in weight_files(folder, NAME)] == list(PARTS)
    with open_weights(folder, NAME) as weights:
        found = weights.load(weights.refs)
        half = weights.load({"b": weights.refs["b"]}, torch.bfloat16)
    assert set(found) == set(TENSORS)
    assert all(torch.equal(found[key], value) for key, value in TENSORS.items())
    assert half["b"].dtype == torch.bfloat16
    before = hash_weights(folder, NAME)
    save_file({"a": TENSORS["a"] + 1}, folder / PARTS[0])
    assert hash_weights(folder, NAME) != before
    # One file has its own hash, as ever, and needs no index.
    save_file(TENSORS, folder / NAME)
    assert hash_weights(folder, NAME) == hash_file(folder / NAME)
    with open_weights(folder, NAME) as weights:
        assert set(weights.refs) == set(TENSORS)


def test_no_weights_are_no_files(tmp_path: Path) -> None:
    assert weight_files(tmp_path, NAME) == ()


@pytest.mark.parametrize(
    ("places", "fault"),
    [
        ({"a": PARTS[0], "b": "../secret-00002-of-00002.safetensors"}, "names the file"),
        ({"a": PARTS[0], "b": "pytorch_model-00002-of-00002.bin"}, "reads no pickled weights"),
        ({"a": PARTS[0], "b": 7}, "names the file '7'"),
        ({"a": PARTS[0], "b": "model-00001-of-00003.safetensors"}, "do not say how many"),
        ({"a": "model-00001-of-99999.safetensors"}, "do not say how many"),
        ({"a": "model-00001-of-00003.safetensors"}, "lacks 3 of its 3 files"),
        ({"a": PARTS[0]}, f"names no tensor of {PARTS[1]}"),
        ({"a": PARTS[1], "b": PARTS[0], "c": PARTS[1]}, "a is said to be in"),
        ({"a": PARTS[0], "b": PARTS[1]}, "c is said to be in none"),
        ({"a": PARTS[0], "b": PARTS[1], "c": PARTS[1], "d": PARTS[0]}, "and is in none"),
        ([], "has no weight_map"),
        ({}, "has no weight_map"),
    ],
)
def test_a_broken_index_is_told(folder: Path, places: object, fault: str) -> None:
    write(folder, places)
    with pytest.raises(ModelError, match=fault), open_weights(folder, NAME):
        pass


def test_a_missing_file_and_an_index_that_is_none(folder: Path) -> None:
    (folder / PARTS[1]).unlink()
    with pytest.raises(ModelError, match=f"lacks 1 of its 2 files of weights .{PARTS[1]} first"):
        weight_files(folder, NAME)
    (folder / f"{NAME}.index.json").write_text("[" * 100_000)
    with pytest.raises(ModelError, match="is no JSON"):
        weight_files(folder, NAME)
    with (folder / f"{NAME}.index.json").open("wb") as stream:
        stream.truncate((16 << 20) + 1)
    with pytest.raises(ModelError, match="is larger than 16 MiB"):
        weight_files(folder, NAME)


def test_numbers_that_are_none_are_refused(folder: Path) -> None:
    save_file({"a": torch.full((2, 3), float("nan"))}, folder / PARTS[0])
    with (
        open_weights(folder, NAME) as weights,
        pytest.raises(ModelError, match="finite floating-point"),
    ):
        weights.load(weights.refs)
