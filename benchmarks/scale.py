"""What an image costs where many are answered: seconds of a core and memory, one process and two.

    python benchmarks/scale.py

Seconds are those that the processes were busy (not the clock's: others may use the machine); what
the examples take to learn is apart. Memory is each process's share (PSS: what several processes map
is divided among them), with Linux only. The ratio is what an image costs with two processes to what
it costs with one, in turn, and its least and largest value over the rounds: above 1 is what two
processes take from one another. The gain is by the clock: how many times as fast two are; it says
something only on a machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

import vicl
from vicl.files.packaged import PHOTOS
from vicl.scale.pool import Pool

QUERY, EXAMPLE, MASK = "dandelion_1.jpg", "dandelion_2.jpg", "dandelion_2_mask.png"
ASKED = (("matching", "segmentation"), ("analogies", "image"))


def main(arguments: list[str] | None = None) -> int:
    """Measure both engines at both sizes; 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=2, help="a round and process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.2, 12])
    parser.add_argument("--engine", choices=[engine for engine, _ in ASKED], help="this one alone")
    given = parser.parse_args(arguments)
    table = Table(title="An image, of many")
    for heading in (
        *("engine", "task", "pixels", "learning, s", "s of a core, 1 process", "2 processes"),
        *("ratio [least, largest]", "gain by the clock", "MiB a process, of 1", "of 2"),
    ):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in given.megapixels:
            query, size = _enlarged(Path(folder), megapixels)
            for engine, task in ASKED:
                if given.engine not in (None, engine):
                    continue
                row = _measured(engine, task, query, given.queries, given.rounds)
                table.add_row(engine, task, size, *row)
                Console(width=160).print(engine, task, size, *row)
    Console(width=160).print(table)
    return 0


def _measured(engine: str, task: str, query: Path, queries: int, rounds: int) -> list[str]:
    output = MASK if task == "segmentation" else EXAMPLE
    prompter = vicl.VisualPrompter(engine, [(PHOTOS / EXAMPLE, PHOTOS / output)], task)
    costs: dict[int, list[float]] = {}
    clock: dict[int, list[float]] = {}
    shares: dict[int, float] = {}
    learning = 0.0
    with Pool(prompter, 1) as one, Pool(prompter, 2) as two:
        pools = {1: one, 2: two}
        for count, pool in pools.items():
            # Every process learns once, and answers once.
            first = [_cost(pool, [query] * count) for _ in range(2)]
            learning = max(learning, (first[0] - first[1]) / count)
        for _ in range(rounds):
            for count, pool in pools.items():
                begun = time.monotonic()
                cost = _cost(pool, [query] * (queries * count)) / (queries * count)
                costs.setdefault(count, []).append(cost)
                clock.setdefault(count, []).append((time.monotonic() - begun) / (queries * count))
        shares = {n: statistics.mean(map(_share, pool.pids)) for n, pool in pools.items()}
    ratios = [after / before for before, after in zip(costs[1], costs[2], strict=True)]
    gains = [one / two for one, two in zip(clock[1], clock[2], strict=True)]
    shown = [f"{statistics.mean(of):.2f} [{min(of):.2f}, {max(of):.2f}]" for of in (ratios, gains)]
    seconds = [f"{statistics.mean(costs[count]):.2f}" for count in (1, 2)]
    return [f"{learning:.1f}", *seconds, *shown, *(f"{shares[count]:.0f}" for count in (1, 2))]


def _cost(pool: Pool, queries: list[Path]) -> float:
    """Seconds that a pool's processes are busy with queries."""

    def fail(query: object, error: Exception) -> None:
        raise error

    before = _busy(pool)
    for _ in pool.map(queries, fail):
        pass
    return _busy(pool) - before


def _busy(pool: Pool) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pool.pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def _share(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text().split()
    return int(text[text.index("Pss:") + 1]) / 1024


def _enlarged(folder: Path, megapixels: float) -> tuple[Path, str]:
    with Image.open(PHOTOS / QUERY) as photo:
        scale = (megapixels * 1e6 / (photo.width * photo.height)) ** 0.5
        size = round(photo.width * scale), round(photo.height * scale)
        path = folder / f"{megapixels:g}.jpg"
        photo.resize(size).save(path, quality=90)
    return path, f"{size[0]} x {size[1]}"


if __name__ == "__main__":
    raise SystemExit(main())
