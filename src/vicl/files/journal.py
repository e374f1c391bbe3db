"""A file of JSON lines that grows by whole lines and survives a kill."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vicl.files import FileError, display, reason
from vicl.files.plain import sync_folder
from vicl.files.plain_json import parse_json


class Journal:
    """Append records to a file, each at once and whole.

    What a kill left of a last line is dropped when the file is opened again.

    Args:
        path: The file; missing folders are made.
        resume: Go on after the lines that it has; else it is emptied.
        durable: A line is on the disk, and not only with the system, before `append` returns.

    Attributes:
        path: The file.
        lines: The complete lines that it had when it was opened.

    Raises:
        FileError: If it cannot be opened.
    """

    def __init__(self, path: Path, *, resume: bool, durable: bool = False) -> None:
        self.path, self._durable = path, durable
        self._cut: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = io.FileIO(path, "a+")
            complete = 0
            self.lines: list[bytes] = []
            if resume:
                self.lines = self.read()
                complete = sum(len(line) + 1 for line in self.lines)
            self._stream.truncate(complete)
            if durable:
                sync_folder(path.parent)
        except OSError as error:
            raise FileError(
                f"{display(path)}: cannot be written ({reason(error)}); check the permissions, or "
                "choose another folder"
            ) from error

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._stream.closed

    def read(self) -> list[bytes]:
        """Give the complete lines, without their line feeds."""
        return complete_lines(self.path)

    def append(self, record: Mapping[str, Any]) -> int:
        """Append one line, or nothing: what an error or Ctrl-C cuts short is taken back.

        Returns:
            Its bytes.

        Raises:
            FileError: If the disk is full or fails.
        """
        data = json_line(record)
        line = memoryview(data)
        before = self._stream.seek(0, os.SEEK_END)
        try:
            if self._cut is not None:  # else this line would become a part of what is left there
                self._stream.truncate(self._cut)
                before, self._cut = self._cut, None
            while line:  # an unbuffered stream may take a part only
                line = line[self._stream.write(line) :]
            if self._durable:
                os.fsync(self._stream.fileno())
        except BaseException as error:
            try:
                self._stream.truncate(before)
            except OSError:
                self._cut = before
            if isinstance(error, OSError):
                raise FileError(
                    f"{display(self.path)}: cannot be written ({reason(error)}); free some space, "
                    "then go on"
                ) from error
            raise
        return len(data)

    def close(self) -> None:
        """Close the file and leave it for a later run."""
        self._stream.close()


def json_line(record: Mapping[str, Any]) -> bytes:
    """A record as a line of a journal, with its line feed."""
    return json.dumps(record, allow_nan=False).encode("ascii") + b"\n"


def complete_lines(path: Path) -> list[bytes]:
    """The complete lines of a journal, without their line feeds."""
    lines = path.read_bytes().split(b"\n")[:-1]
    if lines:
        try:  # after a power cut a file may end in zeros
            parse_json(lines[-1])
        except ValueError:
            lines.pop()
    return lines
