"""Figures of many papers: the same files however many processes make them, and after any kill."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.figures.arxiv.papers import (
    as_file,
    harvest,
    paper,
    pdf,
    photograph,
    source,
)

from vicl.cli.figures import figures
from vicl.figures.arxiv.alone import alone
from vicl.figures.arxiv.extract import extracting
from vicl.figures.arxiv.extract.extracting import Extraction, extract, tasks_of
from vicl.figures.arxiv.extract.limits import Limits
from vicl.figures.arxiv.extract.paper import Wishes
from vicl.figures.arxiv.extract.picture_list import PictureList
from vicl.figures.arxiv.papers import Paper
from vicl.files import FileError, hash_file
from vicl.files.journal import json_line


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is done in this process: what processes do otherwise is tested by itself."""

    def run_each(work: Any, items: Any, **_: object) -> Any:
        return ((item, work(item)) for item in items)

    monkeypatch.setattr(extracting, "run_each", run_each)


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(figures, ["extract", *map(str, arguments)])


def written(out: Path) -> dict[str, str]:
    """All that a run left, but for the journal, which is in the order of the work."""
    assert not list(out.rglob(".vicl-*"))
    files = (path for path in out.rglob("*") if path.is_file() and path.name != "papers.jsonl")
    found = {
        path.relative_to(out).as_posix(): hash_file(path) for path in files if path.stat().st_size
    }
    lines = [json.loads(line) for line in (out / "papers.jsonl").read_bytes().splitlines()]
    assert len({(line["paper_id"], line["version"]) for line in lines}) == len(lines)
    journal = sorted(json.dumps({**line, "seconds": 0}) for line in lines)
    return found | {"papers.jsonl": "\n".join(journal)}


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "figures.jsonl").read_bytes().splitlines()]


@pytest.mark.usefixtures("here")
def test_a_run_and_what_it_tells(tmp_path: Path) -> None:
    sources, out = harvest(tmp_path / "sources", 2), tmp_path / "out"
    (sources / "2209.00008.pdf").write_bytes(pdf(pages=5))
    (sources / "cs0112017v3.gz").write_bytes(source({"a.png": b"no"}))
    (sources / "2209.00009.gz").write_bytes(source(paper())[:900])
    result = command(sources, "-o", out)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "2209.00009: 2209.00009.gz: is cut short; get it again",
        "error: 1 papers failed; --retry tries them again",
    ]
    assert result.stdout.splitlines() == [
        "papers: 5 (done 3, failed 1, pdf-only 1)",
        "figures: 8 (raster 4, assembled 2, pdf 2)",
        "pictures left out: 5 (name 2, several pages 2, no picture 1)",
        str(out / "figures.jsonl"),
    ]
    found = rows(out)
    assert [row["file"] for row in found][:5] == [
        *(f"images/2209.00001v1/000{number}.png" for number in (1, 2, 3, 4)),
        "images/2209.00002v1/0001.png",
    ]
    assert found[0]["paper_id"], found[0]["version"] == ("2209.00001", 1)
    assert all(hash_file(out / row["file"]) == row["sha256"] for row in found)
    before = written(out)
    counts = json.loads(command(sources, "-o", out, "--json").stdout)
    assert counts["figures"] == {"raster": 4, "assembled": 2, "pdf": 2}
    assert counts["failed"] == {"2209.00009": "2209.00009.gz: is cut short; get it again"}
    assert written(out) == before


