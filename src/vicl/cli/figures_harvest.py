"""`vicl figures harvest`: figures out of arXiv's sources, stage by stage."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import PATH, examples, flag, number, options, path, text
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.figures.arxiv.harvest.harvesting import Harvest, Summary
    from vicl.figures.arxiv.harvest.manners import Visitor
    from vicl.figures.arxiv.papers import Paper

_STOPPED = "stopped; start again to go on"
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command(
    epilog=examples(
        "vicl figures harvest cs.CV --category cs.CV --from 2010-01-01 --to 2022-12-31 \\\n"
        "    --contact you@example.org",
        "vicl figures harvest published --list df_train.csv --contact you@example.org",
        "vicl figures harvest bulk --local arXiv_src --list df_train.csv",
    )
)
@click.argument("out", type=PATH)
@options(
    text("--category categories", "NAME", "Papers of it. Repeat for more.", multiple=True),
    text("--from since", "DAY", "First day of their version 1: YYYY-MM-DD.", type=_DAY),
    text("--to until", "DAY", "Last day.", type=_DAY),
    path("--list listed", "FILE", "CSV with a column paper_id, ids, or papers.jsonl.", type=_FILE),
    path(
        "--local",
        "PATH",
        "Take sources from this folder or bulk tar. Repeat for more.",
        multiple=True,
        type=click.Path(path_type=Path, exists=True),
    ),
    flag("--first-version", "Version 1 of papers without a version; else the latest."),
    flag("--list-only", "Find out which papers, and stop."),
    text("--contact", "MAIL", "How arXiv can reach you.", default="", show_default=False),
    click.Option(
        ["--delay"],
        type=click.FloatRange(0, 3600),
        default=3.0,
        metavar="SECONDS",
        help="Between requests; arXiv wants at least 3.",
    ),
    text("--api", "URL", "The API.  [default: arXiv's]"),
    text("--sources", "URL", "Where sources are.  [default: arXiv's]"),
    number("--largest", 1, "Of a source, in MiB.", default=512, metavar="MIB"),
    flag("--json as_json", "Print counts as JSON."),
)
@failing(1, stopped=_STOPPED)
def harvest(out: Path, list_only: bool, largest: int, as_json: bool, **given: Any) -> None:
    """Get the sources of arXiv's papers into the folder OUT, and note what came of each.

    Which papers: of a category and a span of days; of a list, such as the published one; or
    whatever --local has. One request at a time, with the pauses that arXiv asks for. Papers that
    were withdrawn, submitted as PDF or removed are noted and passed over. What a run that was
    stopped has is not fetched again.

    Most papers may not be passed on: share lists and hashes (papers.jsonl), never sources or
    figures.
    """
    from vicl.figures.arxiv.harvest.fetching import ARXIV_SOURCES
    from vicl.figures.arxiv.harvest.harvesting import ARXIV_API, Asked, Harvest
    from vicl.figures.arxiv.harvest.manners import Manners, Visitor, check_service

    api, sources = given.pop("api") or ARXIV_API, given.pop("sources") or ARXIV_SOURCES
    delay, contact = given.pop("delay"), given.pop("contact")
    with failing(2):
        check_service(api, sources, delay=delay)
        manners = Manners(delay=delay, contact=contact)
        asked = Asked(**(given | {day: _date(given[day]) for day in ("since", "until")}))
    visitor = Visitor(manners)
    with Harvest(out, asked, most=largest << 20) as folder:
        targets = _list(folder, visitor, api)
        if not list_only:
            _get(folder, targets, visitor, sources)
        summary = folder.summary(targets, visitor)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(summary)))
    else:
        _print(summary)
    if failed := summary.counts.get("failed", 0):
        click.echo(f"error: {failed:,} papers failed; start again to try them again", err=True)
        sys.exit(1)


def _date(day: datetime.datetime | None) -> datetime.date | None:
    return None if day is None else day.date()


def _list(folder: Harvest, visitor: Visitor, api: str) -> list[Paper] | None:
    from vicl.figures.arxiv.harvest.harvesting import list_targets

    with progress("lists of papers", total=None) as advance:
        return list_targets(folder, visitor, api, progress=advance)


def _get(folder: Harvest, targets: list[Paper] | None, visitor: Visitor, sources: str) -> None:
    from vicl.figures.arxiv.harvest.fetching import fetch
    from vicl.figures.arxiv.harvest.harvesting import take_local

    total = None if targets is None else len(targets)
    if targets is None or folder.asked.local:
        with progress("sources", total=total) as advance:
            for paper in take_local(folder, targets, warn=_warn):
                advance(note=f"{paper.id}: {paper.status}")
        return
    left = sum(not folder.is_done(paper.id) for paper in targets)
    minutes = left * visitor.manners.delay / 60
    least = f"{minutes / 60:.1f} hours" if minutes > 90 else f"{minutes:.0f} minutes"
    if left:
        click.echo(f"{left:,} of {len(targets):,} papers to go: at least {least}", err=True)
    with progress("sources", total=total, done=len(targets) - left) as advance:
        for paper in fetch(folder, targets, visitor, sources):
            advance(note=f"{paper.id}: {paper.status}")


def _warn(message: str) -> None:
    click.echo(f"warning: {message}", err=True)


def _print(summary: Summary) -> None:
    """A line for each count."""
    click.echo(f"{summary.listed:,} papers listed")
    for status, count in summary.counts.items():
        click.echo(f"{count:,} {status}")
    if summary.left:
        click.echo(f"{summary.left:,} to go")
    if summary.changed:
        click.echo(f"{summary.changed:,} of the kept are not what the list's maker had (sha256)")
    click.echo(f"{summary.bytes / 1e6:,.1f} MB of sources; {summary.requests:,} requests")
