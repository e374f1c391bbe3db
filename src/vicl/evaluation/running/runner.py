"""Running engines over episodes: load, answer, score, journal; and go on after a kill."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import vicl
from vicl.engine import InContextModel
from vicl.evaluation.episodes import Case, Dataset, Episode
from vicl.evaluation.running.engines import as_scored, canvas_of, device_of, equal_tokens
from vicl.evaluation.running.results import EvaluationError, Failure, Record, Results
from vicl.evaluation.running.run_folder import Records, prepare_folder
from vicl.evaluation.running.summary import summarise
from vicl.evaluation.running.workers import Workers
from vicl.evaluation.scoring.scorers import Metric, Scorer, Scores
from vicl.files.progress import Advance
from vicl.files.progress import progress as bar
from vicl.images import size_of
from vicl.prompting.batching import AT_ONCE, answers

log = logging.getLogger(__name__)

ON_DEVICES = 128
"""Canvases at once on other devices than a CPU, which computes them one by one anyway; they are
halved where the memory turns out to be too small."""

_BROKEN = (ValueError, OSError, RuntimeError)
"""What one episode may go wrong by, without the others going wrong too."""


def evaluate(
    engines: Mapping[str, InContextModel],
    dataset: Dataset,
    episodes: Sequence[Episode],
    out: Path | None = None,
    *,
    scorer: Scorer,
    batch_size: int | None = None,
    workers: int = 0,
    seed: int = 0,
    trained_classes: Collection[str] | None = None,
    options: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Results:
    """Have engines answer episodes, and score the answers.

    On a CPU the results do not depend on the batch size, nor anywhere on the workers or on being
    stopped on the way.

    Args:
        engines: Ready ones by their names, in the order of the report, the judged one last; see
            :func:`vicl.evaluation.running.engines.as_engine` and `with_floors`.
        dataset: Loads the episodes.
        episodes: At least one.
        out: Folder of the run (see :mod:`vicl.evaluation.running.run_folder`); None writes nothing.
        scorer: Scores the answers; see :func:`vicl.evaluation.scoring.scorers.scorer_for`.
        batch_size: Canvases (or prompts, of an engine without canvases) that go through an engine
            at once; None begins with many. Where the memory is full they are halved. No more
            episodes are held than have so many megapixels.
        workers: Threads that load, and processes that score; 0 does both in this process.
        seed: Of everything random in the engines.
        trained_classes: Classes that the engines' training saw; None if nobody knows.
        options: What else the results depend on, to be written down: plain values.
        resume: Go on with the run in `out`, if there is one.
        progress: Show a bar on standard error, where that is a terminal.

    Returns:
        The results; an episode that could not be read, answered or scored is among its failures.

    Raises:
        EvaluationError: If the run cannot begin or go on, or no episode could be scored.
    """
    began = time.perf_counter()
    for what, given in (("episodes", episodes), ("engines", engines)):
        if not given:
            raise EvaluationError(f"{what}: got none, expected at least one")
    if batch_size is not None and batch_size < 1:
        raise EvaluationError(f"batch_size: got {batch_size}, expected at least 1, or None")
    named = dict(options or {})
    run = _Run(
        engines, dataset, episodes, scorer, batch_size, workers, seed, trained_classes, named
    )
    if out is not None:
        prepare_folder(out, run.setting(), episodes, resume=resume)
    total = len(episodes) * len(engines)
    with (
        Records(episodes, out, resume=resume) as run.records,
        Workers(dataset, scorer, workers) as run.pool,
        bar("answering", total=total, done=len(run.records), show=progress) as run.advance,
    ):
        earlier = len(run.records)
        try:
            failures = run.complete()
        except BrokenExecutor as error:
            raise EvaluationError(
                "workers: one that scored was ended from outside, perhaps for its memory; lower "
                "--workers, then go on with --resume"
            ) from error
        return run.results(
            failures,
            wall=time.perf_counter() - began,
            answered=len(run.records) - earlier,
            earlier=earlier,
        )


@dataclass
class _Run:
    """The state of a run."""

    engines: Mapping[str, InContextModel]
    dataset: Dataset
    episodes: Sequence[Episode]
    scorer: Scorer
    batch_size: int | None
    workers: int
    seed: int
    trained_classes: Collection[str] | None
    options: dict[str, Any]
    records: Records = field(init=False)
    pool: Workers = field(init=False)
    advance: Advance = field(init=False)

    def __post_init__(self) -> None:
        self.equal_tokens: dict[str, float] = {}
        self._failed: dict[int, Failure] = {}
        self._scoring: list[tuple[int, str, float, Future[Scores]]] = []

    def setting(self) -> dict[str, Any]:
        """All that the results depend on; the episodes have a file of their own."""
        known = self.trained_classes
        return {
            "dataset": {
                "name": self.dataset.name,
                "task": self.dataset.task,
                "measures": self.dataset.measures,
                "fingerprint": self.dataset.fingerprint,
            },
            "episodes": len(self.episodes),
            "engines": {name: engine.weights_hash for name, engine in self.engines.items()},
            "metrics": [metric.name for metric in self.scorer.metrics],
            "seed": self.seed,
            "trained_classes": None if known is None else sorted(known),
            "options": self.options,
            "versions": {"vicl": vicl.__version__, "torch": torch.__version__},
        }

    def complete(self) -> list[Failure]:
        """Do what is not done yet; gives the episodes that failed, in order."""
        todo = [
            position
            for position in range(len(self.episodes))
            if any((position, name) not in self.records for name in self.engines)
        ]
        size = max(map(self._at_once, self.engines))
        for loading in self._loaded(todo, size):
            cases = {}
            for position, future in loading.items():
                try:
                    cases[position] = future.result()
                except _BROKEN as error:
                    self._fail(position, error)
            for name in self.engines:
                self._answer(name, cases)
                self._collect(keep=4 * self.pool.count)
        self._collect(keep=0)
        return [self._failed[position] for position in sorted(self._failed)]

    def results(self, failures: Sequence[Failure], **facts: Any) -> Results:
        """What was found over the episodes that every engine has a record of."""
        failed = {failure.position for failure in failures}
        scored = [place for place in range(len(self.episodes)) if place not in failed]
        if not scored:
            raise EvaluationError(f"no episode could be scored; the first: {failures[0]}")
        episodes = tuple(self.episodes[position] for position in scored)
        return Results(
            dataset=self.dataset.name,
            measures=self.dataset.measures,
            fingerprint=self.dataset.fingerprint,
            metrics=self._measured(scored),
            episodes=episodes,
            asked=len(self.episodes),
            failures=tuple(failures),
            engines=summarise(
                self.engines,
                self.scorer,
                episodes,
                {name: [self.records[p, name] for p in scored] for name in self.engines},
                self.equal_tokens,
            ),
            seed=self.seed,
            batch_size=self.batch_size,
            workers=self.workers,
            options=self.options,
            **facts,
        )

    def _loaded(self, todo: Sequence[int], size: int) -> Iterator[dict[int, Future[Case]]]:
        """Batches of so many cases, or of fewer that have so many megapixels.

        With workers, as many are loaded while a batch is answered.
        """
        waiting, loading = deque(todo), deque[tuple[int, Future[Case]]]()
        batch: dict[int, Future[Case]] = {}
        total, largest = 0.0, 1.0
        while waiting or loading:
            ahead = max(1, int(size / largest)) if self.pool.count else 1
            while waiting and len(loading) < ahead:
                position = waiting.popleft()
                loading.append((position, self.pool.load(self.episodes[position])))
            position, batch[position] = loading.popleft()
            held = _megapixels(batch[position])
            total, largest = total + held, max(largest, held)
            if len(batch) == size or total >= size:
                yield batch
                batch, total = {}, 0.0
        if batch:
            yield batch

    def _answer(self, name: str, cases: Mapping[int, Case]) -> None:
        """Have one engine answer those of a batch that it has not answered yet."""
        engine = self.engines[name]
        pending = [
            position
            for position in cases
            if (position, name) not in self.records and position not in self._failed
        ]
        if not pending:
            return
        self._compare_batches(name, [cases[position] for position in pending])
        begun = time.perf_counter()
        prompts = [cases[position].prompt for position in pending]
        found = [*answers(engine, prompts, seed=self.seed, batch_size=self._at_once(name))]
        seconds = (time.perf_counter() - begun) / len(pending)
        for position, answer in zip(pending, found, strict=True):
            if not isinstance(answer, Exception) and not bool(answer.image.isfinite().all()):
                # Comparisons with such pixels would pass for an answer.
                answer = ValueError("answered with pixels that are no finite numbers")
            if isinstance(answer, Exception):
                self._fail(position, answer, engine=name)
                continue
            bare = as_scored(engine, answer)
            future = self.pool.score(self.episodes[position], cases[position], bare)
            self._scoring.append((position, name, seconds, future))

    def _at_once(self, name: str) -> int:
        """How many prompts, or canvases, go through an engine at once, while they fit."""
        on_cpu = device_of(self.engines[name]).type == "cpu"
        return self.batch_size or (AT_ONCE if on_cpu else ON_DEVICES)

    def _compare_batches(self, name: str, cases: Sequence[Case]) -> None:
        """Once, where a batch need not give what its members give alone: how often it does."""
        canvas = canvas_of(self.engines[name])
        batch = [case.prompt for case in cases[: self._at_once(name)]]
        if (
            name in self.equal_tokens
            or canvas is None
            or device_of(canvas).type == "cpu"
            or len(batch) < 2
        ):
            return
        try:
            self.equal_tokens[name] = equal_tokens(canvas, batch)
        except (torch.OutOfMemoryError, ValueError) as error:
            log.info("%s: its batches were not compared (%s)", name, error)

    def _collect(self, *, keep: int) -> None:
        """Write down what is scored, in order, until `keep` scores are still on their way."""
        while len(self._scoring) > keep:
            position, name, seconds, future = self._scoring.pop(0)
            try:
                scores = future.result()
            except BrokenExecutor:
                raise  # not this episode's fault
            except _BROKEN as error:
                self._fail(position, error, engine=name)
                continue
            seen = self._class_seen(self.engines[name], self.episodes[position])
            self.records.add(Record(position, name, scores, seconds, seen))
            self.advance(1)

    def _class_seen(self, engine: InContextModel, episode: Episode) -> bool | None:
        if not episode.class_name:
            return None
        if engine.weights_hash is None:
            return False  # it was never trained
        known = self.trained_classes
        return None if known is None else episode.class_name in known

    def _fail(self, position: int, error: Exception, *, engine: str = "") -> None:
        message = f"{engine}: {error}" if engine else str(error)
        failure = Failure(position, self.episodes[position].query.image, message)
        if position not in self._failed:
            self._failed[position] = failure
            log.warning("skipped: %s", failure)

    def _measured(self, scored: Sequence[int]) -> tuple[Metric, ...]:
        """The metrics that some scored episode has; they do not depend on who answered."""
        first = next(iter(self.engines))
        found = {name for place in scored for name in self.records[place, first].scores.values}
        return tuple(metric for metric in self.scorer.metrics if metric.name in found)


def _megapixels(loading: Future[Case]) -> float:
    """Of a case's query and examples, once it is there; 0 where it cannot be loaded."""
    if loading.exception() is not None:
        return 0.0
    case = loading.result()
    pictures = [case.truth.image, *(shown.input for shown in case.prompt.examples)]
    return sum(math.prod(size_of(picture)) for picture in pictures) / 1e6
