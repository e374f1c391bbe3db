"""Prompt files (`.vicl`): a prompt without its query, saved to be used again or passed on.

One zip holds `prompt.json` and the examples as PNG, as the engine sees them.  It can come from a
stranger: nothing is unpickled, no name in it is used as a path, and every size is bounded before
anything is read.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import logging
import os
import platform
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from vicl.engine import InContextModel, Inpainter
from vicl.files import display, write_atomic
from vicl.files.bounded import ZIP_FAULTS
from vicl.files.faults import said
from vicl.images import DEFAULT_LIMIT_PIXELS, ImageError, open_bytes, to_pil, to_tensor
from vicl.loading import load_model
from vicl.models.inpainter import LearnedInpainter
from vicl.models.registry import ENGINES
from vicl.prompt import Example
from vicl.prompting.asking import Learned
from vicl.prompting.border import BORDER, Border, read_border
from vicl.prompting.learned import LIMIT, LearnedError
from vicl.prompting.settings import PromptSettings
from vicl.prompting.task_vectors import VECTORS, read_vectors
from vicl.segmenters.registry import SEGMENTERS
from vicl.tasks import TASKS, Boxes, DetectionTask, MarkedTask, SegmentationTask, Task, get_task
from vicl.tasks.palette import Colour

log = logging.getLogger(__name__)

FORMAT_VERSION = 4
"""Since 2: arrangements, fuse, examples_per_canvas; how an inpainter wants to be asked. Since 3:
which boxes detection reads, the white of deep images. Since 4: the fusions vote and weighted,
agree; what was learned for the engine."""
_MANIFEST = "prompt.json"
_MANIFEST_LIMIT = 1 << 20
_IMAGE_LIMIT = 1 << 28
_FILE_LIMIT = 1 << 30
_FILES = {"border": BORDER, "vectors": VECTORS}
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of all entries: the same prompt gives the same bytes."""


class PromptFileError(ValueError):
    """A prompt file that cannot be used; the message names it, the fault and the remedy."""


