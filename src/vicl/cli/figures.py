"""`vicl figures`: training figures made from nothing, and from arXiv's papers; sheets of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing
from vicl.cli.figures_dataset import dedup, hash_, pack, stats
from vicl.cli.figures_extract import extract
from vicl.cli.figures_filter import filter_figures, label, train_filter
from vicl.cli.figures_harvest import harvest
from vicl.cli.figures_tokenize import tokenize
from vicl.cli.options import PATH, SEED, choice, examples, number, options, path, text
from vicl.files import display
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.figures.shards import Encoding, Form


@click.group()
def figures() -> None:
    """Training figures: synthetic ones, whose rules are known, and those of arXiv's papers."""


for _stage in (harvest, extract, label, train_filter, filter_figures, dedup, pack, tokenize, stats):
    figures.add_command(_stage)
figures.add_command(hash_, "hash")

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_CONTENT = (
    path("--cutouts", "DIR", "Pictures with transparency.", type=_FOLDER),
    path("--photographs", "DIR", "Photographs.", type=_FOLDER),
    path("--masks", "DIR", "Masks of these, of the same names.", type=_FOLDER),
)


def _licence(name: str) -> click.Option:
    return text(name, "TEXT", "For the metadata.", default="not stated", show_default=False)


@figures.command(
    epilog=examples(
        "vicl figures synthesize figures --count 10000 --workers 4",
        "vicl figures synthesize pages --count 100 --clean 0 --format folder --encoding png",
    )
)
@click.argument("out", type=PATH)
@options(
    number("--count", 1, "Figures.", default=10_000),
    number("--size", 32, "Side of a figure, in pixels.", default=224),
    number("--patch-size", 1, "Of the model, in pixels.", default=16),
    SEED,
    click.Option(
        ["--clean"],
        type=click.FloatRange(0, 1),
        default=0.6,
        help="Share of clean grids; the others are pages.",
    ),
    *_CONTENT,
    _licence("--cutouts-licence"),
    _licence("--photographs-licence"),
    path("--fonts", "DIR", "Fonts (.ttf, .otf) for text.", type=_FOLDER),
    _licence("--fonts-licence"),
    choice(
        "--format form",
        ("shards", "folder"),
        "WebDataset tar files, or an image and a JSON file a figure.",
        "shards",
    ),
    choice("--encoding", ("jpg", "png"), "Of the pictures.", "jpg"),
    number("--workers", 1, "Processes.", default=1),
)
@failing(1, stopped="stopped; start again to go on")
def synthesize(
    out: Path, count: int, form: Form, encoding: Encoding, workers: int, **content: Any
) -> None:
    """Write figures to the folder OUT, with what is known of each: rule, values, cells, licences.

    The same settings give the same files. A run that was cut short goes on when it is started
    again. Prints what was written.
    """
    from vicl.figures.shards import write_figures
    from vicl.figures.synthetic.generator import SyntheticFigures

    with failing(2):
        source = SyntheticFigures(**content)
    with progress("figures", total=count) as advance:
        written = write_figures(
            source, out, count, form=form, encoding=encoding, workers=workers, progress=advance
        )
    for file in written:
        click.echo(display(file))


@figures.command(
    epilog=examples("vicl figures sheet sheets", "vicl figures sheet sheets --rule negative")
)
@click.argument("out", type=PATH)
@options(
    SEED, *_CONTENT, text("--rule rules", "NAME", "Only this rule. Repeat for more.", multiple=True)
)
@failing(1, stopped="stopped; start again to go on")
def sheet(out: Path, rules: tuple[str, ...], **content: Any) -> None:
    """Draw contact sheets into the folder OUT: every rule with two rows, and 64 figures.

    Prints the files.
    """
    from vicl.figures.synthetic.gallery import figure_sheet, groups, rule_sheet
    from vicl.figures.synthetic.generator import SyntheticFigures
    from vicl.images import save_image

    with failing(2):
        source = SyntheticFigures(**content)
    shown = {"chosen": list(rules)} if rules else groups()
    sheets = {f"rules-{name}.png": rule_sheet(source, names) for name, names in shown.items()}
    if not rules:
        sheets["figures.png"] = figure_sheet(source)
    for name, page in sheets.items():
        save_image(page, out / name)
        click.echo(display(out / name))
