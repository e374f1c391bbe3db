"""`vicl figures extract`: figures out of arXiv's sources."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing, one_line
from vicl.cli.figures_each import EACH, each_of
from vicl.cli.options import PATH, TIME, examples, flag, number, options, path, text
from vicl.files import display
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.figures.arxiv.extract.extracting import Summary


@click.command(
    epilog=examples(
        "vicl figures extract harvest -o figures --workers 4",
        "# exactly the rows of the published list; missing.csv says which are not there, and why",
        "vicl figures extract harvest -o published --list train.csv",
    )
)
@click.argument("sources", type=PATH)
@options(
    path("-o --out out", "DIR", "The folder of the figures.", required=True),
    *EACH,
    path("--list listing", "CSV", "Only pictures of this list (columns paper_id, img_name)."),
    flag(
        "--keep-unpublished",
        'Also pictures with "arch" or "pipeline" in their name, which the paper left out.',
    ),
    text("--time", "TIME", "For one paper, such as 90s.  [default: 5m]", type=TIME),
    number("--memory", 256, "MiB that one paper may take.", default=2048, metavar="MIB"),
    flag("--retry", "Try papers again that failed."),
    flag("--json as_json", "Print the counts as JSON."),
)
def extract(sources: Path, out: Path, **given: Any) -> None:
    """Take the figures out of papers' sources.

    SOURCES is a harvest, or any folder of sources that are named by their papers, such as
    2209.00647v1.tar.gz. DIR then holds images/ and figures.jsonl. The same command goes on with
    what was cut short. No paper ends a run: those that cannot be used are told of at its end.
    Needs the extra: pip install "vicl[figures]".
    """
    with failing(1, stopped="stopped: what was done is kept; the same command goes on"):
        from vicl.figures.arxiv.extract import extracting
        from vicl.figures.arxiv.extract.limits import Limits
        from vicl.figures.arxiv.extract.paper import Wishes
        from vicl.figures.arxiv.extract.picture_list import PictureList

        limits = Limits(memory=given["memory"] << 20)
        if given["time"] is not None:
            limits = Limits(memory=limits.memory, seconds=round(given["time"]))
        run = extracting.Extraction(
            sources, out, Wishes(limits, keep_unpublished=given["keep_unpublished"])
        )
        listing = None if given["listing"] is None else PictureList.read(given["listing"])
        tasks = extracting.tasks_of(sources, listing)
        with (
            each_of(given) as working,
            progress("papers", total=len(tasks), show=not given["as_json"]) as advance,
        ):
            kept = failed = 0

            def tell(line: Mapping[str, Any] | None) -> None:
                nonlocal kept, failed
                if line is not None:
                    kept += line["kept"]
                    failed += line["status"] == "failed"
                advance(note=f"{kept} figures, {failed} papers failed")

            summary = extracting.extract(
                run,
                tasks,
                **working,
                listing=listing,
                retry=given["retry"],
                advance=tell,
            )
        if given["as_json"]:
            click.echo(json.dumps(asdict(summary)))
        else:
            _show(summary, out)
    if summary.failed:
        count = len(summary.failed)
        click.echo(f"error: {count} papers failed; --retry tries them again", err=True)
        sys.exit(1)


def _show(summary: Summary, out: Path) -> None:
    for paper, why in summary.failed.items():
        click.echo(one_line(f"{paper}: {why}"), err=True)
    for what, counts in (
        ("papers", summary.papers),
        ("papers without a source", summary.without_source),
        ("figures", summary.figures),
        ("pictures left out", summary.dropped),
        ("rows of the list that are missing", summary.missing),
    ):
        if counts:
            parts = ", ".join(f"{one_line(name)} {count}" for name, count in counts.items())
            click.echo(f"{what}: {sum(counts.values())} ({parts})")
    if summary.rows is not None:
        found = summary.rows - sum(summary.missing.values())
        click.echo(f"rows of the list: {summary.rows}, found {found}")
    click.echo(display(out / "figures.jsonl"))
