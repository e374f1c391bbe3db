"""Training as a recipe says: from a recipe to a model folder.

A run lives in a folder: `recipe.yaml` (resolved), `log.jsonl`, `checkpoints/`, `sheets/`, what the
trackers write, and at the end `model/`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from vicl.models.devices import Device, pick_device
from vicl.models.pretrained import empty_like
from vicl.storage.folder import weights_hash
from vicl.training.build import build_model, build_objective, check_codes, compile_parts
from vicl.training.checkpoints import TrainingError
from vicl.training.data.held_out import HeldOutImages
from vicl.training.data.training_data import TrainingData, open_data
from vicl.training.job import Job, Look, Round, Seat
from vicl.training.looking import look
from vicl.training.loop import fit
from vicl.training.masking import AnswerCell, choose_masking, draw_holes
from vicl.training.parallel import processes
from vicl.training.recipe.recipe import Recipe
from vicl.training.result import MODEL, save_result
from vicl.training.run_folder import prepare_folder
from vicl.training.seeds import Purpose, numbers


def train(
    recipe: Recipe,
    output: Path,
    *,
    resume: bool = False,
    device: Device = "auto",
    datasets: Mapping[str, Iterable[Any]] | None = None,
) -> Path:
    """Train as a recipe says.

    Args:
        recipe: What to do.
        output: The run's folder.
        resume: Go on from the latest checkpoint in `output`, if there is one.
        device: "cpu", "cuda" or "mps"; "auto" takes the best there is.
        datasets: What the recipe's sources of kind "dataset" name.

    Returns:
        The folder of the trained model.

    Raises:
        TrainingError: If the run cannot begin or go on, or its loss is not finite any more; the
            last good checkpoint stays.
        KeyboardInterrupt: After Ctrl-C (or SIGTERM), once a checkpoint is saved.
        ValueError: If recipe, data and device do not go together.
    """
    with processes(
        pick_device(device),
        precision=recipe.precision,
        trackers=recipe.log.trackers,
        folder=output,
    ) as accelerator:
        with accelerator.main_process_first():
            if accelerator.is_main_process:
                prepare_folder(output, recipe, resume=resume)
        data = open_data(
            recipe.data,
            recipe.model.canvas_size,
            seed=recipe.seed,
            patch_size=recipe.model.patch_size,
            datasets=datasets,
        )
        trained = fit(_job(recipe, data, output), accelerator)
        if accelerator.is_main_process:
            save_result(
                trained,
                output,
                recipe=recipe,
                data=data.describe(),
                device=accelerator.device,
                processes=accelerator.num_processes,
            )
        accelerator.wait_for_everyone()
    return output / MODEL


def _job(recipe: Recipe, data: TrainingData, folder: Path) -> Job:
    """What a recipe asks of the loop."""
    steps = count_steps(recipe, data.count)
    model = build_model(recipe)
    tokenizer = getattr(model, "tokenizer", None)
    if recipe.data.named:
        check_codes(recipe, data, model.tokenizer)
    objective = build_objective(recipe, model)
    if recipe.compile:
        compile_parts(objective)

    def fresh() -> Any:
        copy: Any = empty_like(model)
        copy.name = recipe.name
        return copy

    return Job(
        objective=objective,
        rounds=functools.partial(_rounds, recipe, data),
        batch=recipe.batch,
        steps=steps,
        schedule=recipe.schedule,
        optimiser=recipe.optimiser,
        sharded=recipe.parallel == "fsdp",
        ema=recipe.ema,
        fresh=fresh,
        look=_looking(data.held_out, recipe.evaluation.rows) if len(data.held_out) else None,
        look_every=recipe.evaluation.every,
        folder=folder,
        name=recipe.name,
        log_every=recipe.log.every,
        save_every=recipe.checkpoints.every,
        keep=recipe.checkpoints.keep,
        tokenizer=None if tokenizer is None else weights_hash(tokenizer),
    )


def count_steps(recipe: Recipe, images: int | None) -> int:
    """Optimiser steps of a run.

    Raises:
        TrainingError: If it counts epochs, but nobody knows how many images there are.
    """
    schedule = recipe.schedule
    if schedule.steps is not None:
        return schedule.steps
    if images is None or schedule.epochs is None:
        raise TrainingError(
            "schedule.epochs: the number of images is not known (shards without `samples`, or a "
            "stream); give schedule.steps, or the shards' samples"
        )
    return max(1, math.ceil(schedule.epochs * images / recipe.batch.size))


def _looking(held_out: HeldOutImages, rows: int) -> Callable[[Any], Look]:
    """Look at the held-out images, which are read once, when they are first wanted."""

    @functools.cache
    def images() -> list[Tensor]:
        return [held_out.load(index) for index in range(len(held_out))]

    return lambda model: look(model, images(), rows=rows)


def _rounds(
    recipe: Recipe, data: TrainingData, seat: Seat, device: torch.device
) -> Iterator[Round]:
    """Images with their holes, as the seed and the number of the step have it."""
    _, count = recipe.batch.rounds(seat.world)
    batches = data.batches(seat, pin=device.type == "cuda")
    for step in itertools.count(seat.start // count):
        holes, answers = _holes(recipe, step)
        for index in range(count):
            batch = next(batches)
            image = batch.image.to(device, non_blocking=True).float() / 255
            hole: Tensor | None = None
            if holes is not None:
                # In the order in which the data come.
                place = (index * seat.world + seat.rank) * seat.batch
                hole = holes[place : place + seat.batch]
                if answers and batch.hole is not None:
                    hole = torch.where(batch.hole.any((1, 2))[:, None, None], batch.hole, hole)
            given: tuple[Tensor | None, ...] = (image, hole)
            if batch.codes is not None:
                given = (image, hole, batch.codes.to(device, non_blocking=True))
            yield Round(given, batch.broken)


def _holes(recipe: Recipe, step: int) -> tuple[Bool[Tensor, "b H W"] | None, bool]:
    """The holes of a step's images, those of all processes, and whether they are answers'."""
    if not recipe.masking:
        return None, False
    drawn = numbers(recipe.seed, Purpose.HOLES, step).integers(2**63)
    generator = Generator().manual_seed(int(drawn))
    masking = choose_masking(recipe.masking, generator)
    model = recipe.model
    holes = draw_holes(masking, recipe.batch.size, model.canvas_size, model.patch_size, generator)
    return holes, isinstance(masking, AnswerCell)
