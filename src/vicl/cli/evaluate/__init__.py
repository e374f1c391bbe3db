"""`vicl evaluate`: how good models are, on data."""

from __future__ import annotations

import click

from vicl.cli.evaluate.compare import compare
from vicl.cli.evaluate.kinds import KIND_COMMANDS
from vicl.cli.evaluate.paper import paper
from vicl.cli.evaluate.rules import rules
from vicl.cli.evaluate.study import study


@click.group()
def evaluate() -> None:
    """Score models on datasets, beside the floors copy and identity."""


for _command in (*KIND_COMMANDS, rules, paper, study, compare):
    evaluate.add_command(_command)
