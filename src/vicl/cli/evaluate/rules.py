"""`vicl evaluate rules`: what models make of synthetic rules, seen and held out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from vicl.cli.evaluate.kinds import kind_command
from vicl.cli.evaluate.options import CELL_SIZE, PARTS

if TYPE_CHECKING:
    from vicl.cli.evaluate.options import Options
    from vicl.evaluation.scoring.results import Results


def _write_table(options: Options, runs: Sequence[Results]) -> None:
    """Write what was found of each rule; the sets have been printed and written already."""
    from vicl.evaluation.reporting.rule_table import to_json, to_markdown
    from vicl.files import write_atomic

    if options.output is None or not runs:
        return
    table = options.output / "rules.md"
    write_atomic(table, to_markdown(runs).encode())
    found = json.dumps(to_json(runs), indent=1, ensure_ascii=False) + "\n"
    write_atomic(options.output / "rules.json", found.encode())
    click.echo(f"rule by rule: {table}", err=True)


rules = kind_command(
    "rules",
    "Synthetic rules, seen and held out",
    "seen rules on new content, rules that training never shows, and seen rules on content that "
    "training never shows; each set in a folder of its own in DIR, and all rules in DIR/rules.md. "
    "The paper's six tasks are in `vicl evaluate shapes`.",
    PARTS,
    CELL_SIZE,
    then=_write_table,
)
