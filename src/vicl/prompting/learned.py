"""Files of what was learned for one engine: numbers, and the hash of the weights they belong to.

They are safetensors, alone or within a prompt file, and may come from a stranger.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from vicl.engine import Named
from vicl.files import FileError, display, write_atomic
from vicl.files.bounded import read_bounded
from vicl.files.faults import said
from vicl.files.plain_json import parse_json

LIMIT: Final = 1 << 26
"""Bytes of such a file."""
_KEY: Final = "vicl"
"""Of the file's metadata; one key alone, since their order in the file is not fixed."""


class LearnedError(FileError):
    """What was learned cannot be used; the message names it, the fault and the remedy."""


class LearnedFile(ABC):
    """What was learned, as one file."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """The file; the same gives the same bytes."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file; atomically.

        Raises:
            vicl.files.FileError: If it cannot be written.
        """
        write_atomic(path, self.to_bytes())


class Told(BaseModel):
    """What a file says beside its numbers.

    Attributes:
        engine: Name of the inpainter that it was learned with;
        weights_hash: SHA-256, in hex, of the weights of that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: int = Field(default=1, ge=1, le=1)
    engine: str = Field(min_length=1, max_length=200)
    weights_hash: str = Field(pattern="^[0-9a-f]{64}$")

    @classmethod
    def of(cls: type[Said], engine: Named, **more: object) -> Said:
        """What a file is to say of something that was learned with an engine.

        Raises:
            LearnedError: If the engine has no hash by which it could be told from others.
        """
        if engine.weights_hash is None:
            raise LearnedError(
                f"{engine.name}: has no weights of a file, by whose hash it could be told from "
                "others; save the model, then load it (save_pretrained, load_model)"
            )
        given = {"engine": engine.name, "weights_hash": engine.weights_hash, **more}
        return cls.model_validate(given)

    def check(self, what: str, engine: Named) -> None:
        """Refuse another engine than the one that something was learned with.

        Raises:
            LearnedError: If the weights are others.
        """
        if engine.weights_hash != self.weights_hash:
            other = engine.weights_hash
            raise LearnedError(
                f"{what}: learned with {self.engine} (weights {self.weights_hash[:12]}…), but the "
                f"engine is {engine.name} ({f'weights {other[:12]}…' if other else 'no weights'}), "
                "to which that means nothing; give the engine that it was learned with, or learn "
                "anew with this one (vicl tune)"
            )


Said = TypeVar("Said", bound=Told)


def pack(tensors: dict[str, Tensor], told: Told) -> bytes:
    """The bytes of a file; the same give the same."""
    return save(tensors, metadata={_KEY: told.model_dump_json()})


def unpack(data: bytes, kind: type[Said], name: str) -> tuple[dict[str, Tensor], Said]:
    """The numbers of a file, all finite, and what it says of them.

    Args:
        data: Of :func:`pack`.
        kind: What it says.
        name: What messages call the file.

    Raises:
        LearnedError: If it is none, or broken.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        text = parse_json(data[8 : 8 + length])["__metadata__"][_KEY]
        told, tensors = kind.model_validate_json(text), load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise LearnedError(
            f"{name}: is damaged, or of another kind ({said(error)}); expected a file that `vicl "
            "tune` wrote"
        ) from error
    for key, tensor in tensors.items():
        fitting = tensor.dtype in (torch.float32, torch.bool)
        if not fitting or not bool(tensor.isfinite().all()):
            raise LearnedError(
                f"{name}: {display(key)[:60]} does not hold finite float32 numbers; the file is "
                "damaged, or its training went wrong"
            )
    return tensors, told


def read_learned(given: str | os.PathLike[str], file: str) -> tuple[bytes, str]:
    """The bytes of a file, or of that file in a run's folder; and what messages call it.

    Raises:
        LearnedError: If there is none, or it is too large.
    """
    path = Path(given)
    path = path / file if path.is_dir() else path
    if not path.is_file():
        raise LearnedError(
            f"{display(path)}: no such file; expected {file}, or the folder of its run (vicl tune)"
        )
    return read_bounded(path, LIMIT, LearnedError), display(path)
