"""Where what was fetched is kept on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from vicl.files import FileError


def cache_folder() -> Path:
    """Where downloads and converted models are: $VICL_CACHE, or vicl in the user's cache.

    Raises:
        FileError: If neither is known, as of a user who is in no list and has no $HOME.
    """
    given = os.environ.get("VICL_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "vicl"
    except RuntimeError as error:
        raise FileError(
            "the folder of downloads: this user has no home folder; set VICL_CACHE or HOME"
        ) from error


def download_place(name: str, file: str) -> Path:
    """Where a file of what `vicl download NAME` fetches is kept."""
    return cache_folder() / "downloads" / name / file
