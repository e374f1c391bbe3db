"""A file is written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vicl.files import (
    FileError,
    display,
    open_atomic,
    open_plain,
    reason,
    remove_leftovers,
    write_atomic,
)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    write_atomic(path, b"one")
    write_atomic(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert listing(path.parent) == ["a.bin"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("failure", "seen"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FileError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (MemoryError(), MemoryError),
    ],
)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    failure: BaseException,
    seen: type[BaseException],
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    during: list[list[str]] = []

    def fail(*args: object) -> None:
        during.append(listing(tmp_path))
        raise failure

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(seen) as caught:
        write_atomic(path, b"new")
    if seen is FileError:
        assert "a.bin: cannot be written (No space left on device); free some" in str(caught.value)
    assert len(during[0]) == 2, "the new bytes stood in a second file"
    assert path.read_bytes() == b"old"
    assert listing(tmp_path) == ["a.bin"]


def test_the_bytes_are_synced_before_the_name_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def record_sync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def record_replace(self: Path, target: Path) -> Path:
        steps.append("replace")
        assert self.parent == target.parent
        assert self.name.startswith(".")
        assert self.read_bytes() == b"all of it"
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "replace", record_replace)
    write_atomic(tmp_path / "a", b"all of it")
    assert steps == ["file", "replace", "folder"]


def test_refuses_folders_pipes_and_impossible_places(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, words in [
        (".", "is a folder; give the name of a file"),
        ("pipe", "is a device or pipe; give the name of a plain file"),
        ("file/a", "cannot be written .*; choose another"),
        ("file/b/a", "cannot be written .*; choose another"),
        ("loop", "cannot be written .*; choose another"),
        ("n" * 256, "cannot be written .*; choose another"),
        ("a\0b", "cannot be written .*; choose another"),
    ]:
        with pytest.raises(FileError, match=words):
            write_atomic(os.path.join(tmp_path, name), b"x")  # noqa: PTH118
    assert listing(tmp_path) == ["file", "loop", "pipe"]


def test_no_folder_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FileError, match=r"a\.png: its folder cannot be made \(Permission denied\)"):
        write_atomic(tmp_path / "deep" / "a.png", b"x")


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    write_atomic(tmp_path / ("n" * 255), b"x")
    assert listing(tmp_path) == ["n" * 255]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "a"
    link = tmp_path / "link"
    link.symlink_to(target)
    for data in (b"one", b"two"):  # the first time it points to nothing yet
        write_atomic(link, data)
        assert link.is_symlink()
        assert target.read_bytes() == data
    assert listing(tmp_path / "elsewhere") == ["a"]


def test_open_plain_reads_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with open_plain(tmp_path / "a") as stream:
        assert stream.read() == b"abc"
    with pytest.raises(FileError, match="no such file"):
        open_plain(tmp_path / "b")


def test_names_and_reasons_are_one_line() -> None:
    assert display("ordinary né.png") == "ordinary né.png"
    assert display("a\nb\x1b.png") == r"'a\nb\x1b.png'"
    assert display("broken\udcff.png") == r"'broken\udcff.png'"
    assert display("") == "''"
    assert reason(ValueError("one\ntwo\x1b three")) == "one two three"
    assert reason(OSError(28, "No space left on device")) == "No space left on device"
    assert reason(AssertionError()) == "AssertionError"
    assert len(reason(ValueError("x" * 5000))) == 200


def test_leftovers_of_a_kill_are_removed_and_nothing_else(tmp_path: Path) -> None:
    killed = """
import os, sys
from vicl.files import open_atomic
with open_atomic(sys.argv[1]) as stream:
    stream.write(b"half")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", killed, tmp_path / "a.txt"], check=False)
    (left,) = tmp_path.iterdir()
    others = [tmp_path / name for name in (".vicl-outputs", ".vicl-1.json", "b.tmp")]
    for other in others:
        other.write_bytes(b"1")
    with open_atomic(tmp_path / "c.txt") as stream:
        stream.write(b"whole")
        remove_leftovers(tmp_path)
    assert not left.exists()
    assert (tmp_path / "c.txt").read_bytes() == b"whole"
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "c.txt"])
    remove_leftovers(tmp_path / "missing")
