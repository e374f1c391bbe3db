"""The lines of papers.jsonl, and the papers of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from vicl.figures.arxiv.papers import PAPERS, HarvestError, Paper, papers_of, read_papers
from vicl.files.journal import json_line


def paper(**more: object) -> Paper:
    given = {"paper_id": "2209.00647", "version": 1, "file": "sources/2209/2209.00647v1.gz"}
    return Paper(**(given | more))


def test_the_last_line_of_a_paper_counts(tmp_path: Path) -> None:
    tried, other = paper(status="failed", file=None), paper(paper_id="cs/0112017", title="Ä")
    kept = paper(sha256="0" * 64, bytes=3, categories=("cs.CV", "cs.LG"), published="2022-09-01")
    file = tmp_path / PAPERS
    lines = [json_line(row.row()) for row in (tried, other, kept)]
    file.write_bytes(b"".join(lines) + lines[0][:20])
    assert read_papers(file) == {kept.id: kept, other.id: other}
    assert papers_of(tmp_path) == [kept, other]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"paper_id": "2209.00647", "file": "../x"}', "below the folder"),
        ('{"paper_id": "2209.00647", "file": "/etc/passwd"}', "below the folder"),
        ('{"paper_id": "2209.00647v1"}', "without version"),
        ('{"paper_id": "2209.00647", "version": 0}', "expected an arXiv identifier"),
        ('{"paper_id": "../..", "version": 1}', "expected an arXiv identifier"),
        ('{"paper_id": "2209.00647", "status": "fine"}', "status: got 'fine'"),
        ('{"version": 1}', "paper_id: is missing"),
        ("[]", "a section of keys"),
    ],
)
def test_lines_that_are_none(line: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / PAPERS).write_text(line + "\n")
    with pytest.raises(HarvestError, match=rf"{PAPERS}, line 1: .*{fault}"):
        read_papers(tmp_path / PAPERS)


def test_a_folder_of_archives(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/2209.00647v2.tar.gz", "cs0112017.gz", "notes.gz", "2209.00647v1.pdf"):
        (tmp_path / name).write_bytes(b"x")
    assert [(str(found.id), found.file) for found in papers_of(tmp_path)] == [
        ("2209.00647v1", "2209.00647v1.pdf"),
        ("2209.00647v2", "a/2209.00647v2.tar.gz"),
        ("cs/0112017", "cs0112017.gz"),
    ]


def test_folders_without_sources(tmp_path: Path) -> None:
    with pytest.raises(HarvestError, match=r"expected papers.jsonl of a harvest, or files such as"):
        papers_of(tmp_path)
    with pytest.raises(HarvestError, match="is no folder"):
        papers_of(tmp_path / "none")
