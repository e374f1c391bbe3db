"""The page of an evaluation: one HTML file with everything in it, to be read without a network."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from vicl.evaluation.running.results import EngineResult, Results, heading, show

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 0 auto; padding: 1rem 2rem; }
table { border-collapse: collapse; margin: 1rem 0; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #8886;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
img { max-width: 100%; height: auto; background: white; }
code { overflow-wrap: anywhere; }
svg text { fill: currentColor; font-size: 13px; }
"""

_KINDS = {
    "source": "By source",
    "pair": "By whether example and query are of one group",
    "class": "By class",
    "seen": "By whether training saw the class",
}


def draw_page(results: Results, sheets: Mapping[str, bytes], found: Mapping[str, Any]) -> str:
    """Draw the page.

    Args:
        results: What it is about.
        sheets: PNG files by what they show, such as "best".
        found: What results.json says.

    Returns:
        HTML; nothing in it is loaded from anywhere.
    """
    title = f"{results.measures}: {results.dataset}"
    body = "\n".join(
        (
            f"<h1>{escape(title)}</h1>",
            f"<p>{escape(_summary(results))}</p>",
            f"<h2>{escape(heading(results.headline))}</h2>",
            _plot(results),
            *_numbers(results),
            *_groups(results),
            *(_sheet(rank, sheet, results) for rank, sheet in sheets.items()),
            *_failures(results),
            *_origin(results, found),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _summary(results: Results) -> str:
    count = len(results.episodes)
    failed = f", {len(results.failures)} failed" if results.failures else ""
    return (
        f"{count} of {results.asked} episodes scored{failed}; seed {results.seed}. Intervals are "
        "bootstrap 95% intervals over episodes; differences are paired by episode."
    )


def _numbers(results: Results) -> Iterator[str]:
    """The tables of all metrics, and of the differences to Copy."""
    metrics = results.metrics
    headers = ["engine", *map(heading, metrics), "s per episode"]
    rows = [
        [
            engine.name,
            *(show(engine.values[metric.name], metric) for metric in metrics),
            f"{engine.seconds:.3f}",
        ]
        for engine in results.engines
    ]
    yield _table("All engines", headers, rows)
    compared = [engine for engine in results.engines if engine.minus_copy is not None]
    rows = [
        [
            engine.name,
            *(show((engine.minus_copy or {})[m.name], m, signed=True) for m in metrics),
        ]
        for engine in compared
    ]
    yield _table("Minus Copy, over the same episodes", headers[:-1], rows)


def _groups(results: Results) -> Iterator[str]:
    """The headline over parts of the episodes: a row each, a column an engine."""
    metric = results.headline
    names = [engine.name for engine in results.engines]
    means = [engine.over_classes for engine in results.engines]
    if any(mean is not None for mean in means):
        row = ["all classes", *("–" if mean is None else show(mean, metric) for mean in means)]
        yield _table(f"{heading(metric)}, mean over classes", ["", *names], [row])
    for kind, caption in _KINDS.items():
        labels = sorted({g.label for e in results.engines for g in e.groups if g.kind == kind})
        if not labels:
            continue
        rows = [
            [label, *(_cell(engine, kind, label, results) for engine in results.engines)]
            for label in labels
        ]
        table = _table(f"{heading(metric)}", ["", *names], rows)
        yield f"<details><summary>{escape(caption)} ({len(labels)})</summary>{table}</details>"


def _cell(engine: EngineResult, kind: str, label: str, results: Results) -> str:
    for group in engine.groups:
        if (group.kind, group.label) == (kind, label):
            return f"{show(group.interval, results.headline)}, n = {group.interval.n}"
    return "–"


def _sheet(rank: str, png: bytes, results: Results) -> str:
    engine = results.engines[-1].name
    text = escape(f"The episodes in which {engine} did {rank}", quote=True)
    if rank == "median":
        text = escape(f"The episodes in the middle, by what {engine} scored", quote=True)
    data = base64.b64encode(png).decode("ascii")
    return f'<h2>{text}</h2>\n<img alt="{text}" src="data:image/png;base64,{data}">'


def _failures(results: Results) -> Iterator[str]:
    if results.failures:
        lines = "".join(f"<li>{escape(str(failure))}</li>" for failure in results.failures)
        yield f"<h2>Episodes that failed</h2>\n<ul>{lines}</ul>"


def _origin(results: Results, found: Mapping[str, Any]) -> Iterator[str]:
    """What one needs to get the same numbers."""
    facts = {
        "Command": shlex.join(found["command"]),
        "Dataset": f"{results.dataset}, fingerprint {results.fingerprint}",
        **{
            f"Weights of {engine.name}": f"SHA-256 {engine.weights_hash}"
            for engine in results.engines
            if engine.weights_hash is not None
        },
        "Options": json.dumps(found["options"], ensure_ascii=False),
        "Versions": ", ".join(f"{name} {value}" for name, value in found["versions"].items()),
        "Machine": found["machine"],
        "Wall-clock": f"{results.wall:.1f} s for {results.answered} answers",
    }
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd><code>{escape(str(value))}</code></dd>"
        for name, value in facts.items()
    )
    yield f"<h2>Where these numbers come from</h2>\n<dl>{lines}</dl>"


def _table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(value)}</td>" for value in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def _plot(results: Results) -> str:
    """The headline of each engine: a dot for the value, a line for the interval."""
    metric = results.headline
    intervals = [engine.values[metric.name] for engine in results.engines]
    left, right, line = 180, 640, 28  # pixels
    low = min(0.0, *(interval.low for interval in intervals))
    high = max(*(interval.high for interval in intervals), low + 1e-9)

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    height = line * len(intervals) + 30
    zero = f"{x(0.0):.1f}"
    marks = [f'<line x1="{zero}" x2="{zero}" y1="0" y2="{height - 25}" stroke="#8888"/>']
    for row, (engine, interval) in enumerate(zip(results.engines, intervals, strict=True)):
        y = line * row + line // 2
        name = engine.name if len(engine.name) <= 24 else f"{engine.name[:23]}…"
        marks += [
            f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>',
            f'<line x1="{x(interval.low):.1f}" x2="{x(interval.high):.1f}" y1="{y}" y2="{y}" '
            'stroke="currentColor" stroke-width="2"/>',
            f'<circle cx="{x(interval.mean):.1f}" cy="{y}" r="5" fill="#0072B2"/>',
            f'<text x="{right + 14}" y="{y + 4}">{escape(show(interval, metric))}</text>',
        ]
    for value in (low, high):
        text = format(value, f".{metric.digits}f")
        at = f'x="{x(value):.1f}" y="{height - 8}"'
        marks.append(f'<text {at} text-anchor="middle">{text}</text>')
    drawn = "\n".join(marks)
    label = escape(f"{heading(metric)} of each engine, with its interval", quote=True)
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 900 {height}" width="900" '
        f'style="max-width: 100%">\n{drawn}\n</svg>'
    )
