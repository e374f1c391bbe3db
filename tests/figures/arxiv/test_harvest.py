"""A harvest from a service, whole, with faults, and cut short at any moment."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.figures.arxiv.serving import ArXiv, Fault, Served, source

from vicl.cli.figures import figures
from vicl.figures.arxiv.harvest.fetching import fetch
from vicl.figures.arxiv.harvest.harvesting import Asked, Harvest, list_targets
from vicl.figures.arxiv.harvest.manners import Manners, Visitor
from vicl.figures.arxiv.papers import PAPERS, HarvestError, Paper, papers_of, read_papers
from vicl.files.journal import json_line

WITHDRAWN = "This paper has been withdrawn by the authors"
SEPTEMBER = Asked(("cs.CV",), datetime.date(2022, 9, 1), datetime.date(2022, 9, 30))


def month() -> list[Served]:
    """Papers of each kind; all of them in September 2022, but for one."""
    return [
        Served("2209.00001v2", source("one")),
        Served("2209.00002v1", source("two"), "12 pages"),
        Served("2209.00003v3", source("three"), WITHDRAWN),
        Served("2209.00004v1", b"%PDF-1.5 words", media_type="application/pdf"),
        Served("2209.00005v1", None),
        Served("2209.00006v1", gzip.compress(b"%auto-ignore\n")),
        Served("2209.00007v1", source("seven"), categories=("cs.LG", "cs.CV")),
        Served("2209.00008v1", source("eight"), day="2022-10-01"),
    ]


WHAT_CAME = {
    "2209.00001v2": "kept",
    "2209.00002v1": "kept",
    "2209.00003v3": "withdrawn",
    "2209.00004v1": "pdf-only",
    "2209.00005v1": "missing",
    "2209.00006v1": "withdrawn",
    "2209.00007v1": "kept",
}


class Killed(BaseException):
    pass


def harvested(arxiv: ArXiv, out: Path, asked: Asked = SEPTEMBER) -> dict[str, str]:
    visitor = Visitor(Manners(), arxiv.clock.clock)
    with Harvest(out, asked, most=1 << 20) as harvest:
        targets = list_targets(harvest, visitor, arxiv.api)
        for _ in fetch(harvest, targets, visitor, arxiv.sources):
            pass
        return {str(paper.id): paper.status for paper in harvest.papers.values()}


def manifest(out: Path) -> list[str]:
    rows = [json.dumps(paper.row()) for paper in read_papers(out / PAPERS).values()]
    hashes = [
        f"{path.relative_to(out)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in out.rglob("*.gz")
    ]
    return sorted(rows) + sorted(hashes)


def test_a_month(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = month()
    assert harvested(arxiv, tmp_path) == WHAT_CAME
    papers = read_papers(tmp_path / PAPERS)
    one, *_ = papers.values()
    assert (one.title, one.categories, one.published) == (
        *("On 2209.00001v2 & more", ("cs.CV",)),
        "2022-09-01",
    )
    assert one.bytes == len(source("one"))
    assert (tmp_path / "sources/2209/2209.00001v2.gz").read_bytes() == source("one")
    assert [p.id for p in papers_of(tmp_path)] == [p.id for p in papers.values() if p.file]
    assert papers[next(p for p in papers if p.version == 3)].reason == WITHDRAWN
    assert not any("2209.00003" in path for path, _ in arxiv.asked)  # the authors' wish
    before = len(arxiv.asked)
    assert harvested(arxiv, tmp_path) == WHAT_CAME
    assert len(arxiv.asked) == before


def test_faults_leave_no_trace(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = month()
    harvested(arxiv, tmp_path / "plain")
    late = Fault(429, (("Retry-After", "60"),))
    arxiv.faults = {
        "api/query": [Fault(drop=400), Fault(503)],
        "e-print/2209.00001": [Fault(drop=50), Fault(cut=50)],
        "e-print/2209.00002": [late, Fault(503), late],
        "e-print/2209.00007": [Fault(cut=0), Fault(cut=90), Fault(drop=0)],
    }
    harvested(arxiv, tmp_path / "faulty")
    assert manifest(tmp_path / "faulty") == manifest(tmp_path / "plain")
    assert not any(arxiv.faults.values())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files left open
def test_killed_at_any_moment(
    arxiv: ArXiv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a run ends: nothing is lost, and no source is fetched twice."""
    arxiv.papers = month()
    harvested(arxiv, tmp_path / "plain")
    arxiv.served.clear()
    replace, fsync = Path.replace, os.fsync
    out, runs = tmp_path / "killed", 0
    countdown = 1

    def step() -> None:
        nonlocal countdown
        countdown -= 1
        if countdown == 0:
            raise Killed

    def replacing(path: Path, target: Path) -> Path:
        step()
        found = replace(path, target)
        step()
        return found

    def syncing(descriptor: int) -> None:
        fsync(descriptor)
        step()

    monkeypatch.setattr(Path, "replace", replacing)
    monkeypatch.setattr(os, "fsync", syncing)
    done = False
    while not done and runs < 100:
        runs += 1
        countdown = 1 + runs % 9
        try:
            harvested(arxiv, out)
            done = True
        except Killed:
            pass
    assert done
    assert runs > 10
    monkeypatch.undo()
    assert manifest(out) == manifest(tmp_path / "plain")
    whole = {"2209.00001v2", "2209.00002v1", "2209.00007v1"}
    assert max(arxiv.served[name] for name in whole) <= 2  # killed while it was written
    assert not list(out.rglob(".vicl-*.tmp"))


