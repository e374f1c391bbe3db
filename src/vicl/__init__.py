"""Visual in-context learning: show an example pair, give an image, get its answer.

Names are imported when they are first used, so that `import vicl` is quick and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vicl.canvas.layout import Canvas, Layout
    from vicl.client import AsyncClient, Client
    from vicl.engine import Candidates, Filled, InContextModel, Inpainter, Sampling
    from vicl.exports.answers import Answer
    from vicl.graphs.runner import load_exported
    from vicl.images import ImageError
    from vicl.loading import load_encoder, load_generator, load_model, load_segmenter, load_vlm
    from vicl.prompt import Example, MaskPrompt, Prompt
    from vicl.prompting.canvas_model import CanvasModel
    from vicl.prompting.once import predict
    from vicl.prompting.prompter import VisualPrompter
    from vicl.prompting.settings import PromptSettings
    from vicl.prompts.saved import Classified, classify, load_classifier
    from vicl.tasks.colour_hints import Dab, colorize

__version__ = "0.1.0"

_HOMES = {
    "Answer": "exports.answers",
    "AsyncClient": "client",
    "Candidates": "engine",
    "Canvas": "canvas.layout",
    "CanvasModel": "prompting.canvas_model",
    "Classified": "prompts.saved",
    "Client": "client",
    "Dab": "tasks.colour_hints",
    "Example": "prompt",
    "Filled": "engine",
    "ImageError": "images",
    "InContextModel": "engine",
    "Inpainter": "engine",
    "Layout": "canvas.layout",
    "MaskPrompt": "prompt",
    "Prompt": "prompt",
    "PromptSettings": "prompting.settings",
    "Sampling": "engine",
    "VisualPrompter": "prompting.prompter",
    "classify": "prompts.saved",
    "colorize": "tasks.colour_hints",
    "load_classifier": "prompts.saved",
    "load_encoder": "loading",
    "load_exported": "graphs.runner",
    "load_generator": "loading",
    "load_model": "loading",
    "load_segmenter": "loading",
    "load_vlm": "loading",
    "predict": "prompting.once",
}

__all__ = [
    "Answer",
    "AsyncClient",
    "Candidates",
    "Canvas",
    "CanvasModel",
    "Classified",
    "Client",
    "Dab",
    "Example",
    "Filled",
    "ImageError",
    "InContextModel",
    "Inpainter",
    "Layout",
    "MaskPrompt",
    "Prompt",
    "PromptSettings",
    "Sampling",
    "VisualPrompter",
    "__version__",
    "classify",
    "colorize",
    "load_classifier",
    "load_encoder",
    "load_exported",
    "load_generator",
    "load_model",
    "load_segmenter",
    "load_vlm",
    "predict",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"vicl.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'vicl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
