"""Figures out of many papers' sources: by several processes, and gone on with after a kill.

A paper's figures appear all at once, as a folder below `images/` in which `figures.jsonl` says
what they are; then its line is added to the journal `papers.jsonl`, and it is done.
`figures.jsonl` of the whole is made of the papers' own at the end: it depends neither on the number
of processes nor on when a run was cut short.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from vicl.figures.arxiv.alone import alone
from vicl.figures.arxiv.extract.paper import Extracted, Wishes, extract_paper
from vicl.figures.arxiv.extract.pdfs import check_pdfium
from vicl.figures.arxiv.extract.picture_list import PictureList, Row, missing_table
from vicl.figures.arxiv.identifiers import PaperId
from vicl.figures.arxiv.papers import PAPERS, Paper, papers_of, read_papers
from vicl.figures.arxiv.workers import Bounds, Died, Each, run_each
from vicl.figures.settings import check_settings
from vicl.files import (
    TEMPORARY_PREFIX,
    FileError,
    display,
    open_atomic,
    remove_leftovers,
    write_atomic,
)
from vicl.files.journal import Journal, json_line
from vicl.files.plain_json import parse_json

FIGURES: Final = "figures.jsonl"
"""Of all figures, a line each."""

IMAGES: Final = "images"
"""The folder of the figures, in which each paper has one."""

MISSING: Final = "missing.csv"
"""Of the rows of a list that are not here, and why."""

_SETTINGS: Final = "extract.json"


class Task(NamedTuple):
    """A paper to take figures out of.

    Attributes:
        paper: What is known of it.
        wanted: See :func:`vicl.figures.arxiv.extract.paper.extract_paper`.
    """

    paper: Paper
    wanted: frozenset[str] | None


@dataclass(frozen=True)
class Extraction:
    """What has been done in a folder, and where.

    Attributes:
        sources: The folder of sources.
        out: The folder of figures.
        wishes: What is wanted of each paper.
    """

    sources: Path
    out: Path
    wishes: Wishes = field(default_factory=Wishes)

    def do(self, task: Task) -> dict[str, Any]:
        """Take the figures out of a paper, and put them in their place.

        Returns:
            Its line of the journal.

        Raises:
            FileError: If its figures cannot be written.
        """
        begun = time.monotonic()
        paper = task.paper
        source = self.sources / str(paper.file)
        extracted = extract_paper(source, self.wishes, task.wanted)
        self._place(paper.id, extracted)
        return {
            **self._known(paper),
            "sha256": extracted.sha256,
            "bytes": source.stat().st_size if source.exists() else None,
            "kept": len(extracted.figures),
            "dropped": dict(extracted.dropped),
            "lost": dict(extracted.lost),
            "status": extracted.status,
            "reason": extracted.reason,
            "seconds": round(time.monotonic() - begun, 3),
        }

    def give_up(self, task: Task, died: Died) -> dict[str, Any]:
        """The line of a paper of which processes died."""
        paper = task.paper
        self._place(paper.id, None)
        source = self.sources / str(paper.file)
        return {
            **self._known(paper),
            "sha256": paper.sha256,
            "bytes": source.stat().st_size if source.exists() else None,
            "kept": 0,
            "dropped": {},
            "lost": dict.fromkeys(sorted(task.wanted or ()), "failed"),
            "status": "failed",
            "reason": died.how,
            "seconds": 0.0,
        }

    def has_done(
        self, task: Task, done: Mapping[PaperId, Mapping[str, Any]], *, retry: bool
    ) -> bool:
        """Whether a paper is done, by the journal's lines, and its source still the same.

        A source that was removed since is taken for the same.
        """
        line = done.get(task.paper.id)
        if line is None or (retry and line["status"] == "failed"):
            return False
        if line["kept"] and not (self.out / IMAGES / task.paper.id.file_name).is_dir():
            return False
        hashes = {task.paper.sha256, line["sha256"]} - {None}
        try:
            same = (self.sources / str(task.paper.file)).stat().st_size == line["bytes"]
        except OSError:
            same = True
        return same and len(hashes) < 2

    def _known(self, paper: Paper) -> dict[str, Any]:
        return {
            "paper_id": paper.paper_id,
            "version": paper.version,
            "source": paper.file,
            "title": paper.title,
            "categories": list(paper.categories),
            "published": paper.published,
            "licence": paper.licence,
        }

    def _place(self, paper: PaperId, extracted: Extracted | None) -> None:
        """Put a paper's figures where they belong, in place of what may be there."""
        folder = self.out / IMAGES / paper.file_name
        figures = extracted.figures if extracted else ()
        making = folder.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
        try:
            making.mkdir(parents=True)
            lines = []
            for number, figure in enumerate(figures, 1):
                name = f"{number:04d}.png"
                (making / name).write_bytes(figure.png)
                file = f"{IMAGES}/{paper.file_name}/{name}"
                known = {"paper_id": paper.number, "version": paper.version, "file": file}
                lines.append(json_line(known | figure.row()))
            (making / FIGURES).write_bytes(b"".join(lines))
            shutil.rmtree(folder, ignore_errors=True)
            if figures:
                making.replace(folder)
        except OSError as error:
            raise FileError(f"{display(folder)}: cannot be written; free some space") from error
        finally:
            shutil.rmtree(making, ignore_errors=True)


