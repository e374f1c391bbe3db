"""A file of answers in words: JSON lines, what made them first, then one a photograph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vicl.exports.annotation import ExportError
from vicl.exports.answers import Query
from vicl.exports.record import MadeBy, check_same_maker, digest_of
from vicl.files import display
from vicl.files.bounded import read_bounded
from vicl.files.journal import Journal
from vicl.files.plain_json import parse_json

SUFFIX: Final = ".jsonl"

_LIMIT: Final = 1 << 28


class Replies:
    """Answers in words, each written at once and whole, so that a stopped run goes on.

    A photograph is known by its name below what was given, and by what is in its file: one that
    has changed is answered again, and its last line counts.

    Args:
        path: The file; it ends with :data:`SUFFIX`.
        made_by: What makes the answers to come.
        resume: Go on after the lines that it has; else they are lost.

    Raises:
        ExportError: If the file is to be gone on with, and something else made its answers, or it
            is no such file.
        FileError: If it cannot be written.
    """

    def __init__(self, path: Path, made_by: MadeBy, *, resume: bool) -> None:
        self._done: dict[str, str] = {}
        begun = resume and path.exists() and path.stat().st_size > 0
        if begun:
            self._read(path, made_by)
        self._journal = Journal(path, resume=resume)
        if not self._journal.lines:
            self._journal.append({"made_by": made_by})

    def done(self, query: Query) -> bool:
        """Whether a photograph has its answer."""
        known = self._done.get(query.relative.as_posix())
        return known is not None and known == digest_of(query.path)

    def write(self, query: Query, row: Mapping[str, Any]) -> None:
        """Append the answer to a photograph.

        Raises:
            FileError: If the disk is full or fails.
        """
        name, digest = query.relative.as_posix(), digest_of(query.path)
        self._journal.append({"name": name, "sha256": digest, **row})

    def close(self) -> None:
        """Close the file and leave it for a later run."""
        self._journal.close()

    def _read(self, path: Path, made_by: MadeBy) -> None:
        lines = read_bounded(path, _LIMIT, ExportError).split(b"\n")[:-1]
        for number, line in enumerate(lines, start=1):
            try:
                said = parse_json(line)
                if number == 1:
                    check_same_maker(path, dict(said["made_by"]), json.loads(json.dumps(made_by)))
                else:
                    self._done[str(said["name"])] = str(said["sha256"])
            except ExportError:
                raise
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines) > 1:  # after a power cut a file may end in zeros
                    return
                raise ExportError(
                    f"{display(path)}: line {number} is not as vicl ask writes it; write to "
                    "another file"
                ) from error
