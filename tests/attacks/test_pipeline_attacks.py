"""Folders of pipelines from a stranger: names of code, pickles, sizes, and files of many parts."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.pipelines import diffusers, save, save_controlnet

import vicl
from vicl.files import FileError
from vicl.storage.folder import ModelError

diffusers()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gligen": ("StableDiffusionPipeline", {"in_channels": 4, "attention_type": "gated"}),
    "words": ("StableDiffusionPipeline", {"in_channels": 4}),
    "flux": ("FluxFillPipeline", {}),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("saved")
    for name, (kind, unet) in KINDS.items():
        save(kind, root / name, **unet)
    save_controlnet(root / "net", seed=1)
    return root


@pytest.fixture
def folder(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A copy of a folder, to be spoilt; without a network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    def copy(name: str) -> Path:
        shutil.copytree(saved / name, tmp_path / name)
        return tmp_path / name

    return copy


def change(path: Path, **fields: Any) -> None:
    said = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(said | fields))


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", KINDS)
def test_code_and_pickles_are_neither_fetched_nor_run(
    kind: str, folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder(kind)
    monkeypatch.syspath_prepend(str(path))
    module = "raise SystemExit('code of a stranger was run')"
    for place in (path, path / "vae", path / "scheduler"):
        (place / "evil.py").write_text(module)
        (place / "pipeline.py").write_text(module)
    change(
        path / "model_index.json",
        vae=["evil", "AutoencoderKL"],
        custom_pipeline="evil/pipeline",
        safety_checker=["evil", "Checker"],
    )
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    for part in ("vae", "text_encoder"):
        change(
            path / part / "config.json",
            _class_name="evil.Evil",
            auto_map={"AutoModel": "evil.Evil"},
            quantization_config={"quant_method": "evil"},
        )
        for name in ("diffusion_pytorch_model.bin", "pytorch_model.bin"):
            (path / part / name).write_bytes(trap)
    vicl.load_generator(path, device="cpu")
    assert "evil" not in sys.modules
    assert not (tmp_path / "sprung").exists()
    # Nor in the place of the weights, under their name.
    weights = path / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(trap)
    with pytest.raises(FileError):
        vicl.load_generator(path, device="cpu")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("kind", "part", "fields", "fault"),
    [
        ("gligen", "unet", {"sample_size": 1 << 20}, "sample_size: got 1048576, expected 8 to 512"),
        ("gligen", "unet", {"sample_size": [8, 8]}, "sample_size: got"),
        ("gligen", "unet", {"in_channels": 5}, "make no UNet2DConditionModel|in_channels: got 5"),
        ("gligen", "unet", {"attention_type": ["gated"]}, "make no UNet|position_net|attention"),
        ("words", "unet", {"sample_size": -1}, "sample_size: got -1"),
        ("words", "unet", {"transformer_layers_per_block": 1 << 30}, "expected at most"),
        ("words", "unet", {"cross_attention_dim": 1 << 20}, "it needs .* weights"),
        ("flux", "vae", {"sample_size": 1 << 20}, "sample_size: got 1048576, expected 64 to 4096"),
        ("flux", "transformer", {"num_layers": 10**9}, "num_layers: got 1000000000"),
        ("flux", "transformer", {"num_layers": 150}, "it needs .* weights"),
        ("flux", "text_encoder_2", {"d_ff": 1 << 20}, "it needs .* weights"),
        ("flux", "text_encoder_2", {"vocab_size": 1 << 30}, "expected at most"),
    ],
)
def test_sizes_that_cannot_be_are_told_before_memory_is_taken(
    kind: str, part: str, fields: dict[str, Any], fault: str, folder: Callable[[str], Path]
) -> None:
    path = folder(kind)
    change(path / part / "config.json", **fields)
    with pytest.raises(FileError, match=fault):
        vicl.load_generator(path, device="cpu")


def test_parts_that_lead_elsewhere_are_refused(folder: Callable[[str], Path]) -> None:
    path = folder("flux")
    index = path / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    whole = json.loads(index.read_text())
    shards = sorted(set(whole["weight_map"].values()))
    assert len(shards) > 1
    for elsewhere in ("../../words/unet/x.safetensors", "/etc/passwd", shards[0] + "\0"):
        places = dict.fromkeys(whole["weight_map"], elsewhere)
        index.write_text(json.dumps({"weight_map": places}))
        with pytest.raises(ModelError, match="names the file"):
            vicl.load_generator(path)
    index.write_text(json.dumps(whole))
    # A pipe that nobody writes to is no file, and is not waited for.
    (path / "transformer" / shards[0]).unlink()
    os.mkfifo(path / "transformer" / shards[0])
    with pytest.raises(ModelError, match="lacks 1 of its"):
        vicl.load_generator(path)
    (path / "transformer" / shards[0]).unlink()
    shutil.copy(path / "transformer" / shards[1], path / "transformer" / shards[0])
    with pytest.raises(ModelError, match="is not of these files"):
        vicl.load_generator(path)


def test_a_net_of_another_kind_is_told(folder: Callable[[str], Path]) -> None:
    base, net = folder("words"), folder("net")
    for fields, fault in (
        ({"_class_name": "Evil"}, "is no folder of a ControlNetModel"),
        ({"_class_name": ["ControlNetModel"]}, "is no folder of a ControlNetModel"),
        ({"_class_name": "ControlNetModel", "block_out_channels": [8, 16, 8]}, "make no Contr"),
    ):
        change(net / "config.json", **fields)
        with pytest.raises(FileError, match=fault):
            vicl.load_generator(f"{base}+edges={net}")
