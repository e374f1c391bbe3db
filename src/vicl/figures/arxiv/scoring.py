"""The scores of an extract's figures: stored, so that the threshold is chosen later.

Scores are added to a journal as they come. `scores.jsonl` is made of it at the end, in the order of
`figures.jsonl`: it depends neither on the number of processes nor on when a run was cut short.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import numpy as np

from vicl.figures.arxiv.describing import Describing, describe_files
from vicl.figures.arxiv.extracting import FIGURES
from vicl.figures.arxiv.figure_filter import FigureFilter
from vicl.files import FileError, display, open_atomic, open_plain
from vicl.files.journal import Journal, complete_lines, json_line

SCORES: Final = "scores.jsonl"
"""Of all figures, a line each."""

_JOURNAL: Final = "scoring.jsonl"

_DIGITS: Final = 6
"""Of a score; the last bits of sums differ between machines."""


class Listed(NamedTuple):
    """A figure of an extract.

    Attributes:
        file: From the extract's folder.
        sha256: Of the file, in hex.
        paper: The paper's number; "" where it is not told.
    """

    file: str
    sha256: str
    paper: str


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


def list_figures(extracted: Path) -> list[Listed]:
    """The figures of an extract.

    Raises:
        FileError: If it has no `figures.jsonl`, or a line of it names no file inside.
    """
    path = extracted / FIGURES
    with open_plain(path) as stream:
        lines = stream.read().splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            file = row["file"]
            listed = Listed(file, str(row.get("sha256", "")), str(row.get("paper_id", "")))
            inside = PurePosixPath(file)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(
                f"{display(path)}, line {number}: is no figure; run `vicl figures extract` again"
            ) from error
        if inside.is_absolute() or ".." in inside.parts:
            raise FileError(
                f"{display(path)}, line {number}: names a file outside of {display(extracted)}"
            )
        found.append(listed)
    return found


def score_extract(
    extracted: Path,
    figure_filter: FigureFilter,
    describing: Describing,
    *,
    workers: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> Scored:
    """Score the figures of an extract that have no score by this filter, and write `scores.jsonl`.

    A script that calls it needs the usual `if __name__ == "__main__":`.

    Args:
        extracted: The folder.
        figure_filter: Scores.
        describing: Makes what the filter was fitted on.
        workers: Processes.
        advance: Told as each figure is scored, or was.

    Raises:
        ValueError: If `workers` is not positive.
        FileError: If the folder is no extract, or cannot be written.
    """
    figures = list_figures(extracted)
    by = (figure_filter.weights_hash or "")[:16]
    journal = Journal(extracted / _JOURNAL, resume=True)
    try:
        known = _known([*_lines(extracted / SCORES), *journal.lines], by)
        waiting: dict[Path, Listed] = {}
        for figure in figures:
            if (figure.file, figure.sha256) in known:
                advance()
            else:
                waiting[extracted / figure.file] = figure
        for path, said in describe_files(describing, waiting, workers=workers):
            figure = waiting[path]
            row: dict[str, Any] = {"file": figure.file, "sha256": figure.sha256, "filter": by}
            if isinstance(said, str):
                # A number all the same, so that it is kept at no threshold but 0.
                row |= {"score": 0.0, "reason": said.replace(f"{extracted}/", "")}
            else:
                score = float(figure_filter.score(np.asarray(said)[None])[0])
                row |= {"score": round(score, _DIGITS)}
            journal.append(row)
            known[figure.file, figure.sha256] = row
            advance()
    finally:
        journal.close()
    rows = [known[figure.file, figure.sha256] for figure in figures]
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
    """The lines of one filter, by file and hash."""
    found = {}
    for line in lines:
        try:
            row = json.loads(line)
            key, made = (row["file"], row["sha256"]), row["filter"]
        except (ValueError, KeyError, TypeError):
            continue  # it is written anew
        if made == by:
            found[key] = row
    return found
