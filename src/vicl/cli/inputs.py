"""What `vicl predict` is to work on: files, folders, globs, or a list on standard input."""

from __future__ import annotations

import glob
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vicl.exports.answers import Query


def find_queries(arguments: Sequence[str], *, all_frames: bool = False) -> list[Query]:
    """Resolve QUERY arguments, in order, each file once.

    A missing file is kept: it is reported when its turn comes.

    Args:
        arguments: Files, folders, globs, or `-`.
        all_frames: Give each frame or page of a file that has several as a query of its own.

    Raises:
        click.UsageError: If a glob or folder holds nothing, or `-` comes with no list.
    """
    from vicl.exports.answers import Query
    from vicl.images import ImageError, find_images

    unique: dict[Path, PurePath] = {}
    for argument in arguments:
        path = Path(argument)
        if argument == "-":
            lines = [line.rstrip("\n") for line in sys.stdin]
            found = {Path(line): PurePath(Path(line).name) for line in lines if line.strip()}
        elif path.is_dir():
            try:
                found = {file: file.relative_to(path) for file in find_images(path)}
            except ImageError as error:
                raise click.UsageError(str(error)) from error
            if not found:
                raise click.UsageError(f"folder {argument!r} holds no image files")
        elif not path.exists() and glob.has_magic(argument):
            # Path.glob takes no absolute pattern, which is what a quoted argument may be.
            matches = map(Path, sorted(glob.glob(argument, recursive=True)))  # noqa: PTH207
            found = {file: PurePath(file.name) for file in matches if file.is_file()}
            if not found:
                raise click.UsageError(f"no file matches {argument!r}")
        else:
            found = {path: PurePath(path.name)}
        for file, relative in found.items():
            unique.setdefault(file, relative)
    if arguments and not unique:
        raise click.UsageError("the list on standard input is empty")
    queries = [Query(path, relative) for path, relative in unique.items()]
    return [frame for query in queries for frame in _frames(query)] if all_frames else queries


def _frames(query: Query) -> list[Query]:
    from vicl.exports.answers import Query
    from vicl.images import ImageError, count_frames

    try:
        count = count_frames(query.path)
    except ImageError as error:
        raise click.UsageError(str(error)) from error
    if count == 1:
        return [query]
    name = query.relative
    return [
        Query(query.path, name.with_name(f"{name.stem}.frame-{number:04d}{name.suffix}"), number)
        for number in range(1, count + 1)
    ]
