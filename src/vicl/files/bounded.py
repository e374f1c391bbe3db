"""Files of strangers read whole, but never more than so much of them."""

from __future__ import annotations

import os
import zipfile
import zlib
from typing import Final

from vicl.files.plain import FileError, display, open_plain, reason

ZIP_FAULTS: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
"""What reading a broken zip raises; an encrypted entry or an unknown compression is the last."""


def read_bounded(
    path: str | os.PathLike[str], limit: int, error: type[ValueError] = FileError
) -> bytes:
    """Read a plain file that may come from a stranger.

    Args:
        path: The file.
        limit: Most bytes; counted as they are read, whatever the system says the size is.
        error: What is raised.

    Raises:
        ValueError: Of the given kind, if it cannot be read, is empty, or is larger.
    """
    try:
        with open_plain(path) as stream:
            data = stream.read(limit + 1)
    except FileError as fault:
        raise error(str(fault)) from fault
    except OSError as fault:
        raise error(f"{display(path)}: cannot be read ({reason(fault)})") from fault
    if len(data) > limit:
        raise error(
            f"{display(path)}: is larger than {limit >> 20} MiB and was not read; cut out what is "
            "needed of it"
        )
    return data
