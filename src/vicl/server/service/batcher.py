"""Queries of all requests in one bounded queue; those of one prompt are answered together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vicl.exports.answers import Answer
from vicl.prompting.prompter import VisualPrompter
from vicl.server.problems import Refusal

log = logging.getLogger(__name__)


class Prompted:
    """A prompt that is asked; its prompter is made when it first is, in the engine's thread.

    Args:
        name: What it is called; empty where a request brought it.
        make: Makes the prompter; what it raises, all who ask are told.

    Attributes:
        failed: What making it raised.
    """

    def __init__(self, name: str, make: Callable[[], VisualPrompter]) -> None:
        self.name, self._make = name, make
        self._made: VisualPrompter | None = None
        self.failed: Exception | None = None

    def prompter(self) -> VisualPrompter:
        """Its prompter, made once."""
        if self.failed is not None:
            raise self.failed
        if self._made is None:
            try:
                self._made = self._make()
            except Exception as error:
                self.failed = error
                raise
        return self._made


@dataclass(eq=False)
class Query:
    """A picture that waits for its answer.

    Attributes:
        prompt: By what it is answered.
        image: Its file, which no other query has.
        future: Its answer; whoever cancels it takes the query back, while it waits.
        since: When it was asked, by the monotonic clock.
    """

    prompt: Prompted
    image: Path
    future: Future[Answer] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


@runtime_checkable
class Watcher(Protocol):
    """What is told of the work, for whoever counts."""

    def waiting(self, count: int) -> None:
        """So many queries wait."""
        ...

    def batch(self, size: int, seconds: float) -> None:
        """So many queries were answered together, in so many seconds."""
        ...


class Batcher:
    """A thread that owns the engines, and the queue before it.

    Args:
        at_once: Most queries that are answered together.
        wait: Seconds that a query waits for others of its prompt, while the engine has time.
        room: Most queries that wait.
        watcher: Told of the work.
    """

    def __init__(self, *, at_once: int, wait: float, room: int, watcher: Watcher) -> None:
        self.at_once, self.wait, self.room, self.watcher = at_once, wait, room, watcher
        self._waiting: list[Query] = []
        self._there = threading.Condition()
        self._closed = False
        self._pace = 0.0
        self._thread = threading.Thread(target=self._run, name="vicl-engine", daemon=True)
        self._thread.start()

    def put(self, queries: Sequence[Query]) -> None:
        """Have queries answered: all of them, or none.

        Raises:
            Refusal: 503 if there is no room for them, or the service is ending.
        """
        with self._there:
            if self._closed:
                raise Refusal(503, "The service is ending; ask again soon.", retry_after=1)
            self._drop_left()
            if len(self._waiting) + len(queries) > self.room:
                seconds = len(self._waiting) * self._pace
                raise Refusal(
                    503,
                    f"{len(self._waiting)} queries wait already, and no more than {self.room} may; "
                    "ask again later.",
                    retry_after=min(60, max(1, round(seconds))),
                )
            self._waiting += queries
            self.watcher.waiting(len(self._waiting))
            self._there.notify()

    def close(self) -> None:
        """Take nothing more; what waits is still answered."""
        with self._there:
            self._closed = True
            self._there.notify()

    def end(self) -> None:
        """Take nothing more, and wait until all that waits is answered."""
        self.close()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            started = time.monotonic()
            count = self._answer(batch)
            seconds = time.monotonic() - started
            if count:
                pace = seconds / count
                self._pace = pace if not self._pace else 0.8 * self._pace + 0.2 * pace
                self.watcher.batch(count, seconds)

    def _next(self) -> list[Query]:
        """Wait for the next queries of one prompt, the oldest first; none at the end."""
        with self._there:
            while True:
                self._drop_left()
                if not self._waiting:
                    if self._closed:
                        return []
                    self._there.wait()
                    continue
                first = self._waiting[0]
                same = [one for one in self._waiting if one.prompt is first.prompt][: self.at_once]
                left = first.since + self.wait - time.monotonic()
                if len(same) == self.at_once or left <= 0 or self._closed:
                    taken = {id(one) for one in same}
                    self._waiting = [one for one in self._waiting if id(one) not in taken]
                    self.watcher.waiting(len(self._waiting))
                    return same
                self._there.wait(left)

    def _drop_left(self) -> None:
        """Forget those whose asker has left."""
        self._waiting = [one for one in self._waiting if not one.future.cancelled()]

    def _answer(self, batch: Sequence[Query]) -> int:
        """Answer queries of one prompt, whatever becomes of single ones; gives how many."""
        begun: dict[Path, Query] = {}

        def images() -> Iterator[Path]:
            for query in batch:
                if query.future.set_running_or_notify_cancel():
                    begun[query.image] = query
                    yield query.image

        def fail(image: Any, error: Exception) -> None:
            begun[image].future.set_exception(error)

        try:
            prompter = batch[0].prompt.prompter()
            found = prompter.map(images(), batch_size=self.at_once, on_error=fail)
            for answer in found:
                assert answer.source is not None
                begun[answer.source].future.set_result(answer)
                del answer  # it may be large, and its successor is to be made without it
        except Exception as error:
            self._fail(batch, error)
        else:
            self._fail(batch, RuntimeError("the engine gave no answer"))
        return len(begun)

    def _fail(self, batch: Sequence[Query], error: Exception) -> None:
        for query in batch:
            with suppress(InvalidStateError):  # it is answered, or its asker has just left
                query.future.set_exception(error)
