"""Where the net touches the house: when something moves, this file follows, and no number does.

One function for each thing that is not reached by `vicl.*`'s top level.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.models.kinds import KINDS

import vicl
from vicl.engine import Sampling
from vicl.exports.answers import Answer
from vicl.files.packaged import PHOTOS as PHOTOS
from vicl.files.packaged import WEIGHTS as WEIGHTS
from vicl.images import to_tensor as to_tensor
from vicl.prompting.prompter import VisualPrompter

GOLDEN = Path(__file__).parents[1] / "data" / "golden.vicl"
SHIPPED = ("analogies", "default", "copy", "identity")
TINY = tuple(KINDS)


@functools.cache
def engine(name: str) -> Any:
    """An engine of the package, or a tiny one with random weights."""
    return KINDS[name].build() if name in TINY else vicl.load_model(name, device="cpu")


def photo(name: str, side: int = 72) -> Image.Image:
    """A photograph of the package, small; masks (PNG) keep their values."""
    with Image.open(PHOTOS / name) as opened:
        opened.load()
        scale = side / max(opened.size)
        width, height = (max(1, round(scale * length)) for length in opened.size)
        mask = name.endswith("_mask.png")
        kept = opened if mask or opened.mode in ("L", "RGB") else opened.convert("RGB")
        method = Image.Resampling.NEAREST if mask else Image.Resampling.BOX
        return kept.resize((width, height), method)


def prompter(name: str, examples: Sequence[Any], task: str, **options: Any) -> VisualPrompter:
    """Examples shown to an engine."""
    return VisualPrompter(engine(name), examples, task, **options)


def ensemble(
    name: str,
    examples: Sequence[Any],
    task: str,
    *,
    arrangements: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8),
    fuse: str = "probabilities",
    each: int | None = None,
    upsampling: str = "guided",
) -> VisualPrompter:
    """Examples shown to an inpainter on several canvases; `each` so many examples on one."""
    return VisualPrompter(
        engine(name),
        examples,
        task,
        arrangements=arrangements,
        fuse=fuse,
        examples_per_canvas=each,
        upsampling=upsampling,
    )


def sampling(**options: Any) -> Any:
    """How random answers are drawn."""
    return Sampling(**options)


def shown(answer: Answer) -> dict[str, Any]:
    """All of an answer but its class and its file."""
    found: dict[str, Any] = {
        name: getattr(answer, name)
        for name in (
            "image",
            "confidence",
            "likelihood",
            "mask",
            "scores",
            "classes",
            "edges",
            "cell",
            "canvas",
        )
    }
    found["boxes"] = [
        {"box": tuple(map(float, b.box)), "label": b.label, "score": b.score} for b in answer.boxes
    ]
    found["alternatives"] = [shown(other) for other in answer.alternatives]
    return {
        key: value for key, value in found.items() if not isinstance(value, tuple | list) or value
    }


def layout(examples: int, **options: Any) -> Any:
    """The general grid."""
    from vicl.canvas.layout import Layout

    return Layout.grid(examples, **options)


def composed(grid: Any, examples: Sequence[Any], query: Any) -> tuple[Any, Any]:
    """Canvas and hole, each as a batch of one."""
    from vicl.prompt import Prompt, as_examples

    canvas = grid.compose(Prompt(tuple(as_examples(list(examples))), query))
    return canvas.image[None], canvas.hole[None]


def mask_of(name: str, side: int = 72) -> np.ndarray:
    """A mask of a photograph, True where it is marked."""
    return np.asarray(photo(name, side).convert("L")) > 0
