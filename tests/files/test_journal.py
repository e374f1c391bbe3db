"""A file of JSON lines that survives a kill."""

from __future__ import annotations

import json
from pathlib import Path

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
