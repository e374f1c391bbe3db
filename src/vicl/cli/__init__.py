"""The command line: one file per command.  Nothing heavy is imported until a command runs."""

from __future__ import annotations

import os

import click

import vicl
from vicl.cli.convert import convert
from vicl.cli.demo import demo
from vicl.cli.doctor import doctor
from vicl.cli.download import download
from vicl.cli.evaluate import evaluate
from vicl.cli.figures import figures
from vicl.cli.models import models
from vicl.cli.predict import predict
from vicl.cli.train import train

# Blocks of Pillow's usual size stay with the process when a large photograph is done with; so large
# ones go back to the system. Read when Pillow is imported; it changes no picture.
os.environ.setdefault("PILLOW_BLOCK_SIZE", "64m")


@click.group(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    }
)
@click.version_option(vicl.__version__, prog_name="vicl")
def main() -> None:
    """Visual in-context learning: show an example pair, give an image, get its answer.

    Results go to standard output, progress and errors to standard error. The exit code is 0, or 1
    when some inputs failed, or 2 for wrong usage.
    """


for _command in (predict, demo, train, evaluate, figures, models, download, convert, doctor):
    main.add_command(_command)