@pytest.mark.usefixtures("here")
def test_what_changed_failed_or_is_gone_is_done_again(tmp_path: Path) -> None:
    sources, out = harvest(tmp_path / "sources", 3), tmp_path / "out"
    whole = (sources / "2209.00002v1.gz").read_bytes()
    (sources / "2209.00002v1.gz").write_bytes(whole[:900])
    run = Extraction(sources, out)
    told: list[str | None] = []

    def advance(line: Mapping[str, Any] | None) -> None:
        told.append(None if line is None else line["paper_id"][-1])

    def go(**given: bool) -> dict[str, int]:
        told.clear()
        return extract(run, tasks_of(sources), advance=advance, **given).papers

    assert go() == {"done": 2, "failed": 1}
    assert go() == {"done": 2, "failed": 1}
    assert told == [None] * 3
    go(retry=True)
    assert told == [None, None, "2"]
    (sources / "2209.00002v1.gz").write_bytes(whole)
    shutil.rmtree(out / "images" / "2209.00003v1")
    (sources / "2209.00001v1.gz").unlink()  # as to save room, when it is done
    assert go() == {"done": 3}
    assert told == ["2", "3"]
    assert {row["paper_id"] for row in rows(out)} == {f"2209.0000{n}" for n in (1, 2, 3)}


@pytest.mark.usefixtures("here")
def test_of_a_harvest_what_is_known_goes_along(tmp_path: Path) -> None:
    sources, out = harvest(tmp_path / "sources", 1), tmp_path / "out"
    known = Paper(
        "2209.00001", 1, file="2209.00001v1.gz", licence="https://licence", categories=("cs.CV",)
    )
    gone = Paper("2209.00002", 1, status="withdrawn", reason="withdrawn")
    lost = Paper("2209.00003", 1, file="sources/2209.00003v1.gz")
    lines = b"".join(json_line(paper.row()) for paper in (known, gone, lost))
    (sources / "papers.jsonl").write_bytes(lines)
    found = extract(Extraction(sources, out), tasks_of(sources))
    assert found.papers == {"done": 1, "failed": 1}
    assert found.without_source == {"withdrawn": 1}
    line = json.loads((out / "papers.jsonl").read_bytes().splitlines()[0])
    assert (line["licence"], line["categories"], line["kept"]) == ("https://licence", ["cs.CV"], 4)


LIST = """,paper_id,img_name
0,2209.00001,figs_input.jpg
1,2209.00001v1,plot.pdf
2,2209.00002,supplement.pdf
3,2209.00002v2,plot.pdf
4,2209.00003,plot.pdf
5,2209.00004,figs_input.jpg
6,2209.00001,figs_input.jpg
7,2209.00002,figs_architecture.png
"""


