"""Pixels of files, read when they are first asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vicl.files import FileError, display
from vicl.images import ImageError

_log = logging.getLogger(__name__)

Pixels = UInt8[np.ndarray, "h w c"]


class Shelf:
    """Pixels of files by number, the last few of them kept.

    Attributes:
        paths: The files.
    """

    def __init__(self, paths: list[Path], read: Callable[[Path], Pixels], keep: int) -> None:
        self.paths = paths
        self._read = lru_cache(keep)(read)
        self._broken: set[Path] = set()

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, number: int) -> tuple[Path, Pixels]:
        """File `number` and its pixels; if it is unusable, the next one that is not.

        Raises:
            ImageError: If no file can be used.
        """
        for step in range(len(self.paths)):
            path = self.paths[(number + step) % len(self.paths)]
            if path in self._broken:
                continue
            try:
                return path, self._read(path)
            except FileError as error:
                self._broken.add(path)
                _log.warning("left out: %s", error)
        raise ImageError(
            f"{display(self.paths[0].parent)}: none of {len(self.paths)} files can be used; "
            "the log names each fault"
        )
