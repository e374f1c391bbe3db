"""Weights of a stranger's folder: one safetensors file, or several that an index names.

Only safetensors are read. An index is bounded and names plain files of its own folder; every one of
them must be there, and hold the tensors that the index says it holds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from vicl.files import display, hash_file, reason
from vicl.files.bounded import read_bounded
from vicl.files.plain_json import parse_json
from vicl.storage.checkpoints import Checkpoint, TensorRef, open_checkpoint
from vicl.storage.folder import ModelError, checked

_INDEX_LIMIT: Final = 16 << 20
_MOST_FILES: Final = 1000
_NUMBERED: Final = r"-(\d{5})-of-(\d{5})[.]safetensors"


@dataclass(frozen=True)
class Weights:
    """The open weights of a folder.

    Attributes:
        refs: Their tensors, by name.
    """

    refs: Mapping[str, TensorRef]
    _homes: Mapping[str, Checkpoint] = field(repr=False)

    def load(
        self, names: Mapping[str, TensorRef], dtype: torch.dtype = torch.float32
    ) -> dict[str, Tensor]:
        """Read some of them, a file at a time.

        Args:
            names: Part of `refs`.
            dtype: Of what is given.

        Raises:
            ModelError: If one holds other than finite floating-point numbers.
            CheckpointError: If a file is damaged.
        """
        found: dict[str, Tensor] = {}
        for home in {id(home): home for home in self._homes.values()}.values():
            own = {name: ref for name, ref in names.items() if self._homes[name] is home}
            read = home.load(own)
            for name in own:
                # One at a time, so that a second copy of all is never there.
                found[name] = checked(read.pop(name), name, home.path).to(dtype)
        return found


def patterns(name: str) -> tuple[str, ...]:
    """What a folder on the hub may have of the weights `name`: one file, or an index and more."""
    several = name.replace(".safetensors", "-?????-of-?????.safetensors")
    return name, f"{name}.index.json", several


def weight_files(folder: Path, name: str) -> tuple[Path, ...]:
    """The files of a folder's weights; none if it has neither them nor an index.

    Args:
        folder: May have the file `name`, or `name.index.json` and what that names.
        name: Ends with ".safetensors".

    Raises:
        ModelError: If the index is broken, or a file that it names is not there.
    """
    if (folder / name).is_file():
        return (folder / name,)
    index = _index(folder, name)
    return tuple(folder / file for file in sorted(set(index.values())))


@contextmanager
def open_weights(folder: Path, name: str) -> Iterator[Weights]:
    """Open a folder's weights; nothing of them is read yet.

    Args:
        folder: As for :func:`weight_files`.
        name: Likewise.

    Raises:
        ModelError: As there; or if the files hold other tensors than the index says.
        CheckpointError: If a file is damaged.
    """
    files = weight_files(folder, name) or (folder / name,)
    with ExitStack() as stack:
        refs: dict[str, TensorRef] = {}
        homes: dict[str, Checkpoint] = {}
        places: dict[str, str] = {}
        for file in files:
            checkpoint = stack.enter_context(open_checkpoint(file))
            data = checkpoint.data if isinstance(checkpoint.data, dict) else {}
            for key, ref in data.items():
                if isinstance(ref, TensorRef):
                    refs[str(key)], homes[str(key)] = ref, checkpoint
                    places[str(key)] = file.name
        if len(files) > 1 or files[0].name != name:
            _check_places(folder / f"{name}.index.json", _index(folder, name), places)
        yield Weights(refs, homes)


def hash_weights(folder: Path, name: str) -> str:
    """SHA-256 of a folder's weights, in hex: of the file; of several, of their hashes in order.

    Raises:
        ModelError: As :func:`weight_files`.
        FileError: If there are none.
    """
    files = weight_files(folder, name) or (folder / name,)
    return hash_together([hash_file(file) for file in files])


def hash_together(hashes: list[str]) -> str:
    """The hash of what consists of several files; of one file its own."""
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _index(folder: Path, name: str) -> dict[str, str]:
    """Which file has which tensor; empty without an index.

    Raises:
        ModelError: If it is broken, or a file that it names is not there.
    """
    path = folder / f"{name}.index.json"
    if not path.is_file():
        return {}
    try:
        said = parse_json(read_bounded(path, _INDEX_LIMIT, ModelError))
    except ValueError as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{display(path)}: is no JSON ({reason(error)})") from error
    index = said.get("weight_map") if isinstance(said, dict) else None
    if not isinstance(index, dict) or not index:
        raise ModelError(f"{display(path)}: has no weight_map of tensors and their files")
    stem = re.escape(name.removesuffix(".safetensors"))
    counts = set()
    for file in set(map(str, index.values())):
        found = re.fullmatch(stem + _NUMBERED, file, re.ASCII)
        if found is None:
            raise ModelError(
                f"{display(path)}: names the file {display(file)[:80]!r}, expected one such as "
                f"{name.replace('.', '-00001-of-00002.')} beside it; vicl reads no pickled weights"
            )
        counts.add(int(found[2]))
    if len(counts) != 1 or not 1 <= (count := counts.pop()) <= _MOST_FILES:
        raise ModelError(f"{display(path)}: its files do not say how many they are")
    wanted = [
        name.replace(".safetensors", f"-{number:05}-of-{count:05}.safetensors")
        for number in range(1, count + 1)
    ]
    missing = [file for file in wanted if not (folder / file).is_file()]
    if missing:
        raise ModelError(
            f"{display(folder)}: lacks {len(missing)} of its {count} files of weights "
            f"({missing[0]} first); get a whole copy of the model"
        )
    unnamed = set(wanted) - set(index.values())
    if unnamed:
        raise ModelError(f"{display(path)}: names no tensor of {min(unnamed)}; get a whole copy")
    return {str(key): str(file) for key, file in index.items()}


def _check_places(path: Path, index: Mapping[str, str], places: Mapping[str, str]) -> None:
    wrong = sorted(key for key in {*index, *places} if index.get(key) != places.get(key))
    if wrong:
        raise ModelError(
            f"{display(path)}: is not of these files: {display(wrong[0])[:80]} is said to be in "
            f"{index.get(wrong[0], 'none')}, and is in {places.get(wrong[0], 'none')}; get a "
            "whole copy of the model"
        )
