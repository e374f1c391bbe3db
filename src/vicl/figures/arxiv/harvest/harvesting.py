"""`vicl figures harvest`: a folder of sources, and a line for each paper of what became of it.

A run may be killed at any moment. Each page of the API and each paper is noted once it is there,
and the next run goes on behind them.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from vicl.figures.arxiv.harvest.listed import read_list
from vicl.figures.arxiv.harvest.listing import by_category, by_ids, list_papers
from vicl.figures.arxiv.harvest.local import Found, bulk_sources, find_local, plain_sources
from vicl.figures.arxiv.harvest.manners import (
    Visitor,
)
from vicl.figures.arxiv.harvest.sources import (
    CHANGED,
    LARGEST_SOURCE,
    CutError,
    WebPageError,
    store,
)
from vicl.figures.arxiv.identifiers import PaperId
from vicl.figures.arxiv.papers import (
    PAPERS,
    SOURCES,
    HarvestError,
    Paper,
    parse_paper,
)
from vicl.files import display, hash_file, remove_leftovers, write_atomic
from vicl.files.journal import Journal
from vicl.files.plain_json import parse_json

ARXIV_API: Final = "https://export.arxiv.org/api/query"
SETTINGS: Final = "harvest.json"
"""What was asked for, in a harvest's folder."""

BULK: Final = "bulk.jsonl"
"""The bulk tars that were read to their end."""

MISSING: Final = "missing.txt"
"""The papers that are in none of the local files, as a list."""


