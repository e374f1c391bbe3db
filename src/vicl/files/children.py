"""Processes beside the first one, and Ctrl-C, which a terminal sends to all of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process, resource_tracker
from multiprocessing.connection import wait


@contextmanager
def deaf() -> Iterator[None]:
    """Processes that are started inside do not hear Ctrl-C, of which they would print traces.

    In this process it is heard when the block ends.
    """
    # Starting Python's own helper process lets Ctrl-C in again, so it is started before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed(*_: object) -> None:
    """In such a process: hear Ctrl-C from now on, and end if it came already.

    Args:
        *_: Anything; that it is sent there means that its modules are imported by now.
    """
    if signal.SIGINT in signal.sigpending():
        os._exit(130)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def end_with_parent(*, group: bool = False) -> None:
    """In a thread of such a process: end when the first one is killed, which could tell nobody.

    PyTorch's own watch is kept on the process that forked this one: the server, which in turn lives
    as long as its children.

    Args:
        group: It leads a group of processes, which end with it.
    """
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        if group:
            os.killpg(0, signal.SIGKILL)
        os._exit(1)
