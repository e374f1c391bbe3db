"""The folder of a run: made once, and gone on with only by the recipe that made it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import yaml

from vicl.files import FileError, display, reason, write_atomic
from vicl.training.checkpoints import TrainingError
from vicl.training.recipe import Recipe

RECIPE = "recipe.yaml"
_FREE = ("description", "licence", "log", "checkpoints", "evaluation", "data.workers")
"""What may differ when a run goes on: none of it changes the weights (of streams the workers do,
see :mod:`vicl.training.data`)."""


def recipe_text(recipe: Recipe) -> str:
    """A recipe as YAML, with all defaults."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def prepare_folder(folder: Path, recipe: Recipe, *, resume: bool) -> None:
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
    elif folder.exists() and any(folder.iterdir()):
        raise TrainingError(f"{name}: holds other things than a run; choose another --output")
    try:
        # Now, and not when the first checkpoint is due.
        probe = folder / "checkpoints" / f".vicl-{secrets.token_hex(8)}.tmp"
        write_atomic(probe, b"")
        probe.unlink()
        write_atomic(file, recipe_text(recipe).encode())
    except (FileError, OSError) as error:
        raise TrainingError(
            f"{name}: the run's folder cannot be written ({reason(error)}); choose another --output"
        ) from error


def _check_same(file: Path, recipe: Recipe) -> None:
    """Refuse to go on with another recipe."""
    try:
        before = _flat(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise TrainingError(f"{display(file)}: cannot be read ({reason(error)})") from error
    now = _flat(recipe.model_dump(mode="json"))
    other = [
        f"{key} (was {before.get(key)!r}, is {now.get(key)!r})"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key) and not key.startswith(_FREE)
    ]
    if other:
        raise TrainingError(
            f"{display(file)}: the run was begun with other values of {'; '.join(other[:5])}; "
            "go on with those, or begin another run with --output"
        )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, part in value.items():
        flat |= _flat(part, f"{prefix}.{key}" if prefix else str(key))
    return flat
