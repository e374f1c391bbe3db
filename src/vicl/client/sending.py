"""What is sent to a service: forms, and the files in them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

Picture: TypeAlias = str | os.PathLike[str] | bytes
"""A picture's file by its path, or its bytes: they are sent as they are."""

Pixels: TypeAlias = Literal["none", "rle", "png"]


def form_of(
    queries: Picture | Iterable[Picture],
    prompt: str | None,
    examples: Sequence[tuple[Picture, Picture]],
    fields: Mapping[str, Any],
) -> list[tuple[str, tuple[str | None, bytes]]]:
    """The parts of a form, in order: name, and file name with bytes; words have no file name."""
    several = [queries] if isinstance(queries, str | bytes | os.PathLike) else list(queries)
    parts = [("query", _file(picture, f"query-{n}")) for n, picture in enumerate(several)]
    for number, (shown, output) in enumerate(examples):
        parts.append(("example_input", _file(shown, f"input-{number}")))
        parts.append(("example_output", _file(output, f"output-{number}")))
    words = {"prompt": prompt, **fields}
    for name, value in words.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            parts.append((name, (None, text.encode())))
    return parts


@contextmanager
def job_form(zipped: Picture, prompt: str, format: str) -> Iterator[list[tuple[str, Any]]]:
    """The form of a job, while its file is open: a large zip is sent as it is read."""
    words = [("prompt", (None, prompt.encode())), ("format", (None, format.encode()))]
    if isinstance(zipped, bytes):
        yield [("images", ("images.zip", zipped)), *words]
        return
    path = Path(zipped)
    with path.open("rb") as file:
        yield [("images", (path.name, file)), *words]


def path_of(id: str) -> str:
    """Where a job is told of."""
    return f"/v1/jobs/{quote(id, safe='')}"


def _file(picture: Picture, name: str) -> tuple[str | None, bytes]:
    if isinstance(picture, bytes):
        return name, picture
    path = Path(picture)
    return path.name, path.read_bytes()