@dataclass(frozen=True)
class Summary:
    """What there is in a folder of figures, and what is not and why.

    Attributes:
        papers: By status.
        without_source: Papers of the harvest that have none, by status.
        figures: By kind.
        dropped: Pictures that were left out, by reason.
        failed: Papers that failed, each with its reason.
        rows: Of the list, where one was given.
        missing: Rows of the list that are not here, by reason.
    """

    papers: dict[str, int]
    without_source: dict[str, int]
    figures: dict[str, int]
    dropped: dict[str, int]
    failed: dict[str, str]
    rows: int | None = None
    missing: dict[str, int] = field(default_factory=dict)


def extract(
    run: Extraction,
    tasks: Sequence[Task],
    *,
    workers: int = 1,
    listing: PictureList | None = None,
    retry: bool = False,
    each: Each | None = None,
    advance: Callable[[Mapping[str, Any] | None], None] = lambda line: None,
) -> Summary:
    """Take figures out of papers that were not done yet.

    A script that calls it needs the usual `if __name__ == "__main__":`.

    Args:
        run: Where from, where to and how.
        tasks: Of which papers: :func:`tasks_of`.
        workers: Processes.
        listing: Whose pictures the tasks are; `missing.csv` then says which of them are not here.
        retry: Try those again that failed.
        each: Works on the papers; None: processes of this machine.
        advance: Told of the line of each paper as it is done, and of None for each that was.

    Raises:
        ValueError: If `workers` is not positive.
        FileError: If the folder of figures cannot be written, another process writes there, or it
            holds figures that were made otherwise.
    """
    if workers < 1:
        raise ValueError(f"workers: got {workers}, expected at least 1")
    check_pdfium()
    with alone(run.out):
        check_settings(_settings(run, listing), run.out / _SETTINGS)
        for left in (run.out / IMAGES).glob(f"{TEMPORARY_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        remove_leftovers(run.out)
        journal = Journal(run.out / PAPERS, resume=True)
        try:
            done = _by_paper(journal.lines, run.out / PAPERS)
            waiting = [task for task in tasks if not run.has_done(task, done, retry=retry)]
            for _ in range(len(tasks) - len(waiting)):
                advance(None)
            limits = run.wishes.limits
            bounds = Bounds(limits.seconds, limits.memory, limits.written)
            for task, said in (each or run_each)(run.do, waiting, workers=workers, bounds=bounds):
                line = run.give_up(task, said) if isinstance(said, Died) else said
                journal.append(line)
                done[task.paper.id] = line
                advance(line)
        finally:
            journal.close()
        return _finish(run, done, listing)


def tasks_of(sources: Path, listing: PictureList | None = None) -> list[Task]:
    """What is to be done for a folder of sources; of several sources of a paper the first counts.

    Raises:
        HarvestError: If it holds no sources.
    """
    return list(_tasks(papers_of(sources), listing))


def _tasks(papers: Sequence[Paper], listing: PictureList | None) -> Iterator[Task]:
    newest = {paper.paper_id: paper.id for paper in papers}
    seen: set[PaperId] = set()
    for paper in papers:
        if paper.id in seen:
            continue
        seen.add(paper.id)
        if listing is None:
            yield Task(paper, None)
            continue
        wanted = listing.names(paper.id, newest=newest[paper.paper_id] == paper.id)
        if wanted:
            yield Task(paper, wanted)


def _settings(run: Extraction, listing: PictureList | None) -> dict[str, Any]:
    """What figures depend on: neither on how long a paper may take, nor on how much memory."""
    limits = asdict(run.wishes.limits)
    kept = {key: limits[key] for key in limits if key not in ("seconds", "memory")}
    return {**asdict(run.wishes), "limits": kept, "list": listing.digest() if listing else None}


def _by_paper(lines: Sequence[bytes], path: Path) -> dict[PaperId, Mapping[str, Any]]:
    """The last line of each paper of a journal."""
    found = {}
    for number, text in enumerate(lines, 1):
        try:
            line = parse_json(text)
            found[PaperId(line["paper_id"], line["version"])] = line
        except (ValueError, TypeError, KeyError) as error:
            raise FileError(
                f"{display(path)}, line {number}: is not of a run of extract; choose another folder"
            ) from error
    return found


def _finish(
    run: Extraction, done: Mapping[PaperId, Mapping[str, Any]], listing: PictureList | None
) -> Summary:
    """Write what is known of all figures, and count."""
    kinds: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    found: list[Row] = []
    lost: dict[Row, str] = {}
    ordered = sorted(done, key=lambda paper: (paper.number, paper.version or 0))
    with open_atomic(run.out / FIGURES) as stream:
        for paper in ordered:
            dropped.update(done[paper]["dropped"])
            lost |= {(paper, name): why for name, why in done[paper]["lost"].items()}
            if done[paper]["kept"]:
                lines = (run.out / IMAGES / paper.file_name / FIGURES).read_bytes()
                rows = [parse_json(line) for line in lines.splitlines()]
                kinds.update(row["kind"] for row in rows)
                found += [(paper, row["img_name"]) for row in rows] if listing else []
                stream.write(lines)
    without = [paper for paper in read_papers(run.sources / PAPERS).values() if not paper.file]
    failed = {str(p): done[p]["reason"] for p in ordered if done[p]["status"] == "failed"}
    summary = Summary(
        papers=_sorted(Counter(line["status"] for line in done.values())),
        without_source=_sorted(Counter(paper.status for paper in without)),
        figures=_sorted(kinds),
        dropped=_sorted(dropped),
        failed=failed,
    )
    if listing is None:
        return summary
    missing = listing.missing(found, lost, {paper.paper_id: paper.status for paper in without})
    write_atomic(run.out / MISSING, missing_table(missing))
    counts = _sorted(Counter(missing.values()))
    return replace(summary, rows=len(listing.rows), missing=counts)


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
