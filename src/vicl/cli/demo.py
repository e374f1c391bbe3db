"""`vicl demo`: the main job on photographs that come with the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vicl.cli.failing import failing
from vicl.cli.options import SEED, examples, options, path
from vicl.files import display
from vicl.files.packaged import PHOTOS

if TYPE_CHECKING:
    from torch import Tensor

ENGINES = ("matching", "analogies", "default", "copy", "identity")


@click.command(
    epilog=examples("vicl demo", "vicl demo -o sheet.png --seed 1"),
)
@options(path("-o --output", None, "The contact sheet.", default=Path("vicl-demo.png")), SEED)
@failing(1)
def demo(output: Path, seed: int) -> None:
    """Segmentation, edges, colorization and a negative, each beside the floors.

    Every row shows an example, a query, its truth, and what each engine answers. The scores are of
    these few hand-picked pictures and prove nothing: see the README for measured figures.
    """
    from vicl.exports.sheets import contact_sheet
    from vicl.images import save_image

    rows: list[list[Tensor | None]] = []
    captions: list[list[str | None]] = []
    labels = []
    for entry in json.loads((PHOTOS / "demo.json").read_text()):
        for query, truth in zip(entry["queries"], entry["truths"], strict=True):
            pictures, notes = _row(entry, query, truth, seed)
            rows.append(pictures)
            captions.append(notes)
            labels.append(f"{entry['task']}\n{entry['title']}")
            named = zip(ENGINES, notes[4:], strict=True)
            scores = "  ".join(f"{engine}: {note or '-'}" for engine, note in named)
            click.echo(f"{entry['task']:<13} {query:<16} {scores}")
    headers = ("example", "its output", "query", "truth", *ENGINES)
    sheet = contact_sheet(rows, headers=headers, labels=labels, captions=captions)
    save_image(sheet, output)
    click.echo(f"contact sheet: {display(output)}")


def _row(
    entry: dict[str, Any], query: str, truth: str | None, seed: int
) -> tuple[list[Tensor | None], list[str | None]]:
    """Pictures and captions of one query."""
    from vicl.images import to_tensor
    from vicl.prompt import Example
    from vicl.prompting.prompter import VisualPrompter
    from vicl.tasks import get_task

    task = get_task(entry["task"])
    example = tuple(PHOTOS / name for name in entry["example"])
    drawn = task.draw(Example(*example))[0]
    shown = task.draw_query(to_tensor(PHOTOS / query))
    wanted = None if truth is None else task.draw(Example(PHOTOS / query, PHOTOS / truth))[0].output
    pictures: list[Tensor | None] = [to_tensor(drawn.input), to_tensor(drawn.output), shown, wanted]
    notes: list[str | None] = [None] * 4
    for engine in ENGINES:
        prompter = VisualPrompter(engine, [example], task, seed=seed)
        answer = to_tensor(prompter.predict(PHOTOS / query).image)
        pictures.append(answer)
        score = None if wanted is None else task.score([answer], [wanted])
        notes.append(None if score is None else f"{task.metric} {score:.2f}")
    return pictures, notes
