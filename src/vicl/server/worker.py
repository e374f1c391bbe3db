"""One thread that does the heavy work, what is most urgent first."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import IntEnum
from typing import Any, TypeVar

_T = TypeVar("_T")


class Urgency(IntEnum):
    """Which work goes first; of equal work, what came first."""

    CLICK = 0
    OPEN = 1
    ASKED = 2
    OTHERS = 3
    LATER = 4


class Worker:
    """A thread that owns the models: nothing else runs them, so that each gets all the cores."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Future[Any], Callable[[], Any]]] = []
        self._count = itertools.count()
        self._there = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="vicl-worker", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether :meth:`leave` or :meth:`end` was called."""
        return self._ended

    @property
    def waiting(self) -> int:
        """How much is not begun."""
        with self._there:
            return len(self._waiting)

    def submit(self, urgency: Urgency, work: Callable[[], _T]) -> Future[_T]:
        """Have something done; what it raises, the future does."""
        future: Future[_T] = Future()
        with self._there:
            if self._ended:
                future.cancel()
                return future
            heapq.heappush(self._waiting, (int(urgency), next(self._count), future, work))
            self._there.notify()
        return future

    def let_through(self, urgency: Urgency) -> None:
        """Do what waits and is more urgent, in the middle of work that takes long.

        Only for such work itself, in the worker's thread.
        """
        while True:
            with self._there:
                if self._ended or not self._waiting or self._waiting[0][0] >= urgency:
                    return
                _, _, future, work = heapq.heappop(self._waiting)
            _do(future, work)

    def leave(self) -> None:
        """Begin no more: what waits is cancelled."""
        with self._there:
            self._ended = True
            for *_, future, _work in self._waiting:
                future.cancel()
            self._waiting.clear()
            self._there.notify()

    def end(self) -> None:
        """Finish what is being done, and do no more."""
        self.leave()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._there:
                while not self._waiting and not self._ended:
                    self._there.wait()
                if self._ended:
                    return
                _, _, future, work = heapq.heappop(self._waiting)
            _do(future, work)


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
