"""What `vicl predict` is to work on: files, folders, globs, or a list on standard input."""

from __future__ import annotations

import glob
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import click


@dataclass(frozen=True)
class Query:
    """One image to answer.

    Attributes:
        path: Where it is, as given.
        relative: What its outputs are named by: its place in the folder that was given, or its
            name.
    """

    path: Path
    relative: PurePath


def find_queries(arguments: Sequence[str]) -> list[Query]:
    """Resolve QUERY arguments, in order, each file once.

    A missing file is kept: it is reported when its turn comes.

    Raises:
        click.UsageError: If a glob or folder holds nothing, or `-` comes with no list.
    """
    from vicl.images import ImageError, find_images

    found: list[Query] = []
    for argument in arguments:
        if argument == "-":
            lines = [line.rstrip("\n") for line in sys.stdin]
            found += [_single(Path(line)) for line in lines if line.strip()]
            continue
        path = Path(argument)
        if path.is_dir():
            try:
                inside = find_images(path)
            except ImageError as error:
                raise click.UsageError(str(error)) from error
            if not inside:
                raise click.UsageError(f"folder {argument!r} holds no image files")
            found += [Query(file, file.relative_to(path)) for file in inside]
        elif not path.exists() and glob.has_magic(argument):
            # Path.glob takes no absolute pattern, which is what a quoted argument may be.
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207
            files = [Path(match) for match in matches if Path(match).is_file()]
            if not files:
                raise click.UsageError(f"no file matches {argument!r}")
            found += [_single(file) for file in files]
        else:
            found.append(_single(path))
    if arguments and not found:
        raise click.UsageError("the list on standard input is empty")
    unique: dict[Path, Query] = {}
    for query in found:
        unique.setdefault(query.path, query)
    return list(unique.values())


def _single(path: Path) -> Query:
    return Query(path, PurePath(path.name))
