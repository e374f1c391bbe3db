"""A folder of answers from a stranger: its record is read with care."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vicl.exports import ExportError
from vicl.exports.record import RECORD, FolderRecord, recorded

GOOD = b'{"made_by": {"task": "edges"}, "id": "0"}\n'


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        b'{"file": 1, "query": "", "by": ""}',
        b'{"made_by": "x", "id": "0"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_line_that_is_none_is_told(tmp_path: Path, line: bytes) -> None:
    (tmp_path / RECORD).write_bytes(GOOD + line + b"\n" + GOOD)
    with pytest.raises(ExportError, match=rf"{RECORD}: line 2 is not as vicl writes it; remove"):
        FolderRecord(tmp_path, {"task": "edges"})


@pytest.mark.parametrize("rest", [b"", b'{"file": "a', b"\0\0\0\n", b"{\n"])
def test_what_a_kill_or_a_power_cut_left_is_no_line(tmp_path: Path, rest: bytes) -> None:
    (tmp_path / RECORD).write_bytes(b'{"file": "a.png", "query": "", "by": "0"}\n' + rest)
    assert recorded(tmp_path) == {tmp_path / "a.png"}


def test_a_record_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / RECORD).open("wb") as stream:
        stream.truncate((1 << 30) + 1)
    with pytest.raises(ExportError, match="larger than 1024 MiB"):
        recorded(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / RECORD)
    assert recorded(tmp_path) == set()


def test_names_out_of_the_folder_and_words_for_a_terminal_do_nothing(tmp_path: Path) -> None:
    out = tmp_path / "o"
    out.mkdir()
    (tmp_path / "mine.png").write_bytes(b"mine")
    file = b'{"file": "../mine.png", "query": "ab", "by": "0"}\n'
    (out / RECORD).write_bytes(b'{"made_by": {"\\u001b[2J": 1}, "id": "0"}\n' + file)
    record = FolderRecord(out, {})
    with pytest.raises(ExportError) as caught:
        record.check({out / "a.png": tmp_path / "a.jpg"})
    assert str(caught.value).isprintable()
    assert (tmp_path / "mine.png").read_bytes() == b"mine"
