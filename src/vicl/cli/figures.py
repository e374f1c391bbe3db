"""`vicl figures`: training figures made from nothing, and sheets to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import COUNT, PATH, SEED, options
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


def _licence(name: str) -> click.Option:
    return click.Option(
        [name],
        default="not stated",
        show_default=False,
        metavar="TEXT",
        help="For the metadata.",
    )


@figures.command()
@click.argument("out", type=PATH)
@click.option("--count", type=COUNT, default=10_000)
@click.option("--size", type=int, default=224, help="Side of a figure, in pixels.")
@click.option("--patch-size", type=int, default=16, help="Of the model, in pixels.")
@options(SEED)
@click.option(
    "--clean",
    type=click.FloatRange(0, 1),
    default=0.6,
    help="Share of clean grids; the others are pages.",
)
@options(*_CONTENT)
@options(_licence("--cutouts-licence"), _licence("--photographs-licence"))
@click.option("--fonts", type=_FOLDER, metavar="DIR", help="Fonts (.ttf, .otf) for text.")
@options(_licence("--fonts-licence"))
@click.option(
    "--format",
    "form",
    type=click.Choice(("shards", "folder")),
    default="shards",
    help="WebDataset tar files, or an image and a JSON file a figure.",
)
@click.option("--encoding", type=click.Choice(("jpg", "png")), default="jpg")
@click.option("--workers", type=COUNT, default=1)
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
@click.argument("out", type=PATH)
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
