"""`vicl figures`: from the figures of papers to shards: duplicates, packing, and what there is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing, one_line
from vicl.cli.figures_each import EACH, each_of
from vicl.cli.options import PATH, choice, examples, flag, number, options, path
from vicl.files import check_writable, display
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.figures.arxiv.dataset.hashing import Hashes
    from vicl.figures.arxiv.dataset.packing import Packed

_WORKERS = number("--workers", 1, "Processes.", default=1, metavar="N")
_JSON = flag("--json as_json", "Print the counts as JSON.")
_STOPPED = "stopped: what was done is kept; the same command goes on"


@click.command(
    epilog=examples(
        "vicl figures dedup figures --workers 4",
        "# and nothing that evaluation will show",
        "vicl figures dedup figures --exclude voc/JPEGImages --exclude hashes.csv",
    )
)
@click.argument("extracted", type=PATH)
@options(
    path(
        "--exclude",
        "DIR|CSV",
        "Leave out what is near a picture of this folder or of `vicl figures hash`. Repeat for "
        "more.",
        multiple=True,
    ),
    click.Option(
        ["--agreement"],
        type=click.FloatRange(0.5, 1),
        default=0.9,
        metavar="A",
        help="Of gradients, from which a figure is a copy. Those that agree less are told of.",
    ),
    *EACH,
    _JSON,
)
def dedup(
    extracted: Path, exclude: tuple[Path, ...], agreement: float, as_json: bool, **given: Any
) -> None:
    """Find duplicates among the figures of EXTRACTED, a folder of `vicl figures extract`.

    The figure of the earliest paper is kept. Copies that are encoded anew, resized, mirrored, grey,
    or have a margin are found, too. EXTRACTED/duplicates.jsonl then says of each figure that is
    like another one which that is, how far they are apart, and whether it is left out. The exit
    code is 1 where a picture that is to be excluded cannot be read.
    """
    with failing(1, stopped=_STOPPED):
        from vicl.figures.arxiv.dataset.duplicates import DUPLICATES
        from vicl.figures.arxiv.dataset.duplicates import dedup as find

        excluded, faults = _excluded(exclude, given["workers"] or 1)
        with each_of(given) as working, ExitStack() as bars:

            def total(count: int, done: int) -> Callable[[int], None]:
                bar = progress("figures", total=count, done=done, show=not as_json)
                return bars.enter_context(bar)

            found = find(extracted, excluded, agreement=agreement, total=total, **working)
        for name, fault in faults.items():
            click.echo(f"{display(name)}: is not excluded: {fault}", err=True)
        if as_json:
            click.echo(json.dumps(asdict(found) | {"not_excluded": faults}))
        else:
            click.echo(f"figures: {found.figures}, kept {found.kept}")
            _tell("left out", found.left_out)
            click.echo(f"kept, though near another one: {found.counts.get('near', 0)}")
            click.echo(f"too plain to be told from others: {found.plain}")
            if exclude:
                click.echo(f"pictures that are excluded: {found.excluded}")
            click.echo(display(extracted / DUPLICATES))
    if faults:
        click.get_current_context().exit(1)


def _excluded(places: tuple[Path, ...], workers: int) -> tuple[dict[str, Hashes], dict[str, str]]:
    """The hashes of folders and tables, and what is wrong with some pictures."""
    from vicl.figures.arxiv.dataset.hash_table import hash_folder, read_table

    hashes: dict[str, Hashes] = {}
    faults: dict[str, str] = {}
    for place in places:
        if place.is_dir():
            found, wrong = hash_folder(place, workers=workers)
            faults |= {f"{place}/{name}": fault for name, fault in wrong.items()}
        else:
            found = read_table(place)
        hashes |= {f"{place}/{name}": value for name, value in found.items()}
    return hashes, faults


@click.command(
    epilog=examples(
        "vicl figures hash voc/JPEGImages -o hashes.csv",
        "vicl figures dedup figures --exclude hashes.csv",
    )
)
@click.argument("folder", type=PATH)
@options(
    path("-o --out out", "CSV", "The table of hashes.", required=True),
    _WORKERS,
    _JSON,
)
def hash_(folder: Path, out: Path, workers: int, as_json: bool) -> None:
    """Write hashes of the pictures in FOLDER, which can be given away where pictures cannot.

    The exit code is 1 where a picture cannot be read; the others are in the table.
    """
    with failing(1):
        from vicl.figures.arxiv.dataset.hash_table import hash_folder, write_table

        check_writable(out)
        found, faults = hash_folder(folder, workers=workers)
        write_table(out, found)
    for fault in faults.values():
        click.echo(fault, err=True)
    if as_json:
        click.echo(json.dumps({"hashed": len(found), "faults": faults}))
    else:
        click.echo(f"hashed: {len(found)}, cannot be read: {len(faults)}")
        click.echo(display(out))
    if faults:
        click.get_current_context().exit(1)


@click.command(
    epilog=examples(
        "vicl figures pack figures -o shards --threshold 0.5 --workers 4",
        "vicl train recipe.yaml --set data.train='shards/train-{000000..000041}.tar'",
    )
)
@click.argument("extracted", type=PATH)
@options(
    path("-o --out out", "DIR", "The folder of the shards.", required=True),
    click.Option(
        ["--threshold"],
        type=float,
        metavar="T",
        help="Leave out figures that the filter scores lower.",
    ),
    click.Option(
        ["--validation"],
        type=click.FloatRange(0, 1, max_open=True),
        default=0.1,
        metavar="SHARE",
        help="Of the papers: held out.",
    ),
    choice("--encoding", ("png", "jpg"), "Of the pictures.", "png"),
    number("--shard-figures", 1, "Most figures in a shard.", default=1000, metavar="N"),
    number("--shard-size", 1, "Most MiB of pictures in a shard.", default=256, metavar="MIB"),
    *EACH,
    _JSON,
)
def pack(extracted: Path, out: Path, **given: Any) -> None:
    """Pack the figures of EXTRACTED, a folder of `vicl figures extract`, for `vicl train`.

    What `vicl figures dedup` found to be a duplicate is left out. Papers are held out as a whole.
    DIR then holds WebDataset shards, and index.json with counts and the SHA-256 of each. Prints
    the counts, and what a recipe says to train on them.
    """
    with failing(1, stopped=_STOPPED):
        from vicl.figures.arxiv.dataset import packing

        wanted = packing.Packing(
            threshold=given["threshold"],
            validation=given["validation"],
            encoding=given["encoding"],
            figures=given["shard_figures"],
            bytes=given["shard_size"] << 20,
        )
        with each_of(given) as working, ExitStack() as bars:

            def total(count: int) -> Callable[[int], None]:
                bar = progress("figures", total=count, show=not given["as_json"])
                return bars.enter_context(bar)

            packed = packing.pack(extracted, out, wanted, total=total, **working)
        if not packed.deduplicated:
            click.echo("duplicates are not left out: `vicl figures dedup` was not run", err=True)
        if given["as_json"]:
            click.echo(json.dumps(asdict(packed)))
            return
        _show(packed, out)


def _show(packed: Packed, out: Path) -> None:
    for split, count in packed.figures.items():
        shards = len(packed.shards[split])
        click.echo(f"{split}: {count} figures of {packed.papers[split]} papers in {shards} shards")
    _tell("left out", packed.dropped)
    click.echo("in a recipe:\n\ndata:")
    train, held_out = packed.source("train", out), packed.source("validation", out)
    if train is not None:
        click.echo(f"  train: {json.dumps(train)}")
    if held_out is not None:
        click.echo(f"  held_out: {{sources: {json.dumps(held_out)}}}")


@click.command(
    epilog=examples(
        "vicl figures stats figures -o figures.html --harvest harvest --shards shards",
        "vicl figures stats figures --json",
    )
)
@click.argument("extracted", type=PATH)
@options(
    path("-o --out out", "HTML", "The page."),
    path("--harvest", "DIR", "The harvest, whose papers without a source are counted, too."),
    path("--shards", "DIR", "The shards, of which is told what was left out."),
    number("--samples", 0, "Figures on a contact sheet.", default=48, metavar="N"),
    number("--seed", 0, "Of what is drawn.", default=0, metavar="N"),
    _JSON,
)
def stats(extracted: Path, out: Path | None, as_json: bool, **given: Any) -> None:
    """Count what is in EXTRACTED, a folder of `vicl figures extract`, and show some of it.

    The page is one file: counts of papers and figures, what each stage left out and why, and
    contact sheets drawn at random. It shows figures, which most licences do not let you publish.
    """
    with failing(1):
        from vicl.figures.arxiv.dataset.stats import collect
        from vicl.figures.arxiv.dataset.stats_page import draw_page
        from vicl.files import write_atomic

        if out is not None:
            check_writable(out)
        found = collect(extracted, **given)
        if out is not None:
            write_atomic(out, draw_page(found, extracted).encode())
        if as_json:
            click.echo(json.dumps(found.numbers()))
            return
        click.echo(
            f"figures: {found.figures} of {found.papers} papers, {found.captioned} captioned"
        )
        for name, counts in found.by.items():
            _tell(name, counts)
        for stage, counts in found.left_out.items():
            _tell(f"left out by {stage}", counts)
        if out is not None:
            click.echo(display(out))


_MOST_SHOWN = 12


def _tell(what: str, counts: Mapping[str, int]) -> None:
    """Print counts in a line, the first of them."""
    parts = [f"{one_line(name)} {count}" for name, count in list(counts.items())[:_MOST_SHOWN]]
    if len(counts) > _MOST_SHOWN:
        parts.append(f"{len(counts) - _MOST_SHOWN} others")
    click.echo(f"{what}: {sum(counts.values())}{' (' + ', '.join(parts) + ')' if parts else ''}")
