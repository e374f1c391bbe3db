"""How many frames or pages a file holds, counted without decoding any."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

MOST_FRAMES: Final = 10_000
"""More are not counted, nor answered: a header may say any number."""

SINGLE: Final = ("JPEG", "MPO", "BMP")
"""Formats of one picture, though a phone's JPEG may carry another one for depth or preview."""


def count_pictures(stream: io.BufferedReader | io.BytesIO, image: Image.Image) -> int:
    """Count the frames of a file, at most `MOST_FRAMES` + 1; what Pillow raises is not caught.

    Args:
        stream: The whole file.
        image: The same file as Pillow opened it from the stream; both are moved about in.
    """
    if image.format in SINGLE:
        return 1
    if image.format == "GIF":
        return _gif_frames(stream)
    if image.format != "TIFF":
        return min(int(getattr(image, "n_frames", 1)), MOST_FRAMES + 1)
    for number in range(1, MOST_FRAMES + 1):
        try:
            image.seek(number)
        except EOFError:
            return number
    return MOST_FRAMES + 1


def _gif_frames(stream: io.BufferedReader | io.BytesIO) -> int:
    """Walk through a GIF's blocks; Pillow's own count decodes its way through them."""
    stream.seek(0)
    head = stream.read(13)
    stream.seek(_table(head[10]), io.SEEK_CUR)
    frames = 0
    while frames <= MOST_FRAMES:
        kind = stream.read(1)
        if kind == b"!":
            stream.seek(1, io.SEEK_CUR)
        elif kind == b",":
            frames += 1
            shape = stream.read(9)
            stream.seek(1 + (_table(shape[8]) if len(shape) == 9 else 0), io.SEEK_CUR)
        else:
            break  # the end, or damage
        while size := stream.read(1):
            if size == b"\0":
                break
            stream.seek(size[0], io.SEEK_CUR)
    return max(frames, 1)


def _table(flags: int) -> int:
    """Bytes of the table of colours that the flags before it announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
