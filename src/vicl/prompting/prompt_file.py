"""Prompt files (`.vicl`): a prompt without its query, saved to be used again or passed on.

One zip holds `prompt.json` and the examples as PNG, as the engine sees them; or, in place of these,
what pool they are chosen from (:mod:`vicl.selection.reference`).  It can come from a stranger:
nothing is unpickled, no name in it is used as a path but one below its own folder, and every size
is bounded before anything is read.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vicl.engine import InContextModel, Inpainter
from vicl.files import display, write_atomic
from vicl.images import DEFAULT_LIMIT_PIXELS, ImageError, open_bytes, to_pil, to_tensor
from vicl.loading import load_model
from vicl.models.inpainter import LearnedInpainter
from vicl.models.registry import ENGINES
from vicl.prompt import Example
from vicl.prompting.asking import Learned
from vicl.prompting.border import BORDER, Border, read_border
from vicl.prompting.learned import LIMIT, LearnedError
from vicl.prompting.prompt_manifest import FORMAT_VERSION as FORMAT_VERSION
from vicl.prompting.prompt_manifest import (
    MANIFEST,
    Manifest,
    PromptClass,
    opened,
    read_entry,
    read_manifest,
    versions,
)
from vicl.prompting.prompt_manifest import PromptFileError as PromptFileError
from vicl.prompting.settings import PromptSettings
from vicl.prompting.task_vectors import VECTORS, read_vectors
from vicl.segmenters.registry import SEGMENTERS
from vicl.selection.reference import PoolReference, follow, refer
from vicl.selection.selectors import Selector
from vicl.tasks import TASKS, DetectionTask, MarkedTask, SegmentationTask, Task, get_task

log = logging.getLogger(__name__)

_IMAGE_LIMIT = 1 << 28
_FILES = {"border": BORDER, "vectors": VECTORS}
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of all entries: the same prompt gives the same bytes."""


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
        selector: What chooses each query's examples, instead of `passes`.
    """

    engine: InContextModel | Inpainter
    task: Task
    passes: tuple[tuple[Example, ...], ...]
    dtype: str
    settings: PromptSettings
    learned: Learned | None = None
    selector: Selector | None = None


def save_prompt(prompt: SavedPrompt, path: str | os.PathLike[str]) -> None:
    """Save examples, or where they are chosen from, task, engine and settings; atomically.

    Raises:
        PromptFileError: If there are no examples, the task is the caller's own, or a file cannot
            refer to their pool.
    """
    passes = () if prompt.selector is not None else prompt.passes
    if not passes and prompt.selector is None:
        raise PromptFileError(f"{display(path)}: the prompter has no examples to save")
    task = prompt.task
    manifest = Manifest(
        format="vicl prompt",
        version=FORMAT_VERSION,
        task=_task_name(task, path),
        classes=_classes(task),
        palette=isinstance(task, SegmentationTask) and task.palette,
        boxes=task.boxes if isinstance(task, DetectionTask) else "largest",
        examples=len(passes[0]) if passes else 0,
        pool=_referred(prompt.selector, path),
        engine=prompt.engine.name,
        weights_hash=prompt.engine.weights_hash,
        dtype=prompt.dtype,  # type: ignore[arg-type]  # the manifest checks it
        settings=prompt.settings,
        asking=_asking(prompt.engine),
        learned=_kind(prompt.learned),
        versions=versions(),
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, data: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)

        add(MANIFEST, manifest.model_dump_json(indent=1).encode())
        for index, example in enumerate(passes[0] if passes else ()):
            add(_input(index), _png(example.input))
        for number, drawn in enumerate(passes):
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
    pool: str | os.PathLike[str] | None = None,
    index: str | os.PathLike[str] | None = None,
) -> SavedPrompt:
    """Open a prompt file and load its engine.

    Args:
        path: The file.
        model: The engine, where it does not come with the package; else the file's own is loaded.
        any_model: Take `model` even if it is not the one the prompt was made with.
        device: See :func:`vicl.load_model`.
        limit_pixels: Of each example.
        pool: Where the examples are chosen from; None: as the file says, below its own folder.
        index: Where the index of that is, likewise.

    Raises:
        PromptFileError: If the file is broken, too new, or was made with other weights; or if the
            pool of its examples is gone, changed, or not where the file may say.
    """
    name = display(path)
    with opened(path) as archive:
        manifest = read_manifest(archive, name)
        task = _task(manifest, name)
        passes = _read_examples(archive, manifest, task, limit_pixels, name)
        learned = _read_learned(archive, manifest, name)
    selector = None
    if manifest.pool is not None:
        try:
            selector = follow(
                manifest.pool,
                Path(path).parent,
                pool=pool,
                index=index,
                device=device,
                limit_pixels=limit_pixels,
            )
        except (ValueError, OSError) as error:
            raise PromptFileError(f"{name}: {error}") from error
    elif pool is not None or index is not None:
        raise PromptFileError(f"{name}: has its examples in it, and takes no pool")
    engine = _engine(manifest, model, device, name)
    if not any_model:
        _check_engine(manifest, engine, name)
    if any(versions().get(package) != v for package, v in manifest.versions.items()):
        log.info("%s was made with other versions: %s", name, manifest.versions)
    settings = manifest.settings
    if not isinstance(engine, Inpainter):
        settings = settings.without_canvas()
    if learned is not None:
        try:
            learned.check(engine)
        except LearnedError as error:
            raise PromptFileError(f"{name}: {error}") from error
    return SavedPrompt(engine, task, passes, manifest.dtype, settings, learned, selector)


def has_pool(path: str | os.PathLike[str], *, elsewhere: bool = False) -> bool:
    """Whether a prompt file's examples are chosen from a pool; that is not looked for.

    Args:
        path: The file.
        elsewhere: Only if the file does not say where the pool is.

    Raises:
        PromptFileError: If the file is broken or too new.
    """
    with opened(path) as archive:
        pool = read_manifest(archive, display(path)).pool
    return pool is not None and not (elsewhere and pool.path is not None)


def made_with(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Name and dtype of the engine that a prompt file was made with; nothing is loaded.

    Raises:
        PromptFileError: If the file is broken or too new.
    """
    with opened(path) as archive:
        manifest = read_manifest(archive, display(path))
    return manifest.engine, manifest.dtype


