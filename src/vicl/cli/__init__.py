"""The command line: one file per command.  Nothing heavy is imported until a command runs."""

from __future__ import annotations

import os

import click

import vicl
from vicl.cli.commands import Commands

# Blocks of Pillow's usual size stay with the process when a large photograph is done with; so large
# ones go back to the system. Read when Pillow is imported; it changes no picture.
os.environ.setdefault("PILLOW_BLOCK_SIZE", "64m")

# PyTorch's threads wait for one another some thousand times an answer. By default they spin
# meanwhile, and where other programs keep a core busy they spin most of the time: an answer of 2.5
# processor seconds then takes 5 to 20. Read when PyTorch is imported; it changes no answer.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _commands() -> tuple[click.Command, ...]:
    """All commands; imported here, where Ctrl-C is heeded already."""
    from vicl.cli.app import app
    from vicl.cli.ask import ask
    from vicl.cli.classify import classify
    from vicl.cli.colorize import colorize
    from vicl.cli.convert import convert
    from vicl.cli.demo import demo
    from vicl.cli.doctor import doctor
    from vicl.cli.download import download
    from vicl.cli.evaluate import evaluate
    from vicl.cli.export import export
    from vicl.cli.figures import figures
    from vicl.cli.generate import generate
    from vicl.cli.index import index
    from vicl.cli.models import models
    from vicl.cli.predict import predict
    from vicl.cli.segment import segment
    from vicl.cli.serve import serve
    from vicl.cli.train import train
    from vicl.cli.tune import tune

    return (
        *(predict, segment, colorize, app, serve, ask, classify, demo, train, tune, evaluate),
        *(index, figures, generate, models, download, convert, export, doctor),
    )


def _show_version(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    """Print version and commit, and end."""
    if not asked or context.resilient_parsing:
        return
    from vicl.files.revision import revision

    commit = revision()
    click.echo(f"vicl {vicl.__version__}" + (f" ({commit})" if commit else ""))
    context.exit()


main = click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show version and commit, and end.",
)(
    Commands(
        "vicl",
        load=_commands,
        help="""Visual in-context learning: show an example pair, give an image, get its answer.

        Results go to standard output, progress and errors to standard error. The exit code is 0,
        or 1 when some inputs failed, 2 for wrong usage, 130 after Ctrl-C, 141 when the reader of
        the output left (as `| head` does).
        """,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "max_content_width": 100,
            "show_default": True,
        },
    )
)
"""`vicl`."""
