"""CLIPs for tests: those of the goldens, whose weights follow from a formula, and random ones."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.adapters.bodies import library, saved
from torch import Tensor

from clip_words import END, START, merges_of, write_files, write_vocabulary
from vicl.adapters.transformers_folder import HALF
from vicl.adapters.words import Words
from vicl.prompts.backbones.clip import ClipBackbone

SIDE = 32
"""Of the tiny CLIPs' images, in pixels."""


@dataclass(frozen=True, eq=False)
class Golden:
    """What a published system computed.

    Attributes:
        said: Its JSON.
        arrays: Its arrays.
        backbone: Its CLIP.
    """

    said: dict[str, Any]
    arrays: dict[str, Tensor]
    backbone: ClipBackbone

    @property
    def image(self) -> Tensor:
        """Its images in [0, 1], (2, 3, 32, 32)."""
        return (self.arrays["x"] + 1) / 2

    def drawn(self, name: str) -> Tensor:
        """A tensor that follows from its name."""
        return formula(self.said["tensors"][name])


def formula(entry: dict[str, Any]) -> Tensor:
    """A tensor of the goldens, checked by its first number and its sum."""
    key = zlib.crc32(f"vicl-golden:{entry['name']}".encode())
    rng = np.random.Generator(np.random.PCG64(key))
    z = rng.standard_normal(entry["shape"], dtype=np.float32)
    found = np.float32(entry["offset"]) + np.float32(entry["scale"]) * z
    assert found.flat[0] == np.float32(entry["first"])
    assert np.isclose(found.sum(dtype=np.float64), entry["sum"])
    return torch.from_numpy(found)


def open_golden(shared: Path, name: str, folder: Path) -> Golden:
    """A golden of `goldens/coop`, with its CLIP in the library's model.

    Args:
        shared: The folder of development data.
        name: Of its files.
        folder: Gets the vocabulary.
    """
    lib, place = library(), shared / "goldens" / "coop"
    said = json.loads((place / f"{name}.json").read_text())
    with np.load(place / f"{name}.npz") as arrays:
        read = {key: torch.from_numpy(arrays[key]) for key in arrays}
    about = json.loads((place / "coop.json").read_text())
    told, toy = about["clip"], about["tokenizer"]
    config = lib.CLIPConfig(
        text_config={
            "vocab_size": told["vocab"],
            "hidden_size": told["text_width"],
            "intermediate_size": 4 * told["text_width"],
            "num_hidden_layers": told["text_layers"],
            "num_attention_heads": told["text_heads"],
            "max_position_embeddings": told["context_length"],
        },
        vision_config={
            "hidden_size": told["vision_width"],
            "intermediate_size": 4 * told["vision_width"],
            "num_hidden_layers": told["vision_layers"],
            "num_attention_heads": told["vision_heads"],
            "image_size": told["image"],
            "patch_size": told["patch"],
        },
        projection_dim=told["embed_dim"],
        logit_scale_init_value=float(np.log(1 / 0.07)),
    )
    net = lib.CLIPModel(config)
    weights = {
        entry["name"].removeprefix("clip."): formula(entry)
        for entry in said["tensors"].values()
        if entry["name"].startswith("clip.")
    }
    missing, unexpected = net.load_state_dict(as_the_library(weights), strict=False)
    assert missing == ["logit_scale"]
    assert unexpected == []
    write_toy_words(folder, toy)
    words = Words(folder, "clip", count=told["vocab"], most=told["context_length"])
    backbone = ClipBackbone(net, words, colours=HALF)
    return Golden(said, read, backbone.requires_grad_(False).eval())


def as_the_library(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a CLIP under the library's names, of those under the published ones."""
    whole = {
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "ln_final.": "text_model.final_layer_norm.",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.conv1.": "vision_model.embeddings.patch_embedding.",
        "visual.ln_pre.": "vision_model.pre_layrnorm.",
        "visual.ln_post.": "vision_model.post_layernorm.",
        "visual.transformer.resblocks.": "vision_model.encoder.layers.",
        "transformer.resblocks.": "text_model.encoder.layers.",
    }
    inner = {
        ".attn.out_proj": ".self_attn.out_proj",
        ".ln_1": ".layer_norm1",
        ".ln_2": ".layer_norm2",
        ".c_fc": ".fc1",
        ".c_proj": ".fc2",
    }
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name == "text_projection":
            found["text_projection.weight"] = value.T
        elif name == "visual.proj":
            found["visual_projection.weight"] = value.T
        else:
            own = next(n for n in whole if name.startswith(n))
            own = whole[own] + name.removeprefix(own)
            for one, other in inner.items():
                own = own.replace(one, other)
            if ".attn.in_proj_" in own:
                for part, each in zip("qkv", value.chunk(3), strict=True):
                    found[own.replace(".attn.in_proj_", f".self_attn.{part}_proj.")] = each
            else:
                found[own] = value
    return found


def write_toy_words(folder: Path, toy: dict[str, Any]) -> None:
    """The goldens' vocabulary of a few words as CLIP's own files."""
    merges = merges_of(Counter(word for word in toy["ids"] if word.isalpha()))
    known = {f"{word}</w>": number for word, number in toy["ids"].items()}
    known |= {START: toy["sot"], END: toy["eot"]}
    letters = {letter for word in toy["ids"] for letter in word}
    pieces = [*letters, *(f"{one}</w>" for one in letters), *map("".join, merges)]
    for piece in sorted(set(pieces) - set(known)):
        known[piece] = len(known) + 100  # no text of the goldens comes down to these
    write_files(folder, known, merges)


def make_clip(folder: Path, **changes: Any) -> Any:
    """Save a tiny random CLIP as its users do, with words and letters."""
    lib = library()
    folder.mkdir(parents=True, exist_ok=True)
    count = write_vocabulary(folder, ["a photo of a x red blue star circle texture"])
    config = lib.CLIPConfig(
        text_config={
            "vocab_size": count,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "max_position_embeddings": 24,
            "bos_token_id": count - 2,
            "eos_token_id": count - 1,
        },
        vision_config={
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 8,
        },
        projection_dim=32,
    )
    return saved(lib.CLIPModel(config), folder)
