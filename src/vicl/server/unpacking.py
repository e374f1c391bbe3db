"""Files that were sent, those inside a zip among them; a zip may come from a stranger."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import PurePath
from typing import BinaryIO, Final

from vicl.exports.reading import FILE_LIMITS
from vicl.files.bounded import ZIP_FAULTS
from vicl.server.names import safe_name
from vicl.server.problems import Refusal

_MOST_FILES: Final = 10_000
_MOST_BYTES: Final = 1 << 30
"""Of all that a zip holds, unpacked."""
_MOST_OF_ONE: Final = 1 << 27
"""Of one file in it: a mask or a photograph. Annotations have limits of their own."""


def unpacked(name: str, stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of a file, or of each in a zip; no name in it is used as a path.

    Raises:
        Refusal: If a zip is damaged, or holds too much.
    """
    if not name.lower().endswith(".zip"):
        yield name, stream.read()
        return
    shown = safe_name(name)
    left = _MOST_BYTES
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_FILES:
                raise Refusal(413, f"{shown}: holds more than {_MOST_FILES} files.")
            for entry in entries:
                if entry.is_dir():
                    continue
                suffix = PurePath(entry.filename).suffix.lower()
                most = FILE_LIMITS.get(suffix, _MOST_OF_ONE)
                with archive.open(entry) as packed:
                    data = packed.read(min(left, most) + 1)
                if len(data) > most:
                    inner = safe_name(entry.filename)
                    raise Refusal(413, f"{shown}: {inner} in it is over {most >> 20} MiB.")
                left -= len(data)
                if left < 0:
                    raise Refusal(413, f"{shown}: holds more than {_MOST_BYTES >> 20} MiB.")
                yield entry.filename, data
    except (*ZIP_FAULTS, ValueError) as error:
        raise Refusal(422, f"{shown}: cannot be unpacked ({error}); pack it anew.") from error
