"""Where the files are that come with the package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]

PHOTOS = _PACKAGE / "photos"
"""Freely licensed photographs, what was made of them, and `demo.json`."""

RECIPES = _PACKAGE / "recipes"
"""A YAML file a recipe."""

WEIGHTS = _PACKAGE / "weights"
"""A model folder for each model that comes with the package, and `best_for_task.json`."""
