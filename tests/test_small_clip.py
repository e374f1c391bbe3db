"""The small CLIP of generated scenes: what its captions hold back, and that it trains and loads."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from clip_classes import COLOURS, DOMAINS, SHAPES, draw_pair, draw_scene, held_out, write_classes
from clip_words import merges_of
from vicl.images import to_levels
from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.methods import method


def test_a_fifth_of_the_pairs_is_held_out_and_every_word_is_in_some() -> None:
    classes = [name.split() for name in held_out()]
    assert len(classes) == len(COLOURS) * len(SHAPES) // 5
    assert {colour for colour, _ in classes} == set(COLOURS)
    assert {shape for _, shape in classes} == set(SHAPES)


def test_no_caption_names_a_class_first() -> None:
    rng = np.random.default_rng(0)
    captions = [draw_pair(rng).caption for _ in range(150)]
    assert len(set(captions)) > 100
    for caption in captions:
        first = caption.split(" and a small ")[0]
        assert not any(name in first for name in held_out()), caption


@pytest.mark.parametrize("domain", DOMAINS)
def test_folders_of_a_domain_follow_from_their_seed(tmp_path: Path, domain: str) -> None:
    some = held_out()[:2]
    for out in ("one", "other"):
        write_classes(tmp_path / out, {"train": 2, "test": 1}, domain=domain, classes=some)
    write_classes(tmp_path / "seeded", {"train": 2}, domain=domain, classes=some, seed=1)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.png"))
    assert len(files) == 6
    images = [to_levels(tmp_path / "one" / file) for file in files]
    assert all(image.shape == (64, 64, 3) for image in images)
    assert len({image.tobytes() for image in images}) == 6
    for file, image in zip(files, images, strict=True):
        assert np.array_equal(image, to_levels(tmp_path / "other" / file))
    seeded = to_levels(tmp_path / "seeded" / "train" / some[0] / "0000.png")
    assert not np.array_equal(seeded, to_levels(tmp_path / "one" / "train" / some[0] / "0000.png"))


def test_the_thing_of_the_class_lies_before_all_else() -> None:
    for seed in range(20):
        scene = draw_scene(np.random.default_rng(seed), "red", "star", "photo")
        assert (scene.things[-1].colour_name, scene.things[-1].shape) == ("red", "star")
        assert all(thing.size < scene.things[-1].size / 2 for thing in scene.things[:-1])


def test_merges_make_each_word_one_token() -> None:
    words = Counter({"star": 3, "start": 1, "tart": 1, "art": 2, "ring": 1, "string": 1})
    ranks = {pair: rank for rank, pair in enumerate(merges_of(words))}
    for word in words:
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:  # as a tokenizer does: the earliest merge first
            pairs = list(pairwise(parts))
            at = min(range(len(pairs)), key=lambda k: ranks.get(pairs[k], 10**6))
            assert pairs[at] in ranks, (word, parts)
            parts[at : at + 2] = ["".join(pairs[at])]


@pytest.mark.slow
def test_a_clip_trains_and_is_asked(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[1] / "benchmarks" / "small_clip.py"
    command = [sys.executable, str(script), "--out", str(tmp_path / "clip"), "--steps", "2"]
    told = subprocess.run([*command, "--batch", "8"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "of pictures of held-out classes" in told.stdout
    backbone = load_backbone(str(tmp_path / "clip"), device="cpu")
    row = method("zero-shot")
    classifier = row.make(backbone, held_out(), row.options(), torch.Generator())
    with torch.inference_mode():
        assert classifier(torch.rand(2, 3, 64, 64)).shape == (2, 24)
    assert (tmp_path / "clip" / "model.safetensors").stat().st_size < 10 << 20
