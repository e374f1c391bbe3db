"""Storing a source."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.figures.arxiv.serving import source

from vicl.figures.arxiv.harvest import sources
from vicl.figures.arxiv.harvest.sources import CHANGED, CutError, WebPageError, store, stored
from vicl.figures.arxiv.papers import Paper

PAPER = Paper("2209.00647", 1, status="listed")
BODY = source("words " * 500)
MOST = 1 << 20


def files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in found)


def kept(data: bytes, out: Path, **more: object) -> Paper:
    pieces = [data[:7], data[7:300], data[300:5000], data[5000:]]
    return store(pieces, out, PAPER, **({"most": MOST} | more))


def test_a_source(tmp_path: Path) -> None:
    paper = kept(BODY, tmp_path)
    assert (paper.status, paper.reason, paper.bytes) == ("kept", "", len(BODY))
    assert paper.sha256 == hashlib.sha256(BODY).hexdigest()
    assert paper.file == "sources/2209/2209.00647v1.gz"
    assert files(tmp_path) == [paper.file]
    assert (tmp_path / paper.file).read_bytes() == BODY
    assert stored(tmp_path, PAPER, most=MOST) == paper
    assert stored(tmp_path, Paper("2209.00648"), most=MOST) is None


def test_the_hash_of_a_list(tmp_path: Path) -> None:
    right = Paper("2209.00647", 1, sha256=hashlib.sha256(BODY).hexdigest())
    assert store([BODY], tmp_path, right, most=MOST).reason == ""
    wrong = store([BODY], tmp_path, Paper("2209.00647", 1, sha256="0" * 64), most=MOST)
    assert (wrong.status, wrong.reason, wrong.sha256) == ("kept", CHANGED, right.sha256)


def tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.tex"))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"%PDF-1.5 ...", "pdf-only", "PDF"),
        (gzip.compress(b"%PDF-1.5 ...", mtime=0), "pdf-only", "PDF"),
        (b"%!PS-Adobe", "other", "PostScript"),
        (b"words", "other", "neither an archive nor PDF"),
        (
            gzip.compress(b"%auto-ignore\nThis paper has been withdrawn.", mtime=0),
            "withdrawn",
            "a note",
        ),
        (BODY + bytes(MOST), "too-large", "more than 1 MiB"),
    ],
)
def test_what_is_not_kept(data: bytes, status: str, reason: str, tmp_path: Path) -> None:
    paper = kept(data, tmp_path)
    assert (paper.status, paper.file, paper.sha256) == (status, None, None)
    assert reason in paper.reason
    assert not files(tmp_path)


def test_tars_and_single_files(tmp_path: Path) -> None:
    assert kept(tar(), tmp_path).file == "sources/2209/2209.00647v1.tar"
    single = kept(gzip.compress(b"\\documentclass{article} %auto-ignore" + b" " * 5000), tmp_path)
    assert (single.status, single.file) == ("kept", "sources/2209/2209.00647v1.gz")


@settings(max_examples=30, deadline=None)
@given(st.integers(2, len(BODY) - 1))
def test_a_cut_source_is_never_stored(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    out = tmp_path_factory.mktemp("cut")
    with pytest.raises(CutError, match="ends early"):
        kept(BODY[:length], out)
    assert not files(out)


def test_damage_and_web_pages(tmp_path: Path) -> None:
    middle = len(BODY) // 2
    with pytest.raises(CutError):
        kept(BODY[:middle] + b"\0\0\0\0" + BODY[middle + 4 :], tmp_path)
    with pytest.raises(CutError, match="is empty"):
        kept(b"", tmp_path)
    with pytest.raises(WebPageError):
        kept(b"\n <!DOCTYPE HTML>", tmp_path)
    assert not files(tmp_path)


def test_a_bomb_is_not_unpacked_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_MOST_INFLATED", 1 << 20)
    bomb = gzip.compress(bytes(8 << 20))
    taken = []
    unpack = sources._Inflating.take

    def counted(self: sources._Inflating, piece: bytes) -> None:
        unpack(self, piece)
        taken.append(self._size)

    monkeypatch.setattr(sources._Inflating, "take", counted)
    assert kept(bomb, tmp_path).status == "kept"
    assert max(taken) <= 2 << 20


def test_a_source_without_end(tmp_path: Path) -> None:
    endless = itertools.chain([BODY], itertools.repeat(bytes(1 << 16)))
    assert store(endless, tmp_path, PAPER, most=MOST).status == "too-large"
    assert not files(tmp_path)
