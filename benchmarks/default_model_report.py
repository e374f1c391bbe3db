"""What `default_model.py` finds, and the tables that show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.table import Table

from vicl.evaluation.running.results import Results, heading, show
from vicl.evaluation.running.summary import class_label, mean_over_classes, statistics_of
from vicl.evaluation.scoring.measures import Metric
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.metrics import Interval, Statistic
from vicl.tasks import TaskName

PHOTOGRAPHS: tuple[TaskName, ...] = ("segmentation", "detection", "edges", "colorization")


@dataclass(frozen=True)
class Row:
    """What engines are worth on some episodes, and by how much they are better than `analogies`.

    `better` has the paired difference to it, an engine each, above 0 where the engine is better.
    """

    label: str
    metric: Metric
    n: int
    engines: dict[str, Interval]
    better: dict[str, Interval] = field(default_factory=dict)
    on: str = ""


@dataclass(frozen=True)
class Part:
    """What a part found, and the `setting` that it depends on; `runs` are whole evaluations."""

    rows: list[Row] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    setting: dict[str, Any] = field(default_factory=dict)


def statistic_of(runs: Sequence[Results], metric: Metric, engine: str) -> Statistic:
    """A metric of an engine over all episodes; of what is synthetic, the mean over its classes."""
    records = [record for results in runs for record in results.engine(engine).records]
    if runs[0].measures not in ("shapes", "rules"):
        return statistics_of(scorer_for(runs[0].measures), records)[metric.name]
    labels = [class_label(episode) for results in runs for episode in results.episodes]
    members = np.array(labels)[:, None] == np.array(sorted(set(labels)))
    values = np.array([record.scores.values[metric.name] for record in records])
    return mean_over_classes(values, members.astype(np.float64))


def sources_of(runs: Sequence[Results]) -> str:
    """Where the queries are from, with how many; else the datasets' names."""
    asked = [episode.query.source for results in runs for episode in results.episodes]
    if not all(asked):
        return "; ".join(results.dataset for results in runs)
    return ", ".join(f"{source} {count}" for source, count in sorted(Counter(asked).items()))


Section = tuple[str, list[str], list[list[str]]]
"""A table: its title, its headers, and its rows."""


def sections(engines: Sequence[str], parts: Mapping[str, Part]) -> Iterator[Section]:
    """The tables of all parts that there are; those of photographs are one."""
    for title, several in (
        ("The paper's synthetic study", ("synthetic",)),
        ("Synthetic rules, mean over rules", ("rules",)),
        ("Photographs that training has not seen", PHOTOGRAPHS),
        ("The tokenizer, on photographs that training has not seen", ("tokenizer",)),
        ("The choice, on what training has seen", ("choice",)),
    ):
        rows = [row for name in several if name in parts for row in parts[name].rows]
        own = ["tokenizer"] if "tokenizer" in several else list(engines)
        rivals = list(dict.fromkeys(name for row in rows for name in row.better))
        last = [f"`{name}` better than `analogies` by" for name in rivals]
        headers = ["", "measure", "n", *(f"`{name}`" for name in own), *last]
        if rows:
            yield title, headers, [cells(row, own, rivals) for row in rows]
    if "speed" in parts:
        facts = [[name, f"{value:.3g}"] for name, value in parts["speed"].facts.items()]
        yield "Speed and size", ["", ""], facts


def cells(row: Row, engines: Sequence[str], rivals: Sequence[str]) -> list[str]:
    """A row of a table."""
    values = [show(row.engines[name], row.metric) for name in engines]
    better = [
        show(row.better[name], row.metric, signed=True) if name in row.better else ""
        for name in rivals
    ]
    return [row.label, heading(row.metric), str(row.n), *values, *better]


def best_for_task(
    choice: Part, seen: Row, engines: Sequence[str], learned: str
) -> dict[str, dict[str, Any]]:
    """Which engine to take for each task; one that could not be measured keeps `analogies`.

    Args:
        choice: What was measured to choose by.
        seen: The rules that training shows, which decide about images.
        engines: To choose from.
        learned: The one that is called "default".
    """
    rows = {row.label: row for row in choice.rows} | {"image": seen}
    return {task: _chosen(rows.get(task), engines, learned) for task in ("image", *PHOTOGRAPHS)}


def _chosen(row: Row | None, engines: Sequence[str], learned: str) -> dict[str, Any]:
    """The best engine of a row, with why."""
    if row is None:
        return {"engine": "analogies", "on": "not measured", "n": 0}
    sure = {name: over for name, over in row.better.items() if over.low > 0}
    name, over = max((sure or row.better).items(), key=lambda one: one[1].mean)
    called = {learned: "default"}
    means = {called.get(one, one): row.engines[one].mean for one in engines}
    rules = ", mean over rules" if row.metric.name in ("psnr_gain", "f") else ""
    return {
        "engine": called.get(name, name) if sure else "analogies",
        "measure": heading(row.metric) + rules,
        "on": row.on,
        "n": row.n,
        **means,
        "difference": [over.mean, over.low, over.high],
    }


def markdown(head: str, tables: Sequence[Section], notes: Sequence[str]) -> str:
    """Tables and notes for a model card."""
    text = [f"{head}\n"]
    for title, headers, rows in tables:
        lines = [headers, ["---"] * len(headers), *rows]
        text += [f"**{title}**\n", *(f"| {' | '.join(line)} |" for line in lines), ""]
    return "\n".join([*text, *(f"- {note}" for note in notes)]) + "\n"


def drawn(section: Section) -> Table:
    """A table for the terminal."""
    title, headers, rows = section
    table = Table(title=title, title_justify="left")
    for header in headers:
        table.add_column(header.replace("`", ""), overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
