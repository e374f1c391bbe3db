"""Opening other people's models: the configuration of a folder says which adapter it needs."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from vicl.adapters.diffusers_folder import FILES, INDEX, hash_pipeline
from vicl.adapters.registry import ADAPTERS, ORIGINS, Role, adapter_for
from vicl.adapters.transformers_folder import PREPROCESSOR, WHOLE_COPY, read_json
from vicl.files import display
from vicl.storage import hub
from vicl.storage.cards import stated_licence
from vicl.storage.folder import CARD, CONFIG, WEIGHTS, ModelError
from vicl.storage.sharded import hash_weights, patterns, weight_files

log = logging.getLogger(ORIGINS)

HUB_CARD: Final = (CONFIG, INDEX, CARD)
"""What of a model on the hub says what it is."""

HUB_FILES: Final = (
    CONFIG,
    CARD,
    *patterns(WEIGHTS),
    PREPROCESSOR,
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    *FILES,
)
"""What is fetched of a model on the hub, if it is there."""


_PINNED: Final = r"hub:(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>refs/pr/\d+|[\w.-]+))?"


def find_folder(source: str, files: Sequence[str]) -> tuple[Path, str | None]:
    """The folder of a source, and how its model is called if the folder's name does not say it.

    Args:
        source: A folder, which may be missing; or "hub:owner/name" or "hub:owner/name@revision".
        files: What is fetched from the hub, if it is there.

    Raises:
        ModelError: As :func:`vicl.storage.hub.fetch_from_hub`.
    """
    found = re.fullmatch(_PINNED, source, re.ASCII)
    if found is None:
        return Path(source), None
    folder = hub.fetch_from_hub(found["repository"], revision=found["revision"], files=files)
    return folder, found["repository"].partition("/")[2]


def open_adapter(
    folder: Path, name: str | None, device: torch.device, roles: tuple[Role, ...]
) -> Any:
    """Open a folder of another's model; None for a folder of vicl's own, or no folder.

    Args:
        folder: What to open.
        name: How it is called; None takes the folder's name.
        device: Where it runs.
        roles: What it is wanted as.

    Raises:
        ModelError: If it is of a kind that is not adapted to any of the roles, broken, or the
            library that it needs is not installed.
    """
    kind = stated_kind(folder)
    if kind is None:
        return None
    adapter = adapter_for(kind, *roles)
    if adapter is None:
        known = ", ".join(sorted(k for a in ADAPTERS if a.role in roles for k in a.kinds))
        other = next((f"; {a.loader} loads it" for a in ADAPTERS if kind in a.kinds), "")
        raise ModelError(
            f"{display(folder)}: holds a {display(kind)[:80]!r}, which is no {' or '.join(roles)} "
            f"that vicl knows{other}; expected one of {known} (vicl models lists them)"
        )
    opened = adapter.make(folder, name, device)
    note_origin(opened.name, folder, opened.weights_hash)
    return opened


def note_origin(name: str, folder: Path, weights_hash: str | None) -> None:
    """Log what another's model is, once it is loaded: commands show it.

    Args:
        name: How it is called.
        folder: Its own, whose card may state a licence.
        weights_hash: SHA-256 of its weights; None where that of the whole is told.
    """
    hashed = "" if weights_hash is None else f"; weights sha256 {weights_hash}"
    log.info("%s: licence: %s%s", display(name), stated_licence(folder), hashed)


def describe_source(source: str) -> dict[str, Any]:
    """What another's model is: see :func:`describe`.

    Args:
        source: As for :func:`find_folder`; from the hub only its configuration and its card are
            fetched, and its weights are known if they were fetched before.

    Raises:
        ModelError: If there is no such model, or its folder says nothing of what it holds.
    """
    return describe(find_folder(source, HUB_CARD)[0])


def describe(folder: Path, *, hashed: bool = True) -> dict[str, Any]:
    """What another's model in a folder is: its kind, what loads it, its licence and its weights.

    Args:
        folder: Of one that need not be adapted.
        hashed: Whether weights are read for their hash, which may take a while.

    Raises:
        ModelError: If it says nothing of what it holds.
    """
    kind = stated_kind(folder)
    if kind is None:
        raise ModelError(f"{display(folder)}: is no folder of another's model; {WHOLE_COPY}")
    digest = None
    if hashed and (folder / INDEX).is_file():
        digest = hash_pipeline(folder)
    elif hashed and weight_files(folder, WEIGHTS):
        digest = hash_weights(folder, WEIGHTS)
    return {
        "holds": display(kind)[:80],
        "loaded_by": sorted({adapter.loader for adapter in ADAPTERS if kind in adapter.kinds}),
        "licence": stated_licence(folder),
        "weights_hash": digest,
    }


def stated_kind(folder: Path) -> str | None:
    """What a folder says that it holds, in the words of the libraries; None if it says nothing.

    Raises:
        ModelError: If its configuration cannot be read.
    """
    if (folder / INDEX).is_file():
        pipeline = read_json(folder / INDEX).get("_class_name")
        return pipeline if isinstance(pipeline, str) else None
    if not (folder / CONFIG).is_file():
        return None
    said = read_json(folder / CONFIG).get("model_type")
    return said if isinstance(said, str) else None
