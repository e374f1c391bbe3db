"""WebDataset shards in, shards of answers out: each is answered as the folder that it holds.

What `vicl predict FOLDER -o OUT` would write for the unpacked shard stands, byte for byte, in a tar
of the shard's name. It appears whole or not at all, so a stopped run goes on by shard. Its first
member says what made it, and which images had no answer.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from vicl.exports.annotation import ExportError
from vicl.exports.answers import Query
from vicl.exports.record import RECORD, check_same_maker
from vicl.exports.writers import Writer, open_writer
from vicl.files import FileError, display, is_no_room, reason
from vicl.files.plain_json import parse_json
from vicl.images import ImageError
from vicl.images.decoding import PARSER_ERRORS
from vicl.images.tars import image_members
from vicl.prompting.batching import FAULTS
from vicl.prompting.prompter import VisualPrompter
from vicl.scale.asking import Ask
from vicl.scale.places import inside, name_of, open_place, put, size_of
from vicl.scale.taking import Taken, Taking

NOTE: Final = "__vicl__"
"""The first member of a shard of answers; readers of WebDataset pass over such names."""

_NOTE_LIMIT: Final = 1 << 24
"""Bytes of a note that are read."""


@dataclass(frozen=True)
class ShardJob:
    """What is made of each shard.

    Attributes:
        out: A folder or an address, where the shards of answers go.
        taking: What is wanted of each answer.
        writing: Options of :func:`vicl.exports.writers.open_writer`.
        made_by: What answers depend on beside the images, as JSON.
    """

    out: str
    taking: Taking
    writing: Mapping[str, Any]
    made_by: Mapping[str, Any]

    def target(self, shard: str) -> str:
        """Where a shard's answers go."""
        return inside(self.out, name_of(shard))

    def is_done(self, shard: str) -> bool:
        """Whether a shard's answers are there; those that are not can be made.

        Raises:
            ExportError: If they are of another making, of another shard, or no answers.
            FileError: If the place cannot be read.
        """
        target = self.target(shard)
        if size_of(target) is None:
            return False
        note = _read_note(target)
        check_same_maker(Path(target), note["made_by"], self.made_by)
        if note["bytes"] != size_of(shard):
            raise ExportError(
                f"{display(target)}: has the answers to another shard of this name, or the shard "
                "has changed since; write to another place, or replace it by overwrite=True "
                "(command line: --overwrite)"
            )
        return True


@dataclass
class ShardReport:
    """What became of a shard.

    Attributes:
        shard: Its place.
        target: Where its answers are; None if it could not be read, and none were written.
        answered: How many images were.
        said: Of each image in order a line, or a row of JSON; and errors as (name, what is wrong).
        companions: Files beside the shards that say what the classes are.
    """

    shard: str
    target: str | None = None
    answered: int = 0
    said: list[str | dict[str, Any] | tuple[str, str]] = field(default_factory=list)
    companions: dict[str, bytes] = field(default_factory=dict)

    @property
    def failed(self) -> list[tuple[str, str]]:
        """The errors."""
        return [one for one in self.said if isinstance(one, tuple)]


def answer_shard(shard: str, job: ShardJob, prompter: VisualPrompter, ask: Ask) -> ShardReport:
    """Answer a shard's images and write a shard of their answers.

    Args:
        shard: Its place.
        job: What is made of it.
        prompter: Whose answers they are.
        ask: How they are asked for.

    Raises:
        FileError: If the answers cannot be written.
    """
    report = ShardReport(shard)
    with tempfile.TemporaryDirectory(prefix="vicl-") as folder:
        # Beside one another, as a shard that is unpacked beside a folder of answers.
        images = Path(folder) / (name_of(shard).rpartition(".")[0] or "shard")
        answers = Path(folder) / ("answers" if images.name != "answers" else "answered")
        images.mkdir()
        answers.mkdir()
        try:
            size = size_of(shard)
            with open_place(shard) as stream:
                queries = list(_unpacked(stream, images, report))
        except (tarfile.TarError, *PARSER_ERRORS, OSError) as error:
            if is_no_room(error):
                raise FileError(f"{display(folder)}: has no room for {display(shard)}") from error
            named = str(error) if isinstance(error, FileError) else _broken(shard, error)
            report.said.append((shard, named))
            return report
        if queries:
            with open_writer(f"{answers}/", queries, **job.writing) as writer:
                companions = dict(writer.companions)
                _answer(queries, job, prompter, ask, writer, report)
            report.companions = {path.name: data for path, data in companions.items()}
        note = {
            "made_by": job.made_by,
            "bytes": size,
            "answered": report.answered,
            "failed": dict(report.failed),
        }
        packed = Path(folder) / "packed"
        _pack(answers, packed, note, without=report.companions)
        report.target = job.target(shard)
        put(packed, report.target)
    return report


