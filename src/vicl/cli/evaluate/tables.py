"""Results as tables on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from vicl.evaluation.reporting.compare import Comparison
    from vicl.evaluation.running.results import Results

_WIDE = 1000
"""Columns of a page that is no terminal: whole lines, whatever reads them."""


def print_table(table: Table) -> None:
    """Print a table to standard output."""
    width = None if sys.stdout.isatty() else _WIDE
    console = Console(width=width, highlight=False)
    with console.capture() as drawn:
        console.print(table, markup=False)
    click.echo(drawn.get(), nl=False)


def results_table(results: Results) -> Table:
    """A row a metric, a column an engine, and last the last engine minus Copy."""
    from vicl.evaluation.running.results import heading, show

    judged = results.engines[-1]
    title = (
        f"{results.measures}: {results.dataset}, {len(results.episodes)} episodes, seed "
        f"{results.seed}; bootstrap 95% intervals"
    )
    table = Table(title=Text(title), title_justify="left")
    table.add_column("")
    names = [engine.name for engine in results.engines]
    for name in (*names, f"{judged.name} - copy"):
        table.add_column(name, justify="right", overflow="fold")
    for metric in results.metrics:
        values = [show(engine.values[metric.name], metric) for engine in results.engines]
        gain = (
            ""
            if judged.minus_copy is None
            else show(judged.minus_copy[metric.name], metric, signed=True)
        )
        table.add_row(heading(metric), *values, gain)
    over_classes = [engine.over_classes for engine in results.engines]
    if any(mean is not None for mean in over_classes):
        metric = results.headline
        values = ["" if mean is None else show(mean, metric) for mean in over_classes]
        table.add_row(f"{heading(metric)}, mean over classes", *values, "")
    table.add_section()
    table.add_row("s per episode", *(f"{engine.seconds:.3f}" for engine in results.engines), "")
    return table


def comparison_table(found: Comparison) -> Table:
    """A row an engine of a run."""
    title = f"{found.dataset}, {found.episodes} common episodes; bootstrap 95% intervals"
    headers, rows = found.rows()
    table = Table(title=Text(title), title_justify="left")
    for index, header in enumerate(headers):
        table.add_column(header, justify="left" if index < 2 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
