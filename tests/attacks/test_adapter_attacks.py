"""Folders of segmenters from a stranger: names of code in any part, sizes, vocabularies."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.adapters import tiny
from tests.adapters.bodies import library

import vicl
from vicl.files import FileError
from vicl.storage.folder import ModelError

library()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("saved")

    def of(kind: str) -> Path:
        if not (root / kind).is_dir():
            tiny.save(kind, root / kind)
        return root / kind

    return of


@pytest.fixture
def folder(saved: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a folder of a kind, to be spoilt."""

    def copy(kind: str) -> Path:
        shutil.copytree(saved(kind), tmp_path / "body")
        return tmp_path / "body"

    return copy


def change(folder: Path, *parts: str, **fields: Any) -> None:
    path = folder / "config.json"
    said = json.loads(path.read_text())
    inner = said
    for part in parts:
        inner = inner[part]
    inner.update(fields)
    path.write_text(json.dumps(said))


CODE: dict[str, Any] = {
    "auto_map": {"AutoConfig": "evil--code.Config", "AutoModel": "evil--code.Model"},
    "_attn_implementation": "evil/kernel",
    "attn_implementation": "evil/kernel",
    "_attn_implementation_internal": "evil/kernel",
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "backbone": "resnet50",
    "use_timm_backbone": True,
    "use_pretrained_backbone": True,
    "backbone_kwargs": {"pretrained": True},
    "model_type": "evil",
    "trust_remote_code": True,
    "peft_config": {"peft_type": "LORA"},
}


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("sam", ("vision_config", "prompt_encoder_config", "mask_decoder_config")),
        ("sam2", ("vision_config", "mask_decoder_config")),
        ("clipseg", ("vision_config", "text_config")),
    ],
)
def test_code_named_in_any_part_is_neither_fetched_nor_run(
    kind: str,
    parts: tuple[str, ...],
    folder: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = folder(kind)
    change(path, **{key: value for key, value in CODE.items() if key != "model_type"})
    for part in parts:
        change(path, part, **CODE)

    def connect(*_: Any) -> None:
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", connect)
    segmenter: Any = vicl.load_segmenter(path, device="cpu")
    said = json.dumps(segmenter._model.config.to_dict(), default=str)
    assert "evil" not in said
    assert "LORA" not in said
    photo = np.zeros((20, 30, 3), np.uint8)
    prompt = {"text": "a cat"} if kind == "clipseg" else {"points": [(3, 4)]}
    segmenter.encode(photo).masks(**prompt)


@pytest.mark.parametrize(
    ("parts", "fields"),
    [
        (("vision_config",), {"image_size": 1 << 40}),
        (("vision_config",), {"image_size": 8192}),
        (("vision_config",), {"num_hidden_layers": 1_000_000}),
        (("vision_config",), {"hidden_size": 1 << 40}),
        (("vision_config",), {"num_channels": 4}),
        (("prompt_encoder_config",), {"image_size": 1 << 31}),
        (("mask_decoder_config",), {"iou_head_depth": 100_000}),
        (("mask_decoder_config",), {"hidden_act": "os.system"}),
        ((), {"vision_config": "sam"}),
        ((), {"vision_config": [1, 2]}),
        ((), {"model_type": "\x1b[31msam"}),
    ],
)
def test_configurations_that_fit_no_file(
    parts: tuple[str, ...], fields: dict[str, Any], folder: Callable[[str], Path]
) -> None:
    path = folder("sam")
    change(path, *parts, **fields)
    with pytest.raises(ModelError, match="body") as caught:
        vicl.load_segmenter(path, device="cpu")
    assert len(str(caught.value)) < 1000
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vocab.json", ""),
        ("vocab.json", "[]"),
        ("vocab.json", '{"a": -1}'),
        ("vocab.json", '{"a": 1.5}'),
        ("vocab.json", '{"a": {"b": 1}}'),
        ("vocab.json", '{"a":' * 100_000),
        ("merges.txt", "a b c\n"),
        ("merges.txt", "a b\n" * 3),
        ("tokenizer.json", "[" * 100_000),
        ("tokenizer.json", '{"model": []}'),
        ("tokenizer.json", '{"model": {"vocab": {"a": 1}, "merges": [["a"]]}}'),
        ("tokenizer.json", '{"model": {"vocab": {"a": 1}, "merges": 7}}'),
        ("tokenizer.json", " " * (33 << 20)),
    ],
)
def test_vocabularies_that_are_none(name: str, text: str, folder: Callable[[str], Path]) -> None:
    path = folder("clipseg")
    (path / name).write_text(text)
    with pytest.raises(FileError, match=r"body"):
        vicl.load_segmenter(path, device="cpu")


def test_words_that_the_model_does_not_know(folder: Callable[[str], Path]) -> None:
    path = folder("clipseg")
    words = json.loads((path / "vocab.json").read_text())
    (path / "vocab.json").write_text(json.dumps(words | {"a</w>": 1 << 20}))
    image = vicl.load_segmenter(path, device="cpu").encode(np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(ModelError, match="more words than the model, which knows 60"):
        image.masks(text="a cat")


def test_without_a_vocabulary_it_says_what_is_missing(folder: Callable[[str], Path]) -> None:
    path = folder("clipseg")
    (path / "merges.txt").unlink()
    with pytest.raises(ModelError, match=r"has no vocabulary.*vocab\.json and merges\.txt"):
        vicl.load_segmenter(path, device="cpu")
