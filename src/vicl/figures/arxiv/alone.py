"""One run at a time writes in a folder of figures."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vicl.files import FileError, display, reason


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made where it is missing.

    Args:
        out: The folder that the stage writes in.

    Raises:
        FileError: If it cannot be made or read, or another run writes there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out, os.O_RDONLY)
    except OSError as error:
        raise FileError(
            f"{display(out)}: cannot be made or read ({reason(error)}); choose another folder"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileError(
                f"{display(out)}: another run writes figures there; wait for it, or choose another "
                "folder"
            ) from error
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)
