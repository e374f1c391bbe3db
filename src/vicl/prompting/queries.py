"""Queries: of a folder, with a bar, and what is done with one that cannot be answered."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, Literal

from vicl.exports.answers import Answer
from vicl.files.progress import progress as bar
from vicl.images import brief, find_images
from vicl.prompt import Example

log = logging.getLogger(__name__)

OnError = Literal["skip", "raise"] | Callable[[Any, Exception], None]


def in_folder(folder: str | os.PathLike[str]) -> list[Path]:
    """The images of a folder.

    Raises:
        ValueError: If there is none, or it is an image itself.
    """
    if Path(folder).is_file():
        raise ValueError(f"queries: got {brief(folder)}, one image; for one use predict(...)")
    if found := find_images(folder):
        return found
    raise ValueError(f"queries: no image files in folder {os.fspath(folder)!r}")


def counted(answers: Iterator[Answer], queries: Iterable[Any]) -> Iterator[Answer]:
    """Answers as they come, with a bar that moves by them."""
    total = len(queries) if isinstance(queries, Sized) else None
    with bar("answering", total=total) as advance:
        done = 0
        for answer in answers:
            # Queries that failed count too: an answer says how many were before it.
            advance(answer.index + 1 - done)
            done = answer.index + 1
            yield answer


def handle(on_error: OnError, query: Any, error: Exception) -> None:
    """Do with a query that cannot be answered what was asked for."""
    if on_error == "raise":
        raise error
    if on_error == "skip":
        log.warning("skipped: %s", error)
    else:
        on_error(query, error)


def files_of(examples: Iterable[Example]) -> tuple[Path, ...]:
    """The files of examples' inputs; those that are none are left out."""
    return tuple(Path(e.input) for e in examples if isinstance(e.input, str | os.PathLike))
