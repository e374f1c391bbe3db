"""Pipelines of the diffusers library, read as those of strangers.

The library reads none of their files: of each part's configuration only numbers and words are
taken, bounded, and the weights are safetensors. So no code but the library's own runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import torch

from vicl.adapters.transformers_folder import (
    PREPROCESSOR,
    Architecture,
    build,
    check_files,
    plain,
    read_json,
)
from vicl.adapters.words import tokenizer
from vicl.files import display, hash_file, reason
from vicl.files.extras import to_install
from vicl.storage.folder import CONFIG, WEIGHTS, ModelError
from vicl.storage.sharded import hash_together, open_weights, patterns, weight_files

INDEX: Final = "model_index.json"
"""Where a pipeline's folder says what it is."""

DIFFUSION: Final = "diffusion_pytorch_model.safetensors"
"""The weights of a part that is the library's own."""

_SCHEDULER: Final = "scheduler/scheduler_config.json"

_OWN: Final = ("unet", "vae", "transformer", "image_project")
_READERS: Final = ("text_encoder", "text_encoder_2", "image_encoder")
_WORDS: Final = ("tokenizer", "tokenizer_2")

FILES: Final = (
    INDEX,
    _SCHEDULER,
    DIFFUSION,  # of a ControlNet, which is a folder of its own
    *(f"{part}/{name}" for part in _OWN for name in (CONFIG, *patterns(DIFFUSION))),
    *(f"{part}/{name}" for part in _READERS for name in (CONFIG, *patterns(WEIGHTS))),
    *(
        f"{part}/{name}"
        for part in _WORDS
        for name in ("tokenizer.json", "vocab.json", "merges.txt")
    ),
    *(f"{part}/{PREPROCESSOR}" for part in ("processor", "feature_extractor")),
)
"""What is read of a folder, if it is there."""

_CLIP: Final = Architecture("CLIPTextConfig", "CLIPTextModel")
_CLIP_PROJECTED: Final = Architecture("CLIPTextConfig", "CLIPTextModelWithProjection")
_T5: Final = Architecture("T5Config", "T5EncoderModel", unused=("embed_tokens.weight",))

ONE_READER: Final = {"text_encoder": ("clip", _CLIP)}
TWO_READERS: Final = ONE_READER | {"text_encoder_2": ("clip", _CLIP_PROJECTED)}
FLUX_READERS: Final = ONE_READER | {"text_encoder_2": ("t5", _T5)}
"""Which parts read captions, by whose tokenizer, and what they are."""

_LEAST, _MOST = 64, 4096
"""Of a picture's side, in pixels."""

_OLD_NAMES: Final = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Of the autoencoder's attention, as older files have them."""


def library() -> ModuleType:
    """The diffusers library.

    Raises:
        ModelError: If it is not installed.
    """
    try:
        import diffusers
    except ImportError as error:
        raise ModelError(
            f"models of the diffusers library need it: {to_install('diffusers')}"
        ) from error
    found: ModuleType = diffusers
    return found


def read_kind(folder: Path, kinds: tuple[str, ...]) -> str:
    """Which pipeline a folder holds; sees that the library is there.

    Args:
        folder: With an :data:`INDEX`.
        kinds: Those that are expected.

    Raises:
        ModelError: If it is none of them, or the library is not installed.
    """
    kind = str(read_json(folder / INDEX).get("_class_name"))
    if kind not in kinds:
        raise ModelError(
            f"{display(folder / INDEX)}: got the pipeline {display(kind)[:80]!r}, expected one "
            f"of {', '.join(kinds)}"
        )
    library()
    return kind


