"""Loading episodes and scoring answers: in this process, or in others beside it.

Files are read by threads.  Scoring computes, so it is done by processes; each reads the episode
again, since what an episode holds is larger than an answer.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from jaxtyping import Float

from vicl.engine import Filled
from vicl.evaluation.episodes import Case, Dataset, Episode
from vicl.evaluation.running.results import EvaluationError
from vicl.evaluation.scoring.scorers import Scorer, Scores
from vicl.files.children import deaf, end_with_parent

P = ParamSpec("P")
T = TypeVar("T")

_held: list[tuple[Dataset, Scorer]] = []
"""In a scoring process: what it scores with."""


class Workers:
    """Loads and scores; to be entered.

    Args:
        dataset: Loads the episodes; with `count`, plain enough to be sent to other processes.
        scorer: Scores the answers; likewise.
        count: Threads that load, and processes that score; 0 does both here, when asked.

    Raises:
        EvaluationError: If `count` is negative.
    """

    def __init__(self, dataset: Dataset, scorer: Scorer, count: int) -> None:
        if count < 0:
            raise EvaluationError(f"workers: got {count}, expected 0 or more")
        self.count = count
        self._dataset, self._scorer = dataset, scorer
        self._loading: Executor = ThreadPoolExecutor(count) if count else _Here()
        self._scoring: Executor = (
            ProcessPoolExecutor(
                count,
                # A fork would copy the state of a GPU and of running threads.
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(dataset, scorer),
            )
            if count
            else _Here()
        )

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for executor in (self._loading, self._scoring):
            executor.shutdown(wait=True, cancel_futures=True)

    def load(self, episode: Episode) -> Future[Case]:
        """Begin to load an episode."""
        return self._loading.submit(self._dataset.load, episode)

    def score(self, episode: Episode, case: Case, answer: Filled) -> Future[Scores]:
        """Begin to score an answer.

        Args:
            episode: That was answered.
            case: The same, loaded.
            answer: To it.
        """
        if not self.count:
            return self._scoring.submit(self._scorer.score, case, answer)
        cell = None if answer.cell is None else answer.cell.numpy()
        # As arrays: every tensor sent would keep a file open.
        with deaf():
            return self._scoring.submit(_score, episode, answer.image.numpy(), cell)


class _Here(Executor):
    """Does what it is told at once, in this process."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _begin(dataset: Dataset, scorer: Scorer) -> None:
    """Begin a scoring process."""
    _held.append((dataset, scorer))
    torch.set_num_threads(1)  # there are as many processes as the user wants busy
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process says when to stop
    threading.Thread(target=end_with_parent, daemon=True).start()


def _score(
    episode: Episode,
    image: Float[np.ndarray, "3 h w"],
    cell: Float[np.ndarray, "3 ch cw"] | None,
) -> Scores:
    """Score an answer in a scoring process."""
    dataset, scorer = _held[0]
    drawn = None if cell is None else torch.from_numpy(cell)
    return scorer.score(dataset.load(episode), Filled(torch.from_numpy(image), cell=drawn))