def test_a_source_whose_note_a_kill_took_is_not_fetched_again(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = month()
    harvested(arxiv, tmp_path)
    before, asked = manifest(tmp_path), len(arxiv.asked)
    lines = (tmp_path / PAPERS).read_bytes().splitlines(keepends=True)
    (tmp_path / PAPERS).write_bytes(b"".join(lines[:-1]) + lines[-1][:30])
    harvested(arxiv, tmp_path)
    assert manifest(tmp_path) == before
    assert len(arxiv.asked) == asked


def test_failures_are_tried_again_in_the_next_run(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = month()
    arxiv.faults["e-print/2209.00002"] = [Fault(drop=5)] * 8
    assert harvested(arxiv, tmp_path) == WHAT_CAME | {"2209.00002v1": "failed"}
    assert harvested(arxiv, tmp_path) == WHAT_CAME


def test_a_source_that_is_broken_where_it_comes_from(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = month()
    arxiv.papers[0].body = source("one")[:-9]
    assert harvested(arxiv, tmp_path) == WHAT_CAME | {"2209.00001v2": "broken"}
    assert sum("2209.00001v2" in path for path, _ in arxiv.asked) == 3


def test_web_pages_in_a_row_end_the_run(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = [Served(f"2209.0000{i}v1", source("x")) for i in range(9)]
    arxiv.faults["e-print"] = [Fault(body=b"<html>Are you a robot?</html>")] * 5
    with pytest.raises(HarvestError, match=r"5 papers in a row failed, .* a web page"):
        harvested(arxiv, tmp_path)
    assert len(arxiv.asked) == 1 + 5
    assert set(harvested(arxiv, tmp_path).values()) == {"kept"}


def test_an_address_without_sources_makes_no_paper_missing(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = [
        Served(f"2209.{n:05d}v1", source("x") if n > 20 else None) for n in range(1, 24)
    ]
    with pytest.raises(HarvestError, match=r"has none of the first 20 papers .*--sources"):
        harvested(arxiv, tmp_path)
    assert not read_papers(tmp_path / PAPERS)
    arxiv.papers[18].body = source("x")
    found = list(harvested(arxiv, tmp_path).values())
    assert found == ["missing"] * 18 + ["kept", "missing", "kept", "kept", "kept"]


def test_a_source_on_the_disk_does_not_speak_for_the_address(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = [
        Served(f"2209.{n:05d}v1", source("x") if n == 1 else None) for n in range(1, 22)
    ]
    stored = tmp_path / "sources/2209/2209.00001v1.gz"  # a kill took its note
    stored.parent.mkdir(parents=True)
    stored.write_bytes(source("x"))
    with pytest.raises(HarvestError, match="has none of the first 20 papers"):
        harvested(arxiv, tmp_path)
    assert [str(paper) for paper in read_papers(tmp_path / PAPERS)] == ["2209.00001v1"]


def test_missing_papers_stand_between_failures(arxiv: ArXiv, tmp_path: Path) -> None:
    """At the start, too, where they are noted later: these are no five failures in a row."""
    arxiv.papers = [Served(f"2209.{n:05d}v1", source("x") if n != 5 else None) for n in range(1, 8)]
    for number in (1, 2, 3, 4, 6):
        arxiv.faults[f"e-print/2209.{number:05d}"] = [Fault(drop=5)] * 8
    found = list(harvested(arxiv, tmp_path).values())
    assert sorted(found) == ["failed"] * 5 + ["kept", "missing"]


def test_few_papers_that_are_all_missing(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = [Served(f"2209.{n:05d}v1", None) for n in range(1, 20)]
    assert list(harvested(arxiv, tmp_path).values()) == ["failed"] * 19
    arxiv.papers[-1].body = source("x")
    assert list(harvested(arxiv, tmp_path).values()) == ["missing"] * 18 + ["kept"]


def test_a_service_that_refuses_ends_the_run(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = month()
    arxiv.faults["e-print/2209.00002"] = [Fault(403)]
    with pytest.raises(HarvestError, match="does not want to be asked"):
        harvested(arxiv, tmp_path)
    assert harvested(arxiv, tmp_path) == WHAT_CAME


def test_large_sources_are_not_fetched(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = month()
    arxiv.papers[0].body = source("x") + bytes(2 << 20)
    assert harvested(arxiv, tmp_path) == WHAT_CAME | {"2209.00001v2": "too-large"}


def test_a_list(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = [*month(), Served("2209.00001v1", source("first"))]
    arxiv.papers[1].known = False
    listed = tmp_path / "df.csv"
    ids = ("2209.00002", "2209.00001", "2209.00001", "2209.00007v1", "2209.00099")
    listed.write_text(",paper_id,img_name\n" + "".join(f"0,{x},a.pdf\n" for x in ids))
    assert harvested(arxiv, tmp_path / "a", Asked(listed=listed)) == {
        "2209.00002": "kept",  # of which the API knows nothing
        "2209.00001v2": "kept",
        "2209.00007v1": "kept",
        "2209.00099": "missing",
    }
    first = Asked(listed=listed, first_version=True)
    found = harvested(arxiv, tmp_path / "b", first)
    assert found["2209.00001v1"] == "kept"
    assert (tmp_path / "b/sources/2209/2209.00001v1.gz").read_bytes() == source("first")


def test_another_harvest_as_a_list(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = month()
    harvested(arxiv, tmp_path / "a")
    again = Asked(listed=tmp_path / "a" / PAPERS)
    arxiv.papers[1].body = source("made anew")
    harvested(arxiv, tmp_path / "b", again)
    papers = {str(paper.id): paper for paper in read_papers(tmp_path / "b" / PAPERS).values()}
    assert {name: paper.status for name, paper in papers.items()} == WHAT_CAME
    changed = [name for name, paper in papers.items() if "sha256" in paper.reason]
    assert changed == ["2209.00002v1"]


def test_other_settings_and_two_at_once(arxiv: ArXiv, tmp_path: Path) -> None:
    harvested(arxiv, tmp_path)
    other = Asked(("cs.LG",), SEPTEMBER.since, SEPTEMBER.until)
    with pytest.raises(HarvestError, match=r"other settings \(categories: \['cs.CV'\], now"):
        Harvest(tmp_path, other)
    with (
        Harvest(tmp_path, SEPTEMBER),
        pytest.raises(HarvestError, match="another harvest writes into it"),
    ):
        Harvest(tmp_path, SEPTEMBER)


def command(arxiv: ArXiv, out: Path, *more: str) -> list[str]:
    service = ("--api", arxiv.api, "--sources", arxiv.sources, "--delay", "0")
    return ["harvest", str(out), *service, *more]


def typed(arxiv: ArXiv, out: Path, *more: str) -> Result:
    return CliRunner().invoke(figures, command(arxiv, out, *more))


MONTH = ("--category", "cs.CV", "--from", "2022-09-01", "--to", "2022-09-30")


def test_the_command(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = month()
    listed = typed(arxiv, tmp_path / "a", *MONTH, "--list-only")
    assert listed.exit_code == 0, listed.stderr
    assert listed.stdout.splitlines()[:2] == ["7 papers listed", "7 to go"]
    arxiv.faults["e-print/2209.00001"] = [Fault(503)]
    result = typed(arxiv, tmp_path / "a", *MONTH, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        **{"listed": 7, "left": 0, "changed": 0, "requests": 7, "retries": 1},
        "counts": {"kept": 3, "missing": 1, "pdf-only": 1, "withdrawn": 2},
        "bytes": sum(len(source(word)) for word in ("one", "two", "seven")),
    }
    assert result.stderr == "7 of 7 papers to go: at least 0 minutes\n"
    again = typed(arxiv, tmp_path / "a", *MONTH)
    assert "3 kept\n" in again.stdout
    assert again.stdout.endswith("MB of sources; 0 requests\n")


def test_the_command_where_papers_fail(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = month()
    arxiv.faults["e-print/2209.00001"] = [Fault(503)] * 8
    result = typed(arxiv, tmp_path, *MONTH)
    assert result.exit_code == 1
    assert "1 failed\n" in result.stdout
    assert result.stderr.endswith("error: 1 papers failed; start again to try them again\n")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((), "neither categories nor a list nor local files"),
        (("--category", "cs.CV"), "a first and a last day"),
        (("--local", ".", "--to", "2022-09-30"), "a first and a last day"),
        (("--local", ".", "--first-version"), "they are what they are"),
        ((*MONTH, "--list", __file__), "give one of them"),
        ((*MONTH, "--sources", "https://arxiv.org/e-print"), "expected at least 3 s"),
        ((*MONTH, "--contact", "some one"), "an address without spaces"),
        ((*MONTH, "--to", "2022-13-01"), "does not match the format"),
    ],
)
def test_wrong_usage(arxiv: ArXiv, tmp_path: Path, given: tuple[str, ...], words: str) -> None:
    result = typed(arxiv, tmp_path / "out", *given)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not arxiv.asked
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_killed_processes(arxiv: ArXiv, tmp_path: Path) -> None:
    arxiv.papers = [Served(f"2209.{i:05}v1", source(f"{i} " * 3000)) for i in range(40)]
    assert typed(arxiv, tmp_path / "plain", *MONTH).exit_code == 0
    arxiv.served.clear()
    line = [sys.executable, "-m", "vicl", "figures", *command(arxiv, tmp_path / "out", *MONTH)]
    line[line.index("--delay") + 1] = "0.02"
    chance = random.Random(0)
    kills = 0
    while True:
        patience = chance.uniform(0.1, 0.8) if kills < 3 else 300
        before = len(arxiv.asked)
        process = subprocess.Popen(line, stderr=subprocess.PIPE)
        while len(arxiv.asked) == before and process.poll() is None:
            time.sleep(0.01)
        try:
            _, told = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, told
        break
    assert kills
    assert manifest(tmp_path / "out") == manifest(tmp_path / "plain")
    assert sum(arxiv.served.values()) <= len(arxiv.papers) + kills  # those on their way


def test_lines_of_a_spoilt_journal(arxiv: ArXiv, tmp_path: Path) -> None:
    harvested(arxiv, tmp_path)
    row = Paper("2209.00001").row() | {"file": "../../x"}
    (tmp_path / PAPERS).write_bytes(json_line(row))
    with pytest.raises(HarvestError, match=r"papers.jsonl, line 1: .*below the folder"):
        harvested(arxiv, tmp_path)
