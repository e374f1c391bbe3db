"""Queries and shards answered on a Ray cluster, of this machine alone or of many.

Ray Data gives each process one query, or one shard, at a time; the answers are those of
:class:`vicl.scale.pool.Pool`, to the last bit where the processors are alike. What a process that
died was asked, Ray asks again.
"""

from __future__ import annotations

import io
import logging
import os
import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from vicl.exports.answers import Answer
from vicl.files import reason
from vicl.files.extras import to_install
from vicl.images import ImageLike
from vicl.prompting.batching import AT_ONCE, FAULTS
from vicl.prompting.prompter import VisualPrompter
from vicl.scale.asking import CHANCES, Fail, WorkerDiedError, ask_alone, one_thread
from vicl.scale.packing import Packed, pack, unpack
from vicl.scale.shards import ShardJob, ShardReport, answer_shard


class RayEngine:
    """A cluster that answers; see :func:`open_ray`."""

    def __init__(self, prompter: VisualPrompter, workers: int | None, batch_size: int) -> None:
        import ray

        self._count = workers or cores()
        stream = io.BytesIO()
        packed = pack(prompter, stream)
        # In the object store once a machine, whose processes all map it.
        memory = ray.put(np.frombuffer(stream.getbuffer(), np.uint8))
        # Outside the processes that answer: it lives on when one of them dies.
        deaths = ray.remote(num_cpus=0)(_Deaths).remote()
        self._given = packed, memory, deaths, batch_size

    def map(self, queries: Iterable[ImageLike], on_error: Fail) -> Iterator[Answer]:
        """Answer queries in order; see :meth:`vicl.scale.pool.Pool.map`.

        The files must be where they are on every machine of the cluster.
        """
        asked = list(queries)
        rows = [{"number": n, "given": pickle.dumps(query)} for n, query in enumerate(asked)]
        for number, found in enumerate(self._run(_Asker, rows)):
            if isinstance(found, Answer):
                yield replace(found, index=number)
            elif isinstance(found, (*FAULTS, WorkerDiedError)):
                on_error(asked[number], found)
            else:
                raise found
            del found

    def shards(self, shards: Sequence[str], job: ShardJob) -> Iterator[ShardReport]:
        """Answer shards, each by one process, which reads it and writes its answers."""
        rows = [{"number": n, "given": pickle.dumps((s, job))} for n, s in enumerate(shards)]
        yield from self._run(_ShardAsker, rows)

    def _run(self, kind: Any, rows: list[dict[str, Any]]) -> Iterator[Any]:
        import ray

        if not rows:
            return
        # A row a block: what is asked again when a process dies is what it was asked.
        asked = ray.data.from_items(rows, override_num_blocks=len(rows))
        said = asked.map(
            kind,
            fn_constructor_args=self._given,
            concurrency=min(self._count, len(rows)),
            num_cpus=1,
        )
        for row in said.iter_rows():
            found = pickle.loads(row["said"])
            if isinstance(found, Fault):
                raise found.error
            yield found


@contextmanager
def open_ray(
    prompter: VisualPrompter,
    *,
    workers: int | None = None,
    address: str | None = None,
    batch_size: int = AT_ONCE,
) -> Iterator[RayEngine]:
    """Give an engine on a Ray cluster, which is left when the block ends.

    Args:
        prompter: Whose answers they give. Its model must be on the CPU.
        workers: Processes that answer; None: as many as the cluster has cores.
        address: Of a cluster; None starts one of this machine alone.
        batch_size: See :class:`vicl.scale.pool.Pool`.

    Raises:
        ValueError: If Ray is not installed, or the prompter cannot be sent to a process.
        ConnectionError: If there is no cluster.
    """
    with cluster(workers, address, in_order=True):
        yield RayEngine(prompter, workers, batch_size)


@contextmanager
def cluster(workers: int | None, address: str | None, *, in_order: bool) -> Iterator[None]:
    """Be on a Ray cluster while the block lasts.

    Args:
        workers: Cores of one that is started here; None: all.
        address: Of a cluster; None starts one of this machine alone.
        in_order: Ray Data gives results in the order of what was asked, not as they are finished.

    Raises:
        ValueError: If Ray is not installed.
        ConnectionError: If there is no cluster.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray would tell its makers of each run
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError(f"engine ray: needs the library Ray Data: {to_install('ray')}") from error
    here: dict[str, Any] = {"address": "local", "include_dashboard": False}
    if workers is not None:
        here["num_cpus"] = workers
    started = here if address is None else {"address": address}
    try:
        with one_thread():
            ray.init(**started, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray's are of all kinds
        raise ConnectionError(
            f"engine ray: the cluster could not be started or reached ({reason(error)}); look at "
            "its address, or at what else keeps this machine busy, and go on with --skip-existing"
        ) from error
    try:
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = in_order
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        yield
    finally:
        ray.shutdown()


def cores() -> int:
    """Of the cluster."""
    import ray

    known: Any = ray  # some of it has no types
    return max(1, int(known.cluster_resources().get("CPU", 1)))


class Fault:
    """An error that is to end the run, on its way to the first process."""

    def __init__(self, error: Exception) -> None:
        try:
            pickle.loads(pickle.dumps(error))
            self.error = error
        except Exception:
            self.error = RuntimeError(f"{type(error).__name__}: {error}")


class _Deaths:
    """Counts, of what is asked, how often nothing was heard of it since."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def begin(self, key: str) -> int:
        """How often something was begun before and not ended; it is begun once more."""
        self._asked[key] += 1
        return self._asked[key] - 1

    def end(self, key: str) -> None:
        """It came to its end, well or not."""
        del self._asked[key]


class _Asker:
    """In a process of Ray's: answers a row's query."""

    def __init__(self, packed: Packed, memory: Any, deaths: Any, batch_size: int) -> None:
        import ray

        torch.set_num_threads(1)
        self.prompter: VisualPrompter = unpack(packed, memoryview(ray.get(memory)))
        self._deaths, self._batch_size = deaths, batch_size

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            found = self.found(int(row["number"]), pickle.loads(row["given"]))
        except Exception as error:
            found = Fault(error)
        return {"said": pickle.dumps(found, protocol=5)}

    def found(self, number: int, given: Any) -> Any:
        """What is made of what a row has."""
        found = self.ask_counted(f"{number}", given)
        if isinstance(found, Exception) and not isinstance(found, (*FAULTS, WorkerDiedError)):
            return Fault(found)
        return Fault(found).error if isinstance(found, Exception) else found

    def ask_counted(self, key: str, query: ImageLike) -> Answer | Exception:
        """Answer a query, unless processes died of it before."""
        import ray

        if ray.get(self._deaths.begin.remote(key)) >= CHANCES:
            return WorkerDiedError.of(query)
        found = ask_alone(self.prompter, query, self._batch_size)
        ray.get(self._deaths.end.remote(key))
        return found


class _ShardAsker(_Asker):
    """In a process of Ray's: answers a row's shard."""

    def found(self, number: int, given: Any) -> ShardReport:
        shard, job = given

        def ask(queries: Iterable[ImageLike], on_error: Fail) -> Iterator[Answer]:
            for index, query in enumerate(queries):
                found = self.ask_counted(f"{number}/{index}", query)
                if isinstance(found, Exception):
                    on_error(query, found)
                else:
                    yield replace(found, index=index)

        return answer_shard(shard, job, self.prompter, ask)
