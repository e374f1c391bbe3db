"""What an engine says of the passes of one query, read as its task does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8

from vicl.engine import Filled
from vicl.exports.answers import Answer
from vicl.images import to_pil
from vicl.tasks import Task
from vicl.tasks.objects import separate_objects


def read_answer(
    filled: Sequence[Filled],
    task: Task,
    *,
    instances: bool,
    index: int,
    source: Path | None,
    examples: tuple[Path, ...] = (),
) -> Answer:
    """Read the passes' answers to one query as the task does.

    Args:
        filled: At the query's size, one a pass.
        task: How they are read.
        instances: Whether a mask's objects are told apart.
        index: Which query it is, counted from 0.
        source: The query's file.
        examples: Files of its examples, where they are its own.
    """
    reading = task.read([f.image for f in filled])
    given = [f.confidence for f in filled if f.confidence is not None]
    likelihoods = [float(f.log_likelihood) for f in filled if f.log_likelihood is not None]
    presences = [f.presence for f in filled if f.presence is not None]
    first = filled[0]
    count = min(len(f.alternatives) for f in filled)
    return Answer(
        reading.image,
        # Several passes are only as sure as the least sure of them.
        confidence=reduce(torch.minimum, given).numpy() if len(given) == len(filled) else None,
        likelihood=sum(likelihoods) if len(likelihoods) == len(filled) else None,
        mask=reading.mask,
        scores=reading.scores,
        classes=task.classes,
        boxes=reading.boxes,
        edges=reading.edges,
        presence=max(presences) if len(presences) == len(filled) else None,
        objects=_objects(filled, reading.mask, len(task.classes)) if instances else None,
        cell=None if first.cell is None else to_pil(first.cell),
        canvas=None if first.canvas is None else to_pil(first.canvas),
        alternatives=tuple(
            read_answer(
                [f.alternatives[number] for f in filled],
                task,
                instances=instances,
                index=index,
                source=source,
            )
            for number in range(count)
        ),
        index=index,
        source=source,
        examples=examples,
        views=tuple(f.views for f in filled) if any(f.views for f in filled) else (),
    )


def _objects(
    filled: Sequence[Filled], mask: UInt8[np.ndarray, "h w"] | None, classes: int
) -> Int[np.ndarray, "h w"] | None:
    """A mask's objects: as the engine or else as space parts them."""
    if mask is None:
        return None
    found = [one.objects.numpy() for one in filled if one.objects is not None]
    return separate_objects(mask, found if len(found) == classes else ())
