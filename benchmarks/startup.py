"""How long does a command take that does next to nothing? Whole processes, in seconds.

    python benchmarks/startup.py --runs 5

`import torch` alone is the reference path: `minus torch` is what vicl and its other packages add.
Processes take turns, so that a busy moment falls on all of them; the least of the runs is shown
beside the median, since other work can only add.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vicl.files.packaged import PHOTOS

REFERENCE = "import torch"


def main(arguments: list[str] | None = None) -> int:
    """Time every command; 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each command")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        commands = _commands(Path(folder) / "answer.png")
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(given.runs):
            for name, command in commands.items():
                seconds[name].append(_seconds(command))
    table = Table(title="Seconds a process")
    for heading in ("", "least", "median", "minus torch", "over torch"):
        table.add_column(heading, justify="right" if heading else "left")
    torch = min(seconds[REFERENCE])
    for name, runs in seconds.items():
        least = min(runs)
        found = (least, statistics.median(runs), least - torch, least / torch)
        table.add_row(name, *(f"{value:.2f}" for value in found))
    Console().print(table)
    return 0


def _commands(out: Path) -> dict[str, list[str]]:
    def predicting(query: str, example: str, output: str, task: str) -> list[str]:
        shown = ["--example", str(PHOTOS / example), str(PHOTOS / output), "--task", task]
        ends = ["-o", str(out), "--overwrite"]
        return ["-m", "vicl", "predict", str(PHOTOS / query), *shown, *ends]

    segmented = ("dandelion_1.jpg", "dandelion_2.jpg", "dandelion_2_mask.png")
    return {
        REFERENCE: ["-c", REFERENCE],
        "import vicl": ["-c", "import vicl"],
        "vicl --help": ["-m", "vicl", "--help"],
        "vicl models": ["-m", "vicl", "models"],
        "from vicl import predict": ["-c", "from vicl import predict"],
        "vicl predict, image": predicting(
            "cat.jpg", "brushes.jpg", "brushes_negative.jpg", "image"
        ),
        "vicl predict, segmentation": predicting(*segmented, "segmentation"),
    }


def _seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
