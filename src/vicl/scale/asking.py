"""One query, one answer: what every process and every machine does, so that all answer alike."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from vicl.exports.answers import Answer
from vicl.files import display
from vicl.images import ImageLike
from vicl.prompting.batching import AT_ONCE, FAULTS
from vicl.prompting.prompter import VisualPrompter

Fail: TypeAlias = Callable[[Any, Exception], None]
"""Is told of a query that cannot be answered, and why."""

Ask: TypeAlias = Callable[[Iterable[ImageLike], Fail], Iterator[Answer]]
"""Answers queries, in order, as :meth:`vicl.prompting.prompter.VisualPrompter.map` does."""

CHANCES: Final = 2
"""So often is a query asked whose process dies of it."""

ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""For processes beside one another: sums of several threads differ in their last bits."""


class WorkerDiedError(RuntimeError):
    """A query that is given up: each process that was asked died of it."""

    @classmethod
    def of(cls, query: Any, how: str = "") -> WorkerDiedError:
        """The error of a query; `how` is the processes' end, in words."""
        name = display(query) if isinstance(query, str | os.PathLike) else type(query).__name__
        return cls(
            f"{name}: {CHANCES} processes that were to answer it died{how}; it is left out. If the "
            "memory was full, ask fewer --workers"
        )


def ask_alone(
    prompter: VisualPrompter, query: ImageLike, batch_size: int = AT_ONCE
) -> Answer | Exception:
    """Answer one query by itself; one that cannot be answered gives its error."""
    try:
        return next(prompter.map([query], batch_size=batch_size, on_error="raise"))
    except FAULTS as error:
        # The trace itself does not go to another process.
        error.add_note(traceback.format_exc())
        return error


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes that are started inside compute on one thread each."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
