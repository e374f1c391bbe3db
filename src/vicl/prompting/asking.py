"""What is asked: any model, as an engine that takes queries of any size by the settings."""

from __future__ import annotations

import logging
import os

from vicl.encoders.packaged import MissingWeightsError
from vicl.engine import InContextModel, Inpainter, PartialModel
from vicl.loading import BEST_FOR_TASK, load_model
from vicl.models.devices import Device
from vicl.prompting.border import Border, as_border
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.fusing import Shows
from vicl.prompting.learned import LearnedError
from vicl.prompting.settings import PromptSettings
from vicl.prompting.task_vectors import TaskVectors, VectorModel, as_vectors
from vicl.prompting.tiling import LargeQueries
from vicl.tasks import MarkedTask, SegmentationTask, Task
from vicl.tasks.image import EdgesTask

log = logging.getLogger(__name__)

Learned = Border | TaskVectors
"""What was learned for one engine and goes with a prompt."""


def learned_of(
    border: Border | str | os.PathLike[str] | None,
    vectors: TaskVectors | str | os.PathLike[str] | None,
) -> Learned | None:
    """A border or task vectors: themselves, their file, or the folder of their run.

    Raises:
        LearnedError: If both are given, or what is given cannot be read.
    """
    if border is not None and vectors is not None:
        raise LearnedError(
            "border, vectors: got both, but with task vectors there are no examples for a border; "
            "give one of them"
        )
    return as_border(border) if vectors is None else as_vectors(vectors)


def as_engine(
    model: InContextModel | Inpainter,
    settings: PromptSettings,
    task: Task,
    *,
    learned: Learned | None = None,
) -> LargeQueries:
    """Make a model ready to answer: an inpainter on its canvases, large queries in tiles.

    Args:
        model: As :func:`vicl.load_model` gives it.
        settings: How it is asked.
        task: What the answers are read as.
        learned: A border that is added to the canvases, or vectors that stand for examples.

    Raises:
        ValueError: If a setting does not suit the model, or `learned` is another's.
    """
    engine: InContextModel
    canvas = settings.of_canvas()
    if learned is not None:
        learned.check(model)
    if isinstance(learned, TaskVectors):
        if canvas:
            raise ValueError(
                f"{', '.join(canvas)}: with task vectors no example is on the canvas, so this "
                "would change nothing; leave it out"
            )
        engine = VectorModel(model, learned, upsampling=settings.upsampling)
    elif isinstance(model, Inpainter):
        how = {"upsampling": settings.upsampling, **canvas}
        engine = CanvasModel(model, shows=shown_by(task), border=learned, **how)
    elif canvas:
        raise ValueError(
            f"{', '.join(canvas)}: {model.name} has no canvas, so this would change nothing"
        )
    elif isinstance(model, PartialModel):
        engine = model.asked(
            min_presence=settings.min_presence, objects=settings.instances, masks=not task.is_local
        )
    else:
        engine = model
    if settings.min_presence is not None and not isinstance(model, PartialModel):
        raise ValueError(
            f"min_presence: {model.name} cannot say whether a thing is there, so this would change "
            "nothing; the engine matching can"
        )
    tile = settings.tile if isinstance(settings.tile, int) else None
    if settings.tile == "auto" and task.is_local and settings.samples == 1:
        tile = engine.max_size
    return LargeQueries(engine, tile, settings.upsampling)


def check_agree(engine: LargeQueries, examples: int) -> None:
    """Refuse to ask until views agree where there is one alone.

    Args:
        engine: As :func:`as_engine` gives it.
        examples: Of a prompt; 0: nobody knows yet.

    Raises:
        ValueError: If there is one, or the examples cannot be shared out.
    """
    model = engine.model
    if not isinstance(model, CanvasModel) or model.settings.agree is None or not examples:
        return
    if model.views(examples) == 1:
        raise ValueError(
            f"agree: got {model.settings.agree:g}, but there is one view, a canvas in one "
            "arrangement, and so nothing to agree; ask for more by arrangements, or by examples on "
            "canvases of their own with examples_per_canvas, or leave it out"
        )


def shown_by(task: Task) -> Shows:
    """What a task's answers show; masks that are drawn by a palette are images."""
    if isinstance(task, EdgesTask):
        return "edges"
    coloured = isinstance(task, SegmentationTask) and task.palette
    return "mask" if isinstance(task, MarkedTask) and not coloured else "image"


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
