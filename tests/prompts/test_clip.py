"""CLIP and SigLIP as backbones: the library's own features, from folders in the hub's format."""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.adapters.bodies import library, saved
from tests.prompts.clips import SIDE, make_clip
from torch import Tensor

from clip_words import END, START, write_files
from vicl.adapters.words import Words
from vicl.prompts.backbones.backbone import TokenBackbone
from vicl.prompts.backbones.clip import SiglipBackbone
from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.backbones.worded import WordedBackbone, worded
from vicl.storage.folder import ModelError

TEXTS = ["a photo of a red star.", "blue", "zebra crossing"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, WordedBackbone]:
    """The library's model, and the backbone that is read of its folder."""
    folder = tmp_path_factory.mktemp("clip")
    net = make_clip(folder)
    return net, worded(load_backbone(str(folder), device="cpu"))


def pixels(seed: int = 0) -> Tensor:
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def test_features_of_images_are_the_library_s(clip: tuple[Any, WordedBackbone]) -> None:
    net, backbone = clip
    with torch.no_grad():
        wanted = net.get_image_features(pixels()).pooler_output
        found = backbone.features(pixels())
    torch.testing.assert_close(found, wanted)
    assert found.shape == (3, backbone.width)
    assert backbone.side == SIDE


def test_features_of_texts_are_the_library_s(clip: tuple[Any, WordedBackbone]) -> None:
    net, backbone = clip
    tokens = backbone.tokenise(TEXTS)
    with torch.no_grad():
        wanted = net.get_text_features(tokens.numbers).pooler_output
        found = backbone.text_side(TEXTS)
        logits = backbone.similarity(backbone.features(pixels()), found)
        both = net(input_ids=tokens.numbers, pixel_values=pixels()).logits_per_image
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(logits, both)


def test_words_are_tokens_and_other_text_is_spelt(clip: tuple[Any, WordedBackbone]) -> None:
    _, backbone = clip
    ends = backbone.tokenise(["a photo of a red star.", "Red  STAR", "zoo", ""]).ends
    assert ends.tolist() == [8, 3, 4, 1]
    numbers = backbone.tokenise(["Red  STAR", "red star"]).numbers
    assert torch.equal(numbers[0], numbers[1])
    assert int(backbone.tokenise(["z" * 100]).ends[0]) == backbone.context - 1  # cut off


def test_a_frozen_folder_says_its_hash_and_source(tmp_path: Path) -> None:
    make_clip(tmp_path)
    backbone = load_backbone(str(tmp_path), device="cpu")
    assert backbone.source == str(tmp_path)
    assert backbone.weights_hash is not None
    assert len(backbone.weights_hash) == 64
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not backbone.training


def test_a_clip_without_its_vocabulary_is_refused(tmp_path: Path) -> None:
    make_clip(tmp_path)
    (tmp_path / "vocab.json").unlink()
    with pytest.raises(ModelError, match=r"has no vocabulary, which text needs; .* whole copy"):
        load_backbone(str(tmp_path), device="cpu")


def test_what_reads_no_words_is_refused() -> None:
    backbone = TokenBackbone()
    backbone.source = "vit"
    with pytest.raises(ValueError, match="vit: reads no words, which this method needs; take"):
        worded(backbone)


def make_siglip(folder: Path) -> Any:
    """Save a tiny random SigLIP as its users do, with letters and a few words."""
    lib = library()
    pieces = ["<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz", "▁red", "▁star"]
    body = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    config = lib.SiglipConfig(
        text_config=body | {"vocab_size": len(pieces), "max_position_embeddings": 16},
        vision_config=body | {"image_size": SIDE, "patch_size": 8},
    )
    scored = [[piece, -1.0 if len(piece) > 1 else -5.0] for piece in pieces]
    model = {"type": "Unigram", "unk_id": 2, "vocab": scored}
    net = saved(lib.SiglipModel(config), folder)
    (folder / "tokenizer.json").write_text(json.dumps({"model": model}))
    return net


def test_features_of_siglip_are_the_library_s(tmp_path: Path) -> None:
    net = make_siglip(tmp_path)
    backbone = worded(load_backbone(str(tmp_path), device="cpu"))
    assert isinstance(backbone, SiglipBackbone)
    tokens = backbone.tokenise(["A red-star!", "a redstar"])
    assert torch.equal(tokens.numbers[0], tokens.numbers[1])  # as it was trained
    with torch.no_grad():
        wanted = net(input_ids=tokens.numbers, pixel_values=pixels())
        texts = backbone.text_side(["a red-star", "a redstar"])
        found = backbone.similarity(backbone.features(pixels()), texts)
    torch.testing.assert_close(found, wanted.logits_per_image)


def published_merges() -> list[tuple[str, str]]:
    """The merges that CLIP was published with, of a package that ships them; skips without one."""
    name = "bpe_simple_vocab_16e6.txt.gz"
    for package in ("open_clip_torch", "clip-anytorch"):
        try:
            files = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name == name:
                lines = gzip.decompress(Path(file.locate()).read_bytes()).decode().split("\n")
                pairs = [line.split() for line in lines[1 : 49152 - 256 - 2 + 1]]
                return [(one, other) for one, other in pairs]
    pytest.skip(f"needs {name}: pip install --no-deps open_clip_torch")


def test_real_words_have_the_published_numbers(shared: Path, tmp_path: Path) -> None:
    merges = published_merges()
    # Bytes stand for themselves where they can be seen, others for letters from 256 on.
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    signs = [chr(code) for code in seen] + [chr(256 + n) for n in range(256 - len(seen))]
    tokens = [*signs, *(f"{sign}</w>" for sign in signs), *map("".join, merges), START, END]
    write_files(tmp_path, {token: number for number, token in enumerate(tokens)}, merges)
    words = Words(tmp_path, "clip", count=49408, most=77)
    golden = json.loads((shared / "goldens" / "coop" / "bpe_ids.json").read_text())
    first, last = (int(n) for n in re.findall(r"text\|>=(\d+)", golden["what"]))
    for text, numbers in golden["ids"].items():
        assert words(text)[0].tolist() == [first, *numbers, last], text
