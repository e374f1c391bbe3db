"""`vicl colorize`: dabs of colour on a gray photograph spread over it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from vicl.cli.failing import failing
from vicl.cli.options import DEBUG, PATH, examples, flag, number, options, path, text
from vicl.files import check_writable, display

if TYPE_CHECKING:
    from vicl.tasks.colour_hints import Dab

_DAB: Final = re.compile(r"([^,]+),([^,]+),#?([0-9a-fA-F]{6})")


@click.command(
    epilog=examples(
        "# red at x=120, y=80, and the sky blue",
        "vicl colorize old.jpg --dab 120,80,#b03020 --dab 40,10,#6090d0 -o coloured.png",
        "# a layer that was painted in an image editor, transparent elsewhere",
        "vicl colorize old.jpg --hints layer.png -o coloured.png",
    )
)
@click.argument("photo", type=PATH)
@options(
    text(
        "--dab dabs", "X,Y,#RRGGBB", "A dab of colour, in pixels. Repeat for more.", multiple=True
    ),
    click.Option(
        ["--size"],
        type=click.FloatRange(min=0, min_open=True),
        metavar="PX",
        help="Diameter of the dabs.  [default: a fiftieth of the longest side]",
    ),
    path(
        "--hints",
        "FILE",
        "A picture of the photograph's size with the colours; where it is transparent it says "
        "nothing.",
    ),
    path("-o --output", "OUT", "A picture's file.", required=True),
    flag("--overwrite", "Replace the output if it exists."),
    number("--limit-pixels", 1, "Refuse images with more pixels.", default=64_000_000, metavar="N"),
    DEBUG,
)
def colorize(photo: Path, **given: Any) -> None:
    """Colour PHOTO by a few dabs of colour, which spread along similar gray.

    Its lightness stays as it is, and what no dab reaches stays gray. Prints the file that was
    written. The exit code is 0, or 2 for wrong usage or a file that cannot be read or written, 130
    after Ctrl-C.
    """
    with failing(2, debug=given["debug"]):
        _run(photo, given)


def _run(photo: Path, given: Mapping[str, Any]) -> None:
    if bool(given["dabs"]) == (given["hints"] is not None):
        raise click.UsageError("give --dab X,Y,#RRGGBB (once or more), or --hints FILE")
    if given["size"] is not None and not given["dabs"]:
        raise click.UsageError("--size goes with --dab")
    output: Path = given["output"]
    if output.exists() and not given["overwrite"]:
        raise click.UsageError(f"{display(output)} exists already; --overwrite replaces it")
    from vicl.images import check_suffix, save_image
    from vicl.tasks.colour_hints import colorize as colour

    check_suffix(output)
    check_writable(output)
    hints = given["hints"] or [_dab(written, given["size"]) for written in given["dabs"]]
    made = colour(photo, hints, limit_pixels=given["limit_pixels"])
    save_image(made, output, inputs=[photo, given["hints"]])
    click.echo(display(output))


def _dab(written: str, size: float | None) -> Dab:
    """A dab of the command line.

    Raises:
        click.UsageError: If it is none.
    """
    from vicl.tasks.colour_hints import Dab

    found = _DAB.fullmatch(written)
    try:
        x, y = (float(part) for part in found.groups()[:2]) if found else (None, None)
    except ValueError:
        x = y = None
    if found is None or x is None or y is None:
        raise click.UsageError(f"--dab: got {written!r}, expected X,Y,#RRGGBB (quote the #)")
    red, green, blue = bytes.fromhex(found[3])
    return Dab(x, y, (red, green, blue), size)
