"""`vicl models`: the engines and when to use which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import examples
from vicl.files import display
from vicl.files.extras import to_install
from vicl.loading import BEST_FOR_TASK
from vicl.models.registry import ENGINES

_Row = tuple[dict[str, Any], list[str]]


@click.command(
    epilog=examples(
        "vicl models",
        "vicl models --json | head -n 1",
        "vicl models seggpt",
        "# licence and hash of another's model",
        "vicl models hub:BAAI/seggpt-vit-large",
    )
)
@click.argument("name", required=False, metavar="[NAME|FOLDER|hub:ID]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def models(name: str | None, as_json: bool) -> None:
    """List engines and when to use which; published models, segmenters, encoders; others'.

    Of one by its NAME alone; of another's in a FOLDER or on the hub what it is, its licence and the
    hash of its weights. Nothing is loaded.
    """
    with failing(2):
        rows = [(row, lines) for row, lines in _rows() if name in (None, row["name"])]
        if not rows:
            assert name is not None
            rows = [_described(name)]
    for row, lines in rows:
        click.echo(json.dumps(row) if as_json else "\n    ".join(lines))


def _described(source: str) -> _Row:
    """Another's model in a folder or on the hub."""
    from vicl.adapters.opening import describe_source

    if not (source.startswith("hub:") or Path(source).is_dir()):
        raise ValueError(
            f"got {source!r}, expected a name that vicl models lists, a folder, or hub:owner/name"
        )
    said = describe_source(source)
    lines = [display(source), f"holds: {said['holds']}", f"licence: {said['licence']}"]
    lines += [f"weights: sha256 {said['weights_hash'] or 'not here'}"]
    lines += [f"load it: {loader}({source!r})" for loader in said["loaded_by"]] or [
        "vicl has no adapter for it"
    ]
    return {"name": source} | said, lines


def _rows() -> Iterator[_Row]:
    """What there is, as JSON and as lines for people."""
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
        yield row, lines
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
        yield row, lines
    taken = {row.name: sorted(row.accepts) for row in SEGMENTERS}
    taken |= {row.name: sorted(row.accepts) for row in GENERATORS}
    for segmenter in SEGMENTERS:
        if segmenter.folder is None:
            continue  # another's: below
        takes = taken[segmenter.name]
        row = {"name": segmenter.name, "kind": "segmenter", "tasks": [], "takes": takes}
        lines = [segmenter.name, f"segmenter: {segmenter.use}", f"takes: {', '.join(takes)}"]
        yield row | {"use": segmenter.use}, lines
    for encoder in ENCODERS:
        state = "none" if encoder.weights is None else encoder.weights.state()
        row = {"name": encoder.name, "kind": "encoder", "tasks": [], "weights": state}
        lines = [encoder.name, f"encoder: {encoder.use}", f"weights: {state}"]
        yield row | {"use": encoder.use}, lines
    for adapter in ADAPTERS:
        takes = taken.get(adapter.name, [])
        row = {"name": adapter.name, "kind": adapter.role, "tasks": [], "takes": takes}
        row |= {"needs": adapter.extra, "example": adapter.example, "use": adapter.use}
        lines = [adapter.name, f"another's {adapter.role}: {adapter.use}"]
        lines += [f"takes: {', '.join(takes)}"] if takes else []
        lines += [f"needs: {to_install(adapter.extra, 'hub')}, and weights of yours"]
        lines += [f"load it: {adapter.call}"]
        yield row, lines
