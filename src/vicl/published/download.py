"""The published weights by name: where they are, under what terms, and getting them.

`published.json` is the list that comes with the package; another may be given in its place. Nobody
has recorded the hashes of the authors' own files yet, so an entry's `sha256` may be null: such a
file is fetched only if the caller gives the hash, or says that it takes the file unverified. The
hash of what came is then kept, and from then on that file and no other is accepted. Reading it is
safe in any case (see :mod:`vicl.storage.checkpoints`); the hash says whether it is the right file.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from vicl.files import display, open_plain, write_atomic
from vicl.files.cache import cache_folder, download_place
from vicl.files.faults import said
from vicl.files.plain_json import parse_json
from vicl.published.fetch import DownloadError, fetch

if TYPE_CHECKING:
    from torch import Tensor

_INDEX_LIMIT = 1 << 20
_NAME = r"^[a-z0-9][a-z0-9_.-]{0,99}$"
_SHA256 = r"^[0-9a-fA-F]{64}$"

_LPIPS = ("features.", "lin")
"""What of its two files LPIPS needs; the rest is AlexNet's classifier, 220 MB of it."""

_ALEXNET = (0, 3, 6, 8, 10)
"""Which of its layers are convolutions."""

Role = Literal["checkpoint", "vqgan", "vqgan_config", "trunk", "heads"]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Entry):
    """What the weights may be used for, as far as their publisher says."""

    name: str = Field(min_length=1, max_length=200)
    text: str = Field(max_length=20_000)
    url: str | None = Field(default=None, max_length=2000)


class PublishedFile(_Entry):
    """One file of a published model.

    Attributes:
        role: What it is to the conversion. A VQGAN of its own is fetched only if the checkpoint
            turns out to have none inside. A trunk and its heads make a perceptual distance.
        name: What it is called here.
        url: Where it is; None if no direct address is known.
        page: Where a person finds it.
        sha256: Its hash; None if nobody has recorded it.
        size: Its bytes, likewise.
    """

    role: Role
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    url: str | None = Field(default=None, max_length=2000)
    page: str | None = Field(default=None, max_length=2000)
    sha256: str | None = Field(default=None, pattern=_SHA256)
    size: int | None = Field(default=None, ge=1)


class Published(_Entry):
    """A published model: what `vicl download NAME` turns into the model folder NAME."""

    name: str = Field(pattern=_NAME)
    title: str = Field(max_length=500)
    page: str | None = Field(default=None, max_length=2000)
    licence: Licence
    files: tuple[PublishedFile, ...] = Field(min_length=1, max_length=3)

    def file(self, role: Role) -> PublishedFile | None:
        """Its file of a role."""
        return next((file for file in self.files if file.role == role), None)


class _Index(_Entry):
    format: Literal[1]
    models: tuple[Published, ...] = Field(max_length=1000)


@dataclass(frozen=True)
class Options:
    """How a model is fetched.

    Attributes:
        url: Another address of the checkpoint (or trunk), such as a mirror.
        sha256: Its hash, from a source that the caller trusts.
        unverified: Take files whose hash nobody has recorded.
        progress: Called with the file's name, the bytes that are there and those that will be.
    """

    url: str | None = None
    sha256: str | None = None
    unverified: bool = False
    progress: Callable[[str, int, int | None], None] | None = None

    @property
    def further(self) -> Options:
        """For a model's other files, which have addresses and hashes of their own."""
        return Options(unverified=self.unverified, progress=self.progress)


def published(index: str | os.PathLike[str] | None = None) -> Mapping[str, Published]:
    """The published models by name.

    Args:
        index: A file like `published.json` to read instead of the package's own.

    Raises:
        DownloadError: If the file cannot be read.
    """
    if index is None:
        return _own()
    with open_plain(index) as stream:
        text = stream.read(_INDEX_LIMIT + 1)
    if len(text) > _INDEX_LIMIT:
        raise DownloadError(f"{display(index)}: is larger than 1 MiB, which no list of models is")
    return _parsed(text, display(index))


@functools.cache
def _own() -> Mapping[str, Published]:
    data = importlib.resources.files("vicl.published").joinpath("published.json").read_bytes()
    return _parsed(data, "published.json")


def _parsed(text: bytes, name: str) -> Mapping[str, Published]:
    try:
        models = _Index.model_validate_json(text).models
    except ValueError as error:
        raise DownloadError(f"{name}: is no list of published models: {said(error)}") from error
    return {model.name: model for model in models}


def downloaded(name: str) -> Path | None:
    """The folder that `vicl download NAME` made; None if there is none."""
    folder = cache_folder() / "models" / name
    plain = re.fullmatch(_NAME, name) is not None
    return folder if plain and _is_made(folder) else None


def downloaded_models() -> dict[str, Path]:
    """All folders that :func:`downloaded` gives, by name."""
    place = cache_folder() / "models"
    found = {folder.name: downloaded(folder.name) for folder in sorted(place.glob("*"))}
    return {name: folder for name, folder in found.items() if folder is not None}