class _Class(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(min_length=1, max_length=200)
    key: int | Colour | None = None


class _Manifest(BaseModel):
    """`prompt.json`.

    The zip holds `inputs/N.png` and `outputs/PASS/N.png` for N below `examples`, and the file of
    what was `learned`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["vicl prompt"]
    version: int = Field(ge=1)
    task: str = Field(max_length=200)
    classes: tuple[_Class, ...] = Field(default=(), max_length=254)
    palette: bool = False
    boxes: Boxes = "largest"
    examples: int = Field(ge=1, le=1024)
    engine: str = Field(min_length=1, max_length=200)
    weights_hash: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    dtype: Literal["float32", "bfloat16"]
    settings: PromptSettings
    asking: dict[str, int | float | str | None] | None = None
    learned: Literal["border", "vectors"] | None = None
    versions: dict[str, str] = Field(max_length=100)


@dataclass(frozen=True, eq=False)
class SavedPrompt:
    """What a prompt file keeps.

    Attributes:
        engine: What answers.
        task: One of vicl's own.
        passes: For each pass of the task, the examples as the engine sees them, in 8 bits.
        dtype: Of the engine's weights and arithmetic.
        settings: How it is asked.
        learned: A border, or task vectors, of the engine.
    """

    engine: InContextModel | Inpainter
    task: Task
    passes: tuple[tuple[Example, ...], ...]
    dtype: str
    settings: PromptSettings
    learned: Learned | None = None


def save_prompt(prompt: SavedPrompt, path: str | os.PathLike[str]) -> None:
    """Save examples, task, engine and settings; atomically.

    Raises:
        PromptFileError: If there are no examples, or the task is the caller's own.
    """
    if not prompt.passes:
        raise PromptFileError(f"{display(path)}: the prompter has no examples to save")
    task = prompt.task
    manifest = _Manifest(
        format="vicl prompt",
        version=FORMAT_VERSION,
        task=_task_name(task, path),
        classes=_classes(task),
        palette=isinstance(task, SegmentationTask) and task.palette,
        boxes=task.boxes if isinstance(task, DetectionTask) else "largest",
        examples=len(prompt.passes[0]),
        engine=prompt.engine.name,
        weights_hash=prompt.engine.weights_hash,
        dtype=prompt.dtype,  # type: ignore[arg-type]  # the manifest checks it
        settings=prompt.settings,
        asking=_asking(prompt.engine),
        learned=_kind(prompt.learned),
        versions=_versions(),
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, data: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)

        add(_MANIFEST, manifest.model_dump_json(indent=1).encode())
        for index, example in enumerate(prompt.passes[0]):
            add(_input(index), _png(example.input))
        for number, drawn in enumerate(prompt.passes):
            for index, example in enumerate(drawn):
                add(_output(number, index), _png(example.output))
        if prompt.learned is not None:
            add(_FILES[_kind(prompt.learned)], prompt.learned.to_bytes())
    write_atomic(path, packed.getvalue())


def describe_prompt(prompt: SavedPrompt) -> dict[str, Any]:
    """What answers depend on beside the query, as JSON: equal where answers are.

    Not the versions of packages, which a prompt file names too.
    """
    examples = hashlib.sha256()
    for drawn in prompt.passes:
        for example in drawn:
            for image in (example.input, example.output):
                pixels = np.asarray(to_pil(to_tensor(image)))
                examples.update(repr(pixels.shape).encode() + pixels.tobytes())
    task, engine = prompt.task, prompt.engine
    model = {"dtype": prompt.dtype, "asking": _asking(engine)}
    # A model folder may be renamed: where there are weights, their hash alone says what it is.
    named = {"name": engine.name} if engine.weights_hash is None else {}
    learned = prompt.learned
    added = {} if learned is None else {_kind(learned): learned.fingerprint}
    return {
        "task": task.name,
        "classes": [[entry.name, entry.key] for entry in _classes(task)],
        "palette": isinstance(task, SegmentationTask) and task.palette,
        "boxes": task.boxes if isinstance(task, DetectionTask) else "largest",
        "model": {"weights": engine.weights_hash, **named, **model},
        "examples": examples.hexdigest(),
        "settings": prompt.settings.model_dump(mode="json", exclude_defaults=True),
        **added,
    }


def load_prompt(
    path: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | InContextModel | Inpainter | None = None,
    any_model: bool = False,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
) -> SavedPrompt:
    """Open a prompt file and load its engine.

    Args:
        path: The file.
        model: The engine, where it does not come with the package; else the file's own is loaded.
        any_model: Take `model` even if it is not the one the prompt was made with.
        device: See :func:`vicl.load_model`.
        limit_pixels: Of each example.

    Raises:
        PromptFileError: If the file is broken, too new, or was made with other weights.
    """
    name = display(path)
    with _opened(path) as archive:
        manifest = _read_manifest(archive, name)
        task = _task(manifest, name)
        passes = _read_examples(archive, manifest, task, limit_pixels, name)
        learned = _read_learned(archive, manifest, name)
    engine = _engine(manifest, model, device, name)
    if not any_model:
        _check_engine(manifest, engine, name)
    if any(_versions().get(package) != v for package, v in manifest.versions.items()):
        log.info("%s was made with other versions: %s", name, manifest.versions)
    settings = manifest.settings
    if not isinstance(engine, Inpainter):
        settings = settings.without_canvas()
    if learned is not None:
        try:
            learned.check(engine)
        except LearnedError as error:
            raise PromptFileError(f"{name}: {error}") from error
    return SavedPrompt(engine, task, passes, manifest.dtype, settings, learned)


def made_with(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Name and dtype of the engine that a prompt file was made with; nothing is loaded.

    Raises:
        PromptFileError: If the file is broken or too new.
    """
    with _opened(path) as archive:
        manifest = _read_manifest(archive, display(path))
    return manifest.engine, manifest.dtype


def _opened(path: str | os.PathLike[str]) -> zipfile.ZipFile:
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


def _read_entry(archive: zipfile.ZipFile, entry: str, limit: int, name: str) -> bytes:
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


def _read_manifest(archive: zipfile.ZipFile, name: str) -> _Manifest:
    text = _read_entry(archive, _MANIFEST, _MANIFEST_LIMIT, name)
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PromptFileError(f"{name}: {_MANIFEST} cannot be read: {said(error)}") from error
    version = raw.get("version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise PromptFileError(
            f"{name}: was made by a newer vicl (format {version}, this one reads up to "
            f"{FORMAT_VERSION}); upgrade vicl"
        )
    try:
        return _Manifest.model_validate_json(text)
    except ValueError as error:
        raise PromptFileError(f"{name}: {_MANIFEST} is not valid: {said(error)}") from error


def _task(manifest: _Manifest, name: str) -> Task:
    marks = {c.name: c.key for c in manifest.classes}
    try:
        if len(marks) < len(manifest.classes):
            raise ValueError("a class stands twice")
        return get_task(
            manifest.task,
            classes=marks or None,
            palette=manifest.palette,
            boxes=manifest.boxes,
        )
    except ValueError as error:
        raise PromptFileError(f"{name}: {_MANIFEST} is not valid: {error}") from error


def _read_examples(
    archive: zipfile.ZipFile, manifest: _Manifest, task: Task, limit_pixels: int, name: str
) -> tuple[tuple[Example, ...], ...]:
    def picture(entry: str) -> Any:
        data = _read_entry(archive, entry, _IMAGE_LIMIT, name)
        if not data.startswith(b"\x89PNG\r\n\x1a\n"):
            raise PromptFileError(f"{name}: {entry} is not a PNG")
        try:
            return to_tensor(open_bytes(data, f"{name}: {entry}", limit_pixels=limit_pixels))
        except ImageError as error:
            raise PromptFileError(str(error)) from error

    inputs = [picture(_input(index)) for index in range(manifest.examples)]
    return tuple(
        tuple(
            Example(inputs[index], picture(_output(number, index)))
            for index in range(manifest.examples)
        )
        for number in range(task.passes)
    )


def _kind(learned: Learned | None) -> Any:
    """What the manifest calls it."""
    return None if learned is None else "border" if isinstance(learned, Border) else "vectors"


def _read_learned(archive: zipfile.ZipFile, manifest: _Manifest, name: str) -> Learned | None:
    if manifest.learned is None:
        return None
    entry = _FILES[manifest.learned]
    data, read = _read_entry(archive, entry, LIMIT, name), f"{name}: {entry}"
    try:
        return read_border(data, read) if entry == BORDER else read_vectors(data, read)
    except LearnedError as error:
        raise PromptFileError(str(error)) from error


def _engine(
    manifest: _Manifest,
    model: str | os.PathLike[str] | InContextModel | Inpainter | None,
    device: Literal["auto", "cpu", "cuda", "mps"],
    name: str,
) -> InContextModel | Inpainter:
    if isinstance(model, str | os.PathLike):
        return load_model(model, device=device, dtype=manifest.dtype)
    if model is not None:
        return model
    # Only names of the package's own engines: a stranger's file must not say what to load.
    own = {engine.name for engine in ENGINES}
    own |= {f"{engine}+{row.name}" for engine in own for row in SEGMENTERS if row.folder}
    if manifest.engine not in own:
        raise PromptFileError(
            f"{name}: was made with model {manifest.engine!r} (weights "
            f"{_short(manifest.weights_hash)}), which does not come with vicl; give that model "
            "by model=... (command line: --model FOLDER)"
        )
    return load_model(manifest.engine, device=device, dtype=manifest.dtype)


def _check_engine(manifest: _Manifest, engine: InContextModel | Inpainter, name: str) -> None:
    made_with = (manifest.engine, manifest.weights_hash)
    # A model folder may be renamed: where there are weights, their hash alone says what it is.
    same = manifest.weights_hash is not None and manifest.weights_hash == engine.weights_hash
    now = _asking(engine)
    if not same and made_with != (engine.name, engine.weights_hash):
        was, found = (
            f"{engine_name} (weights {_short(digest)})"
            for engine_name, digest in (made_with, (engine.name, engine.weights_hash))
        )
    elif manifest.version > 1 and manifest.asking != now:
        was, found = (f"{manifest.engine} {_as(asking)}" for asking in (manifest.asking, now))
    else:
        return
    raise PromptFileError(
        f"{name}: was made with {was}, but got {found}: answers would differ. Give the model it "
        "was made with, or take this one on purpose by any_model=True (command line: --any-model) "
        "and save the prompt anew"
    )


def _asking(engine: InContextModel | Inpainter) -> dict[str, int | float | str | None] | None:
    """How an inpainter wants to be asked, which its weights do not say; None for other engines."""
    if not isinstance(engine, Inpainter):
        return None
    if isinstance(engine, LearnedInpainter):
        return engine.asking.model_dump(mode="json")
    return {"most_examples": engine.most_examples, "spins": engine.spins}


def _as(asking: dict[str, int | float | str | None] | None) -> str:
    return "as an engine of its own kind" if asking is None else f"asked by {asking}"


def _short(weights_hash: str | None) -> str:
    return "none" if weights_hash is None else f"sha256 {weights_hash[:12]}…"


def _task_name(task: Task, path: str | os.PathLike[str]) -> str:
    if TASKS.get(task.name) is not type(task):
        raise PromptFileError(
            f"{display(path)}: task {task.name!r} is not one of vicl's own, and cannot be saved"
        )
    return task.name


def _classes(task: Task) -> tuple[_Class, ...]:
    if not isinstance(task, MarkedTask):
        return ()
    return tuple(
        _Class(name=n, key=k) for n, k in zip(task.marks.names, task.marks.keys, strict=True)
    )


def _versions() -> dict[str, str]:
    packages = ("vicl", "torch", "numpy", "pillow", "scipy", "scikit-image", "scikit-learn")

    def found() -> Iterator[tuple[str, str]]:
        yield "python", platform.python_version()
        for package in packages:
            try:
                yield package, importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue  # run from a source tree that is not installed

    return dict(found())


def _png(image: Any) -> bytes:
    data = io.BytesIO()
    to_pil(to_tensor(image)).save(data, "PNG", optimize=False)
    return data.getvalue()


def _input(index: int) -> str:
    return f"inputs/{index}.png"


def _output(number: int, index: int) -> str:
    return f"outputs/{number}/{index}.png"
