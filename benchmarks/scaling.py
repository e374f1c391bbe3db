"""How time and memory grow: with examples, photographs, pixels and classes.

    python benchmarks/scaling.py --figure docs/performance.png

Masks by `matching` and `analogies`, each measurement in a process of its own that computes on one
thread: seconds that it was busy, so that a machine with other work to do says the same (the
engine's imports and weights come before), and the peak of its memory, imports and weights included.
"First" is the first answer, what the examples teach included; "next" the median of two more.

- examples: 1 to 16 parts of one bundled photograph;
- photographs: a folder of small ones, answered from the first to the last, with `copy` beside the
  engines for what the way of a photograph costs without them, up to 10,000. The engines' seconds
  beyond --photographs are not measured but drawn on from the last two sizes, and marked so;
- megapixels: of the example and of the queries;
- classes: parts of one example, each a class, answered together.

A slope is the exponent of growth, fitted to the logarithms: 1 is linear, 0 constant. "At the end"
is that of the larger half, where what is paid once no longer hides what grows. --rounds repeats all
measurements in turn, and takes medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

import vicl
from large_photographs import enlarged
from vicl.evaluation.running.results import markdown_table
from vicl.evaluation.studies.table import draw_figures
from vicl.files import write_atomic
from vicl.files.machine import peak_memory, processor
from vicl.files.packaged import PHOTOS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXAMPLE, MASK = "dandelion_2.jpg", "dandelion_2_mask.png"
QUERIES = ("dandelion_1.jpg", "dandelion_3.jpg", "meadow_1.jpg")
ENGINES = ("matching", "analogies")
SMALL = (120, 160)
"""(height, width) of a photograph of the folder, in pixels."""

ON = 10_000
"""So many photographs are told of, measured or drawn on."""

KINDS = ("examples", "photographs", "megapixels", "classes")


@dataclass(frozen=True)
class Work:
    """What is asked for in one process.

    Attributes:
        kind: What grows, of :data:`KINDS`.
        size: How far.
        engine: What answers.
    """

    kind: str
    size: float
    engine: str

    @property
    def count(self) -> int:
        """The size of what is counted."""
        return int(self.size)


@dataclass(frozen=True)
class Cost:
    """What it took.

    Attributes:
        first: Seconds of the first answer, or of a whole folder.
        later: Seconds of a next one; None of a folder.
        peak: MiB at the peak.
        before: MiB at the peak before the first photograph.
    """

    first: float
    later: float | None
    peak: float
    before: float


def measured(work: Work, folder: Path) -> Cost:
    """Answer in this process; the files are in the folder."""
    torch.set_num_threads(1)
    with Image.open(PHOTOS / EXAMPLE) as photo, Image.open(PHOTOS / MASK) as mask:
        tiny = photo.resize((48, 48)), mask.resize((48, 48))
    vicl.VisualPrompter(work.engine, [tiny], "segmentation").predict(tiny[0])  # imports, threads
    model = vicl.load_model(work.engine)
    before = peak_memory()
    classes = [f"part {index + 1}" for index in range(work.count)] if _has_classes(work) else None
    begun = time.process_time()
    prompter = vicl.VisualPrompter(model, _examples(work, folder), "segmentation", classes=classes)
    if work.kind == "photographs":
        answered = sum(1 for _ in prompter.map(folder / "many", on_error="raise"))
        assert answered == work.count
        return Cost(time.process_time() - begun, None, peak_memory() / 2**20, before / 2**20)
    marks = [begun]
    for name in QUERIES:
        prompter.predict(folder / name)
        marks.append(time.process_time())
    first, *later = np.diff(marks).tolist()
    return Cost(first, statistics.median(later), peak_memory() / 2**20, before / 2**20)


def _has_classes(work: Work) -> bool:
    return work.kind == "classes" and work.count > 1


def _examples(work: Work, folder: Path) -> list[tuple[Path, Path]]:
    count = work.count if work.kind == "examples" else 1
    return [(folder / f"shown_{n}.jpg", folder / f"shown_{n}_mask.png") for n in range(count)]


def prepare(work: Work, folder: Path) -> None:
    """Write the files of a work."""
    pixels = work.size if work.kind == "megapixels" else 0.2
    for name in QUERIES:
        enlarged(folder, name, pixels)
    photo, mask = (enlarged(folder, name, pixels) for name in (EXAMPLE, MASK))
    if work.kind == "examples":
        _write_parts(photo, mask, folder, work.count)
    else:
        photo.rename(folder / "shown_0.jpg")
        mask.rename(folder / "shown_0_mask.png")
    if work.kind == "classes":
        with Image.open(folder / "shown_0.jpg") as shown:
            _labels(shown.height, shown.width, work.count).save(folder / "shown_0_mask.png")
    if work.kind == "photographs":
        _write_many(folder / "many", work.count)


def _write_parts(photo: Path, mask: Path, folder: Path, count: int) -> None:
    """So many parts of a photograph and its mask, each 70% of its sides."""
    with Image.open(photo) as shown, Image.open(mask) as marked:
        size = int(0.7 * shown.width), int(0.7 * shown.height)
        for number in range(count):
            down, across = divmod(number, 4)
            left = across * (shown.width - size[0]) // 3
            top = down * (shown.height - size[1]) // 3
            box = (left, top, left + size[0], top + size[1])
            shown.crop(box).save(folder / f"shown_{number}.jpg", quality=90)
            marked.crop(box).save(folder / f"shown_{number}_mask.png")


def _labels(height: int, width: int, count: int) -> Image.Image:
    """A label map: so many fields of a chessboard, as alike in size as can be; the rest is none."""
    columns = int(np.ceil(count**0.5))
    rows = -(-count // columns) + (count == 1)
    down = np.arange(height)[:, None] * rows // height
    across = np.arange(width)[None] * columns // width
    fields = (1 + down * columns + across).astype(np.uint8)
    fields[fields > count] = 0
    fields[: height // 20] = 0
    return Image.fromarray(fields)


def _write_many(folder: Path, count: int) -> None:
    """Small photographs, no two of them alike."""
    folder.mkdir()
    height, width = SMALL
    with Image.open(PHOTOS / QUERIES[0]) as photo:
        source = np.asarray(photo.convert("RGB"))
    for number in range(count):
        moved = np.roll(source, (7 * number, 3 * number), (0, 1))[:height, :width].copy()
        moved[:8, :16] = number % 256, number // 256 % 256, 0
        Image.fromarray(moved).save(folder / f"{number:05}.jpg", quality=90)


def measure(works: Sequence[Work], rounds: int) -> dict[Work, Cost]:
    """All works in turn, so many times; medians."""
    found: dict[Work, list[Cost]] = {work: [] for work in works}
    for work in [*works] * rounds:
        with (
            tempfile.TemporaryDirectory() as place,
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process,
        ):
            prepare(work, Path(place))
            cost = process.submit(measured, work, Path(place)).result()
        found[work].append(cost)
        seconds = [f"{one:.2f}" for one in (cost.first, cost.later) if one is not None]
        said = f"{work.engine}, {work.size:g} {work.kind}: {' then '.join(seconds)} s"
        print(f"{said}, {cost.peak:.0f} MiB", file=sys.stderr)
    return {work: _median(costs) for work, costs in found.items()}


def _median(costs: Sequence[Cost]) -> Cost:
    later = [cost.later for cost in costs if cost.later is not None]
    return Cost(
        statistics.median(cost.first for cost in costs),
        statistics.median(later) if later else None,
        statistics.median(cost.peak for cost in costs),
        statistics.median(cost.before for cost in costs),
    )


@dataclass(frozen=True)
class Curve:
    """How something grows.

    Attributes:
        kind: With what, of :data:`KINDS`.
        what: "seconds, first", "seconds, next", "seconds, all" or "MiB".
        engine: Whose it is.
        sizes: Where it was measured, growing.
        values: What was found there.
    """

    kind: str
    what: str
    engine: str
    sizes: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def slope(self) -> float:
        """The exponent of growth over all sizes."""
        return slope(self.sizes, self.values)

    @property
    def last_slope(self) -> float:
        """That of the larger half of the sizes."""
        first = min(len(self.sizes) // 2, len(self.sizes) - 2)
        return slope(self.sizes[first:], self.values[first:])

    @property
    def drawn_on(self) -> float | None:
        """What :data:`ON` photographs would take, if each took as long as between the last two."""
        if self.what != "seconds, all" or self.sizes[-1] >= ON:
            return None
        rate = (self.values[-1] - self.values[-2]) / (self.sizes[-1] - self.sizes[-2])
        return self.values[-1] + rate * (ON - self.sizes[-1])


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The exponent of growth: of the line through the logarithms, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def curves(found: Mapping[Work, Cost]) -> Iterator[Curve]:
    """Every curve that was measured at two sizes or more."""
    for kind in KINDS:
        for engine in dict.fromkeys(work.engine for work in found if work.kind == kind):
            costs = {w.size: c for w, c in found.items() if (w.kind, w.engine) == (kind, engine)}
            if len(costs) < 2:
                continue
            sizes = tuple(sorted(costs))
            if kind == "photographs":
                told = {"seconds, all": tuple(costs[size].first for size in sizes)}
            else:
                later = tuple(costs[size].later or 0.0 for size in sizes)
                first = tuple(costs[size].first for size in sizes)
                told = {"seconds, first": first, "seconds, next": later}
            told["MiB"] = tuple(costs[size].peak for size in sizes)
            for what, values in told.items():
                yield Curve(kind, what, engine, sizes, values)


def report(drawn: Sequence[Curve]) -> str:
    """A table of what grows, for a document."""
    rows = []
    for curve in drawn:
        pairs = zip(curve.sizes, curve.values, strict=True)
        values = [f"{size:g}: {_short(value)}" for size, value in pairs]
        if curve.drawn_on is not None:
            values.append(f"({ON:,}: {_short(curve.drawn_on)}, not measured)")
        slopes = f"{curve.slope:.2f}", f"{curve.last_slope:.2f}"
        rows.append([curve.kind, f"`{curve.engine}`", curve.what, ", ".join(values), *slopes])
    return markdown_table(["grows", "engine", "what", "measured", "slope", "at the end"], rows)


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def figure(drawn: Sequence[Curve]) -> Figure:
    """Seconds above, memory below, a column for each thing that grows; all axes logarithmic."""
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(11, 5.2), layout="constrained")
    panels = sheet.subplots(2, len(KINDS), sharex="col", sharey="row", squeeze=False)
    for column, kind in enumerate(KINDS):
        for row, unit in enumerate(("seconds", "MiB")):
            axes = panels[row][column]
            axes.set(xscale="log", yscale="log")
            axes.grid(True, color="0.9")
            for curve in drawn:
                if curve.kind != kind or not curve.what.startswith(unit):
                    continue
                colour = f"C{('matching', 'analogies', 'copy').index(curve.engine)}"
                part = curve.what.partition(", ")[2]
                style = {
                    "color": colour,
                    "marker": ".",
                    "linestyle": ":" if part == "next" else "-",
                }
                name = f"{curve.engine}{part and ', ' + part}: {curve.last_slope:.2f}"
                axes.plot(curve.sizes, curve.values, label=name, **style)
                if curve.drawn_on is not None:
                    beyond = (curve.sizes[-1], ON), (curve.values[-1], curve.drawn_on)
                    open_end = {"marker": "o", "markevery": [1], "markerfacecolor": "white"}
                    axes.plot(*beyond, "--", color=colour, linewidth=0.8, **open_end)
            if axes.lines:
                axes.legend(fontsize=6, title="slope at the end", title_fontsize=6, frameon=False)
        beyond_measure = " (open: not measured)" if kind == "photographs" else ""
        panels[1][column].set_xlabel(kind + beyond_measure)
    panels[0][0].set_ylabel("seconds of a core")
    panels[1][0].set_ylabel("peak MiB")
    return sheet


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and draw; 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    pixels = [0.1, 0.4, 1.6, 6.4, 25, 64]
    parser.add_argument("--examples", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--photographs", type=int, nargs="*", default=[1, 10, 100, 250])
    parser.add_argument("--megapixels", type=float, nargs="*", default=pixels)
    parser.add_argument("--classes", type=int, nargs="*", default=[1, 2, 5, 10, 20])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--figure", type=Path, help="a PNG of all curves")
    options = parser.parse_args(arguments)
    for kind, most in (("examples", 16), ("classes", 20), ("photographs", ON)):
        if not all(1 <= size <= most for size in getattr(options, kind)):
            parser.error(f"--{kind}: expected 1 to {most} each")
    works = [
        Work(kind, size, engine)
        for kind in KINDS
        for size in getattr(options, kind)
        for engine in options.engines
    ]
    # What takes milliseconds is measured to the end where the engines come near to being linear.
    further = (1000, ON) if max(options.photographs, default=0) >= 100 else ()
    sizes = sorted({*options.photographs, *further})
    works += [Work("photographs", size, "copy") for size in sizes]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    drawn = list(curves(measure(works, options.rounds)))
    print(f"{processor(torch.device('cpu'))}; each process on one thread\n")
    print(report(drawn))
    if options.figure is not None:
        write_atomic(options.figure, draw_figures(lambda: figure(drawn))[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
