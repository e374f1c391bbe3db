"""What do a learned border and task vectors give on tasks that the default engine can do?

    python benchmarks/learned_in_study.py --output out/study [--queries 50]

Of each of the paper's six synthetic tasks (a shape changes its colour, form or size) `--pairs` are
drawn by one seed to learn from: `vicl tune border` and `vicl tune vectors`, by the settings of
`--border` and `--vectors`. `--queries` of another seed are answered by one example with the border
and without it; without an example, with the vectors and with nothing in their place; and by Copy.
It prints the colour-aware IoU of the study's cells with bootstrap 95% intervals, paired differences
to one example and to none, answers a second of one thread's own time, and draws a sheet. What was
learned stays in the folder, and is not learned anew when the command is started again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vicl.engine import drawn
from vicl.evaluation.datasets.generated.shapes import CHANGES, ShapesStudy
from vicl.evaluation.episodes import Case
from vicl.evaluation.scoring.shapes import CELL, shape_ious
from vicl.exports.answers import Answer
from vicl.exports.sheets import contact_sheet
from vicl.images import resize, save_image, to_pil, to_tensor
from vicl.loading import load_model
from vicl.metrics import bootstrap_interval, paired_interval
from vicl.prompting.prompter import VisualPrompter
from vicl.prompting.task_vectors import VECTORS, TaskVectors, as_vectors
from vicl.tuning.border_run import tune_border
from vicl.tuning.vectors_run import tune_vectors

LEARNED_SEED, ASKED_SEED = 1, 0
"""Of the pairs that are learned from, and of the episodes."""

BASE, NOTHING = "one example", "no example"
_ROWS = 2
"""Queries of a task that the sheet shows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Learn, ask, print, and draw the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=CHANGES, default=CHANGES)
    parser.add_argument("--pairs", type=int, default=64, help="of a task, to learn from")
    parser.add_argument("--queries", type=int, default=50, help="of a task")
    parser.add_argument("--model", default="default")
    parser.add_argument("--border", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--vectors", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    scores: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    rows: list[list[Tensor]] = []
    for task in given.tasks:
        _learn(task, given)
        study = ShapesStudy(task)
        cases = [
            study.load(one) for one in study.episodes(given.queries, seed=ASKED_SEED, examples=1)
        ]
        pages = []
        for name, prompter in _prompters(given.output / task, given.model).items():
            begun = time.process_time()
            answers = [to_tensor(one.image) for one in _asked(prompter, cases)]
            seconds[name] = seconds.get(name, 0) + time.process_time() - begun
            found = [_score(case, one) for case, one in zip(cases, answers, strict=True)]
            scores[name] = scores.get(name, []) + found
            pages.append(answers[:_ROWS])
        for case, *answered in zip(cases[:_ROWS], *pages, strict=True):
            shown = [*drawn(case.prompt.examples[0]), to_tensor(case.prompt.query)]
            rows.append([*shown, *answered, to_tensor(case.truth.image)])
    Console(width=120).print(_table(given, scores, seconds))
    headers = ("example", "its output", "query", *scores, "truth")
    sheet = contact_sheet(
        rows, headers=headers, labels=[t for t in given.tasks for _ in range(_ROWS)]
    )
    save_image(sheet, given.output / "answers.png")
    return 0


def _learn(task: str, given: argparse.Namespace) -> None:
    """Draw the pairs of a task, and learn a border and vectors from them, unless that is done."""
    place = given.output / task
    study = ShapesStudy(task)
    if not (place / "pairs/targets").exists():
        for number, one in enumerate(study.episodes(given.pairs, seed=LEARNED_SEED, examples=1)):
            case = study.load(one)
            save_image(to_pil(to_tensor(case.prompt.query)), place / f"pairs/images/{number}.png")
            save_image(to_pil(to_tensor(case.truth.image)), place / f"pairs/targets/{number}.png")
    learn: dict[str, tuple[Callable[..., Any], list[str]]] = {
        "border": (tune_border, given.border),
        "vectors": (tune_vectors, given.vectors),
    }
    for name, (tune, settings) in learn.items():
        run = place / name
        if (run / "prompt.vicl").exists():
            continue
        found = tune(
            run,
            model=given.model,
            data=place / "pairs",
            overrides=settings,
            seed=0,
            device="cpu",
            resume=run.exists(),
        )
        (run / "seconds.json").write_text(json.dumps(found.seconds))
        Console().print(f"{task}: {name} learned in {found.seconds:.0f} s; losses {found.losses}")


def _prompters(place: Path, name: str) -> dict[str, VisualPrompter]:
    model = load_model(name, device="cpu")
    vectors = as_vectors(place / "vectors" / VECTORS)
    assert vectors is not None
    none = tuple(torch.zeros_like(one) for one in vectors.chosen)
    nothing = TaskVectors(vectors.slices, (none[0], none[1]), vectors.told)
    return {
        BASE: VisualPrompter(model, spins=1),
        "one example, border": VisualPrompter(model, border=place / "border", spins=1),
        "no example, task vectors": VisualPrompter(model, vectors=vectors),
        NOTHING: VisualPrompter(model, vectors=nothing),
        "Copy": VisualPrompter("copy"),
    }


def _asked(prompter: VisualPrompter, cases: Sequence[Case]) -> Iterable[Answer]:
    if isinstance(prompter.learned, TaskVectors):
        return prompter.map([case.prompt.query for case in cases], on_error="raise")
    return prompter.map_prompts([case.prompt for case in cases], on_error="raise")


def _score(case: Case, answer: Tensor) -> float:
    cells = [
        resize(image, (CELL, CELL), filter="bilinear").numpy()
        for image in (answer, to_tensor(case.truth.image))
    ]
    return shape_ious(cells[0], cells[1], case.truth.name)[0]


def _table(
    given: argparse.Namespace, scores: dict[str, list[float]], seconds: dict[str, float]
) -> Table:
    table = Table(title=f"Colour-aware IoU, {given.queries} queries of each task")
    bases = (BASE, NOTHING)
    for heading in (
        "",
        "all",
        *(f"less {one}, paired" for one in bases),
        "answers/s",
        *given.tasks,
    ):
        table.add_column(heading)
    for name, values in scores.items():
        parts = [values[at : at + given.queries] for at in range(0, len(values), given.queries)]
        table.add_row(
            name,
            str(bootstrap_interval(values)),
            *("" if name == one else str(paired_interval(values, scores[one])) for one in bases),
            f"{len(values) / seconds[name]:.2f}",
            *(f"{sum(part) / len(part):.3f}" for part in parts),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
