"""The engines by name, and :func:`load_model`.

This module imports no engine until one is loaded, so that listing them is quick.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vicl.engine import InContextModel, Inpainter

Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Registered:
    """An engine that comes with the package.

    Attributes:
        name: What :func:`load_model` and `--model` take.
        home: Module and class, as "module:Class".
        use: When to use it, in a line.
        weights: Size of its weights, in words.
    """

    name: str
    home: str
    use: str
    weights: str = "none"


ENGINES: tuple[Registered, ...] = (
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

DEFAULT = "analogies"
"""What "default" stands for until trained weights come with the package."""

BEST_FOR_TASK = dict.fromkeys(
    ("image", "segmentation", "detection", "edges", "colorization"), "analogies"
)
"""Which engine `vicl.predict(model=None)` takes for a task; `benchmarks/quality.py` measures it."""


def load_model(
    source: str | os.PathLike[str], *, device: Device = "auto", dtype: str = "auto"
) -> Inpainter | InContextModel:
    """Load an engine.

    Args:
        source: "default" or the name of an engine (`vicl models` lists them).
        device: Where it runs; "auto" takes the best there is.
        dtype: Of its weights and arithmetic; "auto" takes what is quickest without harm.

    Raises:
        ValueError: If there is no such engine, or it cannot run so; the message lists what there
            is.
    """
    name = os.fspath(source)
    if name == "default":
        name = DEFAULT
    found = next((engine for engine in ENGINES if engine.name == name), None)
    if found is None:
        names = ", ".join(("default", *(engine.name for engine in ENGINES)))
        raise ValueError(f"model: got {name!r}, expected one of {names}")
    if device not in ("auto", "cpu"):
        raise ValueError(
            f"device: {name} runs on the CPU only, got {device!r}; say 'cpu' or 'auto'"
        )
    if dtype not in ("auto", "float32"):
        raise ValueError(f"dtype: {name} computes in float32, got {dtype!r}")
    module, _, attribute = found.home.partition(":")
    engine: InContextModel = getattr(importlib.import_module(module), attribute)()
    return engine