@dataclass(frozen=True)
class Asked:
    """Which papers, and from where.

    Attributes:
        categories: arXiv's; papers of any of them.
        since: The first day of their version 1; goes with categories.
        until: The last one.
        listed: A file of identifiers, in the place of categories.
        local: Folders and files to take the sources from; none asks the service for them.
        first_version: Version 1 of papers that are asked for without version, else the latest.
    """

    categories: tuple[str, ...] = ()
    since: datetime.date | None = None
    until: datetime.date | None = None
    listed: Path | None = None
    local: tuple[Path, ...] = ()
    first_version: bool = False

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            HarvestError: If they do not.
        """
        if self.categories and self.listed is not None:
            raise HarvestError("got categories and a list of papers; give one of them")
        if not (self.categories or self.listed is not None or self.local):
            raise HarvestError(
                "got neither categories nor a list nor local files; give one of them"
            )
        if {self.since is None, self.until is None} != {not self.categories}:
            raise HarvestError(
                "categories go with a first and a last day (command line: --from and --to), and "
                "nothing else does"
            )
        if self.first_version and self.local:
            raise HarvestError("got the first version of local files; they are what they are")

    def record(self) -> dict[str, Any]:
        """What must be the same for a run to go on; where files lie may change."""
        return {
            "categories": list(self.categories),
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "list": None if self.listed is None else hash_file(self.listed),
            "local": bool(self.local),
            "first_version": self.first_version,
        }


@dataclass(frozen=True)
class Summary:
    """What a harvest holds.

    Attributes:
        listed: Papers that it is to have.
        counts: Papers by status.
        left: Those of which nothing became yet: to be fetched, or in none of the local files.
        changed: Kept ones whose hash is not the list's.
        bytes: Of the sources.
        requests: To the service, in this run.
        retries: Of these, for what had failed before.
    """

    listed: int
    counts: Mapping[str, int]
    left: int
    changed: int
    bytes: int
    requests: int
    retries: int


class Harvest:
    """The folder of a harvest, held by one run at a time.

    Args:
        out: The folder; it may be missing.
        asked: See :class:`Asked`.
        most: Bytes that a source may have.

    Attributes:
        papers: What is known, by identifier.

    Raises:
        HarvestError: If another run holds it, or it is a harvest of something else.
    """

    def __init__(self, out: Path, asked: Asked, *, most: int = LARGEST_SOURCE) -> None:
        self.out, self.asked, self.most = out, asked, most
        self._open = contextlib.ExitStack()
        with contextlib.ExitStack() as opening:
            out.mkdir(parents=True, exist_ok=True)
            lock = opening.enter_context((out / ".lock").open("wb"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise HarvestError(
                    f"{display(out)}: another harvest writes into it; wait until it ends"
                ) from error
            _check_settings(out / SETTINGS, asked.record())
            for folder in (out, *(out / SOURCES).glob("*")):
                remove_leftovers(folder)
            self._journal = Journal(out / PAPERS, resume=True, durable=True)
            opening.callback(self._journal.close)
            found = (
                parse_paper(line, f"{display(out / PAPERS)}, line {number}")
                for number, line in enumerate(self._journal.lines, 1)
            )
            self.papers = {paper.id: paper for paper in found}
            self._open = opening.pop_all()

    def __enter__(self) -> Harvest:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def note(self, paper: Paper) -> Paper:
        """Note what became of a paper."""
        self._journal.append(paper.row())
        self.papers[paper.id] = paper
        return paper

    def is_done(self, paper: PaperId) -> bool:
        """Whether a paper needs no further try."""
        return paper in self.papers and self.papers[paper].status != "failed"

    def summary(self, targets: Sequence[Paper] | None, visitor: Visitor) -> Summary:
        """Count what there is.

        Args:
            targets: Of :func:`list_targets`.
            visitor: That asked.
        """
        papers = self.papers.values()
        missing = list(_Wanted(targets, {}).missing(self))
        return Summary(
            len(papers) if targets is None else len(targets),
            dict(sorted(Counter(paper.status for paper in papers).items())),
            len(missing),
            sum(paper.reason == CHANGED for paper in papers),
            sum(paper.bytes or 0 for paper in papers),
            visitor.requests,
            visitor.retries,
        )


def _check_settings(file: Path, asked: dict[str, Any]) -> None:
    """Compare with what an earlier run was asked for; note it if there was none."""
    if not file.exists():
        write_atomic(file, json.dumps(asked, indent=1).encode() + b"\n")
        return
    try:
        before = parse_json(file.read_bytes())
    except ValueError as error:
        raise HarvestError(f"{display(file)}: is no JSON; give another folder") from error
    for name, value in asked.items():
        if not isinstance(before, dict) or before.get(name) != value:
            had = before.get(name) if isinstance(before, dict) else None
            raise HarvestError(
                f"{display(file.parent)}: holds a harvest of other settings ({name}: "
                f"{str(had)[:60]}, now {str(value)[:60]}); go on with those, or give another folder"
            )


def list_targets(
    harvest: Harvest,
    visitor: Visitor,
    api: str = ARXIV_API,
    *,
    progress: Callable[[int], object] = lambda windows: None,
) -> list[Paper] | None:
    """Which papers are wanted, with what the API says of them.

    A list that goes with local files is not asked about: it needs no network.

    Args:
        harvest: Where pages are noted.
        visitor: Asks.
        api: The API's address.
        progress: See :func:`vicl.figures.arxiv.harvest.listing.list_papers`.

    Returns:
        Each once, in order, `listed` or `withdrawn`; None for whatever the local files hold.

    Raises:
        HarvestError: As of :func:`read_list` and of
            :func:`~vicl.figures.arxiv.harvest.listing.list_papers`.
    """
    asked, ask = harvest.asked, functools.partial(list_papers, progress=progress)
    if asked.since is not None and asked.until is not None:
        windows = by_category(asked.categories, asked.since, asked.until)
        found = ask(windows, harvest.out, visitor, api)
        # Of local files nobody knows whether they are of the latest version.
        version = 1 if asked.first_version else None
        return [replace(p, version=version) if version or asked.local else p for p in found]
    if asked.listed is None:
        return None
    listed = read_list(asked.listed)
    first = asked.first_version
    wanted = {p: p.of_version(1) if first and p.version is None else p for p in listed.papers}
    known: dict[PaperId, Paper] = {}
    if not asked.local:
        for paper in ask(by_ids(wanted.values()), harvest.out, visitor, api):
            known[paper.id] = paper
            newest = known.get(PaperId(paper.paper_id))
            if newest is None or (paper.version or 0) > (newest.version or 0):
                known[PaperId(paper.paper_id)] = paper
    targets: dict[PaperId, Paper] = {}
    for origin, paper_id in wanted.items():
        paper = known.get(paper_id) or Paper(paper_id.number, paper_id.version, status="listed")
        targets.setdefault(paper.id, replace(paper, sha256=listed.sha256.get(origin)))
    return list(targets.values())


def take_local(
    harvest: Harvest, targets: Sequence[Paper] | None, *, warn: Callable[[str], object]
) -> Iterator[Paper]:
    """Take the sources of papers out of local files.

    Of a paper that is wanted without version, the file of the highest version is taken.

    Args:
        harvest: Where they are stored, as copies.
        targets: Of :func:`list_targets`; None takes all.
        warn: Told of bulk tars that are damaged; they are read again in the next run.

    Returns:
        What became of each paper, as it is noted. Wanted ones that are in no file are written to
        `missing.txt`: more files may come, and a list can be given to the service.

    Raises:
        HarvestError: As of :func:`find_local`.
    """
    files = find_local(harvest.asked.local, apart=harvest.out)
    wanted = _Wanted(targets, files.newest)
    for target in targets or ():
        if target.status == "withdrawn" and not harvest.is_done(target.id):
            yield harvest.note(replace(target, sha256=None))
    for source in plain_sources(files.sources):
        yield from _taken(harvest, wanted, source)
    done = Journal(harvest.out / BULK, resume=True, durable=True)
    with contextlib.closing(done):
        known = {(row["tar"], row["bytes"]) for row in map(parse_json, done.lines)}
        for path in files.bulk:
            name = {"tar": path.name, "bytes": path.stat().st_size}
            if tuple(name.values()) in known:
                continue
            try:
                for source in bulk_sources(path):
                    yield from _taken(harvest, wanted, source)
                done.append(name)
            except HarvestError as error:
                warn(str(error))
    missing = "".join(f"{target.id}\n" for target in wanted.missing(harvest))
    write_atomic(harvest.out / MISSING, missing.encode())


class _Wanted:
    """Which of the sources that are found are wanted.

    Args:
        targets: None wants all.
        newest: The highest version that there is, by paper.
    """

    def __init__(self, targets: Sequence[Paper] | None, newest: Mapping[str, int]) -> None:
        self._targets, self._newest = targets, newest
        self._by_number: dict[str, list[Paper]] = {}
        for target in targets or ():
            self._by_number.setdefault(target.paper_id, []).append(target)

    def of(self, found: PaperId) -> Paper | None:
        """The paper as which a source is stored; None if nobody wants it."""
        if self._targets is None:
            return Paper(found.number, found.version, status="listed")
        version = found.version or 0
        for target in self._by_number.get(found.number, ()):
            least = self._newest.get(found.number, 0)
            fits = version >= least if target.version is None else target.version == version
            if fits and target.status == "listed":
                return replace(target, version=found.version)
        return None

    def missing(self, harvest: Harvest) -> Iterator[Paper]:
        """The targets of which there is no source."""
        there = {paper.number for paper in harvest.papers}
        for target in self._targets or ():
            found = target.id in harvest.papers
            if not (found or (target.version is None and target.paper_id in there)):
                yield target


def _taken(harvest: Harvest, wanted: _Wanted, source: Found) -> Iterator[Paper]:
    """Store a source that is wanted and not there yet."""
    paper = wanted.of(source.id)
    known = None if paper is None else harvest.papers.get(paper.id)
    broken = known is not None and known.status == "broken"  # another file of it may be whole
    if paper is None or (harvest.is_done(paper.id) and not broken):
        return
    try:
        yield harvest.note(store(source.chunks(), harvest.out, paper, most=harvest.most))
    except (CutError, WebPageError) as error:
        made = replace(paper, status="broken", reason=f"{source.name}: {error}", sha256=None)
        if made != known:
            yield harvest.note(made)
