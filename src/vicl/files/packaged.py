"""Where the files are that come with the package."""

from __future__ import annotations

from pathlib import Path

from vicl.files.plain import FileError, display

_PACKAGE = Path(__file__).resolve().parents[1]

PHOTOS = _PACKAGE / "photos"
"""Freely licensed photographs, what was made of them, and `demo.json`."""

RECIPES = _PACKAGE / "recipes"
"""A YAML file a recipe."""

WEIGHTS = _PACKAGE / "weights"
"""A model folder for each model that comes with the package, and `best_for_task.json`."""


def packaged_model(name: str) -> Path:
    """The folder of a model that comes with the package.

    Raises:
        FileError: If it is not there.
    """
    folder = WEIGHTS / name
    if not folder.is_dir():
        raise FileError(
            f"{display(folder)}: this part of the installed vicl is missing; install vicl anew "
            "from its wheel or checkout (pip install --force-reinstall --no-deps PATH)"
        )
    return folder
