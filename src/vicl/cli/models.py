"""`vicl models`: the engines and when to use which."""

from __future__ import annotations

import json
from typing import Any

import click

from vicl.loading import BEST_FOR_TASK
from vicl.models.registry import ENGINES


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def models(as_json: bool) -> None:
    """List the engines, their weights and when to use which; then the published models."""
    _engines(as_json)
    _published(as_json)


def _engines(as_json: bool) -> None:
    for engine in ENGINES:
        tasks = [task for task, name in BEST_FOR_TASK.items() if name == engine.name]
        if as_json:
            row = {
                "name": engine.name,
                "tasks": tasks,
                "weights": engine.weights,
                "use": engine.use,
            }
            click.echo(json.dumps(row))
            continue
        click.echo(f"{engine.name}\n    {engine.use}\n    weights: {engine.weights}")
        if tasks:
            click.echo(f"    chosen for: {', '.join(tasks)}")


def _published(as_json: bool) -> None:
    """Models that `vicl download` gets, with the hash of those that are here."""
    from vicl.files import hash_file
    from vicl.published.download import downloaded, published

    for model in published().values():
        folder = downloaded(model.name)
        weights = None if folder is None else hash_file(folder / "model.safetensors")
        if as_json:
            row: dict[str, Any] = {
                "name": model.name,
                "tasks": [],
                "weights": None if folder is None else str(folder),
                "weights_hash": weights,
                "licence": model.licence.name,
                "use": model.title,
            }
            click.echo(json.dumps(row))
            continue
        click.echo(f"{model.name}\n    {model.title}\n    licence: {model.licence.name}")
        if folder is None:
            click.echo(f"    weights: not here; vicl download {model.name}")
        else:
            click.echo(f"    weights: {folder}, sha256 {weights}")
