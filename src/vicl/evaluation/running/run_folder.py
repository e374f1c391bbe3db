"""The folder of an evaluation: made once, and gone on with only by the settings that made it.

It has `run.json` (what is being run), `listing.jsonl` (the episodes, to be replayed),
`episodes.jsonl` (a line for each episode and engine, as they are done), and at the end
`results.json`, contact sheets and `index.html`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vicl.evaluation.episodes import Episode, read_listing, write_listing
from vicl.evaluation.running.results import EvaluationError, Record
from vicl.evaluation.scoring.scorers import Scores
from vicl.files import TEMPORARY_PREFIX, FileError, display, open_plain, reason, write_atomic
from vicl.files.journal import Journal
from vicl.files.nested import flatten
from vicl.files.plain_json import parse_json

RUN, LISTING, JOURNAL = "run.json", "listing.jsonl", "episodes.jsonl"
RESULTS, PAGE = "results.json", "index.html"


class Records:
    """The records of a run, kept in memory and, where there is a folder, in its journal.

    To be entered; leaving it closes the journal.

    Args:
        episodes: The run's.
        folder: The run's, prepared; None keeps nothing.
        resume: Take up what the journal has.

    Raises:
        EvaluationError: If a line of the journal is damaged.
    """

    def __init__(self, episodes: Sequence[Episode], folder: Path | None, *, resume: bool) -> None:
        self._episodes = episodes
        self._found: dict[tuple[int, str], Record] = {}
        self._journal = None if folder is None else Journal(folder / JOURNAL, resume=resume)
        if self._journal is not None:
            try:
                earlier = _read_lines(self._journal.path, self._journal.lines, len(episodes))
            except EvaluationError:
                self._journal.close()
                raise
            self._found = {(record.position, record.engine): record for record in earlier}

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        if self._journal is not None:
            self._journal.close()

    def __contains__(self, key: tuple[int, str]) -> bool:
        return key in self._found

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, key: tuple[int, str]) -> Record:
        return self._found[key]

    def add(self, record: Record) -> None:
        """Keep a record; when this returns, a kill cannot lose it."""
        if self._journal is not None:
            episode = self._episodes[record.position]
            self._journal.append(
                {
                    "episode": record.position,
                    "engine": record.engine,
                    "class": episode.class_name,
                    "class_seen": record.class_seen,
                    "query": episode.query.image,
                    "examples": [example.image for example in episode.examples],
                    "seconds": record.seconds,
                    "scores": record.scores.to_json(),
                }
            )
        self._found[record.position, record.engine] = record


def prepare_folder(
    folder: Path, setting: Mapping[str, Any], episodes: Sequence[Episode], *, resume: bool
) -> None:
    """Make a run's folder, or check that its run may go on.

    Args:
        folder: To make, or of the run.
        setting: All that the results depend on, as plain values.
        episodes: Of the run.
        resume: Go on with the run, if there is one.

    Raises:
        EvaluationError: If the folder holds a run and `resume` is not asked for, a run of other
            settings, or other things; or it cannot be written.
    """
    name, listing = display(folder), write_listing(episodes)
    file = folder / RUN
    if file.exists():
        if not resume:
            raise EvaluationError(
                f"{name}: has a run in it; go on with it by --resume, or choose another --output"
            )
        _check_same(folder, setting, episodes)
        return
    try:
        if folder.exists() and any(
            # What a process that was killed at once left half-written is nothing to keep.
            path.name != LISTING and not path.name.startswith(TEMPORARY_PREFIX)
            for path in folder.iterdir()
        ):
            raise EvaluationError(f"{name}: holds other things than a run; choose another --output")
        write_atomic(folder / LISTING, listing.encode())
        # The last, since a folder with this file is taken to be whole.
        write_atomic(file, json.dumps(setting, indent=1, ensure_ascii=False).encode())
    except OSError as error:
        raise EvaluationError(
            f"{name}: the run's folder cannot be made ({reason(error)}); choose another --output"
        ) from error


def read_run(folder: Path) -> tuple[dict[str, Any], list[Episode], list[Record]]:
    """What a run was asked for, its episodes, and the records that it has so far.

    Raises:
        EvaluationError: If the folder holds no run, or a file of it is damaged.
    """
    if not (folder / RUN).is_file():
        raise EvaluationError(
            f"{display(folder)}: is no folder of an evaluation, it has no {RUN}; make one with "
            "`vicl evaluate`"
        )
    setting = _read_json(folder / RUN)
    episodes = read_listing(_read_text(folder / LISTING))
    lines: list[bytes] = []
    if (folder / JOURNAL).is_file() and (folder / JOURNAL).stat().st_size:
        lines = _read_text(folder / JOURNAL).encode().split(b"\n")[:-1]
    return setting, episodes, _read_lines(folder / JOURNAL, lines, len(episodes))


def _check_same(folder: Path, setting: Mapping[str, Any], episodes: Sequence[Episode]) -> None:
    """Refuse to go on with other settings."""
    before, now = flatten(_read_json(folder / RUN)), flatten(json.loads(json.dumps(setting)))
    other = [
        f"{key} (was {_said(before, key)}, is {_said(now, key)})"
        for key in sorted({*before, *now})
        # An engine without weights has None, which is not to be mistaken for no engine.
        if (key in before) != (key in now) or before.get(key) != now.get(key)
    ]
    if not other and list(before) != list(now):
        other = ["the engines' order"]  # the last one is judged
    if not other and read_listing(_read_text(folder / LISTING)) != list(episodes):
        other = ["the list of episodes"]
    if other:
        raise EvaluationError(
            f"{display(folder)}: the run was begun with other values of {'; '.join(other[:5])}; "
            "go on with those, or begin another run with --output"
        )


def _said(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "absent"


def _read_lines(path: Path, lines: Sequence[bytes], episodes: int) -> list[Record]:
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            row = parse_json(line)
            seen = row["class_seen"]
            record = Record(
                position=int(row["episode"]),
                engine=str(row["engine"]),
                scores=Scores.from_json(row["scores"]),
                seconds=float(row["seconds"]),
                class_seen=None if seen is None else bool(seen),
            )
            if not 0 <= record.position < episodes:
                raise ValueError(f"episode {record.position} of {episodes}")
        except (ValueError, KeyError, TypeError) as error:
            raise EvaluationError(
                f"{display(path)}: line {number} is damaged ({reason(error)}); remove the line, "
                "and go on with --resume"
            ) from error
        found.append(record)
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = parse_json(_read_text(path))
    except ValueError as error:
        raise EvaluationError(f"{display(path)}: is damaged ({reason(error)})") from error
    if not isinstance(value, dict):
        raise EvaluationError(f"{display(path)}: is damaged (got {type(value).__name__})")
    return value


def _read_text(path: Path) -> str:
    try:
        with open_plain(path) as stream:
            return stream.read().decode()
    except (FileError, OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{display(path)}: cannot be read ({reason(error)})") from error
