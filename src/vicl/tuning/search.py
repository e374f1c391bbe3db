"""Seeking the learning rate and the weight decay: on validation images alone, within a budget."""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from vicl.files import display, write_atomic
from vicl.files.faults import said
from vicl.training.checkpoints import TrainingError
from vicl.training.seeds import Purpose, numbers
from vicl.tuning.fitting import Task, fit_task
from vicl.tuning.published import grid
from vicl.tuning.settings import Budget, SettingsError, TuneSettings

TRIALS: Final = "trials.json"

_log = logging.getLogger(__name__)


class Trial(BaseModel):
    """A run with one pair of values.

    Attributes:
        lr: The learning rate;
        weight_decay: of the weights that decay.
        accuracy: On the validation images; None where the run ended with no finite loss.
        loss: Their Brier score, likewise.
        epochs: That were run.
        seconds: That it took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    lr: float
    weight_decay: float
    accuracy: float | None
    loss: float | None
    epochs: float
    seconds: float


class Found(NamedTuple):
    """What a search found.

    Attributes:
        settings: The best ones.
        trials: All runs, in the order in which they were made.
    """

    settings: TuneSettings
    trials: tuple[Trial, ...]


def pairs(
    name: str, settings: TuneSettings, given: frozenset[str], seed: int
) -> list[tuple[float, float]]:
    """The pairs of learning rate and weight decay to try, in order: that of the settings first.

    Args:
        name: Of the method, whose published grid it is.
        settings: With the values that are tried first.
        given: Names of the settings that the user gave, which stay as they are.
        seed: Of the order of the others.
    """
    rates, decays = grid(name)
    rates = (settings.lr,) if "lr" in given else rates
    decays = (settings.weight_decay,) if "weight_decay" in given else decays
    first = (settings.lr, settings.weight_decay)
    others = [(r, d) for r in rates for d in decays if (r, d) != first]
    order = numbers(seed, Purpose.TRIALS).permutation(len(others))
    return [first, *(others[place] for place in order)]


def search(
    task: Task,
    settings: TuneSettings,
    budget: Budget,
    folder: Path,
    *,
    given: frozenset[str] = frozenset(),
) -> Found:
    """Try pairs until the budget is spent; gives the settings that did best in validation.

    Runs that were made before are taken from the folder. Equal accuracies go to the smaller
    learning rate, then to the smaller decay. The test images are never looked at.

    Args:
        task: What is learned.
        settings: All others.
        budget: How much to try; one run is made in any case, and none is begun that would not end
            in time.
        folder: Of the whole; the runs are in `trials/` in it.
        given: See :func:`pairs`.

    Raises:
        SettingsError: If there are no validation images, or all runs diverged.
    """
    if not task.data.val:
        raise SettingsError(
            f"--search: {display(task.data.root)} has no image to validate on; give it a val split"
        )
    file = folder / TRIALS
    trials = read_trials(file)
    wanted = pairs(task.method.name, settings, given, task.seed)
    spent = math.fsum(trial.seconds for trial in trials)
    for number, (lr, decay) in enumerate(wanted):
        if number < len(trials):
            if (trials[number].lr, trials[number].weight_decay) != (lr, decay):
                raise SettingsError(
                    f"{display(file)}: its runs are of another search; begin anew with another -o"
                )
            continue
        if not _goes_on(budget, number, spent):
            break
        tried = settings.model_copy(update={"lr": lr, "weight_decay": decay})
        trials.append(_try(task, tried, folder / "trials" / f"{number:03d}"))
        spent += trials[-1].seconds
        write_atomic(file, json.dumps([t.model_dump() for t in trials], indent=1).encode())
    best = best_of(trials)
    if best is None:
        raise SettingsError(
            f"--search: all {len(trials)} runs ended with no finite loss; choose a lower lr"
        )
    return Found(
        settings.model_copy(update={"lr": best.lr, "weight_decay": best.weight_decay}),
        tuple(trials),
    )


def best_of(trials: list[Trial]) -> Trial | None:
    """The run of the highest accuracy, of equal ones that with the smaller rate, then decay."""
    good = [trial for trial in trials if trial.accuracy is not None]
    return min(good, key=lambda t: (-(t.accuracy or 0), t.lr, t.weight_decay), default=None)


def read_trials(file: Path) -> list[Trial]:
    """The runs of a search; none where it has not begun.

    Raises:
        SettingsError: If the file is broken.
    """
    if not file.exists():
        return []
    try:
        return TypeAdapter(list[Trial]).validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise SettingsError(f"{display(file)}: {said(error)}; begin anew") from error


def _goes_on(budget: Budget, number: int, spent: float) -> bool:
    if number == 0:
        return True
    if budget.trials is not None:
        return number < budget.trials
    return budget.seconds is None or spent + spent / number <= budget.seconds


def _try(task: Task, settings: TuneSettings, folder: Path) -> Trial:
    begun = time.perf_counter()
    values = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    try:
        fitted = fit_task(task, settings, folder)
    except TrainingError as error:
        if not str(error).startswith("loss:"):
            raise
        _log.warning("lr %g, weight decay %g: %s", *values.values(), error)
        accuracy = loss = None
        epochs = 0.0
    else:
        assert fitted.val is not None  # there are validation images
        figures = fitted.val.figures
        accuracy, loss, epochs = figures["accuracy"], figures["loss"], fitted.epochs
        _log.info("lr %g, weight decay %g: accuracy %.3f", *values.values(), accuracy)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    seconds = time.perf_counter() - begun
    return Trial(**values, accuracy=accuracy, loss=loss, epochs=epochs, seconds=seconds)