def put_companions(out: str, files: Mapping[str, bytes]) -> None:
    """Write the files that say what the classes are beside the shards, where they are not there.

    Raises:
        ExportError: If one is there and says something else.
        FileError: If it cannot be written.
    """
    for name, data in files.items():
        place = inside(out, name)
        if (size := size_of(place)) is None:
            with tempfile.NamedTemporaryFile() as stream:
                stream.write(data)
                stream.flush()
                put(Path(stream.name), place)
            continue
        with open_place(place) as there:
            same = size == len(data) and there.read(len(data)) == data
        if not same:
            raise ExportError(
                f"{display(place)}: says something else of the classes; write to another place"
            )


def _broken(shard: str, error: BaseException) -> str:
    return (
        f"{display(shard)}: cannot be read to its end ({reason(error)}), and has no answers; get a "
        "whole copy, not compressed"
    )


def _unpacked(stream: Any, folder: Path, report: ShardReport) -> Iterator[Query]:
    """The images of a shard as files in a folder; errors go to the report."""
    for member in image_members(stream, display(report.shard), tell=True):
        if isinstance(member, ImageError):
            report.said.append((str(member).partition(": ")[2].partition(":")[0], str(member)))
            continue
        path = PurePosixPath(member.path)
        name = str(path)

        def wrong(what: str, name: str = name) -> None:
            report.said.append((name, f"{display(report.shard)}: {display(name)}: {what}"))

        if path.is_absolute() or ".." in path.parts or not name.isprintable():
            wrong("reaches out of the shard, or is no plain name; pack it under another")
            continue
        file = folder / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as written:
                written.write(member.data)
        except FileExistsError:
            wrong("stands twice in the shard; the first is answered")
            continue
        except (OSError, ValueError) as error:
            if is_no_room(error):
                raise
            wrong(f"cannot be unpacked ({reason(error)}); give it a plain name")
            continue
        yield Query(file, path)


def _answer(
    queries: Sequence[Query],
    job: ShardJob,
    prompter: VisualPrompter,
    ask: Ask,
    writer: Writer,
    report: ShardReport,
) -> None:
    by_file = {os.fspath(query.path): query for query in queries}
    unpacked = f"{queries[0].path.parents[len(queries[0].relative.parts) - 1]}{os.sep}"

    def fail(path: Any, error: Exception) -> None:
        name = str(by_file[os.fspath(path)].relative)
        what = str(error).replace(unpacked, f"{display(report.shard)}: ")
        report.said.append((name, what if name in what else f"{report.shard}: {name}: {what}"))

    for answer in ask([query.path for query in queries], fail):
        query = queries[answer.index]
        try:
            taken = job.taking.take(prompter, writer, query, answer)
        except FAULTS as error:
            if is_no_room(error):
                raise
            fail(query.path, error)
            continue
        del answer  # it may be large, and its successor is to be made without it
        report.answered += 1
        line = _line(report.shard, query, taken)
        report.said += [] if line is None else [line]


def _line(shard: str, query: Query, taken: Taken) -> str | dict[str, Any] | None:
    """What is said of an answer; the names are those in the tar."""
    name = query.relative.as_posix()
    if taken.row is not None:
        output = None if taken.written is None else taken.written.name
        parent = query.relative.parent
        return {"shard": shard, **taken.row, "query": name, "output": str(parent / str(output))}
    return None if taken.counts is None else taken.count_line(f"{display(shard)}: {display(name)}")


def _pack(
    folder: Path, target: Path, note: Mapping[str, Any], *, without: Mapping[str, bytes]
) -> None:
    """Pack a folder's files in the order of their names, which is the only thing told of them."""
    files = sorted(
        (file.relative_to(folder).as_posix(), file)
        for file in folder.rglob("*")
        if file.is_file() and file.name != RECORD
    )
    with tarfile.open(target, "w") as tar:
        data = json.dumps(note, sort_keys=True).encode()
        _add(tar, NOTE, len(data), io.BytesIO(data))
        for name, file in files:
            if name not in without:
                with file.open("rb") as stream:
                    _add(tar, name, file.stat().st_size, stream)


def _add(tar: tarfile.TarFile, name: str, size: int, stream: Any) -> None:
    # Nothing of when and by whom it was written.
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o644
    tar.addfile(header, stream)


def _read_note(target: str) -> dict[str, Any]:
    """The note of a shard of answers.

    Raises:
        ExportError: If it has none.
    """
    with open_place(target) as stream:
        head = stream.read(tarfile.BLOCKSIZE)
        faults = (tarfile.TarError, ValueError, KeyError, TypeError)
        with suppress(*faults):  # whatever it is, it is no note
            header = tarfile.TarInfo.frombuf(head, tarfile.ENCODING, "surrogateescape")
            if header.name == NOTE and header.size <= _NOTE_LIMIT:
                note = parse_json(stream.read(header.size))
                if isinstance(note["made_by"], dict) and isinstance(note["bytes"], int):
                    return dict(note)
    raise ExportError(
        f"{display(target)}: is there already, and no shard of answers; write to another place, or "
        "replace it by overwrite=True (command line: --overwrite)"
    )
