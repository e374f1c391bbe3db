"""Papers a minute and peak memory of `vicl figures extract`: one process, two, local and by Ray.

    python benchmarks/figures.py

Papers are generated: photographs as JPEG and PNG of camera and screen sizes, figures in PDF that
are drawn or hold a photograph, and a grid that the text puts together of them.  Papers a minute are
by the clock, in turn, with the least and largest of the rounds: on a machine that has nothing else
to do.  Seconds of a core are those that the processes were busy.  Memory is the largest sum of all
processes' shares (PSS) that was seen while they ran, the first one included; with Linux only.
Ray's own processes count for all three, and so does the time that they take to start.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import shutil
import statistics
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from vicl.figures.arxiv.extract.extracting import Extraction, Summary, extract, tasks_of
from vicl.figures.arxiv.workers import run_each
from vicl.scale.each_on_ray import open_each

TEXT = r"""\documentclass{{article}}
\begin{{document}}
{figures}
\end{{document}}
"""
GRID = r"""\begin{{figure*}}
\setlength{{\tabcolsep}}{{1pt}}
\begin{{tabular}}{{{columns}}}
{rows}
\end{{tabular}}
\caption{{What the method makes of photographs.}}
\label{{fig:grid}}
\end{{figure*}}
"""
SIZES = ((640, 480), (1600, 1200), (1024, 768), (512, 512), (2400, 1600))


def main(arguments: list[str] | None = None) -> int:
    """Measure; 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--papers", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--engines", nargs="+", default=["local", "ray"], choices=("local", "ray"))
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_papers(folder / "sources", given.papers)
        size = sum(path.stat().st_size for path in (folder / "sources").iterdir())
        ways = [(engine, workers) for engine in given.engines for workers in given.workers]
        found: dict[tuple[str, int], list[tuple[float, float, float]]] = {way: [] for way in ways}
        for number in range(given.rounds):
            for engine, workers in ways:
                out = folder / f"out-{number}-{engine}-{workers}"
                summary, measured = _measured(Extraction(folder / "sources", out), engine, workers)
                found[engine, workers].append(measured)
                shutil.rmtree(out)
    kinds = ", ".join(f"{kind} {count}" for kind, count in summary.figures.items())
    table = Table(title=f"{given.papers} papers of {size / 1e6 / given.papers:.1f} MB; {kinds}")
    for heading in (
        *("engine", "processes", "papers a minute [least, largest]", "s of a core a paper"),
        "peak memory, MiB",
    ):
        table.add_column(heading, justify="right")
    for (engine, workers), rounds in found.items():
        pace = [60 * given.papers / seconds for seconds, _, _ in rounds]
        busy = statistics.mean(core for _, core, _ in rounds) / given.papers
        table.add_row(
            engine,
            str(workers),
            f"{statistics.mean(pace):.0f} [{min(pace):.0f}, {max(pace):.0f}]",
            f"{busy:.2f}",
            f"{max(peak for _, _, peak in rounds):.0f}",
        )
    Console(width=120).print(table)
    return 0


def _measured(
    run: Extraction, engine: str, workers: int
) -> tuple[Summary, tuple[float, float, float]]:
    """What was made; seconds by the clock and of a core, and MiB at the peak."""
    tasks = tasks_of(run.sources)
    with _watch() as seen:
        begun = time.monotonic()
        here = nullcontext((run_each, workers))
        with here if engine == "local" else open_each(workers=workers) as (each, count):
            summary = extract(run, tasks, workers=count, each=each)
        seconds = time.monotonic() - begun
    return summary, (seconds, sum(seen.busy.values()), seen.peak / 1024)


class _Seen:
    """Of this process's descendants and itself: KiB at the peak, seconds busy by process."""

    def __init__(self) -> None:
        self.peak = 0
        self.busy: dict[int, float] = {}

    def look(self) -> None:
        share = 0
        for pid in _family(os.getpid()):
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text().split()
                share += int(text[text.index("Pss:") + 1])
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except (OSError, ValueError):  # it is gone
                continue
            if pid != os.getpid():
                ticks = int(fields[11]) + int(fields[12])
                self.busy[pid] = ticks / os.sysconf("SC_CLK_TCK")
        self.peak = max(self.peak, share)


def _family(first: int) -> Iterator[int]:
    yield first
    for task in Path(f"/proc/{first}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


@contextmanager
def _watch() -> Iterator[_Seen]:
    seen, ended = _Seen(), threading.Event()
    seen.look()
    before = dict(seen.busy)

    def look() -> None:
        while not ended.wait(0.2):
            seen.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
        for pid, busy in before.items():
            seen.busy[pid] -= busy


def write_papers(folder: Path, count: int) -> None:
    """Write as many sources, named by identifiers, no two alike."""
    folder.mkdir(parents=True)
    files = {f"{kind}-{n}": _picture(n, kind) for kind in ("JPEG", "PNG", "PDF") for n in range(12)}
    for number in range(count):
        rng = np.random.default_rng(number)
        members: dict[str, bytes] = {}
        for place in range(int(rng.integers(4, 13))):
            kind = ("JPEG", "PNG", "PDF")[int(rng.choice(3, p=(0.3, 0.2, 0.5)))]
            data = files[f"{kind}-{int(rng.integers(12))}"]
            members[f"figures/{place}.{kind.lower()}"] = data
        names = [name.removesuffix(".jpeg") for name in members]
        columns = 2 + number % 3
        cells = [rf"\includegraphics[width={0.96 / columns:.3f}\linewidth]{{{n}}}" for n in names]
        rows = " \\\\\n".join(
            " & ".join(cells[start : start + columns]) for start in range(0, len(cells), columns)
        )
        grid = GRID.format(columns="c" * columns, rows=rows)
        members["main.tex"] = TEXT.format(figures=grid + "Words of it. " * 4000).encode()
        (folder / f"2209.{number + 1:05d}v1.gz").write_bytes(_packed(members))


def _picture(number: int, kind: str) -> bytes:
    rng = np.random.default_rng(1000 + number)
    width, height = SIZES[number % len(SIZES)]
    coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    levels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noise = rng.normal(0, 4, levels.shape).astype(np.int16)
    image = Image.fromarray(np.clip(levels + noise, 0, 255).astype(np.uint8))
    if kind == "PDF" and number % 2:
        return _drawing(rng)
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=90)
    return buffer.getvalue()


def _drawing(rng: np.random.Generator) -> bytes:
    """A plot of lines as a PDF of one page."""
    lines = []
    for _ in range(200):
        x0, y0, x1, y1 = rng.uniform(0, 400, 4)
        red, green, blue = rng.uniform(0, 1, 3)
        lines.append(
            f"{red:.2f} {green:.2f} {blue:.2f} RG {x0:.1f} {y0:.1f} m {x1:.1f} {y1:.1f} l S"
        )
    content = "\n".join(lines).encode()
    bodies = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 400] /Contents 4 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    )
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 5\n0000000000 65535 f \n{table}trailer << /Size 5 /Root 1 0 R >>\n"
    return data + f"{end}startxref\n{len(data)}\n%%EOF\n".encode()


def _packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), 1, mtime=0)


if __name__ == "__main__":
    raise SystemExit(main())
