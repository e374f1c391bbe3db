"""What engines make of each synthetic rule: by the measure that fits it, and by PSNR gained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vicl.evaluation.running.results import EngineResult, Results, heading, markdown_table, show
from vicl.evaluation.scoring.measures import Metric
from vicl.evaluation.scoring.rules import GAIN, METRICS
from vicl.figures.synthetic.rules import RULES
from vicl.metrics import Interval, bootstrap_interval

_METRICS = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class RuleRow:
    """One rule of one set.

    Attributes:
        part: Name of the set's dataset.
        rule: Its name.
        metric: That fits it.
        episodes: How many were scored.
        fit: That metric, by engine.
        gain: PSNR over the better floor, by engine.
    """

    part: str
    rule: str
    metric: Metric
    episodes: int
    fit: dict[str, Interval]
    gain: dict[str, Interval]


def by_rule(results: Results) -> list[RuleRow]:
    """The rules of a set, in the order of their names.

    Args:
        results: Of an evaluation of rules.
    """
    places: dict[str, list[int]] = {}
    for index, episode in enumerate(results.episodes):
        places.setdefault(episode.class_name, []).append(index)
    return [
        RuleRow(
            part=results.dataset,
            rule=rule,
            metric=_METRICS[RULES[rule].measure],
            episodes=len(indices),
            fit={e.name: _mean(e, indices, RULES[rule].measure) for e in results.engines},
            gain={e.name: _mean(e, indices, GAIN.name) for e in results.engines},
        )
        for rule, indices in sorted(places.items())
    ]


def _mean(engine: EngineResult, indices: Sequence[int], metric: str) -> Interval:
    return bootstrap_interval([engine.records[i].scores.values[metric] for i in indices])


def to_json(runs: Sequence[Results]) -> list[dict[str, Any]]:
    """The rules of all sets as plain values."""
    return [asdict(row) for results in runs for row in by_rule(results)]


def to_markdown(runs: Sequence[Results]) -> str:
    """All sets as Markdown: a table of the sets, then one of each set's rules.

    Args:
        runs: Of rules, one a set.
    """
    metrics = list(_METRICS.values())
    headers = ["set", "engine", heading(GAIN), "mean over rules", *map(heading, metrics[1:])]
    rows = [
        [
            results.dataset,
            engine.name,
            show(engine.values[GAIN.name], GAIN, signed=True),
            "–" if engine.over_classes is None else show(engine.over_classes, GAIN, signed=True),
            *(
                show(engine.values[m.name], m) if m.name in engine.values else "–"
                for m in metrics[1:]
            ),
        ]
        for results in runs
        for engine in results.engines
    ]
    note = "PSNR gain is over the better of copy and identity; intervals are bootstrap 95%.\n"
    parts = [note, markdown_table(headers, rows), *(_rules(results) for results in runs)]
    return "\n".join(parts)


def _rules(results: Results) -> str:
    """A row a rule; engines have two columns each."""
    names = [engine.name for engine in results.engines]
    headers = ["rule", "episodes", "measure", *names, *(f"{name}: PSNR gain, dB" for name in names)]
    rows = [
        [
            row.rule,
            str(row.episodes),
            heading(row.metric),
            *(_shown(row.fit[name], row.metric) for name in names),
            *(_shown(row.gain[name], GAIN) for name in names),
        ]
        for row in by_rule(results)
    ]
    return f"{results.dataset}\n\n{markdown_table(headers, rows)}"


def _shown(interval: Interval, metric: Metric) -> str:
    """An interval; of one episode there is none."""
    signed = metric == GAIN
    text = show(interval, metric, signed=signed)
    return text if interval.n > 1 else text.partition(" ")[0]
