"""A file of JSON lines that survives a kill."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path
from typing import Any

import pytest

from vicl.files import FileError
from vicl.files.journal import Journal


def test_what_a_kill_left_of_a_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.jsonl"
    journal = Journal(path, resume=False)
    journal.append({"a": 1})
    journal.append({"a": 2})
    journal.close()
    with path.open("ab") as stream:
        stream.write(b'{"a": ')
    again = Journal(path, resume=True)
    assert [json.loads(line) for line in again.lines] == [{"a": 1}, {"a": 2}]
    again.append({"a": 3})
    again.close()
    assert path.read_text() == '{"a": 1}\n{"a": 2}\n{"a": 3}\n'
    anew = Journal(path, resume=False)
    anew.close()
    assert anew.lines == []
    assert path.read_bytes() == b""


def test_a_journal_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=f"{tmp_path.name}: cannot be written"):
        Journal(tmp_path, resume=False)


def test_what_a_full_disk_left_is_no_part_of_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path, resume=True, durable=True)
    journal.append({"n": 1})

    class Failing(io.FileIO):
        broken = True

        def write(self, data: Any) -> int:
            if self.broken and len(data) < 9:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:4]) if self.broken else super().write(data)

        def truncate(self, size: int | None = None) -> int:
            if self.broken:
                raise OSError(errno.EIO, "Input/output error")
            return super().truncate(size)

    journal.close()
    stream = Failing(path, "a+")
    monkeypatch.setattr(journal, "_stream", stream)
    with pytest.raises(FileError, match="No space left"):
        journal.append({"n": 2})
    assert path.read_bytes() == b'{"n": 1}\n{"n"'
    stream.broken = False
    journal.append({"n": 3})
    assert journal.read() == [b'{"n": 1}', b'{"n": 3}']
    journal.close()
