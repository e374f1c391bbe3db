"""Folders of encoders from a stranger: sizes, depths, names of code, pickles, broken numbers."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.adapters.bodies import library, make

from vicl.adapters.transformers_encoder import TransformersEncoder
from vicl.files import FileError
from vicl.storage.folder import ModelError

library()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make("Dinov2", tmp_path / "body")
    return tmp_path / "body"


def change(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


HUGE: dict[str, dict[str, Any]] = {
    "a width of 2^40": {"hidden_size": 1 << 40},
    "a width of 2^70": {"hidden_size": 1 << 70},
    "a million layers": {"num_hidden_layers": 1_000_000},
    "images of 2^31": {"image_size": 1 << 31},
    "patches of 2^31": {"patch_size": 1 << 31},
    "a perceptron of 2^40": {"mlp_ratio": 1 << 40},
    "no width": {"hidden_size": 0},
    "a negative width": {"hidden_size": -32},
    "no layers": {"num_hidden_layers": 0},
    "no heads": {"num_attention_heads": 0},
    "no patches": {"patch_size": 0},
    "half a layer": {"num_hidden_layers": 1.5},
    "true layers": {"num_hidden_layers": True},
    "layers in words": {"num_hidden_layers": "twelve"},
    "patches in a list": {"patch_size": [8, 8]},
    "width in a list": {"hidden_size": [32]},
    "no such activation": {"hidden_act": "os.system"},
    "four channels": {"num_channels": 4},
    "stages": {"model_type": "dinov3_convnext", "depths": [1] * 5, "hidden_sizes": [8] * 5},
    "wide stages": {
        "model_type": "dinov3_convnext",
        "depths": [1] * 4,
        "hidden_sizes": [1 << 30] * 4,
    },
    "deep stages": {"model_type": "dinov3_convnext", "depths": [1 << 20] * 4},
    "many registers": {"model_type": "dinov2_with_registers", "num_register_tokens": 1 << 40},
    "a kind in a list": {"model_type": ["dinov2"]},
    "a kind with control characters": {"model_type": "\x1b[31mdinov2"},
    "a vision part that is none": {"model_type": "clip", "vision_config": "clip"},
    "no vision part": {"model_type": "siglip"},
}


@pytest.mark.parametrize("case", HUGE)
def test_configurations_that_fit_no_file(folder: Path, case: str) -> None:
    change(folder, **HUGE[case])
    with pytest.raises(ModelError, match="body") as caught:
        TransformersEncoder(folder)
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", "[" * 100_000, '{"a":' * 100_000, "\xff", " " * (2 << 20)]
)
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_json_that_is_none(folder: Path, name: str, text: str) -> None:
    (folder / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        TransformersEncoder(folder)


@pytest.mark.parametrize(
    "said",
    [
        {"image_mean": [0, 0]},
        {"image_mean": "abc"},
        {"image_std": [0, 1, 1]},
        {"image_std": [-1, 1, 1]},
        {"image_std": [1e-300, 1, 1]},
        {"image_mean": [1e39, 1, 1]},
        {"image_std": [float("nan"), 1, 1]},
        {"image_mean": [float("inf"), 1, 1]},
        {"image_mean": [None, 1, 1]},
        {"image_mean": [10**400, 1, 1]},
    ],
)
def test_colours_that_are_none(folder: Path, said: dict[str, Any]) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(ModelError, match="image_mean and image_std: expected three numbers"):
        TransformersEncoder(folder)


def test_names_of_code_are_not_followed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would fetch kernels, adapters and classes that a configuration names."""
    (folder / "evil.py").write_text("raise SystemExit('was run')")
    expected = TransformersEncoder(folder).encode(torch.full((1, 3, 32, 32), 0.5)).whole
    change(
        folder,
        auto_map={"AutoModel": "evil.Model", "AutoConfig": "evil.Config"},
        attn_implementation="stranger/kernel",
        _attn_implementation="stranger/kernel",
        _attn_implementation_internal="stranger/kernel",
        quantization_config={"quant_method": "stranger"},
        _name_or_path="stranger/model",
        trust_remote_code=True,
        dtype="float16",
        torch_dtype="float16",
        return_dict=False,
        use_return_dict=False,
        output_hidden_states=False,
        tie_word_embeddings=True,
    )
    adapter = {"base_model_name_or_path": "stranger/model", "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    found = TransformersEncoder(folder).encode(torch.full((1, 3, 32, 32), 0.5)).whole
    assert torch.equal(found, expected)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was-run",)


def test_pickles_in_the_place_of_weights_run_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = folder / "model.safetensors"
    file.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(FileError, match=r"model\.safetensors"):
        TransformersEncoder(folder)
    file.unlink()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"embeddings.cls_token": Bomb()}))
    with pytest.raises(ModelError, match="body"):
        TransformersEncoder(folder)
    assert not Path("was-run").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(folder: Path, value: float) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["layernorm.weight"][0] = value
    save_file(tensors, file)
    with pytest.raises(ModelError, match=r"layernorm\.weight does not hold finite"):
        TransformersEncoder(folder)


def test_weights_cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    data = file.read_bytes()
    for length in (0, 7, 100, len(data) - 4):
        file.write_bytes(data[:length])
        with pytest.raises(FileError, match=r"model\.safetensors"):
            TransformersEncoder(folder)
