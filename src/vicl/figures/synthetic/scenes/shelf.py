"""Pixels of files, read when they are first asked for."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
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
        self.paths, self._read, self._keep = paths, read, keep
        self._kept: OrderedDict[int, Pixels] = OrderedDict()
        self._broken: set[int] = set()

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, number: int) -> tuple[Path, Pixels]:
        """File `number` and its pixels; if it is unusable, the next one that is not.

        Raises:
            ImageError: If no file can be used.
        """
        for step in range(len(self.paths)):
            index = (number + step) % len(self.paths)
            if index in self._broken:
                continue
            if index in self._kept:
                self._kept.move_to_end(index)
                return self.paths[index], self._kept[index]
            try:
                pixels = self._read(self.paths[index])
            except FileError as error:
                self._broken.add(index)
                _log.warning("left out: %s", error)
                continue
            self._kept[index] = pixels
            if len(self._kept) > self._keep:
                self._kept.popitem(last=False)
            return self.paths[index], pixels
        raise ImageError(
            f"{display(self.paths[0].parent)}: none of {len(self.paths)} files can be used; "
            "the log names each fault"
        )
