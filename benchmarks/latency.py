"""How long does an answer take? Seconds per query on the bundled photographs, 380 to 512 px.

    python benchmarks/latency.py

The first query with new examples pays for learning from them; the next ones do not. `copy`, the
floor, is the reference path: the same reading, drawing and resizing without an engine's work.
"""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.table import Table

from vicl.files.packaged import PHOTOS
from vicl.prompting.prompter import VisualPrompter

CASES = (
    ("segmentation", "meadow_1.jpg", "meadow_1_mask.png"),
    ("edges", "bowl.jpg", "bowl_edges.png"),
    ("colorization", "bowl.jpg", "bowl.jpg"),
    ("image", "brushes.jpg", "brushes_negative.jpg"),
)
QUERIES = ("coffee.jpg", "meadow_2.jpg", "cat.jpg", "coffee.jpg")


def main() -> int:
    """Time every case; 0."""
    table = Table(title="Seconds per query")
    for heading in ("task", "engine", "first", "next (mean of 3)"):
        table.add_column(heading)
    VisualPrompter("analogies", [(PHOTOS / "cat.jpg", PHOTOS / "cat.jpg")]).predict(
        PHOTOS / "cat.jpg"
    )  # imports and threads are warm from here on
    for task, shown, output in CASES:
        for engine in ("copy", "analogies"):
            prompter = VisualPrompter(engine, [(PHOTOS / shown, PHOTOS / output)], task)
            marks = [time.perf_counter()]
            for query in QUERIES:
                prompter.predict(PHOTOS / query)
                marks.append(time.perf_counter())
            later = (marks[-1] - marks[1]) / (len(QUERIES) - 1)
            table.add_row(task, engine, f"{marks[1] - marks[0]:.2f}", f"{later:.2f}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
