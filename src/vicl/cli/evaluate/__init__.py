"""`vicl evaluate`: how good models are, on data."""

from __future__ import annotations

import click

from vicl.cli.evaluate.classification import classification
from vicl.cli.evaluate.commands import COMMANDS
from vicl.cli.evaluate.compare import compare
from vicl.cli.evaluate.paper import paper
from vicl.cli.evaluate.study import study


@click.group()
def evaluate() -> None:
    """Score models on datasets, beside the floors copy and identity."""


for _command in (*COMMANDS, classification, paper, study, compare):
    evaluate.add_command(_command)