def _is_made(folder: Path) -> bool:
    return (folder / "model.safetensors").is_file()


def download(
    model: Published, *, out: str | os.PathLike[str] | None = None, options: Options | None = None
) -> Path:
    """Fetch a published model and convert it; what is here already is not fetched again.

    The caller has shown the licence, and it was accepted.

    Args:
        model: An entry of :func:`published`.
        out: The model folder to make; None takes the cache, where :func:`vicl.load_model` finds it
            by its name.
        options: See :class:`Options`.

    Returns:
        The model folder; of a perceptual distance, which is no model that answers, its file.

    Raises:
        DownloadError: If a file cannot be had, is not what it should be, or may not be taken
            unverified. What to put where is in the message.
        ModelError: If it cannot be converted.
    """
    from vicl.published.convert import TokenizerMissingError, convert

    target = cache_folder() / "models" / model.name if out is None else Path(out)
    chosen = options or Options()
    trunk, heads = model.file("trunk"), model.file("heads")
    if trunk is not None and heads is not None:
        return _join(model, (trunk, heads), target, chosen)
    if _is_made(target):
        return target
    checkpoint = model.file("checkpoint")
    if checkpoint is None:
        raise DownloadError(f"{model.name}: the list of models has no checkpoint for it")
    source = _get(model, checkpoint, chosen)
    licence = f"{model.licence.name}. {model.licence.text} {model.licence.url or ''}"
    try:
        return convert(source, target, licence=licence)
    except TokenizerMissingError:
        vqgan, config = model.file("vqgan"), model.file("vqgan_config")
        if vqgan is None:
            raise
        return convert(
            source,
            target,
            vqgan=_get(model, vqgan, chosen.further),
            vqgan_config=None if config is None else _get(model, config, chosen.further),
            licence=licence,
        )


def _join(
    model: Published, files: tuple[PublishedFile, PublishedFile], target: Path, options: Options
) -> Path:
    """Fetch a trunk and its heads, and put what is needed of them into one file."""
    from safetensors.torch import save

    from vicl.storage.checkpoints import TensorRef, open_checkpoint

    path = target / "model.safetensors"
    if _is_made(target):
        return path
    tensors: dict[str, Tensor] = {}
    for file, chosen in zip(files, (options, options.further), strict=True):
        with open_checkpoint(_get(model, file, chosen)) as checkpoint:
            data = checkpoint.data if isinstance(checkpoint.data, dict) else {}
            refs = {
                name: value
                for name, value in data.items()
                if isinstance(value, TensorRef) and str(name).startswith(_LPIPS)
            }
            tensors |= checkpoint.load(refs)
    wanted = {f"features.{at}.{part}" for at in _ALEXNET for part in ("weight", "bias")}
    wanted |= {f"lin{tap}.model.1.weight" for tap in range(len(_ALEXNET))}
    if missing := sorted(wanted - tensors.keys()):
        raise DownloadError(
            f"{model.name}: {' and '.join(file.name for file in files)} lack {', '.join(missing)}; "
            f"they are not what was published; remove them from "
            f"{display(place(model, files[0]).parent)}, and fetch them again"
        )
    target.mkdir(parents=True, exist_ok=True)
    metadata = {"title": model.title, "licence": f"{model.licence.name}. {model.licence.text}"}
    write_atomic(path, save(tensors, metadata=metadata))
    return path


def place(model: Published, file: PublishedFile) -> Path:
    """Where a file of a published model is kept, and where to put one that was had otherwise."""
    return download_place(model.name, file.name)


def _get(model: Published, file: PublishedFile, options: Options) -> Path:
    """One file, checked."""
    path = place(model, file)
    known = _known_hashes(path)
    sha256 = options.sha256 or file.sha256 or known.get(file.name)
    if sha256 is None and not options.unverified:
        raise DownloadError(
            f"{file.name}: nobody has recorded this file's SHA-256, so vicl cannot tell whether "
            "what comes is the authors' file. Give the hash if you have it from a source that you "
            "trust (--sha256 HEX), or take the file as it comes (--unverified); its hash is then "
            "kept, and later copies must have it. Reading it runs no code in either case"
        )
    url = options.url or file.url
    manual = (
        f"To do without the download: get {file.page or url or model.page} on a machine that can, "
        f"put it at {display(path)}, and run this again"
    )
    if url is None and not path.exists():
        raise DownloadError(f"{file.name}: no direct address is known. {manual}")
    report = options.progress
    try:
        got = fetch(
            url or "",
            path,
            sha256=sha256,
            size=file.size,
            progress=None if report is None else functools.partial(report, file.name),
        )
    except DownloadError as error:
        raise DownloadError(f"{error}. {manual}") from error
    if known.get(file.name) != got:
        write_atomic(path.parent / "sha256.json", json.dumps({**known, file.name: got}).encode())
    return path


def _known_hashes(path: Path) -> dict[str, str]:
    """The hashes of files that were taken here before, by name."""
    try:
        raw = parse_json((path.parent / "sha256.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(raw, dict):
        return {}
    return {str(key): value for key, value in raw.items() if isinstance(value, str)}
