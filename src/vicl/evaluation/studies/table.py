"""What a study gives: one table, and one figure of it.

A table has a row for each variant and engine.  :func:`write_study` writes it as JSON (with the
value of every episode), as a Markdown table, and as a figure in SVG and PNG.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vicl.evaluation.running.results import heading, markdown_table, show
from vicl.evaluation.scoring.scorers import Metric
from vicl.files import write_atomic
from vicl.files.extras import to_install
from vicl.metrics import Interval, bootstrap_interval, paired_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Of Okabe and Ito (2008): they can be told apart by the colour-blind."""
_MARKERS = "osD^vP*"


@dataclass(frozen=True)
class Row:
    """What one engine scores in one variant.

    Attributes:
        variant: What was varied, such as "examples left of the query".
        engine: Which engine answered.
        interval: Its score with the bootstrap 95% interval over episodes.
        difference: To what the table says, paired by episode; None for that itself, and where the
            episodes are not the same.
        scores: One an episode, in the order of the episodes.
    """

    variant: str
    engine: str
    interval: Interval
    difference: Interval | None
    scores: tuple[float, ...]

    @classmethod
    def of_means(
        cls,
        variant: str,
        engine: str,
        scores: tuple[float, ...],
        base: tuple[float, ...] | None = None,
    ) -> Row:
        """A row of scores of which the mean counts, and what that differs by from others' mean."""
        change = None if base is None else paired_interval(scores, base)
        return cls(variant, engine, bootstrap_interval(scores), change, scores)


@dataclass(frozen=True)
class StudyTable:
    """What a study found.

    Attributes:
        name: As the command line calls the study.
        title: What was asked, in a line; stands above table and figure.
        metric: What the rows' scores are.
        rows: In the order in which they are shown.
        notes: Sentences that the numbers cannot be read without.
        x: One a row, where what is varied is a number: where the row stands along the figure's
            axis; None for rows that only the table shows. Several rows of an engine may stand at
            one place, as a spread. Without it the figure has a line of its own for each variant.
        x_title: What the axis says; needed with `x`.
        log_x: Whether steps along the axis are factors, as for amounts of data.
        difference_to: What the rows' differences are to.

    Raises:
        ValueError: If there is no row, or `x` has another length or no title.
    """

    name: str
    title: str
    metric: Metric
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    x: tuple[float | None, ...] | None = None
    x_title: str = ""
    log_x: bool = False
    difference_to: str = "the same engine's first row"

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError(f"{self.name}: got no row, expected at least one")
        if self.x is not None and (len(self.x) != len(self.rows) or not self.x_title):
            raise ValueError(
                f"{self.name}: got {len(self.x)} places for {len(self.rows)} rows and the title "
                f"{self.x_title!r}; expected one place a row, and a title"
            )

    @property
    def engines(self) -> tuple[str, ...]:
        """Each once, in the order of the rows."""
        return tuple(dict.fromkeys(row.engine for row in self.rows))

    @property
    def variants(self) -> tuple[str, ...]:
        """Each once, in the order of the rows."""
        return tuple(dict.fromkeys(row.variant for row in self.rows))


def write_study(table: StudyTable, out: str | Path) -> None:
    """Write `table.json`, `table.md`, `figure.svg` and `figure.png`.

    The same table gives the same bytes, with the same version of matplotlib.

    Args:
        table: What to write.
        out: Folder; it is made if need be.

    Raises:
        ValueError: If matplotlib is not installed.
        vicl.files.FileError: If a file cannot be written.
    """
    folder = Path(out)
    svg, png = draw_figures(lambda: _figure(table))
    write_atomic(folder / "table.json", (json.dumps(_as_json(table), indent=1) + "\n").encode())
    write_atomic(folder / "table.md", as_markdown(table).encode())
    write_atomic(folder / "figure.svg", svg)
    write_atomic(folder / "figure.png", png)


def as_markdown(table: StudyTable) -> str:
    """The table for a document: title, rows with 95% intervals, notes."""
    metric = table.metric
    rows = [
        [
            row.variant,
            row.engine,
            show(row.interval, metric),
            str(row.interval.n),
            "" if row.difference is None else show(row.difference, metric, signed=True),
        ]
        for row in table.rows
    ]
    headers = ["variant", "engine", heading(metric), "episodes", "difference"]
    notes = (
        "Brackets: bootstrap 95% intervals over episodes. Differences are to "
        f"{table.difference_to}, paired by episode.",
        *table.notes,
    )
    listed = "".join(f"- {note}\n" for note in notes)
    return f"# {table.title}\n\n{markdown_table(headers, rows)}\n{listed}"


