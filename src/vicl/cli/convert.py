"""`vicl convert`: a published checkpoint becomes a model folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import PATH, examples, flag, options, path, text
from vicl.files import display
from vicl.files.plain_json import parse_json


@click.command(
    epilog=examples(
        "vicl convert checkpoint-3400.pth models/paper --vqgan last.ckpt --licence unknown",
        "vicl convert last.ckpt models/vqgan --vqgan-config model.yaml",
        "vicl predict cat.jpg --example dog.jpg dog_mask.png --model models/paper -o answer.png",
    )
)
@click.argument("source", type=PATH)
@click.argument("out", type=PATH)
@options(
    path("--vqgan", "last.ckpt", "The VQGAN's own file, where SOURCE does not hold it."),
    path(
        "--vqgan-config",
        "model.yaml",
        "The VQGAN's configuration, to be checked against its weights.",
    ),
    text(
        "--heads",
        "ENCODER DECODER",
        "Attention heads, for widths that no published model has.",
        nargs=2,
        type=click.IntRange(1, 1024),
    ),
    text("--licence", "TEXT", "Of the weights, for the model card.", default="unknown"),
    flag("--overwrite", "Replace a model folder that is there."),
)
@failing(1)
def convert(source: Path, out: Path, **given: Any) -> None:
    """Turn a published MAE-VQGAN checkpoint SOURCE (.pth) into the model folder OUT.

    SOURCE may also be a VQGAN alone (last.ckpt): its folder is the tokenizer of training recipes.

    Nothing in the files is executed. The weights must fit the architecture exactly; if they do
    not, every difference is listed.
    """
    from vicl.published.convert import convert as convert_checkpoint
    from vicl.storage.folder import KeysError

    try:
        folder = convert_checkpoint(source, out, **given)
    except KeysError as error:
        click.echo(f"error: {error.report()}", err=True)
        sys.exit(1)
    click.echo(display(folder))
    tokenizer = parse_json((folder / "config.json").read_text())["model"] == "vqgan"
    use = "train RECIPE --set model.tokenizer=" if tokenizer else "predict --model "
    click.echo(f"use it: vicl {use}{display(folder)} ...", err=True)
