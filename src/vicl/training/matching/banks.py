"""What runs over a frozen encoder have in common: two banks, batches of one, and the job."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vicl.loading import load_encoder
from vicl.models.devices import Device, pick_device
from vicl.models.pretrained import Pretrained, empty_like
from vicl.training.job import Job, Look, Round, Seat, Trained
from vicl.training.loop import fit
from vicl.training.matching.bank import build_bank
from vicl.training.matching.pictures import count_pictures, draw_pictures, fewer, listed
from vicl.training.objectives.objective import Objective
from vicl.training.parallel import processes
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.head import FrozenRun, Pictures

STRIDES: Final = (4, 8, 16, 16, 32)
"""Of the levels that networks are made for; the last may be finer."""

LOOKING_SEED: Final = 2**31 - 1
"""Of what is drawn of the pictures that are held out."""


def build_banks(
    output: Path, data: Pictures, seed: int, encoder: str, workers: int
) -> tuple[Path, Path]:
    """Encode the pictures that are held out, and all others, unless the run has them already.

    Args:
        output: The run's folder.
        data: Which pictures.
        seed: Of the versions and scenes.
        encoder: As :func:`vicl.load_encoder` takes it.
        workers: As for :func:`vicl.training.matching.bank.build_bank`.

    Returns:
        The folders of the held-out and of the training bank.

    Raises:
        RecipeError: If there are no pictures to learn from.
    """
    folders = []
    for name, held_out in (("held-out", True), ("training", False)):
        photographs = listed(data, held_out=held_out)
        drawn = fewer(data) if held_out else data
        pictures = (
            (one.source, one.origin, one.group, one.image)
            for one in draw_pictures(drawn, photographs, seed + held_out)
        )
        folder = output / "bank" / name
        count = count_pictures(drawn, photographs)
        build_bank(folder, pictures, count, encoder, workers=workers)
        folders.append(folder)
    return folders[0], folders[1]


def check_levels(key: str, encoder: str, channels: Sequence[int], *, first: bool = False) -> None:
    """See that a network can read an encoder, before any picture is encoded.

    Args:
        key: Of the recipe, that says how many channels the network reads of the levels.
        encoder: As :func:`vicl.load_encoder` takes it.
        channels: Those, finest level first.
        first: The network reads the first level alone as it is, and of the others likenesses.

    Raises:
        RecipeError: If there is no such encoder, or its levels are others.
    """
    network = key.rpartition(".")[0]
    try:
        found = load_encoder(encoder, device="cpu")
    except ValueError as error:
        raise RecipeError(f"{network}.encoder: {error}") from error
    if len(found.strides) != len(STRIDES) or found.strides[:4] != STRIDES[:4]:
        raise RecipeError(
            f"{network}.encoder: {found.name} has levels of {_listed(found.strides)} pixels a "
            f"place, expected those of EfficientNet-Lite ({_listed(STRIDES)}); of an encoder "
            f"without fine levels take the coarse ones: efficientnet-lite2+{encoder}"
        )
    wanted = found.channels[:1] if first else found.channels
    if tuple(channels) != tuple(wanted):
        raise RecipeError(
            f"{key}: got {_listed(channels)}, expected {_listed(wanted)}, as the levels of "
            f"{found.name} have (--set)"
        )


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def batches(
    drawn: Dataset[tuple[Tensor, ...]], workers: int, seat: Seat, device: torch.device
) -> Iterator[Round]:
    """Batches without end of a data set whose item n follows from n alone.

    Args:
        drawn: The data set.
        workers: Processes that draw.
        seat: Which batches.
        device: Where they go.
    """

    def places() -> Iterator[int]:
        for number in itertools.count(seat.start):
            yield from range(seat.first(number), seat.first(number) + seat.batch)

    loader = DataLoader(
        drawn,
        batch_size=seat.batch,
        sampler=places(),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        persistent_workers=False,
    )
    for batch in loader:
        yield Round(tuple(part.to(device) for part in batch))


def fit_to_bank(
    recipe: FrozenRun,
    model: Pretrained,
    objective: Objective,
    drawn: Dataset[tuple[Tensor, ...]],
    look: Callable[[Any], Look],
    *,
    output: Path,
    device: Device,
) -> Trained:
    """Train a network over a frozen encoder as its recipe says.

    Args:
        recipe: What to do.
        model: What learns.
        objective: From what.
        drawn: Of the training bank, by number.
        look: Looks at what is held out.
        output: The run's folder.
        device: As for :func:`vicl.training.train.train`.

    Raises:
        TrainingError: As :func:`vicl.training.train.train`.
        KeyboardInterrupt: After Ctrl-C, once a checkpoint is saved.
    """
    assert recipe.schedule.steps is not None  # recipes see to it
    job = Job(
        objective=objective,
        rounds=functools.partial(batches, drawn, recipe.workers),
        batch=recipe.batch,
        steps=recipe.schedule.steps,
        schedule=recipe.schedule,
        optimiser=recipe.optimiser,
        ema=recipe.ema,
        fresh=lambda: empty_like(model),
        look=look,
        look_every=recipe.evaluation.every,
        folder=output,
        name=recipe.name,
        log_every=recipe.log.every,
        save_every=recipe.checkpoints.every,
        keep=recipe.checkpoints.keep,
    )
    with processes(
        pick_device(device), precision="fp32", trackers=recipe.log.trackers, folder=output
    ) as accelerator:
        return fit(job, accelerator)
