"""Engines made ready for an evaluation: asked as a user asks them, and the floors beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vicl.canvas.layout import Layout, Order
from vicl.canvas.rects import Fit
from vicl.engine import Filled, InContextModel, Inpainter, TokenInpainter
from vicl.evaluation.running.results import EvaluationError
from vicl.loading import load_model
from vicl.models.devices import Device
from vicl.models.floors import Copy, Identity
from vicl.models.registry import ENGINES
from vicl.models.tokens import hole_tokens
from vicl.prompt import Prompt
from vicl.prompting import asking
from vicl.prompting.canvas_model import CanvasModel, even_share, most_examples
from vicl.prompting.settings import PromptSettings
from vicl.prompting.tiling import LargeQueries
from vicl.tasks import TaskName, get_task

FLOORS: dict[str, InContextModel] = {floor.name: floor for floor in (Copy(), Identity())}
"""What every engine has to beat."""


def load_models(
    sources: Sequence[str], *, device: Device = "auto", dtype: str = "auto"
) -> dict[str, Inpainter | InContextModel]:
    """Load several models, each with a name of its own.

    A model is called by its folder; where that is called "model", as in the folder of every
    training run, by the run's.

    Args:
        sources: As :func:`vicl.load_model` takes them, each once.
        device: Where models with weights run.
        dtype: Of their arithmetic.

    Returns:
        The models by their names, in the order of the sources.

    Raises:
        ValueError: If one cannot be loaded, or stands there twice.
    """
    own = {engine.name for engine in ENGINES if engine.make is not None}
    loaded: dict[str, Inpainter | InContextModel] = {}
    origin: dict[str, str] = {}
    for source in sources:
        if source in own:
            model = load_model(source)
        else:
            model = load_model(source, device=device, dtype=dtype)
        is_run = model.name == "model" and Path(source).is_dir()
        name = Path(source).resolve().parent.name if is_run else model.name
        if name in loaded:
            raise EvaluationError(
                f"model: {origin[name]} and {source} are both called {name!r}, so their "
                "results could not be told apart; give one folder another name"
            )
        loaded[name], origin[name] = model, source
    return loaded


def as_engine(
    model: Inpainter | InContextModel,
    task: TaskName,
    *,
    examples: int = 1,
    published: bool = False,
    order: Order = "above",
    fit: Fit = "stretch",
    stacked: bool = False,
) -> InContextModel:
    """Make a model answer the prompts of a task's episodes, as :class:`vicl.VisualPrompter` asks.

    Args:
        model: As :func:`vicl.load_model` gives it.
        task: Of the episodes.
        examples: How many an episode has.
        published: Detection: shrink images to the cells by the bilinear filter, as published.
        order: For inpainters: examples above the query, or left of it.
        fit: For inpainters: how images of other shapes go into the cells.
        stacked: For inpainters: two examples stand one above the other, as in the paper's synthetic
            study, on a canvas that has the room.
    """
    settings = PromptSettings()
    if isinstance(model, Inpainter):
        layout = None
        if order == "left":
            layout = _grid(model, even_share(model, examples), order=order, fit=fit)
        elif stacked and examples == 2 and most_examples(model) >= examples:
            layout = _stacked(model, examples, fit)
        if published and task == "detection":
            layout = layout or _grid(model, even_share(model, examples), fit=fit)
            layout = replace(layout, resampling="bilinear")
        settings = PromptSettings(layout=layout, fit=fit)
    return asking.as_engine(model, settings, get_task(task))


def with_floors(engines: Mapping[str, InContextModel]) -> dict[str, InContextModel]:
    """The floors first, then the engines that are none."""
    return FLOORS | {name: engine for name, engine in engines.items() if name not in FLOORS}


def canvas_of(engine: InContextModel) -> CanvasModel | None:
    """The canvases that an engine is asked on; None if it has none."""
    if isinstance(engine, LargeQueries):
        return canvas_of(engine.model)
    return engine if isinstance(engine, CanvasModel) else None


def device_of(engine: object) -> torch.device:
    """Where an engine computes: the innermost of what it is made of says so."""
    for part in ("model", "inpainter"):
        if (inner := getattr(engine, part, None)) is not None:
            return device_of(inner)
    device = getattr(engine, "device", None)
    return device if isinstance(device, torch.device) else torch.device("cpu")


def as_scored(engine: InContextModel, answer: Filled) -> Filled:
    """What is scored of an answer: its image, and its cell where that shows the whole query."""
    canvas = canvas_of(engine)
    whole = canvas is None or (canvas.settings.layout or canvas.settings).fit == "stretch"
    return Filled(answer.image, cell=answer.cell if whole else None)


@torch.no_grad()
def equal_tokens(engine: CanvasModel, prompts: Sequence[Prompt]) -> float:
    """Compare a batch's answers with those that its prompts get alone.

    Args:
        engine: Its inpainter fills the canvases, each without a move.
        prompts: At least one; they make the batch.

    Returns:
        The share of the tokens in the holes that are the same, in [0, 1]; for an inpainter
        without tokens, of the 8-bit values of the holes' pixels.
    """
    model = engine.inpainter
    members = [member for prompt in prompts for member in engine.members(prompt)]
    canvases = [member.layout.compose(member.prompt) for member in members]
    image = torch.stack([canvas.image for canvas in canvases])
    hole = torch.stack([canvas.hole for canvas in canvases])

    def answer(rows: slice) -> Tensor:
        if isinstance(model, TokenInpainter):
            shown = image[rows].to(device_of(engine))
            tokens: Tensor = model.token_logits(shown, hole[rows]).argmax(dim=-1).cpu()
            return tokens[hole_tokens(hole[rows], model.patch_size)]
        drawn = model.inpaint(image[rows], hole[rows]).image
        return drawn.movedim(1, -1)[hole[rows]].mul(255).round()

    together = answer(slice(None))
    alone = torch.cat([answer(slice(row, row + 1)) for row in range(len(canvases))])
    return float((together == alone).float().mean())


def _stacked(model: Inpainter, examples: int, fit: Fit) -> Layout | None:
    """The study's grid, the published one where it fits; None where there is no room for it."""
    published = Layout.paper(2)
    if (model.canvas_size, model.patch_size) == (published.canvas_size, published.patch_size):
        return published
    if Layout.largest(model.canvas_size, patch_size=model.patch_size, abreast=1) < examples:
        return None
    return _grid(model, examples, fit=fit, abreast=1)


def _grid(
    model: Inpainter,
    examples: int,
    *,
    order: Order = "above",
    fit: Fit,
    abreast: Literal[1, 2] | None = None,
) -> Layout:
    return Layout.grid(
        examples,
        canvas_size=model.canvas_size,
        patch_size=model.patch_size,
        order=order,
        fit=fit,
        abreast=abreast,
    )