def _task(manifest: Manifest, name: str) -> Task:
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
        raise PromptFileError(f"{name}: {MANIFEST} is not valid: {error}") from error


def _read_examples(
    archive: zipfile.ZipFile, manifest: Manifest, task: Task, limit_pixels: int, name: str
) -> tuple[tuple[Example, ...], ...]:
    def picture(entry: str) -> Any:
        data = read_entry(archive, entry, _IMAGE_LIMIT, name)
        if not data.startswith(b"\x89PNG\r\n\x1a\n"):
            raise PromptFileError(f"{name}: {entry} is not a PNG")
        try:
            return to_tensor(open_bytes(data, f"{name}: {entry}", limit_pixels=limit_pixels))
        except ImageError as error:
            raise PromptFileError(str(error)) from error

    if not manifest.examples:
        return ()
    inputs = [picture(_input(index)) for index in range(manifest.examples)]
    return tuple(
        tuple(
            Example(inputs[index], picture(_output(number, index)))
            for index in range(manifest.examples)
        )
        for number in range(task.passes)
    )


def _referred(selector: Selector | None, path: str | os.PathLike[str]) -> PoolReference | None:
    try:
        return None if selector is None else refer(selector, Path(path).parent)
    except (ValueError, OSError) as error:
        raise PromptFileError(f"{display(path)}: {error}") from error


def _kind(learned: Learned | None) -> Any:
    """What the manifest calls it."""
    return None if learned is None else "border" if isinstance(learned, Border) else "vectors"


def _read_learned(archive: zipfile.ZipFile, manifest: Manifest, name: str) -> Learned | None:
    if manifest.learned is None:
        return None
    entry = _FILES[manifest.learned]
    data, read = read_entry(archive, entry, LIMIT, name), f"{name}: {entry}"
    try:
        return read_border(data, read) if entry == BORDER else read_vectors(data, read)
    except LearnedError as error:
        raise PromptFileError(str(error)) from error


def _engine(
    manifest: Manifest,
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


def _check_engine(manifest: Manifest, engine: InContextModel | Inpainter, name: str) -> None:
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


def _classes(task: Task) -> tuple[PromptClass, ...]:
    if not isinstance(task, MarkedTask):
        return ()
    return tuple(
        PromptClass(name=n, key=k) for n, k in zip(task.marks.names, task.marks.keys, strict=True)
    )


def _png(image: Any) -> bytes:
    data = io.BytesIO()
    to_pil(to_tensor(image)).save(data, "PNG", optimize=False)
    return data.getvalue()


def _input(index: int) -> str:
    return f"inputs/{index}.png"


def _output(number: int, index: int) -> str:
    return f"outputs/{number}/{index}.png"
