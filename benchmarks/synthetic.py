"""How many synthetic figures a second, and would a training step wait for them?

    python benchmarks/synthetic.py --processes 1 2 --step-rate 50

Measured are clean grids of each rule and of the mixture, pages, and both as they are shipped, in
one process; and the shipped mixture in several processes at once, each on its own part of the
numbers as the workers of a data loader are.  The reference path is the same figure drawn and, as an
archive of figures would have it, encoded as a JPEG file and decoded again: what reading figures
from the disk costs at least is the decoding alone.

The share of time that a step would wait is 1 - figures/s / images/s of the step (--step-rate; see
benchmarks/training.py), or 0 where figures come faster.  Every rate is a median of --rounds rounds,
of --seconds each; rules take a third of that.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from vicl.figures.shards import encode
from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.figures.synthetic.rules import HELD_OUT_RULES, RULES
from vicl.files.machine import processor

_WARM = 30


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--step-rate", type=float, default=50.0, help="images/s of a training step")
    parser.add_argument("--no-rules", action="store_true", help="leave single rules out")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=max(Console().width, 100))
    rates: dict[str, float] = {}
    for name, measure in ways(given):
        console.print(f"measuring {name}", style="dim")
        rates[name] = statistics.median(measure() for _ in range(given.rounds))
    console.print(
        table(rates, given.step_rate, f"{given.size} px, {processor(torch.device('cpu'))}")
    )
    rules: dict[str, float] = {}
    if not given.no_rules:
        for name in RULES:
            rules[name] = rule_rate(given, name)
        console.print(rule_table(rules))
    if given.out:
        found = {"processor": processor(torch.device("cpu")), "rates": rates, "rules": rules}
        given.out.write_text(json.dumps(found, indent=1))
    return 0


def ways(given: argparse.Namespace) -> list[tuple[str, Callable[[], float]]]:
    """What is measured, by name."""
    size, seconds = given.size, given.seconds
    found: list[tuple[str, Callable[[], float]]] = [
        ("drawn, then JPEG and back", lambda: stored_rate(SyntheticFigures(size=size), seconds)),
        ("decoding JPEG alone", lambda: decoding_rate(SyntheticFigures(size=size), seconds)),
        ("grids", lambda: rate(SyntheticFigures(size=size, clean=1.0), 0, seconds)),
        ("pages", lambda: rate(SyntheticFigures(size=size, clean=0.0), 0, seconds)),
    ]
    for count in given.processes:
        name = f"shipped mixture, {count} process{'es' if count > 1 else ''}"
        found.append((name, partial(shared_rate, size, count, seconds)))
    return found


def rate(source: SyntheticFigures, first: int, seconds: float, step: int = 1) -> float:
    """Figures a second, from number `first` on, after a few to warm up."""
    for index in range(_WARM):
        source.figure(first + index * step)
    return timed(lambda index: source.figure(first + (_WARM + index) * step), seconds)


def timed(make: Callable[[int], object], seconds: float) -> float:
    """How often a second something can be made."""
    begun, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < seconds:
        make(count)
        count += 1
    return count / spent


def stored_rate(source: SyntheticFigures, seconds: float) -> float:
    """Figures a second that are drawn, stored and read again, in memory."""
    return timed(lambda index: decoded(encode(source.figure(index), "jpg")), seconds)


def decoding_rate(source: SyntheticFigures, seconds: float) -> float:
    """Figures a second that are read."""
    files = [encode(source.figure(index), "jpg") for index in range(64)]
    return timed(lambda index: decoded(files[index % len(files)]), seconds)


def decoded(data: bytes) -> Image.Image:
    """A picture out of a file."""
    return Image.open(io.BytesIO(data)).convert("RGB")


def shared_rate(size: int, processes: int, seconds: float) -> float:
    """Figures a second of several processes together, each with its part of the numbers."""
    source = SyntheticFigures(size=size)
    if processes == 1:
        return rate(source, 0, seconds)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        # The processes are started, and have their imports behind them, before any is timed.
        list(pool.map(rate, [source] * processes, range(processes), [0.1] * processes))
        parts = [pool.submit(rate, source, index, seconds, processes) for index in range(processes)]
        return sum(part.result() for part in parts)


def rule_rate(given: argparse.Namespace, name: str) -> float:
    """Clean 2x2 grids of one rule a second."""
    source = SyntheticFigures(size=given.size)
    source.grid(name, 0)
    return timed(lambda index: source.grid(name, index + 1), given.seconds / 3)


def table(rates: dict[str, float], step: float, title: str) -> Table:
    """Rates, and how long a step waits."""
    drawn = Table(title=f"synthetic figures, {title}")
    for name in ("path", "figures/s", "x", f"a step of {step:g} images/s waits"):
        drawn.add_column(name, justify="left" if name == "path" else "right")
    reference = next(iter(rates.values()))
    for name, found in rates.items():
        wait = max(0.0, 1 - found / step)
        drawn.add_row(name, f"{found:.0f}", f"{found / reference:.2f}", f"{wait:.0%}")
    return drawn


def rule_table(rates: dict[str, float]) -> Table:
    """Rates of single rules, slowest first."""
    drawn = Table(title="2x2 grids of one rule, one process")
    for name in ("rule", "group", "figures/s", "held out"):
        drawn.add_column(name, justify="right" if name == "figures/s" else "left")
    for name, found in sorted(rates.items(), key=lambda item: item[1]):
        held = "yes" if name in HELD_OUT_RULES else ""
        drawn.add_row(name, RULES[name].group, f"{found:.0f}", held)
    return drawn


if __name__ == "__main__":
    sys.exit(main())
