"""`vicl figures tokenize`: training targets named beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import DEVICE, choice, examples, flag, number, options, path, text
from vicl.files.progress import progress

if TYPE_CHECKING:
    from vicl.training.recipe.data import Augmentation


def _limits(names: str, help: str, default: tuple[float, float]) -> click.Option:
    least = click.FloatRange(0, min_open=True)
    return click.Option(
        names.split(), nargs=2, type=least, default=default, metavar="LEAST MOST", help=help
    )


@click.command(
    epilog=examples(
        "vicl figures tokenize 'shards/train-{000000..000041}.tar' -o named \\",
        "    --tokenizer models/vqgan-imagenet --crops 8",
        "# the command ends by printing what a recipe says to train on them",
    )
)
@click.argument("shards", metavar="SHARDS")
@options(
    path("-o --out out", "DIR", "The folder of the new shards.", required=True),
    text(
        "--tokenizer",
        "MODEL",
        "The VQGAN, or a model that has one, such as default: the recipe's model.tokenizer.",
        required=True,
    ),
    number("--crops", 1, "Crops of each image.", default=4, metavar="K"),
    number("--size", 1, "Side of the canvases, in pixels.", default=224, metavar="PX"),
    _limits("--scale", "Share of an image's area that a crop covers.", (0.2, 1.0)),
    _limits("--ratio", "Width : height of a crop.", (3 / 4, 4 / 3)),
    click.Option(["--flip/--no-flip"], default=True, help="Mirror half of the crops."),
    choice("--precision", ("bf16", "fp32"), "The recipe's target_precision.", "bf16"),
    number("--seed", 0, "Of the crops.", default=0, metavar="N"),
    DEVICE,
    number("--workers", 1, "Processes.", default=1, metavar="N"),
    flag("--json as_json", "Print the counts as JSON."),
)
def tokenize(shards: str, out: Path, as_json: bool, **given: Any) -> None:
    """Store the codes of K crops of each image of SHARDS beside it, in new shards.

    To name its targets by a VQGAN takes more than the rest of a training step. SHARDS is a tar
    file, or several as recipes name them: 'train-{000000..000041}.tar'. A recipe then says `codes:
    true`, and has to have the same tokenizer, canvas, augmentation and target_precision. Prints the
    counts, and what a recipe says. A run that was cut short goes on by shard. The exit code is 1
    where an image cannot be read; it is left out.
    """
    with failing(1, stopped="stopped: finished shards are kept; the same command goes on"):
        from vicl.training.data.tokenizing import tokenize as store

        augmentation = _augmentation(given.pop("scale"), given.pop("ratio"), given.pop("flip"))
        side = given.pop("size")
        with ExitStack() as bars:

            def total(count: int) -> Callable[[int], None]:
                return bars.enter_context(progress("images", total=count, show=not as_json))

            found = store(
                shards,
                out,
                given.pop("tokenizer"),
                canvas_size=(side, side),
                augmentation=augmentation,
                total=total,
                **given,
            )
        for fault in found.left_out:
            click.echo(fault, err=True)
        if as_json:
            click.echo(json.dumps(asdict(found)))
        else:
            click.echo(f"images: {found.images}, left out {len(found.left_out)}")
            click.echo(f"in a recipe:\n\ndata:\n  train: {json.dumps(found.source())}")
            click.echo(f"  augmentation: {augmentation.model_dump_json()}")
            click.echo(f"target_precision: {given['precision']}")
    if found.left_out:
        click.get_current_context().exit(1)


def _augmentation(
    scale: tuple[float, float], ratio: tuple[float, float], flip: bool
) -> Augmentation:
    from pydantic import ValidationError

    from vicl.files.faults import said
    from vicl.training.recipe.data import Augmentation

    try:
        return Augmentation(scale=scale, ratio=ratio, flip=flip)
    except ValidationError as error:
        raise click.UsageError(said(error)) from error
