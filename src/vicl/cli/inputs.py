"""What `vicl predict` is to work on: files, folders, globs, or a list on standard input."""

from __future__ import annotations

import codecs
import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from vicl.files import display

if TYPE_CHECKING:
    from vicl.exports.answers import Query


def find_queries(
    arguments: Sequence[str],
    *,
    out: str | None = None,
    all_frames: bool = False,
) -> list[Query]:
    """Resolve QUERY arguments, in order, each file once.

    A missing file is kept: it is reported when its turn comes. Of a folder's pictures those are
    left out that are answers of a run before: see :func:`_without_answers`.

    Args:
        arguments: Files, folders, globs, or `-`.
        out: Where answers go.
        all_frames: Give each frame or page of a file that has several as a query of its own.

    Raises:
        click.UsageError: If a glob or folder holds nothing, or `-` comes with no list.
    """
    from vicl.exports.answers import Query
    from vicl.images import ImageError, find_images

    unique: dict[str, Query] = {}
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
                _tell_left_out(len(images) - len(asked), argument)
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
            unique.setdefault(os.path.abspath(file), Query(file, relative))  # noqa: PTH100 - links stay
    if arguments and not unique:
        raise click.UsageError("the list on standard input is empty")
    queries = _without_own(list(unique.values()), out)
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


def _without_own(queries: Sequence[Query], out: str | None) -> list[Query]:
    """Queries but for answers of earlier runs, however they were given.

    These are what was written to the same place; and what lies beside other queries, as globs
    find it. Where all queries of a folder, or all there are, are answers, they are asked about.
    """
    from vicl.exports.record import recorded

    def others(those: Sequence[Query], *places: Path) -> list[Query]:
        own = {file.resolve() for place in places for file in recorded(place)}
        found = [query for query in those if query.path.resolve() not in own] if own else []
        if found and len(found) < len(those):
            _tell_left_out(len(those) - len(found), str(places[0]))
        return found or list(those)

    kept = list(queries) if out is None else others(queries, Path(out))
    by_folder: dict[Path, list[Query]] = {}
    for query in kept:
        by_folder.setdefault(query.path.parent, []).append(query)
    left = {
        query
        for folder, those in by_folder.items()
        for query in others(those, folder, *folder.parents)
    }
    return [query for query in kept if query in left]


def _tell_left_out(count: int, place: str) -> None:
    click.echo(f"{count} of {display(place)} left out: answers of a run before", err=True)


def _without_answers(images: Sequence[Path], folder: Path, out: str | None) -> list[Path]:
    """A folder's pictures but for those that earlier runs wrote there.

    These are what lies below `out`, where that is a folder below it; canvases and overlays beside
    pictures of their names; and what the records of folders of answers name, unless that is all
    there is: then it is the folder of answers that is asked about.
    """
    from vicl.exports.record import recorded

    root = folder.resolve()
    below = None if out is None else Path(out).resolve()
    if below is not None and (below == root or not below.is_relative_to(root)):
        below = None
    stems = {file.with_suffix("") for file in images}

    def is_beside(file: Path) -> bool:
        name = file.with_suffix("")
        if below is not None and file.resolve().is_relative_to(below):
            return True
        return name.suffix in (".canvas", ".overlay", ".objects") and name.with_suffix("") in stems

    asked = [file for file in images if not is_beside(file)]
    places = {place for file in asked for place in file.parents if place.is_relative_to(folder)}
    answers = {file for place in places for file in recorded(place)}
    others = [file for file in asked if file not in answers]
    return others or asked
