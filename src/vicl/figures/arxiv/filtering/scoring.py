"""The scores of an extract's figures: stored, so that the threshold is chosen later.

Scores are added to a journal as they come. `scores.jsonl` is made of it at the end, in the order of
`figures.jsonl`: it depends neither on the number of processes nor on when a run was cut short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from vicl.figures.arxiv.alone import alone
from vicl.figures.arxiv.extracted import SCORES, figures_of
from vicl.figures.arxiv.filtering.describing import Described, Describing, describe_files
from vicl.figures.arxiv.filtering.figure_filter import FigureFilter
from vicl.figures.arxiv.workers import Each
from vicl.files import open_atomic
from vicl.files.journal import Journal, complete_lines, json_line
from vicl.files.plain_json import parse_json

_JOURNAL: Final = "scoring.jsonl"

_DIGITS: Final = 6
"""Of a score; the last bits of sums differ between machines."""


@dataclass(frozen=True)
class Scored:
    """The scores of an extract.

    Attributes:
        scores: Of each figure that has one, by file.
        failed: Of the others, the reason.
        new: How many were looked at in this run.
    """

    scores: Mapping[str, float]
    failed: Mapping[str, str]
    new: int

    def kept(self, threshold: float) -> int:
        """How many figures have at least this score."""
        return sum(score >= threshold for score in self.scores.values())


def score_extract(
    extracted: Path,
    figure_filter: FigureFilter,
    describing: Describing,
    *,
    workers: int = 1,
    each: Each | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Scored:
    """Score the figures of an extract that have no score by this filter, and write `scores.jsonl`.

    A script that calls it needs the usual `if __name__ == "__main__":`.

    Args:
        extracted: The folder.
        figure_filter: Scores.
        describing: Makes what the filter was fitted on.
        workers: Processes.
        each: Works on the figures; None: processes of this machine.
        advance: Told as each figure is scored, or was.

    Raises:
        ValueError: If `workers` is not positive.
        FileError: If the folder is no extract, cannot be written, or another run writes there.
    """
    figures = [(figure.file, figure.sha256) for figure in figures_of(extracted)]
    described = partial(describe_files, describing, workers=workers, each=each)
    with alone(extracted):
        return _score(extracted, figures, figure_filter, described, advance)


def _score(
    extracted: Path,
    figures: Sequence[tuple[str, str]],
    figure_filter: FigureFilter,
    described: Callable[[Iterable[Path]], Iterator[tuple[Path, Described | str]]],
    advance: Callable[[], None],
) -> Scored:
    by = (figure_filter.weights_hash or "")[:16]
    journal = Journal(extracted / _JOURNAL, resume=True)
    try:
        known = _known([*_lines(extracted / SCORES), *journal.lines], by)
        waiting = {extracted / figure[0]: figure for figure in figures if figure not in known}
        for _ in range(len(figures) - len(waiting)):
            advance()
        for path, said in described(waiting):
            file, sha256 = waiting[path]
            row: dict[str, Any] = {"file": file, "sha256": sha256, "filter": by}
            if isinstance(said, str):
                # A number all the same, so that it is kept at no threshold but 0.
                row |= {"score": 0.0, "reason": said.replace(f"{extracted}/", "")}
            else:
                score = float(figure_filter.score(np.asarray(said)[None])[0])
                row |= {"score": round(score, _DIGITS)}
            journal.append(row)
            known[file, sha256] = row
            advance()
    finally:
        journal.close()
    rows = [known[figure] for figure in figures]
    with open_atomic(extracted / SCORES) as stream:
        for row in rows:
            stream.write(json_line(row))
    journal.path.unlink()
    return Scored(
        {row["file"]: row["score"] for row in rows if "reason" not in row},
        {row["file"]: row["reason"] for row in rows if "reason" in row},
        len(waiting),
    )


def _lines(path: Path) -> list[bytes]:
    return complete_lines(path) if path.exists() else []


def _known(lines: Iterable[bytes], by: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The scores by one filter, by file and hash."""
    found = {}
    for line in lines:
        try:
            row = parse_json(line)
            key, made = (row["file"], row["sha256"]), row["filter"]
        except (ValueError, KeyError, TypeError):
            continue  # it is written anew
        if made == by and "reason" not in row:  # what could not be read is looked at again
            found[key] = row
    return found
