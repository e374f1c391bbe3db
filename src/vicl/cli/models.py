"""`vicl models`: the engines and when to use which."""

from __future__ import annotations

import json
from typing import Any

import click

from vicl.cli.options import examples
from vicl.loading import BEST_FOR_TASK
from vicl.models.registry import ENGINES


@click.command(epilog=examples("vicl models", "vicl models --json | head -n 1"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def models(as_json: bool) -> None:
    """List engines and when to use which; published models, segmenters, encoders; others'."""
    from vicl.adapters.registry import ADAPTERS
    from vicl.encoders.registry import ENCODERS
    from vicl.files import hash_file
    from vicl.generators.registry import GENERATORS
    from vicl.published.download import downloaded, published
    from vicl.segmenters.registry import SEGMENTERS

    for engine in ENGINES:
        tasks = [task for task, name in BEST_FOR_TASK.items() if name == engine.name]
        row: dict[str, Any] = {"name": engine.name, "kind": "engine", "tasks": tasks}
        row |= {"weights": engine.weights, "use": engine.use}
        lines = [engine.name, engine.use, f"weights: {engine.weights}"]
        lines += [f"chosen for: {', '.join(tasks)}"] if tasks else []
        _tell(row if as_json else lines)
    for model in published().values():
        folder = downloaded(model.name)
        weights = None if folder is None else hash_file(folder / "model.safetensors")
        row = {
            "name": model.name,
            "kind": "published",
            "tasks": [],
            "weights": None if folder is None else str(folder),
            "weights_hash": weights,
            "licence": model.licence.name,
            "use": model.title,
        }
        here = f"{folder}, sha256 {weights}" if folder else f"not here; vicl download {model.name}"
        lines = [model.name, model.title, f"licence: {model.licence.name}", f"weights: {here}"]
        _tell(row if as_json else lines)
    taken = {row.name: sorted(row.accepts) for row in SEGMENTERS}
    taken |= {row.name: sorted(row.accepts) for row in GENERATORS}
    for segmenter in SEGMENTERS:
        if segmenter.folder is None:
            continue  # another's: below
        takes = taken[segmenter.name]
        row = {"name": segmenter.name, "kind": "segmenter", "tasks": [], "takes": takes}
        lines = [segmenter.name, f"segmenter: {segmenter.use}", f"takes: {', '.join(takes)}"]
        _tell(row | {"use": segmenter.use} if as_json else lines)
    for encoder in ENCODERS:
        state = "none" if encoder.weights is None else encoder.weights.state()
        row = {"name": encoder.name, "kind": "encoder", "tasks": [], "weights": state}
        lines = [encoder.name, f"encoder: {encoder.use}", f"weights: {state}"]
        _tell(row | {"use": encoder.use} if as_json else lines)
    for adapter in ADAPTERS:
        takes = taken.get(adapter.name, [])
        row = {"name": adapter.name, "kind": adapter.role, "tasks": [], "takes": takes}
        row |= {"needs": adapter.extra, "example": adapter.example, "use": adapter.use}
        lines = [adapter.name, f"another's {adapter.role}: {adapter.use}"]
        lines += [f"takes: {', '.join(takes)}"] if takes else []
        lines += [f'needs: pip install "vicl[{adapter.extra},hub]", and weights of yours']
        lines += [f"load it: {adapter.call}"]
        _tell(row if as_json else lines)


def _tell(said: dict[str, Any] | list[str]) -> None:
    click.echo(json.dumps(said) if isinstance(said, dict) else "\n    ".join(said))
