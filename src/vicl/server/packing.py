"""A folder of answers as one zip."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vicl.exports.record import RECORD

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_PRESSED: Final = (".png", ".vicl")
"""Files that are compressed already."""


def pack(folder: Path, packed: Path) -> None:
    """Pack the files below a folder but for vicl's own record of them; equal files, equal bytes."""
    with zipfile.ZipFile(packed, "w") as archive:
        for file in _files(folder):
            info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _EPOCH)
            stored = file.suffix in _PRESSED
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            with file.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                while part := source.read(1 << 20):
                    target.write(part)


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name != RECORD:
            yield file
