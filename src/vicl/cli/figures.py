"""`vicl figures`: training figures made from nothing, and sheets to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import SEED, options
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.figures.shards import Encoding, Form
    from vicl.figures.synthetic.generator import SyntheticFigures


@click.group()
def figures() -> None:
    """Synthetic figures: pages and grids of input-output pairs whose rules are known."""


_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_CONTENT = (
    click.Option(["--cutouts"], type=_FOLDER, metavar="DIR", help="Pictures with transparency."),
    click.Option(["--photographs"], type=_FOLDER, metavar="DIR", help="Photographs."),
    click.Option(
        ["--masks"], type=_FOLDER, metavar="DIR", help="Masks of these, of the same names."
    ),
)


@figures.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option(
    "--size", type=int, default=224, show_default=True, help="Side of a figure, in pixels."
)
@click.option(
    "--patch-size", type=int, default=16, show_default=True, help="Of the model, in pixels."
)
@options(SEED)
@click.option(
    "--clean",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Share of clean grids; the others are pages.",
)
@options(*_CONTENT)
@click.option("--cutouts-licence", default="not stated", metavar="TEXT", help="For the metadata.")
@click.option(
    "--photographs-licence", default="not stated", metavar="TEXT", help="For the metadata."
)
@click.option("--fonts", type=_FOLDER, metavar="DIR", help="Fonts (.ttf, .otf) for text.")
@click.option("--fonts-licence", default="not stated", metavar="TEXT", help="For the metadata.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("shards", "folder")),
    default="shards",
    show_default=True,
    help="WebDataset tar files, or an image and a JSON file a figure.",
)
@click.option("--encoding", type=click.Choice(("jpg", "png")), default="jpg", show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True)
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

    source = SyntheticFigures(**content)
    with progress("figures", total=count) as advance:
        written = write_figures(
            source, out, count, form=form, encoding=encoding, workers=workers, progress=advance
        )
    for path in written:
        click.echo(str(path))


@figures.command()
@click.argument("out", type=click.Path(path_type=Path))
@options(SEED)
@options(*_CONTENT)
@click.option(
    "--rule", "rules", multiple=True, metavar="NAME", help="Only this rule. Repeat for more."
)
@failing(1, stopped="stopped; start again to go on")
def sheet(out: Path, rules: tuple[str, ...], **content: Any) -> None:
    """Draw contact sheets into the folder OUT: every rule with two rows, and 64 figures.

    Prints the files.
    """
    from vicl.figures.synthetic.gallery import figure_sheet, groups, rule_sheet
    from vicl.figures.synthetic.generator import SyntheticFigures
    from vicl.images import save_image

    source: SyntheticFigures = SyntheticFigures(**content)
    shown = {"chosen": list(rules)} if rules else groups()
    for name, names in shown.items():
        save_image(rule_sheet(source, names), out / f"rules-{name}.png")
        click.echo(str(out / f"rules-{name}.png"))
    if not rules:
        save_image(figure_sheet(source), out / "figures.png")
        click.echo(str(out / "figures.png"))
