"""The engines by name, and :func:`load_model`.

This module imports no engine until one is loaded, so that listing them is quick.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vicl.files.packaged import WEIGHTS

if TYPE_CHECKING:
    from vicl.engine import InContextModel, Inpainter
    from vicl.models.vqgan import VQGAN

Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Registered:
    """An engine that comes with the package.

    Attributes:
        name: What :func:`load_model` and `--model` take.
        home: Module and class, as "module:Class"; None where it is a folder of weights.
        use: When to use it, in a line.
        weights: Size of its weights, in words.
    """

    name: str
    home: str | None
    use: str
    weights: str = "none"


ENGINES: tuple[Registered, ...] = (
    Registered(
        "default",
        None,
        "a small MAE-VQGAN, the paper's model: new rules between drawn things, not photographs",
        weights="10 MiB, with the package",
    ),
    Registered(
        "analogies",
        "vicl.models.analogies:Analogies",
        "learns from your examples at prompt time: edges, recolouring, denoising, separable masks",
    ),
    Registered(
        "copy",
        "vicl.models.floors:Copy",
        "the answer is the example's output: the floor to beat",
    ),
    Registered(
        "identity",
        "vicl.models.floors:Identity",
        "the answer is the query: the floor for colorization and restoration",
    ),
)

BEST_FOR_TASK: dict[str, str] = {
    task: str(measured["engine"])
    for task, measured in json.loads((WEIGHTS / "best_for_task.json").read_text()).items()
}
"""Which engine `vicl.predict(model=None)` takes for a task; `benchmarks/default_model.py` measures
it anew."""


def load_model(
    source: str | os.PathLike[str], *, device: Device = "auto", dtype: str = "auto"
) -> Inpainter | InContextModel:
    """Load an engine.

    Args:
        source: The name of an engine (`vicl models` lists them); a model folder; a published
            checkpoint (.pth, .ckpt), which is converted in memory; the name of a published model
            that `vicl download` has fetched; or a model on the Hugging Face hub ("owner/name").
            An engine's name comes first: say ./copy for a folder "copy".
        device: Where it runs: "cpu", "cuda" or "mps"; "auto" takes the best there is.
        dtype: Of its weights and arithmetic: "float32" or "bfloat16"; "auto" is float32.

    Raises:
        ValueError: If there is no such engine or file, it is broken, or it cannot run so; the
            message says what there is.
    """
    name = os.fspath(source)
    found = next((engine for engine in ENGINES if engine.name == name), None)
    if found is None:
        return _checked(_load_weights(source, device, dtype), name)
    if found.home is None:
        return _checked(_load_weights(WEIGHTS / name, device, dtype), name)
    if device not in ("auto", "cpu"):
        raise ValueError(
            f"device: {name} runs on the CPU only, got {device!r}; say 'cpu' or 'auto'"
        )
    if dtype not in ("auto", "float32"):
        raise ValueError(f"dtype: {name} computes in float32, got {dtype!r}")
    module, _, attribute = found.home.partition(":")
    engine: InContextModel = getattr(importlib.import_module(module), attribute)()
    return engine


def load_tokenizer(
    source: str | os.PathLike[str], *, device: Device = "auto", dtype: str = "auto"
) -> VQGAN:
    """Load a VQGAN.

    Args:
        source: Its folder, or a model that has one inside: anything that :func:`load_model` takes
            and that has weights.
        device: As for :func:`load_model`.
        dtype: As for :func:`load_model`.

    Raises:
        ValueError: If there is no such file, it is broken, or has no VQGAN.
    """
    from vicl.models.vqgan import VQGAN
    from vicl.storage.folder import ModelError

    loaded = _load_weights(source, device, dtype)
    found = loaded if isinstance(loaded, VQGAN) else getattr(loaded, "tokenizer", None)
    if not isinstance(found, VQGAN):
        raise ModelError(
            f"{os.fspath(source)}: is a {type(loaded).__name__}, which has no tokenizer; give the "
            "folder of a VQGAN, or of a model that predicts its codes"
        )
    return found


def _checked(loaded: Any, name: str) -> Inpainter | InContextModel:
    """What was loaded, if it can answer."""
    from vicl.engine import Inpainter
    from vicl.storage.folder import ModelError

    if not isinstance(loaded, Inpainter):
        raise ModelError(
            f"{name}: is a tokenizer, which draws what it is shown and fills no hole; train a "
            "model that predicts its codes (vicl train mae-vqgan-tiny-cpu --set "
            f"model.tokenizer={name})"
        )
    return loaded


def _load_weights(source: str | os.PathLike[str], device: Device, dtype: str) -> Any:
    """Load a model that is files: a folder, a checkpoint, or one fetched by name."""
    from vicl.published.download import downloaded, published

    name, path = os.fspath(source), Path(source)
    if path.name == "model.safetensors" and (path.parent / "config.json").is_file():
        path = path.parent
    if path.is_dir():
        from vicl.storage.folder import load_folder

        return load_folder(path, device=device, dtype=dtype)
    if path.exists():
        return _load_checkpoint(path, device, dtype)
    fetched = downloaded(name)
    if fetched is not None and not (fetched / "config.json").is_file():
        raise ValueError(
            f"model: {name} answers nothing; it measures answers: vicl evaluate colorization "
            f"--lpips {fetched / 'model.safetensors'}"
        )
    if fetched is not None:
        return _load_weights(fetched, device, dtype)
    if name in published():
        raise ValueError(f"model: {name} is not on this machine; get it: vicl download {name}")
    if isinstance(source, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII):
        from vicl.storage.hub import fetch_from_hub

        loaded = _load_weights(fetch_from_hub(name), device, dtype)
        loaded.name = path.name
        return loaded
    names = ", ".join(engine.name for engine in ENGINES)
    raise ValueError(
        f"model: got {name!r}, expected one of {names}, or a model folder or checkpoint file; "
        "there is no such file"
    )


def _load_checkpoint(path: Path, device: Device, dtype: str) -> Any:
    """Convert a published checkpoint in memory."""
    from vicl.published.convert import read_published
    from vicl.storage.folder import pick_device, pick_dtype, weights_hash

    place, kind = pick_device(device), pick_dtype(dtype)
    model: Any = read_published(path).model
    model.name = path.stem
    # What the converted folder would have, so that a prompt made with either suits the other.
    model.weights_hash = weights_hash(model)
    return model.to(device=place, dtype=kind)
