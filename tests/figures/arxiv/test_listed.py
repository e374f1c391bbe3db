"""Lists of papers as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from vicl.figures.arxiv.harvest.listed import read_list
from vicl.figures.arxiv.identifiers import PaperId
from vicl.figures.arxiv.papers import HarvestError, Paper
from vicl.files.journal import json_line

PUBLISHED = """,paper_id,img_name
0,1804.07351,figs_2digits.pdf
1,1804.07351,"figs_a, b.pdf"
2,1706.00900,Figs_LAP.pdf
"""


@pytest.mark.parametrize(
    ("text", "papers"),
    [
        (PUBLISHED, ["1804.07351", "1706.00900"]),
        ("\ufeff" + PUBLISHED.replace("\n", "\r\n"), ["1804.07351", "1706.00900"]),
        ("paper_id\n2209.00647v2", ["2209.00647v2"]),
        ("# mine\n\n2209.00647v2 # good\narXiv:cs/0112017\n2209.00647v2\n2209.00647\n",) * 1
        + (["2209.00647v2", "cs/0112017", "2209.00647"],),
    ],
    ids=["published", "windows", "one column", "text"],
)
def test_lists(text: str, papers: list[str], tmp_path: Path) -> None:
    (tmp_path / "list").write_text(text, encoding="utf-8", newline="")
    assert read_list(tmp_path / "list").papers == tuple(map(PaperId.parse, papers))


def test_a_harvest_of_another(tmp_path: Path) -> None:
    rows = [
        Paper("2209.00647", 2, sha256="AB" * 32, file="sources/2209/2209.00647v2.gz", bytes=3),
        Paper("cs/0112017", None, status="missing", title="\u2028"),
    ]
    (tmp_path / "papers.jsonl").write_bytes(b"".join(json_line(row.row()) for row in rows))
    listed = read_list(tmp_path / "papers.jsonl")
    assert listed.papers == (PaperId("2209.00647", 2), PaperId("cs/0112017"))
    assert listed.sha256 == {PaperId("2209.00647", 2): "ab" * 32}
    assert listed.rows == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"2209.00647\nnonsense\n", r"line 2: got 'nonsense', expected an arXiv identifier"),
        (b",paper_id,img_name\n0,1909.1127,x\n", "line 2: .* cut its zeros"),
        (b",paper_id,img_name\n0\n", "line 2: got ''"),
        (b",paper_id,img_name\n", "has no papers"),
        (b"\n", "has no papers"),
        (b"", "is an empty file"),
        (b"\xff\xfe2\x00", "is no text in UTF-8"),
        (b'{"paper_id": 3}\n', "line 1: is no paper of a harvest"),
    ],
)
def test_lists_that_are_none(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(data)
    with pytest.raises(HarvestError, match=words):
        read_list(tmp_path / "list")
