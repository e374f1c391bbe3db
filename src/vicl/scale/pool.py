"""Queries answered by several processes on one machine, which share the model's weights.

Each process is given one query at a time and computes on one thread, so that an answer does not
depend on how many processes there are, to the last bit. One that dies is replaced, and its query
asked again.
"""

from __future__ import annotations

import gc
import heapq
import mmap
import pickle
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from typing import Any, Final

import torch

from vicl.exports.answers import Answer
from vicl.files.children import deaf, end_with_parent
from vicl.images import ImageLike
from vicl.prompting.batching import AT_ONCE, FAULTS
from vicl.prompting.prompter import VisualPrompter
from vicl.scale.asking import CHANCES, Fail, WorkerDiedError, ask_alone, one_thread
from vicl.scale.packing import Packed, pack, unpack

_AHEAD: Final = 4
"""Queries for each process that may be asked before the first of them is answered."""


@dataclass(eq=False)
class _Worker:
    """A process, and the number of the query that it was given."""

    process: BaseProcess
    connection: Connection
    ready: bool = False
    query: int | None = None

    def end(self) -> str:
        """End it if it runs; gives how it ended, in words."""
        self.connection.close()
        self.process.terminate()
        self.process.join()
        code = self.process.exitcode or 0
        return f" (by {signal.Signals(-code).name})" if code < 0 else f" (with exit code {code})"


class Pool:
    """Processes that answer queries; to be entered.

    A script that makes one needs the usual `if __name__ == "__main__":`.

    Args:
        prompter: Whose answers they give. Its model must be on the CPU.
        workers: How many processes.
        batch_size: See :meth:`vicl.prompting.prompter.VisualPrompter.map`; of one query's canvases.

    Attributes:
        pids: Of the processes that run.

    Raises:
        ValueError: If `workers` is not positive, or the prompter cannot be sent to a process.
    """

    def __init__(
        self, prompter: VisualPrompter, workers: int, *, batch_size: int = AT_ONCE
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers: got {workers}, expected at least 1")
        # A file without a name: it is gone when the last process that maps it is.
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed as the pool is left
        self._packed = pack(prompter, self._file)
        self._batch_size, self._count = batch_size, workers
        self._workers: list[_Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.end()
        self._workers = []
        self._file.close()

    @property
    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def map(self, queries: Iterable[ImageLike], on_error: Fail) -> Iterator[Answer]:
        """Answer queries in order, as they come.

        Args:
            queries: Plain enough to be sent to a process, as paths are.
            on_error: Is told of a query that cannot be opened or answered, or of which two
                processes died, in its turn.

        Raises:
            RuntimeError: If a process dies before it can be asked.
        """
        try:
            for number, query, found in _Round(self, queries).run():
                if isinstance(found, Answer):
                    yield replace(found, index=number)
                elif isinstance(found, (*FAULTS, WorkerDiedError)):
                    on_error(query, found)
                else:
                    raise found
                del found  # it may be large, and its successor is to come without it
        finally:
            for worker in [worker for worker in self._workers if worker.query is not None]:
                self.lose(worker)  # nobody waits for what it would answer

    def fill(self, wanted: int) -> list[_Worker]:
        """The processes: as many as there should be, or as are wanted."""
        while len(self._workers) < min(self._count, wanted):
            self._workers.append(self._start())
        return self._workers

    def lose(self, worker: _Worker) -> str:
        """Let go of a process that died; gives how, in words."""
        self._workers.remove(worker)
        return worker.end()

    def _start(self) -> _Worker:
        # Forked, but not of this process, whose threads' state a fork would copy: of a fresh one,
        # which has imported what all of them need, and so shares that.
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        here, there = context.Pipe()
        with deaf(), one_thread():
            given = there, self._packed, _Inherited(self._file.fileno()), self._batch_size
            process = context.Process(target=_work, args=given, daemon=True)
            process.start()
        there.close()  # so that the process's end is heard
        return _Worker(process, here)


class _Round:
    """One run over queries."""

    def __init__(self, pool: Pool, queries: Iterable[ImageLike]) -> None:
        self._pool, self._new = pool, enumerate(queries)
        self._asked: dict[int, ImageLike] = {}
        self._again: list[int] = []
        self._deaths: dict[int, int] = {}
        self._found: dict[int, Answer | Exception] = {}
        self._turn, self._ended = 0, False

    def run(self) -> Iterator[tuple[int, ImageLike, Answer | Exception]]:
        """Queries by number, with their answers or errors, in order."""
        while True:
            while self._turn in self._found:
                number, self._turn = self._turn, self._turn + 1
                yield number, self._asked.pop(number), self._found.pop(number)
            waiting = self._take_queries()
            if not self._asked:
                return
            workers = self._pool.fill(len(self._asked))
            for worker in workers:
                if waiting and worker.ready and worker.query is None:
                    self._give(worker, heapq.heappop(waiting))
            for connection in wait([worker.connection for worker in workers]):
                self._hear(next(w for w in workers if w.connection is connection))

    def _take_queries(self) -> list[int]:
        """The numbers of the queries that nobody is asked; never many more than are answered."""
        ahead = _AHEAD * self._pool._count
        while not self._ended and len(self._asked) < ahead:
            taken = next(self._new, None)
            if taken is None:
                self._ended = True
            else:
                number, query = taken
                self._asked[number] = query
                heapq.heappush(self._again, number)
        return self._again

    def _give(self, worker: _Worker, number: int) -> None:
        worker.query = number
        try:
            worker.connection.send(self._asked[number])
        except OSError:  # it died: what it says last is its end
            return

    def _hear(self, worker: _Worker) -> None:
        try:
            said = worker.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self._mourn(worker)
            return
        if worker.query is None:
            if isinstance(said, Exception):
                raise said
            worker.ready = True
            return
        self._found[worker.query] = said
        worker.query = None

    def _mourn(self, worker: _Worker) -> None:
        """A process died: its query is asked again, or given up."""
        number, how = worker.query, self._pool.lose(worker)
        if number is None:
            if worker.ready:
                return
            raise RuntimeError(
                f"a process died before it could be asked{how}; if the memory was full, ask fewer "
                "workers (command line: --workers)"
            )
        self._deaths[number] = self._deaths.get(number, 0) + 1
        if self._deaths[number] < CHANCES:
            heapq.heappush(self._again, number)
        else:
            self._found[number] = WorkerDiedError.of(self._asked[number], how)


class _Inherited:
    """An open file that a process is given when it is started."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _detached, (DupFd(self._descriptor),)


def _detached(duplicate: Any) -> int:
    return int(duplicate.detach())


def _work(connection: Connection, packed: Packed, descriptor: int, batch_size: int) -> None:
    """Answer what is asked, until nobody asks."""
    gc.freeze()  # what is shared is not looked through, which would copy it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process says when to stop
    threading.Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        # A process that wrote to a weight would get a copy of its page.
        memory = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY))
        prompter = unpack(packed, memory)
    except Exception as error:
        connection.send(error)
        return
    connection.send(None)
    while True:
        try:
            query = connection.recv()
        except (EOFError, OSError):
            return
        try:
            said: Any = ask_alone(prompter, query, batch_size)
        except Exception as error:  # a fault of the program, which the first process raises
            said = error
        _send(connection, said)


def _send(connection: Connection, said: Any) -> None:
    """Send an answer, or an error, in words where it cannot be sent itself."""
    if isinstance(said, Exception):
        try:
            pickle.loads(pickle.dumps(said))
        except Exception:
            kind = ValueError if isinstance(said, FAULTS) else TypeError
            said = kind(f"{type(said).__name__}: {said}")
    connection.send(said)
