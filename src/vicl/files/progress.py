"""Progress bars: on standard error, and only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID


@runtime_checkable
class Advance(Protocol):
    """Moves a bar on."""

    def __call__(self, steps: int = 1, *, note: str | None = None) -> None:
        """Count steps as done; a note stands behind the bar until the next one does."""


@contextmanager
def progress(
    what: str, *, total: int | None, done: int = 0, show: bool = True
) -> Iterator[Advance]:
    """Show a bar with the time left, while the block runs.

    Args:
        what: What is going on, in a word or two.
        total: Steps; None where nobody knows.
        done: Steps of an earlier run.
        show: False draws nothing.
    """
    if not (show and sys.stderr.isatty()):
        yield lambda steps=1, *, note=None: None
        return
    # Only where a bar is drawn, for it takes a while.
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    note_column = TextColumn("{task.fields[note]}", markup=False)
    with _bars(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note_column) as bars:
        task = bars.add_task(what, total=total, completed=done, note="")

        def advance(steps: int = 1, *, note: str | None = None) -> None:
            bars.advance(task, steps)
            if note is not None:
                bars.update(task, note=note)

        yield advance


@contextmanager
def transfers() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a bar for each of several files on their way, while the block runs.

    Gives a function that takes a file's name, the bytes that are there, and all of its bytes, or
    None where nobody knows.
    """
    if not sys.stderr.isatty():
        yield lambda name, done, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with _bars(*columns) as bars:

        def report(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield report


def _bars(*columns: ProgressColumn) -> Progress:
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        *columns,
        console=Console(stderr=True),
        transient=True,
        # Results go to a pipe even while the bar is drawn on a terminal.
        redirect_stdout=sys.stdout.isatty(),
    )
