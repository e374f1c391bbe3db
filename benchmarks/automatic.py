"""Does choosing by itself ever make an answer worse, and when does it make one better?

    python benchmarks/automatic.py --data ../shared/data --task segmentation --episodes 24 --seed 0
    python benchmarks/automatic.py --study shape+color --examples 12 --episodes 6

Each episode has so many examples of a class and a query. By leaving one out of the examples alone
engine and views are chosen (`--auto`), and the query is answered by what was chosen and by the
default; both are scored as the task is. With `--study` episodes are of the paper's synthetic study,
whose tasks are of pictures. The difference is paired, its interval a bootstrap's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from measuring import compared
from vicl.evaluation.datasets import manifest
from vicl.evaluation.datasets.generated.shapes import CHANGES, ShapesStudy
from vicl.evaluation.episodes import Case, Dataset, DatasetError
from vicl.files import write_atomic
from vicl.files.progress import progress
from vicl.prompt import Example
from vicl.prompting.prompter import VisualPrompter
from vicl.tasks import get_task


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sources", nargs="*", help="of the data; by default all")
    parser.add_argument("--study", choices=CHANGES, help="this task instead of data")
    parser.add_argument("--task", default="segmentation", choices=("segmentation", "edges"))
    parser.add_argument("--episodes", type=int, default=24)
    parser.add_argument("--examples", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each choice")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="keep each episode's figures; goes on with them")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    try:
        dataset: Dataset
        if given.study is not None:
            dataset, given.task = ShapesStudy(given.study), ShapesStudy.task
        else:
            dataset = manifest(given.data, given.task, sources=given.sources)
            dataset = dataset.for_examples(given.examples)
        episodes = dataset.episodes(given.episodes, seed=given.seed, examples=given.examples)
        rows = (
            []
            if given.json is None or not given.json.exists()
            else json.loads(given.json.read_text())
        )
        with progress("episodes", total=len(episodes) - len(rows)) as advance:
            for episode in episodes[len(rows) :]:
                row = _measured(dataset.load(episode), given.task, given.seconds)
                rows.append({"class": episode.class_name, **row})
                if given.json is not None:
                    write_atomic(given.json, (json.dumps(rows, indent=1) + "\n").encode())
                advance()
    except DatasetError as error:
        print(f"automatic.py: {error}", file=sys.stderr)
        return 2
    found = {name: [row[name] for row in rows] for name in ("default", "by itself")}
    metric = get_task(given.task).metric
    title = f"{metric}, {given.task}, {given.examples} examples, seed {given.seed}"
    Console().print(compared(title, found, "default"))
    taken = Counter(row["taken"] for row in rows)
    print("taken:", ", ".join(f"{name} ({count})" for name, count in taken.most_common()))
    print(f"seconds a choice: {np.median([row['seconds'] for row in rows]):.0f} (median)")
    return 0


def _measured(case: Case, task: str, seconds: float) -> dict[str, Any]:
    shown = case.prompt.examples
    truth = Example(case.prompt.query, case.truth.image)
    default = VisualPrompter(None, shown, task)
    begun = time.monotonic()
    chosen = VisualPrompter(None, shown, task, auto=seconds)
    spent = time.monotonic() - begun
    assert chosen.choice is not None
    first, trials = default.score(shown, truth), chosen.choice.trials
    same = chosen.choice.chosen is trials[0]
    return {
        "default": first,
        "by itself": first if same else chosen.score(shown, truth),
        "taken": chosen.choice.chosen.name,
        "seconds": spent,
        "trials": [str(trial) for trial in trials],
    }


if __name__ == "__main__":
    sys.exit(main())
