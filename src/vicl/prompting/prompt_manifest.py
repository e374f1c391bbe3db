"""The manifest of a prompt file, and how its zip is read, which may come from a stranger."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vicl.files import display
from vicl.files.bounded import ZIP_FAULTS
from vicl.files.faults import said
from vicl.files.plain_json import parse_json
from vicl.prompting.settings import PromptSettings
from vicl.selection.reference import PoolReference
from vicl.tasks import Boxes
from vicl.tasks.palette import Colour

FORMAT_VERSION = 4
"""Since 2: arrangements, fuse, examples_per_canvas; how an inpainter wants to be asked. Since 3:
which boxes detection reads, the white of deep images. Since 4: the fusions vote and weighted,
agree; what was learned for the engine; a pool."""
MANIFEST = "prompt.json"
_MANIFEST_LIMIT = 1 << 20
_FILE_LIMIT = 1 << 30


class PromptFileError(ValueError):
    """A prompt file that cannot be used; the message names it, the fault and the remedy."""


class PromptClass(BaseModel):
    """A class, and the value or colour that marks it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=200)
    key: int | Colour | None = None


class Manifest(BaseModel):
    """`prompt.json`.

    The zip holds `inputs/N.png` and `outputs/PASS/N.png` for N below `examples`, and the file of
    what was `learned`. Where there is a `pool` there are no examples.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["vicl prompt"]
    version: int = Field(ge=1)
    task: str = Field(max_length=200)
    classes: tuple[PromptClass, ...] = Field(default=(), max_length=254)
    palette: bool = False
    boxes: Boxes = "largest"
    examples: int = Field(ge=0, le=1024)
    pool: PoolReference | None = None
    engine: str = Field(min_length=1, max_length=200)
    weights_hash: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    dtype: Literal["float32", "bfloat16"]
    settings: PromptSettings
    asking: dict[str, int | float | str | None] | None = None
    learned: Literal["border", "vectors"] | None = None
    versions: dict[str, str] = Field(max_length=100)

    @model_validator(mode="after")
    def _check(self) -> Manifest:
        if (self.examples == 0) != (self.pool is not None):
            raise ValueError(f"examples: got {self.examples}, expected some, or a pool")
        return self


def opened(path: str | os.PathLike[str]) -> zipfile.ZipFile:
    """A prompt file's zip.

    Raises:
        PromptFileError: If it is none.
    """
    name = display(path)
    try:
        if not Path(path).is_file():
            raise PromptFileError(f"{name}: is not a file; expected a prompt file (.vicl)")
        if Path(path).stat().st_size > _FILE_LIMIT:
            raise PromptFileError(f"{name}: is larger than {_FILE_LIMIT >> 20} MiB; not opened")
        return zipfile.ZipFile(path)
    except PermissionError as error:
        raise PromptFileError(
            f"{name}: may not be read by this user; allow it for the file and its folder"
        ) from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        if isinstance(error, PromptFileError):
            raise
        raise PromptFileError(
            f"{name}: is not a prompt file, or only a part of one; make one with "
            "VisualPrompter.save (command line: --save-prompt F)"
        ) from error


def read_entry(archive: zipfile.ZipFile, entry: str, limit: int, name: str) -> bytes:
    """The bytes of one entry, never more than `limit` of them whatever its header says."""
    try:
        if [info.filename for info in archive.infolist()].count(entry) != 1:
            raise PromptFileError(f"{name}: holds no {entry}, or two; the file is damaged")
        with archive.open(entry) as stream:
            data = stream.read(limit + 1)
    except ZIP_FAULTS as error:
        raise PromptFileError(f"{name}: {entry} cannot be read ({error})") from error
    if len(data) > limit:
        raise PromptFileError(f"{name}: {entry} is larger than {limit >> 20} MiB; not opened")
    return data


def read_manifest(archive: zipfile.ZipFile, name: str) -> Manifest:
    """The manifest of a zip that messages call `name`.

    Raises:
        PromptFileError: If it is broken or too new.
    """
    text = read_entry(archive, MANIFEST, _MANIFEST_LIMIT, name)
    try:
        raw = parse_json(text)
    except ValueError as error:
        raise PromptFileError(f"{name}: {MANIFEST} cannot be read: {said(error)}") from error
    version = raw.get("version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise PromptFileError(
            f"{name}: was made by a newer vicl (format {version}, this one reads up to "
            f"{FORMAT_VERSION}); upgrade vicl"
        )
    try:
        return Manifest.model_validate_json(text)
    except ValueError as error:
        raise PromptFileError(f"{name}: {MANIFEST} is not valid: {said(error)}") from error


def versions() -> dict[str, str]:
    """Of Python and the packages on which answers depend."""
    packages = ("vicl", "torch", "numpy", "pillow", "scipy", "scikit-image", "scikit-learn")

    def found() -> Iterator[tuple[str, str]]:
        yield "python", platform.python_version()
        for package in packages:
            try:
                yield package, importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue  # run from a source tree that is not installed

    return dict(found())
