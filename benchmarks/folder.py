"""A folder of photographs with one example, beside an earlier state of this repository.

    python benchmarks/folder.py --before b8b5a16

Each round answers all photographs by `vicl predict FOLDER --workers 2`, with the code of the
earlier commit and with this one, in turn; both start afresh, so that starting and learning are in
it. The photographs are parts of the package's, of 512 px. Told are photographs a second by the
clock (median), how many times as many as before (median, least and largest of the rounds), and the
share of the masks' pixels that are not as before.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from vicl.files.packaged import PHOTOS

ROOT = Path(__file__).parents[1]
EXAMPLE, MASK = PHOTOS / "dandelion_2.jpg", PHOTOS / "dandelion_2_mask.png"
SIDE = 512


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0, or 2 if there is no such commit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", required=True, help="a commit of this repository")
    parser.add_argument("--photographs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["matching", "analogies"])
    parser.add_argument("--dtype", default="auto", help="of this code's answers alone")
    given = parser.parse_args(arguments)
    if given.dtype != "auto" and "analogies" in given.engines:
        parser.error("--dtype: analogies computes in float32; say --engines matching")
    table = Table(title=f"{given.photographs} photographs of {SIDE} px, {given.workers} processes")
    for heading in (
        *("engine", "code", "photographs/s", "times [least, largest]", "other pixels"),
    ):
        table.add_column(heading, justify="right")
    try:
        with tempfile.TemporaryDirectory() as place, _checked_out(given.before) as earlier:
            folder = Path(place)
            write_photographs(folder / "photographs", given.photographs)
            for engine in given.engines:
                for row in _measured(engine, folder, earlier, given):
                    table.add_row(engine, *row)
    except subprocess.CalledProcessError as error:
        print(f"folder.py: {' '.join(error.cmd[:6])} ...: {error.stderr}", file=sys.stderr)
        return 2
    Console(width=120).print(table)
    return 0


def _measured(
    engine: str, folder: Path, earlier: Path, given: argparse.Namespace
) -> Iterator[tuple[str, ...]]:
    now = "now" if given.dtype == "auto" else f"now, {given.dtype}"
    codes = {given.before: earlier, now: ROOT}
    seconds: dict[str, list[float]] = {code: [] for code in codes}
    outs = {code: folder / f"{engine}-{number}" for number, code in enumerate(codes)}
    for number in range(given.rounds):
        for code in list(codes)[:: 1 if number % 2 else -1]:
            dtype = given.dtype if code == now else "auto"
            seconds[code].append(
                _answer(engine, folder, outs[code], codes[code], given.workers, dtype)
            )
    masks = [sorted(out.glob("*.png")) for out in outs.values()]
    other = [_other(*pair) for pair in zip(*masks, strict=True)]
    for code, found in seconds.items():
        gains = [was / is_ for was, is_ in zip(seconds[given.before], found, strict=True)]
        yield (
            code,
            f"{given.photographs / statistics.median(found):.2f}",
            f"{statistics.median(gains):.2f} [{min(gains):.2f}, {max(gains):.2f}]",
            "" if code == given.before else f"{statistics.mean(other):.1e}",
        )


def _other(before: Path, now: Path) -> float:
    """Share of the pixels that are not the same."""
    with Image.open(before) as one, Image.open(now) as other:
        return float((np.asarray(one) != np.asarray(other)).mean())


def _answer(engine: str, folder: Path, out: Path, code: Path, workers: int, dtype: str) -> float:
    """Seconds in which the code of a folder answers all photographs."""
    command = [
        *(sys.executable, "-m", "vicl", "predict", str(folder / "photographs")),
        *("--example", str(EXAMPLE), str(MASK), "--task", "segmentation", "--model", engine),
        *("-o", str(out), "--overwrite", "--workers", str(workers)),
        *(() if dtype == "auto" else ("--dtype", dtype)),  # which earlier states have not
    ]
    begun = time.monotonic()
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(code / "src")},
    )
    return time.monotonic() - begun


@contextmanager
def _checked_out(commit: str) -> Iterator[Path]:
    """The repository as it was, in a folder of its own."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "earlier"
        git = ["git", "-C", str(ROOT), "worktree"]
        add = [*git, "add", "--quiet", "--detach", str(folder), commit]
        subprocess.run(add, check=True, capture_output=True, text=True)
        try:
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def write_photographs(folder: Path, count: int) -> None:
    """Write parts of the package's photographs, no two alike."""
    folder.mkdir()
    photographs = sorted(path for path in PHOTOS.glob("*.jpg") if "negative" not in path.name)
    for number in range(count):
        rng = np.random.default_rng(number)
        with Image.open(photographs[number % len(photographs)]) as photograph:
            image = photograph.convert("RGB")
        side = int(rng.uniform(0.7, 1) * min(image.size))
        left, top = (int(rng.integers(0, longer - side + 1)) for longer in image.size)
        part = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
        part.save(folder / f"{number:05d}.jpg", quality=90)


if __name__ == "__main__":
    raise SystemExit(main())
