"""The stages of arXiv's figures on a Ray cluster, by the same functions of a paper or a figure.

A process of Ray's works on a few things after each other, as this machine's own processes do: each
in a bounded process that may die of it (:mod:`vicl.figures.arxiv.workers`). If Ray's process dies,
or its machine, Ray asks another one: what was done already is done again, to the same files.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from vicl.figures.arxiv.workers import Bounds, Died, Each, run_each
from vicl.scale.on_ray import Fault, cluster, cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_AT_ONCE: Final = 16
"""At most so many things are sent to a process together."""

_SHARES: Final = 4
"""Each process gets its part in so many shares at least, so that all end at about one time."""


@contextmanager
def open_each(
    *, workers: int | None = None, address: str | None = None
) -> Iterator[tuple[Each, int]]:
    """Be on a Ray cluster; gives what works on each of several things there, and how many do.

    Files must be where they are on every machine of the cluster.

    Args:
        workers: Processes; None: as many as the cluster has cores.
        address: Of a cluster; None starts one of this machine alone.

    Raises:
        ValueError: If Ray is not installed.
        ConnectionError: If there is no cluster.
    """
    with cluster(workers, address, in_order=False):
        yield each_on_ray, workers or cores()


def each_on_ray(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, bounds: Bounds
) -> Iterator[tuple[Item, Result | Died]]:
    """See :func:`vicl.figures.arxiv.workers.run_each`; within :func:`open_each`."""
    import ray

    asked = list(items)
    if not asked:
        return
    count = max(1, min(_AT_ONCE, len(asked) // (_SHARES * workers)))
    rows = [{"given": pickle.dumps(asked[at : at + count])} for at in range(0, len(asked), count)]
    # A row a block: what is asked again when a process dies is what it was asked.
    worker: Any = _Worker
    said = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        worker,
        fn_constructor_args=(str(Path.cwd()), pickle.dumps((work, bounds))),
        concurrency=min(workers, len(rows)),
        num_cpus=1,
    )
    for row in said.iter_rows():
        found = pickle.loads(row["said"])
        if isinstance(found, Fault):
            raise found.error
        yield from found


class _Worker:
    """In a process of Ray's: works on a row's things."""

    def __init__(self, folder: str, given: bytes) -> None:
        os.chdir(folder)  # from which paths are told
        self._work, self._bounds = pickle.loads(given)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        found: Any
        try:
            items = pickle.loads(row["given"])
            found = list(run_each(self._work, items, workers=1, bounds=self._bounds))
        except Exception as error:  # on its way to the first process, which ends the run
            found = Fault(error)
        return {"said": pickle.dumps(found, protocol=5)}
