"""Checkpoints are read as data: the same numbers as torch reads, and nothing else."""

from __future__ import annotations

import argparse
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.models.fabricated import lightning, published, save, tiny_model

from vicl.files import FileError
from vicl.storage.checkpoints import CheckpointError, TensorRef, open_checkpoint
from vicl.storage.pickles import Global, Placeholder

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])


@FORMATS
def test_every_type_of_number(tmp_path: Path, zipped: bool) -> None:
    tensors = {
        str(dtype): torch.arange(6).view(2, 3).to(dtype)
        for dtype in (
            *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64),
            *(torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
        )
    }
    tensors["parameter"] = torch.nn.Parameter(torch.ones(2))
    tensors["scalar"] = torch.tensor(3.5)
    tensors["empty"] = torch.ones(0, 4)
    path = save(tensors, tmp_path / "x.pth", zipped=zipped)
    with open_checkpoint(path) as checkpoint:
        loaded = checkpoint.load(checkpoint.data)
    assert loaded.keys() == tensors.keys()
    for name, value in tensors.items():
        assert torch.equal(loaded[name], value.detach()), name
        assert loaded[name].dtype == value.dtype
    if not zipped:
        return
    save_file({k: v.detach() for k, v in tensors.items()}, tmp_path / "x.safetensors")
    with open_checkpoint(tmp_path / "x.safetensors") as checkpoint:
        again = checkpoint.load(checkpoint.data)
    assert all(torch.equal(again[name], loaded[name]) for name in tensors)


@FORMATS
def test_plain_values_come_and_all_else_is_a_placeholder(tmp_path: Path, zipped: bool) -> None:
    data: dict[Any, Any] = {
        "plain": [1, -(2**40), 2.5, "ä", b"\0", None, True, (1, (2, 3)), {"a": {1: 2}}],
        "ordered": OrderedDict(b=1, a=2),
        "defaults": defaultdict(list, k=[1]),
        "size": torch.ones(2, 3).shape,
        "args": argparse.Namespace(lr=1e-4, model="x", path=Path("/a")),
        "array": np.ones(3),
        "set": {1, 2},
        "dtype": torch.float32,
        "complex": torch.ones(2, dtype=torch.complex64),
        (1, 2): "a tuple as a key",
    }
    path = save(data, tmp_path / "x.pth", zipped=zipped)
    with open_checkpoint(path) as checkpoint:
        found = checkpoint.data
    assert found["plain"] == data["plain"]
    assert found["ordered"] == {"b": 1, "a": 2}
    assert found["defaults"] == {"k": [1]}
    assert found["size"] == (2, 3)
    args = found["args"]
    assert isinstance(args, Placeholder)
    assert args.name == "argparse.Namespace"
    state: Any = args.state
    assert state["lr"] == 1e-4
    assert isinstance(state["path"], Placeholder)
    assert isinstance(found["complex"], TensorRef)
    for name in ("array", "set"):
        assert isinstance(found[name], Placeholder), name
    assert isinstance(found["dtype"], Global)
    assert (1, 2) not in found


@FORMATS
def test_the_published_layouts(tmp_path: Path, zipped: bool) -> None:
    model = tiny_model()
    path = save(published(model), tmp_path / "checkpoint-3399.pth", zipped=zipped)
    with open_checkpoint(path) as checkpoint:
        found = checkpoint.data
        assert set(found) == {"model", "optimizer", "epoch", "scaler", "args"}
        assert found["args"].state["model"] == "mae_vit_tiny_patch4"
        assert found["scaler"]["scale"] == 65536.0
        loaded = checkpoint.load({"cls_token": found["model"]["cls_token"]})
    assert torch.equal(loaded["cls_token"], model.cls_token)
    path = save(lightning(model), tmp_path / "last.ckpt", zipped=zipped)
    with open_checkpoint(path) as checkpoint:
        found = checkpoint.data
        assert isinstance(found["state_dict"]["quantize.embedding.weight"], TensorRef)
        (callback,) = found["callbacks"]
        assert isinstance(callback, Placeholder)


@FORMATS
def test_a_truncated_file_says_so(tmp_path: Path, zipped: bool) -> None:
    whole = save(published(tiny_model()), tmp_path / "x.pth", zipped=zipped).read_bytes()
    path = tmp_path / "cut.pth"
    for part in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(CheckpointError, match=r"cut\.pth: .*not a whole one"):
            open_checkpoint(path)


def test_missing_and_empty_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "empty.pth").touch()
    faults = {"missing.pth": "no such file", "empty.pth": "is an empty file", ".": "is a folder"}
    for name, fault in faults.items():
        with pytest.raises(FileError, match=fault):
            open_checkpoint(tmp_path / name)


def test_torch_agrees_where_it_dares_to_look(tmp_path: Path) -> None:
    data = {"model": {"a": torch.randn(3, 4).t(), "b": torch.randn(5)[1:3]}, "epoch": 3}
    path = save(data, tmp_path / "x.pth")
    expected = torch.load(path, weights_only=True)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.data["epoch"] == expected["epoch"]
        loaded = checkpoint.load(checkpoint.data["model"])
    assert all(torch.equal(loaded[k], expected["model"][k]) for k in loaded)