def draw_figures(draw: Callable[[], Figure]) -> tuple[bytes, bytes]:
    """Draw a figure as SVG and as PNG, with nothing of time and place in the files.

    Args:
        draw: Makes the figure; called with matplotlib's settings in place.

    Returns:
        Both files.

    Raises:
        ValueError: If matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise ValueError(f"figures need matplotlib: {to_install('train')}") from error
    settings: dict[Any, Any] = {
        "svg.hashsalt": "vicl",
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with rc_context(settings):
        figure = draw()
        files = []
        for kind, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {})):
            stream = io.BytesIO()
            figure.savefig(stream, format=kind, dpi=160, metadata=metadata)
            files.append(stream.getvalue())
    return files[0], files[1]


def _as_json(table: StudyTable) -> dict[str, Any]:
    rows = []
    for index, row in enumerate(table.rows):
        values = asdict(row)
        if table.x is not None:
            values["x"] = table.x[index]
        rows.append(values)
    return {
        "name": table.name,
        "title": table.title,
        "metric": asdict(table.metric),
        "x_title": table.x_title,
        "rows": rows,
        "notes": list(table.notes),
    }


def _figure(table: StudyTable) -> Figure:
    from matplotlib.figure import Figure

    if table.x is None:
        # Room for every engine's mark in every variant's line.
        height = 1.4 + len(table.variants) * max(0.28, 0.14 * len(table.engines))
        figure = Figure(figsize=(7.0, height), layout="constrained")
        axes = figure.subplots()
        _dots(axes, table)
        axes.set_xlabel(heading(table.metric))
    else:
        figure = Figure(figsize=(7.0, 4.2), layout="constrained")
        axes = figure.subplots()
        _curves(axes, table, table.x)
        axes.set_ylabel(heading(table.metric))
    axes.set_title(table.title, loc="left", wrap=True)
    axes.grid(True, color="0.9")
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=min(4, len(table.engines)), frameon=False)
    return figure


def _dots(axes: Axes, table: StudyTable) -> None:
    """One line for each variant, top to bottom; a dot with its interval for each engine."""
    for number, engine in enumerate(table.engines):
        shift = 0.5 * ((number + 0.5) / len(table.engines) - 0.5)
        rows = [row for row in table.rows if row.engine == engine]
        at = [table.variants.index(row.variant) + shift for row in rows]
        means, reach = _points(rows)
        axes.errorbar(means, at, xerr=reach, label=engine, **_style(number), linestyle="none")
    axes.set_yticks(range(len(table.variants)), table.variants)
    axes.set_ylim(len(table.variants) - 0.4, -0.6)


def _curves(axes: Axes, table: StudyTable, x: tuple[float | None, ...]) -> None:
    """One curve for each engine, through the mean of the rows at each place."""
    if table.log_x:
        axes.set_xscale("log")
    places = sorted({place for place in x if place is not None})
    for number, engine in enumerate(table.engines):
        pairs = [
            (place, row)
            for place, row in zip(x, table.rows, strict=True)
            if row.engine == engine and place is not None
        ]
        if not pairs:
            continue
        means, reach = _points([row for _, row in pairs])
        style = _style(number)
        at = [place for place, _ in pairs]
        aside = _aside(at, places, log=table.log_x)
        axes.errorbar(aside, means, yerr=reach, label=engine, **style, linestyle="none")
        met = [place for place in places if place in at]
        through = [
            np.mean([row.interval.mean for other, row in pairs if other == place]) for place in met
        ]
        axes.plot(met, through, color=style["color"], linewidth=1.2)
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.minorticks_off()
    axes.set_xlabel(table.x_title)


def _aside(at: list[float], places: list[float], *, log: bool) -> list[float]:
    """Move points that stand at one place a little apart, within a third of the axis's steps."""
    along = np.log(places) if log else np.array(places)
    step = float(np.diff(along).min()) if len(along) > 1 else 1.0
    moved = []
    for index, place in enumerate(at):
        share = (at[:index].count(place) + 0.5) / at.count(place) - 0.5
        shift = share * step / 3
        moved.append(place * math.exp(shift) if log else place + shift)
    return moved


def _points(rows: list[Row]) -> tuple[list[float], np.ndarray]:
    """Means, and how far the intervals reach below and above them (2, n)."""
    means = [row.interval.mean for row in rows]
    # The mean of a resampled maximum, such as the best F, may lie outside its own interval.
    reach = [
        [max(0.0, row.interval.mean - row.interval.low) for row in rows],
        [max(0.0, row.interval.high - row.interval.mean) for row in rows],
    ]
    return means, np.array(reach)


def _style(number: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "markersize": 4,
        "elinewidth": 1,
    }
