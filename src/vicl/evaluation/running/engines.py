"""Engines made ready for an evaluation: an inpainter on its grid, and the floors beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vicl.canvas.layout import Layout, Order
from vicl.canvas.rects import Fit
from vicl.engine import Filled, InContextModel, Inpainter, TokenInpainter
from vicl.evaluation.episodes import Kind
from vicl.evaluation.scoring.results import EvaluationError
from vicl.loading import load_model
from vicl.models.devices import Device
from vicl.models.floors import Copy, Identity
from vicl.models.registry import ENGINES
from vicl.models.tokens import hole_tokens
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.tiling import LargeQueries
from vicl.prompting.views import even_share, most_examples

LOCAL_KINDS: tuple[Kind, ...] = ("edges", "colorization", "image")
"""Where the answer depends on what is near, so that large queries may be shown in tiles."""


def load_models(
    sources: Sequence[str], *, device: Device = "auto", dtype: str = "auto"
) -> list[Inpainter | InContextModel]:
    """Load several models, each with a name of its own.

    A model is called by its folder; where that is called "model", as in the folder of every
    training run, by the run's.

    Args:
        sources: As :func:`vicl.load_model` takes them, each once.
        device: Where models with weights run.
        dtype: Of their arithmetic.

    Raises:
        ValueError: If one cannot be loaded, or stands there twice.
    """
    own = {engine.name for engine in ENGINES if engine.make is not None}
    loaded: list[Inpainter | InContextModel] = []
    names: dict[str, str] = {}
    for source in sources:
        if source in own:
            model = load_model(source)
        else:
            model = load_model(source, device=device, dtype=dtype)
            if model.name == "model" and Path(source).is_dir():
                model.name = Path(source).resolve().parent.name  # type: ignore[misc]
        if model.name in names:
            raise EvaluationError(
                f"model: {names[model.name]} and {source} are both called {model.name!r}, so their "
                "results could not be told apart; give one folder another name"
            )
        names[model.name] = source
        loaded.append(model)
    return loaded


def as_engine(
    model: Inpainter | InContextModel,
    kind: Kind,
    *,
    examples: int = 1,
    published: bool = False,
    order: Order = "above",
    fit: Fit = "stretch",
) -> InContextModel:
    """Make a model answer the prompts of a kind of episode.

    An inpainter gets the general grid, which for one example is the published one. The synthetic
    study stacks its examples, as the paper does, on a canvas that has the room. Other engines
    are given large queries as :class:`vicl.VisualPrompter` gives them: shown smaller, or in tiles.

    Args:
        model: As :func:`vicl.load_model` gives it.
        kind: Of the episodes.
        examples: How many an episode has.
        published: Detection: shrink images to the cells by the bilinear filter, as published.
        order: For inpainters: examples above the query, or left of it.
        fit: For inpainters: how images of other shapes go into the cells.

    Raises:
        ValueError: If `order` is "left" and the examples do not fit on the canvas.
    """
    if isinstance(model, Inpainter):
        layout = _layout(model, kind, examples, order, fit)
        if published and kind == "detection":
            layout = layout or _grid(model, even_share(model, examples), fit=fit)
            layout = replace(layout, resampling="bilinear")
        return CanvasModel(model, layout=layout, fit=fit)
    if model.max_size is None:
        return model
    return LargeQueries(model, model.max_size if kind in LOCAL_KINDS else None)


def with_floors(engines: Sequence[InContextModel]) -> tuple[InContextModel, ...]:
    """The floors first, then the engines that are none.

    Raises:
        EvaluationError: If two have one name.
    """
    floors: tuple[InContextModel, ...] = (Copy(), Identity())
    names = {floor.name for floor in floors}
    others = tuple(engine for engine in engines if engine.name not in names)
    for index, engine in enumerate(others):
        if any(engine.name == other.name for other in others[:index]):
            raise EvaluationError(
                f"engines: two are called {engine.name!r}, so their results could not be told "
                "apart; give one folder another name"
            )
    return (*floors, *others)


def device_of(engine: InContextModel) -> torch.device:
    """Where an engine computes."""
    inner = getattr(engine, "model", engine)
    device = getattr(getattr(inner, "inpainter", inner), "device", None)
    return device if isinstance(device, torch.device) else torch.device("cpu")


def as_scored(engine: InContextModel, answer: Filled) -> Filled:
    """What is scored of an answer: its image, and its cell where that shows the whole query."""
    layout = getattr(engine, "layout", None)
    fit = layout.fit if isinstance(layout, Layout) else getattr(engine, "fit", "stretch")
    return Filled(answer.image, cell=answer.cell if fit == "stretch" else None)


@torch.no_grad()
def equal_tokens(engine: CanvasModel, prompts: Sequence[Prompt]) -> float:
    """Compare a batch's answers with those that its prompts get alone.

    Args:
        engine: On a grid that shows all examples of a prompt.
        prompts: At least one; they make the batch.

    Returns:
        The share of the tokens in the holes that are the same, in [0, 1]; for an inpainter
        without tokens, of the 8-bit values of the holes' pixels.
    """
    model = engine.inpainter
    layouts = [
        engine.layout or _grid(model, len(prompt.examples), fit=engine.fit) for prompt in prompts
    ]
    canvases = [layout.compose(prompt) for layout, prompt in zip(layouts, prompts, strict=True)]
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
    alone = torch.cat([answer(slice(row, row + 1)) for row in range(len(prompts))])
    return float((together == alone).float().mean())


def _layout(model: Inpainter, kind: Kind, examples: int, order: Order, fit: Fit) -> Layout | None:
    """The grid to use; None for the general one, which shares out more examples than fit."""
    if order == "left":
        return _grid(model, even_share(model, examples), order=order, fit=fit)
    if kind == "shapes" and examples == 2 and most_examples(model) >= examples:
        published = Layout.paper(2)
        if (model.canvas_size, model.patch_size) == (published.canvas_size, published.patch_size):
            return published
        if Layout.largest(model.canvas_size, patch_size=model.patch_size, abreast=1) >= examples:
            return Layout.grid(
                examples,
                canvas_size=model.canvas_size,
                patch_size=model.patch_size,
                abreast=1,
                fit=fit,
            )
    return None


def _grid(model: Inpainter, examples: int, *, order: Order = "above", fit: Fit) -> Layout:
    return Layout.grid(
        examples,
        canvas_size=model.canvas_size,
        patch_size=model.patch_size,
        order=order,
        fit=fit,
    )