def read_readers(
    folder: Path,
    readers: Mapping[str, tuple[str, Architecture]],
    *,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """The parts of a pipeline that read captions, with their tokenizers.

    Args:
        folder: The pipeline's.
        readers: Which, as :data:`ONE_READER` has them.
        device: Where they run.
        dtype: How they compute.

    Raises:
        ModelError: If one is missing or broken.
    """
    parts: dict[str, Any] = {}
    for part, (words, architecture) in readers.items():
        check_files(folder / part, "a text encoder")
        said = read_json(folder / part / CONFIG)
        parts[part] = build(architecture, said, folder / part, device=device, dtype=dtype)
        name = part.replace("text_encoder", "tokenizer")
        parts[name] = tokenizer(folder / name, words)
        most = getattr(parts[part].config, "max_position_embeddings", None)
        if most is not None:
            parts[name].model_max_length = most
    return parts


def read_scheduler(folder: Path, name: str) -> Any:
    """A pipeline's steps of denoising.

    Args:
        folder: The pipeline's; may say how they are.
        name: The library's class of them.

    Raises:
        ModelError: If what it says cannot be.
    """
    said = read_json(folder / _SCHEDULER) if (folder / _SCHEDULER).is_file() else {}
    # Unless something else is said; the library's own default is that of pictures, not of latents.
    said = {"clip_sample": False} | said
    kept = {key: value for key, value in plain(said).items() if not key.startswith("_")}
    try:
        return getattr(library(), name).from_config(kept)
    except (ValueError, TypeError, NotImplementedError) as error:  # an unknown schedule: the last
        raise ModelError(
            f"{display(folder / _SCHEDULER)}: cannot be used ({reason(error)}); get a whole copy"
        ) from error


def read_part(
    name: str,
    folder: Path,
    *,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
    changed: Callable[[Any, frozenset[str]], None] | None = None,
) -> Any:
    """A part of the library's own, with its weights.

    Args:
        name: Of its class.
        folder: With a configuration, and weights.
        device: Where it runs.
        dtype: Of its weights and arithmetic.
        changed: Changes the model before the weights are put in; is given their names.

    Raises:
        ModelError: If a file is missing, or configuration and weights make no such part.
    """
    model_class = getattr(library(), name)
    if not weight_files(folder, DIFFUSION):
        raise ModelError(
            f"{display(folder)}: has no {DIFFUSION}; vicl reads no pickled weights, so take a "
            "version of the model that has safetensors"
        )
    said = plain(read_json(folder / CONFIG))
    kept = {key: value for key, value in said.items() if not key.startswith("_")}
    with open_weights(folder, DIFFUSION) as weights:
        try:
            with torch.device("meta"):  # no memory is taken, then none but that of the weights
                model = model_class.from_config(kept)
                if changed is not None:
                    changed(model, frozenset(weights.refs))
            needed = sum(value.numel() for value in model.parameters())
            there = sum(ref.storage.numel for ref in weights.refs.values())
            if needed > 2 * there:
                raise ModelError(f"it needs {needed:,} weights, but the file has {there:,}")
            tensors = weights.load(weights.refs, dtype)
            today = {_today(key): value for key, value in tensors.items()}
            model.load_state_dict(today, assign=True)
        except Exception as error:  # the library's errors share no base class but Exception
            raise ModelError(
                f"{display(folder)}: its configuration and weights make no {name} "
                f"({reason(error)}); get whole copies of both"
            ) from error
    return model.requires_grad_(False).eval().to(device)


def _today(key: str) -> str:
    """The name of a weight as the library has it today."""
    found = re.fullmatch(r"(.*\.attentions\.\d+\.)(query|key|value|proj_attn)(\.\w+)", key)
    return f"{found[1]}{_OLD_NAMES[found[2]]}{found[3]}" if found else key


def read_side(part: Any, folder: Path, pixels: int = 1) -> int:
    """The side of the pictures that a part was trained with, in pixels.

    Args:
        part: Of the library's own.
        folder: Its folder, for the message.
        pixels: For one place of what it works on.

    Raises:
        ModelError: If it is none that can be.
    """
    said = part.config.get("sample_size")
    if type(said) is not int or not _LEAST <= pixels * said <= _MOST:
        raise ModelError(
            f"{display(folder / CONFIG)}: sample_size: got {display(str(said))[:80]}, expected "
            f"{_LEAST // pixels} to {_MOST // pixels}"
        )
    return pixels * said


def hash_pipeline(folder: Path) -> str:
    """SHA-256 of all weights together, in hex."""
    files = [
        file
        for part, name in (
            *((part, DIFFUSION) for part in ("", *_OWN)),
            *((part, WEIGHTS) for part in _READERS),
        )
        for file in weight_files(folder / part, name)
    ]
    return hash_together([hash_file(file) for file in sorted(files)])
