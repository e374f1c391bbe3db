"""Where what was fetched is kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where downloads and converted models are: $VICL_CACHE, or vicl in the user's cache."""
    given = os.environ.get("VICL_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vicl"


def download_place(name: str, file: str) -> Path:
    """Where a file of what `vicl download NAME` fetches is kept."""
    return cache_folder() / "downloads" / name / file
