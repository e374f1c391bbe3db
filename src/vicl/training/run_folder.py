"""The folder of a run: made once, and gone on with only by the recipe that made it."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

import yaml

from vicl.files import TEMPORARY_PREFIX, FileError, display, reason, write_atomic
from vicl.files.nested import flatten
from vicl.training.checkpoints import TrainingError
from vicl.training.recipe.head import FrozenRun
from vicl.training.recipe.recipe import Recipe

RECIPE = "recipe.yaml"
_FREE = (
    *("description", "licence", "log", "checkpoints", "evaluation", "saved_precision"),
    *("data.workers", "data.prefetch", "workers", "looks"),
    "model.asking",
)
"""What may differ when a run goes on: none of it changes the weights (of streams the workers do,
see :mod:`vicl.training.data.training_data`)."""
_REMEDIES = (
    *("optimiser", "schedule.warmup", "schedule.final", "batch.micro"),
    *("precision", "target_precision", "compile", "parallel"),
)
"""What may be changed to get a run going that failed; the log says that it was."""

log = logging.getLogger(__name__)


def recipe_text(recipe: Recipe | FrozenRun) -> str:
    """A recipe as YAML, with all defaults."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def prepare_folder(folder: Path, recipe: Recipe | FrozenRun, *, resume: bool) -> None:
    """Make a run's folder, or check that its run may go on.

    Raises:
        TrainingError: If the folder cannot be written, has a run in it and `resume` is not asked
            for, or its run has another recipe.
    """
    name = display(folder)
    file = folder / RECIPE
    if file.exists():
        if not resume:
            raise TrainingError(
                f"{name}: has a run in it; go on with it by --resume, or choose another --output"
            )
        _check_same(file, recipe)
    elif folder.exists() and any(
        # What a process that was killed at once left half-written is nothing to keep.
        not path.name.startswith(TEMPORARY_PREFIX)
        for path in folder.iterdir()
    ):
        raise TrainingError(f"{name}: holds other things than a run; choose another --output")
    try:
        # Now, and not when the first checkpoint is due.
        write_atomic(file, recipe_text(recipe).encode())
        probe = folder / "checkpoints" / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"
        write_atomic(probe, b"")
        probe.unlink()
    except (FileError, OSError) as error:
        raise TrainingError(
            f"{name}: the run's folder cannot be written ({reason(error)}); choose another --output"
        ) from error


def _check_same(file: Path, recipe: Recipe | FrozenRun) -> None:
    """Refuse to go on with another recipe."""
    try:
        before = flatten(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise TrainingError(f"{display(file)}: cannot be read ({reason(error)})") from error
    now = flatten(recipe.model_dump(mode="json"))
    other = [
        f"{key} (was {before.get(key)!r}, is {now.get(key)!r})"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) and not key.startswith(_FREE)
    ]
    remedies = [line for line in other if line.startswith(_REMEDIES)]
    if remedies:
        log.warning(
            "goes on with other values: %s; its weights are no longer those of one recipe",
            "; ".join(remedies),
        )
    other = [line for line in other if line not in remedies]
    if other:
        raise TrainingError(
            f"{display(file)}: the run was begun with other values of {'; '.join(other[:5])}; "
            "go on with those, or begin another run with --output"
        )
