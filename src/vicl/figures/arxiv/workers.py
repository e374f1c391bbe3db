"""Work on one thing after the other in processes that may die of it, and are bounded.

What a process dies of, or cannot finish in its time, is tried once more, alone and in a fresh
process, after all the others: a machine that was short of memory for several may have it for one.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar, cast, runtime_checkable

from vicl.files import is_no_room, reason
from vicl.files.children import deaf, end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")

_SHARE: Final = 50
"""Things that a process works on before a fresh one takes its place: some libraries leak."""


@dataclass(frozen=True)
class Died:
    """What a process died of instead of a result, in words."""

    how: str


@dataclass(frozen=True)
class Bounds:
    """Of one process.

    Attributes:
        seconds: For one thing, by the clock.
        memory: Bytes of address space beyond those that it begins with.
        file: Bytes of a file that it writes.
    """

    seconds: int
    memory: int
    file: int


@runtime_checkable
class Each(Protocol):
    """Works on each of several things; :func:`run_each` does on this machine."""

    def __call__(
        self, work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, bounds: Bounds
    ) -> Iterator[tuple[Item, Result | Died]]:
        """See :func:`run_each`."""


@dataclass(eq=False)
class _Worker(Generic[Item]):
    process: BaseProcess
    connection: Connection
    given: int = 0
    ready: bool = False
    items: list[Item] = field(default_factory=list)  # the one that it works on, if it does
    until: float = float("inf")

    def end(self) -> str:
        """End it, and what it started; gives how it ended, in words."""
        self.connection.close()
        if self.process.is_alive() and self.process.pid is not None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except OSError:  # it has not made its group yet, or is gone
                self.process.kill()
        self.process.join()
        code = self.process.exitcode or 0
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def run_each(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, bounds: Bounds
) -> Iterator[tuple[Item, Result | Died]]:
    """Work on each of several things, as they are finished.

    A script that calls it needs the usual `if __name__ == "__main__":`.

    Args:
        work: Can be sent to a process, as its results can. An exception of it counts as a death.
        items: Likewise.
        workers: Processes.
        bounds: Of each.

    Raises:
        OSError: If `work` found that nothing can be written, and so nothing more can be done.
        RuntimeError: If a process dies before it is given anything.
    """
    died = []
    for item, result in _round(work, items, workers, bounds):
        if isinstance(result, Died):
            died.append(item)
        else:
            yield item, result
    for item in died:
        yield from _round(work, [item], 1, bounds)


def _round(
    work: Callable[[Item], Result], items: Iterable[Item], count: int, bounds: Bounds
) -> Iterator[tuple[Item, Result | Died]]:
    waiting = iter(items)
    workers: list[_Worker[Item]] = []
    following = next(waiting, None)
    try:
        while following is not None or any(worker.items for worker in workers):
            if following is not None and len(workers) < count:
                workers.append(_start(work, bounds))
            for worker in workers:
                if following is not None and worker.ready and not worker.items:
                    _give(worker, following, bounds.seconds)
                    following = next(waiting, None)
            if following is None:
                for worker in [one for one in workers if one.ready and not one.items]:
                    workers.remove(worker)  # nobody will ask it anything
                    worker.end()
            soonest = min(worker.until for worker in workers)
            patience = None if soonest == float("inf") else max(0, soonest - time.monotonic())
            heard = wait([worker.connection for worker in workers], patience)
            for worker in list(workers):
                if worker.connection in heard:
                    said = _hear(worker)
                elif worker.until < time.monotonic():
                    said = Died(f"took over {bounds.seconds} s")
                else:
                    continue
                if said is None:  # it is ready
                    continue
                item = worker.items.pop()
                worker.until = float("inf")
                if isinstance(said, Died) or worker.given >= _SHARE:
                    workers.remove(worker)
                    worker.end()
                yield item, cast("Result | Died", said)
    finally:
        for worker in workers:
            worker.end()


def _give(worker: _Worker[Item], item: Item, seconds: int) -> None:
    worker.items.append(item)
    worker.given += 1
    worker.until = time.monotonic() + seconds
    try:
        worker.connection.send(item)
    except OSError:  # it died: that is what is heard of it next
        return


def _hear(worker: _Worker[Any]) -> Any:
    """What a process says: a result, how it died, or None where it is ready."""
    try:
        said = worker.connection.recv()
    except (EOFError, OSError):
        how = worker.end()
        if not worker.items:
            raise RuntimeError(
                f"a process died before it could do anything ({how}); if the memory was full, ask "
                "fewer --workers"
            ) from None
        return Died(f"its process died ({how})")
    if not worker.ready:
        worker.ready = True
        return None
    if isinstance(said, OSError):
        raise said
    return said


def _start(work: Callable[[Any], Any], bounds: Bounds) -> _Worker[Any]:
    # Forked, but not of this process, whose threads' state a fork would copy: of a fresh one,
    # which has imported what all of them need, and so shares that.
    context = get_context("forkserver")
    context.set_forkserver_preload([work_module(work), __name__])
    here, there = context.Pipe()
    with deaf():
        process = context.Process(target=_serve, args=(there, work, bounds), daemon=True)
        process.start()
    there.close()  # so that the process's end is heard
    return _Worker(process, here)


def work_module(work: Callable[[Any], Any]) -> str:
    """The module of a function, or of that of which it is a part."""
    return str(getattr(work, "func", work).__module__)


def _serve(connection: Connection, work: Callable[[Any], Any], bounds: Bounds) -> None:
    """Work on what comes, until nothing does."""
    os.setsid()  # so that what it starts can be ended with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process says when to stop
    threading.Thread(target=end_with_parent, kwargs={"group": True}, daemon=True).start()
    logging.disable()  # what is wrong with a picture is counted
    _bound(bounds)
    connection.send(None)
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):
            return
        try:
            said: Any = work(item)
        except MemoryError:
            said = Died("ran out of memory")
        except Exception as error:  # whatever it is, the others go on
            said = Died(f"{type(error).__name__}: {reason(error)}")
            if is_no_room(error):
                said = OSError(str(error))
        connection.send(said)


def _bound(bounds: Bounds) -> None:
    """Let this process and those that it starts take only so much; nor does it leave a core."""
    status = Path("/proc/self/statm")
    if status.exists():  # elsewhere nobody says how much it has
        taken = int(status.read_text().split()[0]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS, taken + bounds.memory)
    _lower(resource.RLIMIT_FSIZE, bounds.file)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))
