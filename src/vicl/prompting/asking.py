"""What is asked: any model, as an engine that takes queries of any size by the settings."""

from __future__ import annotations

import logging

from vicl.encoders.packaged import MissingWeightsError
from vicl.engine import InContextModel, Inpainter, PartialModel
from vicl.loading import BEST_FOR_TASK, load_model
from vicl.models.devices import Device
from vicl.prompting.border import Border
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.settings import PromptSettings
from vicl.prompting.tiling import LargeQueries
from vicl.tasks import Task

log = logging.getLogger(__name__)


def as_engine(
    model: InContextModel | Inpainter,
    settings: PromptSettings,
    *,
    local: bool,
    border: Border | None = None,
) -> LargeQueries:
    """Make a model ready to answer: an inpainter on its canvases, large queries in tiles.

    Args:
        model: As :func:`vicl.load_model` gives it.
        settings: How it is asked.
        local: Whether a part of a photograph can be answered without seeing the rest.
        border: That is added to the canvases.

    Raises:
        ValueError: If a setting does not suit the model, or the border is another's.
    """
    engine: InContextModel
    canvas = settings.of_canvas()
    if border is not None:
        border.told.check("border", model)
    if isinstance(model, Inpainter):
        engine = CanvasModel(model, border=border, upsampling=settings.upsampling, **canvas)
    elif canvas:
        raise ValueError(
            f"{', '.join(canvas)}: {model.name} has no canvas, so this would change nothing"
        )
    elif isinstance(model, PartialModel):
        engine = model.asked(
            min_presence=settings.min_presence, objects=settings.instances, masks=not local
        )
    else:
        engine = model
    if settings.min_presence is not None and not isinstance(model, PartialModel):
        raise ValueError(
            f"min_presence: {model.name} cannot say whether a thing is there, so this would change "
            "nothing; the engine matching can"
        )
    tile = settings.tile if isinstance(settings.tile, int) else None
    if settings.tile == "auto" and local and settings.samples == 1:
        tile = engine.max_size
    return LargeQueries(engine, tile, settings.upsampling)


def taken_apart(
    model: InContextModel | Inpainter,
) -> tuple[InContextModel | Inpainter, dict[str, object]]:
    """A model and how it is asked: of a canvas model its inpainter, and the settings that it has.

    So a prompt file, which keeps a model by its name and hash, keeps how it is asked too.
    """
    if not isinstance(model, CanvasModel):
        return model, {}
    return model.inpainter, model.settings.given()


def best_model(task: Task, *, device: Device, dtype: str) -> InContextModel | Inpainter:
    """Load the engine that measured best for a task.

    Where the weights of that one are not installed, `analogies` stands in, and the log says so.
    """
    try:
        name = BEST_FOR_TASK.get(task.name, BEST_FOR_TASK["image"])
        return load_model(name, device=device, dtype=dtype)
    except MissingWeightsError as error:
        log.warning("%s; answering by `analogies`, which knows no things", error)
        return load_model("analogies", dtype=dtype)
