"""Hostile feeds, lists and bulk tars: refused in a line, in little time and memory."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from vicl.figures.arxiv.harvest.feed import FeedError, parse_feed
from vicl.figures.arxiv.harvest.listed import read_list
from vicl.figures.arxiv.harvest.local import bulk_sources
from vicl.figures.arxiv.papers import HarvestError

BOMB = b"<!DOCTYPE f [" + b"".join(
    b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 10 if i else b"x") for i in range(9)
)


@pytest.mark.parametrize(
    "data",
    [
        BOMB + b"]><feed>&a8;</feed>",
        b'<!DOCTYPE f SYSTEM "file:///etc/passwd"><feed/>',
        b"<feed>" * 100_000,
        b"<feed><totalResults>" + b"9" * 100_000 + b"</totalResults></feed>",
        b"<feed><totalResults>1</totalResults><entry><id>http://arxiv.org/abs/../../x</id></entry>"
        b"</feed>",
        b"\xff\xfe\x00",
        b'<?xml version="1.0" encoding="no-such"?><feed/>',
    ],
)
def test_feeds(data: bytes) -> None:
    with pytest.raises(FeedError) as refusal:
        parse_feed(data)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "data",
    [
        b'paper_id,x\n2209.00001,"' + b"x" * 200_000 + b'"\n',
        b'{"paper_id": ' + b"[" * 100_000,
        b'{"paper_id": "2209.00001", "version": ' + b"9" * 5000 + b"}",
        b'{"paper_id": "2209.00001", "file": "a/../../b"}',
        b'{"paper_id": "2209.00001", "bytes": NaN}',
        b"x" * 1_000_000,
        b"2209.00001\x1b[2J\n",
    ],
)
def test_lists(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(data)
    with pytest.raises(HarvestError) as refusal:
        read_list(tmp_path / "list")
    assert len(str(refusal.value)) < 600
    assert str(refusal.value).isprintable()


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "data",
    [
        header("2209.00001.gz", 1 << 40) + bytes(2000),
        header("././@LongLink", 1 << 40, tarfile.GNUTYPE_LONGNAME) + bytes(2000),
        header("x", 1 << 40, tarfile.XHDTYPE) + b"1" * 3_000_000,
        header("2209.00001.gz", 10)[:300],
        b"no tar at all" * 1000,
    ],
)
def test_bulk_tars(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "arXiv_src_2209_001.tar"
    file.write_bytes(data)
    with pytest.raises(HarvestError, match="is damaged, or cut short"):
        sum(len(piece) for source in bulk_sources(file) for piece in source.chunks())


def test_links_in_bulk_tars_lead_nowhere(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo("2209.00001.gz")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    (tmp_path / "a.tar").write_bytes(packed.getvalue())
    assert list(bulk_sources(tmp_path / "a.tar")) == []
