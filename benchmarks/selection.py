"""How quickly is an example found among 100,000?

    python benchmarks/selection.py --rows 100000 --threads 2

An index of random unit vectors that is mapped from its file is searched, a query at a time, as
`vicl predict --pool` does; the reference path sorts NumPy's cosines. The encoding of the query is
not counted. What examples that are alike are worth: pools.py.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vicl.files.machine import processor
from vicl.loading import load_encoder
from vicl.selection.index import Index
from vicl.selection.pool import Entry, Pool
from vicl.selection.selectors import Nearest

CHANNELS = 1280
"""Of EfficientNet-Lite."""


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    Console().print(_search(given.rows, given.channels, given.queries))
    return 0


class _Drawn(Index):
    """An index whose queries are vectors, drawn one after another."""

    def encode(self, query: object) -> Tensor:
        return torch.nn.functional.normalize(
            torch.randn(self.features.shape[1], generator=_GENERATOR), dim=0
        )


_GENERATOR = torch.Generator().manual_seed(0)


def _search(rows: int, channels: int, queries: int) -> Table:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        drawn = torch.randn(rows, channels, generator=_GENERATOR)
        np.save(file, torch.nn.functional.normalize(drawn, dim=1).numpy())
        del drawn
        features = torch.from_numpy(np.load(file, mmap_mode="c"))
        pool = Pool("random", tuple(Entry(f"{row}.png", f"{row}-mask.png") for row in range(rows)))
        index, plain = _Drawn(pool, features, load_encoder("handmade")), features.numpy()

        def nearest() -> None:
            next(iter(Nearest(index, 3).ranked("query")))

        def reference() -> None:
            np.argsort(-(plain @ index.encode("query").numpy()), kind="stable")[:3].tolist()

        seconds = {"mapped, exact": _seconds(nearest, queries)}
        seconds["NumPy, all sorted"] = _seconds(reference, queries)
    base = float(np.median(seconds["NumPy, all sorted"]))
    table = Table(title=f"{rows:,} x {channels}: ms a query; {processor(torch.device('cpu'))}")
    for heading in ("", "median", "least", "most", "of the reference"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, runs in seconds.items():
        shown = (float(np.median(runs)), min(runs), max(runs))
        told = f"{shown[0] / base:.2f}"
        table.add_row(name, *(f"{1000 * value:.1f}" for value in shown), told)
    return table


def _seconds(run: Callable[[], None], times: int) -> list[float]:
    run()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return found


if __name__ == "__main__":
    sys.exit(main())
