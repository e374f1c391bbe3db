"""`vicl models`: the engines and when to use which."""

from __future__ import annotations

import json

import click

from vicl.models import BEST_FOR_TASK, DEFAULT, ENGINES


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def models(as_json: bool) -> None:
    """List the engines, their weights and when to use which."""
    for engine in ENGINES:
        tasks = [task for task, name in BEST_FOR_TASK.items() if name == engine.name]
        if as_json:
            row = {
                "name": engine.name,
                "default": engine.name == DEFAULT,
                "tasks": tasks,
                "weights": engine.weights,
                "use": engine.use,
            }
            click.echo(json.dumps(row))
            continue
        mark = " (default)" if engine.name == DEFAULT else ""
        click.echo(f"{engine.name}{mark}\n    {engine.use}\n    weights: {engine.weights}")
        if tasks:
            click.echo(f"    chosen for: {', '.join(tasks)}")
