"""What `vicl predict` is to work on: files, folders, globs, or a list on standard input."""

from __future__ import annotations

import codecs
import glob
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from vicl.files import display

if TYPE_CHECKING:
    from vicl.exports.answers import Query


def find_queries(
    arguments: Sequence[str], *, out: str | None = None, all_frames: bool = False
) -> list[Query]:
    """Resolve QUERY arguments, in order, each file once.

    A missing file is kept: it is reported when its turn comes. Of a folder's pictures those are
    left out that are answers: what is below `out`, where that is a folder below it; where both are
    one, a PNG beside another picture of its name; and canvases.

    Args:
        arguments: Files, folders, globs, or `-`.
        out: Where answers go.
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
            found = {Path(name): PurePath(Path(name).name) for name in _listed()}
        elif path.is_dir():
            try:
                images = find_images(path)
                asked = _without_answers(images, path, out)
                found = {file: file.relative_to(path) for file in asked}
            except ImageError as error:
                raise click.UsageError(str(error)) from error
            if len(asked) < len(images):
                count = len(images) - len(asked)
                left_out = f"{count} of {display(argument)} left out"
                click.echo(f"{left_out}: answers of a run before", err=True)
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


def _listed() -> list[str]:
    """The names on standard input: a line each, or with zero bytes between them (`find -print0`).

    Lines may end as on Windows, and the text be what its shells write.
    """
    data = sys.stdin.buffer.read()
    if data.startswith(codecs.BOM_UTF16_LE):
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data:
        return [os.fsdecode(name) for name in data.split(b"\0") if name]
    lines = [os.fsdecode(line) for line in data.split(b"\n")]
    # A name may end in what ends a line elsewhere.
    names = [line if os.path.lexists(line) else line.removesuffix("\r") for line in lines]
    return [name for name in names if name.strip()]


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


def _without_answers(images: Sequence[Path], folder: Path, out: str | None) -> list[Path]:
    """A folder's pictures but for those that an earlier run wrote there."""
    below = None if out is None else Path(out).resolve()
    beside = below == folder.resolve()
    if beside or (below is not None and not below.is_relative_to(folder.resolve())):
        below = None
    kinds: dict[Path, set[str]] = defaultdict(set)
    for file in images:
        kinds[file.with_suffix("")].add(file.suffix)

    def is_answer(file: Path) -> bool:
        name = file.with_suffix("")
        if below is not None and file.resolve().is_relative_to(below):
            return True
        if beside and file.suffix == ".png" and len(kinds[name]) > 1:
            return True
        return name.suffix in (".canvas", ".overlay") and name.with_suffix("") in kinds

    return [file for file in images if not is_answer(file)]