@pytest.mark.usefixtures("here")
def test_a_list_keeps_exactly_its_rows(tmp_path: Path) -> None:
    sources, out = harvest(tmp_path / "sources", 4), tmp_path / "out"
    (sources / "2209.00003v1.gz").rename(sources / "2209.00003.pdf")
    (sources / "2209.00003.pdf").write_bytes(pdf(pages=2))
    (sources / "2209.00004v2.gz").write_bytes(source({"main.tex": b"text"}))
    (tmp_path / "train.csv").write_text(LIST)
    result = command(sources, "-o", out, "--list", tmp_path / "train.csv")
    assert result.exit_code == 0, result.stderr
    assert [(row["paper_id"], row["img_name"], row["kind"]) for row in rows(out)] == [
        ("2209.00001", "figs_input.jpg", "raster"),
        ("2209.00001", "plot.pdf", "pdf"),
        ("2209.00002", "figs_architecture.png", "raster"),
    ]
    assert "rows of the list: 7, found 3" in result.stdout
    assert (out / "missing.csv").read_text() == (
        ",paper_id,img_name,reason\n"
        "0,2209.00002,supplement.pdf,several pages\n"
        "1,2209.00002v2,plot.pdf,no source\n"
        "2,2209.00003,plot.pdf,pdf-only\n"
        "3,2209.00004,figs_input.jpg,not in the source\n"
    )
    other = command(sources, "-o", out)
    assert other.exit_code == 1
    assert "holds figures of other settings (see extract.json)" in other.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "expected paper_id and img_name"),
        (",paper_id,img_name\n0,1.5,a.png\n", "line 2: got '1.5', expected an arXiv identifier"),
        (",paper_id,img_name\n0,2209.00001\n", "line 2: lacks a value"),
        (",paper_id,img_name\n", "has no rows"),
        (",paper_id,img_name\n0,2209.00001,\xff\n", "is not UTF-8"),
    ],
)
def test_lists_that_are_none(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(FileError, match=words):
        PictureList.read(path)


def test_refusals(tmp_path: Path) -> None:
    assert "no folder" in command(tmp_path / "gone", "-o", tmp_path / "out").stderr
    sources, out = harvest(tmp_path / "sources", 1), tmp_path / "out"
    run = Extraction(sources, out)
    with pytest.raises(ValueError, match="workers: got 0"):
        extract(run, tasks_of(sources), workers=0)
    with (
        alone(out),
        pytest.raises(FileError, match="another run writes figures there"),
    ):
        extract(run, tasks_of(sources))
    (out / "papers.jsonl").write_bytes(b'{"paper_id": 3}\n')
    with pytest.raises(FileError, match=r"papers\.jsonl, line 1: is not of a run of extract"):
        extract(run, tasks_of(sources))


def hostile(folder: Path) -> None:
    """Among good papers some of which processes die, and some that are broken."""
    harvest(folder, 6)
    deep = pdf("q " * 1000 + "1 0 0 rg 0 0 50 50 re f")
    (folder / "2209.00011.gz").write_bytes(source({"a.pdf": deep, "b.png": b"no"}))
    (folder / "2209.00012.gz").write_bytes(source({"a.png": bytes(100 << 20)}))
    (folder / "2209.00013.gz").write_bytes(source([(f"{n}.png", b"") for n in range(10_000)]))
    large = as_file(photograph(5, (5000, 4000)), "BMP")
    (folder / "2209.00014.gz").write_bytes(source({"large.bmp": large}))


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing(tmp_path: Path) -> None:
    hostile(tmp_path / "sources")
    limits = Limits(unpacked=90 << 20)
    made = []
    for workers in (1, 2, 3):
        run = Extraction(tmp_path / "sources", tmp_path / f"out{workers}", Wishes(limits))
        summary = extract(run, tasks_of(run.sources), workers=workers)
        assert summary.papers == {"done": 9, "failed": 1}
        made.append(written(run.out))
    assert made[0] == made[1] == made[2]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    sources = harvest(tmp_path / "sources", 16, size=(700, 500))
    whole = Extraction(sources, tmp_path / "whole")
    extract(whole, tasks_of(sources), workers=2)
    out = tmp_path / "stopped"
    line = command_line(sources, out, "--workers", "2")
    rng = random.Random(0)
    ended = 0
    for _ in range(3):
        run = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
        before = _count(out)
        while run.poll() is None and _count(out) < before + 3:
            time.sleep(0.02)
        time.sleep(rng.random() * 0.3)
        run.send_signal(how)
        said = run.communicate(timeout=120)[1]
        ended += run.returncode != 0
        if how == signal.SIGINT and run.returncode:
            assert run.returncode == 130, said
            assert "the same command goes on" in said
    assert ended > 0
    assert subprocess.run(line, check=False).returncode == 0
    assert written(out) == written(whole.out)


def command_line(sources: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "vicl",
        "figures",
        "extract",
        *map(str, (sources, "-o", out)),
        *more,
    ]


def _count(out: Path) -> int:
    path = out / "papers.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_processes_end_with_the_first_one(tmp_path: Path) -> None:
    sources = harvest(tmp_path / "sources", 30, size=(900, 700))
    line = command_line(sources, tmp_path / "out")
    run = subprocess.Popen(line, start_new_session=True)
    while _count(tmp_path / "out") < 2:
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    time.sleep(3)
    done = _count(tmp_path / "out")
    time.sleep(1)
    assert _count(tmp_path / "out") == done
    marked = str(sources).encode()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert marked not in entry.read_bytes()
        except OSError:
            continue
