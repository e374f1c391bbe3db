"""How long and how much memory does a mask take, as the photographs grow? Whole processes.

    python benchmarks/large_photographs.py --megapixels 0.3 3 12 24 64

A bundled photograph with its mask as the example, and another as the query, both enlarged to the
size. The row of 0.3 megapixels is the reference: what is above it is what pixels cost. On a machine
that is shared, what a processor was busy with says more than the seconds. The package is
byte-compiled first, as pip does when it installs it.
"""

from __future__ import annotations

import argparse
import compileall
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

import vicl
from vicl.files.packaged import PHOTOS

QUERY, EXAMPLE, MASK = "dandelion_1.jpg", "dandelion_2.jpg", "dandelion_2_mask.png"


def main(arguments: list[str] | None = None) -> int:
    """Measure every size; 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[0.3, 3, 12, 24, 64])
    given = parser.parse_args(arguments)
    compileall.compile_dir(Path(vicl.__file__).parent, quiet=1)
    table = Table(title="A mask by one example, whole process")
    for heading in (
        "megapixels",
        "seconds",
        "of a processor",
        "peak MiB",
        "seconds over the first",
    ):
        table.add_column(heading, justify="right")
    first: float | None = None
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in given.megapixels:
            seconds, busy, peak = _measured(Path(folder), megapixels)
            first = seconds if first is None else first
            table.add_row(
                f"{megapixels:g}",
                f"{seconds:.1f}",
                f"{busy:.1f}",
                f"{peak:.0f}",
                f"{seconds / first:.2f}",
            )
    Console().print(table)
    return 0


def _measured(folder: Path, megapixels: float) -> tuple[float, float, float]:
    """Seconds, those that processors were busy, and peak memory in MiB of one answer."""
    query, example, mask = (enlarged(folder, name, megapixels) for name in (QUERY, EXAMPLE, MASK))
    command = [sys.executable, "-m", "vicl", "predict", str(query), "--example", str(example)]
    command += [str(mask), "--task", "segmentation", "-o", str(folder / "answer.png")]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--overwrite"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"vicl predict failed at {megapixels:g} megapixels")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def enlarged(folder: Path, name: str, megapixels: float) -> Path:
    """A bundled picture at the size, in the format of a phone or of a mask; it is written there."""
    with Image.open(PHOTOS / name) as picture:
        # Just under: the limit on pixels is a round number too.
        scale = (megapixels * 0.995e6 / (picture.width * picture.height)) ** 0.5
        # Even, as the sides of cameras' pictures are.
        size = (2 * round(picture.width * scale / 2), 2 * round(picture.height * scale / 2))
        mask = name.endswith("_mask.png")
        kind = Image.Resampling.NEAREST if mask else Image.Resampling.BICUBIC
        path = folder / name
        picture.resize(size, kind).save(path)
    return path


if __name__ == "__main__":
    sys.exit(main())
