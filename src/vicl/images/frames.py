"""The frames of an animation and the pages of a TIFF, each as a picture of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from vicl.files import FileError, display, open_plain
from vicl.images.counting import MOST_FRAMES
from vicl.images.decoding import (
    ANY_SIZE,
    DEFAULT_LIMIT_PIXELS,
    PARSER_ERRORS,
    ImageError,
    check_bytes,
    damaged,
    decode,
    frame_count,
    image_stream,
    opened,
    too_large,
)


@dataclass(frozen=True)
class Frame(os.PathLike[str]):
    """One frame of a file; taken wherever an image is (:func:`vicl.images.to_tensor`).

    Attributes:
        path: The file.
        number: Which frame, from 1.
    """

    path: Path
    number: int

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return f"{self.path} (frame {self.number})"


def count_frames(path: str | os.PathLike[str]) -> int:
    """How many frames or pages a file holds; 1 for one that cannot be opened as an image.

    A phone's multi-picture JPEG counts as one picture.

    Raises:
        ImageError: If there are more than :data:`vicl.images.counting.MOST_FRAMES`, or they cannot
            be counted.
    """
    name = display(path)
    try:
        with open_plain(path) as stream, opened(stream, name, ANY_SIZE):
            count = frame_count(stream)
    except FileError:
        return 1  # refused when it is opened
    if count is None:
        raise ImageError(f"{name}: is damaged: its frames cannot be counted; save it anew")
    if count > MOST_FRAMES:
        raise ImageError(f"{name}: has more than {MOST_FRAMES} frames; split it up first")
    return count


def open_frames(
    path: str | os.PathLike[str], *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
) -> Iterator[Image.Image]:
    """Read the frames of a file one by one, each as :func:`vicl.images.open_image` reads the first.

    One frame is held at a time.

    Raises:
        ImageError: As :func:`vicl.images.open_image`, or as :func:`count_frames`.
    """
    for number in range(1, count_frames(path) + 1):
        yield open_frame(Frame(Path(path), number), limit_pixels=limit_pixels)


def open_frame(frame: Frame, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Image.Image:
    """Read one frame; its own size is compared before it is decoded.

    Raises:
        ImageError: As :func:`vicl.images.open_image`, or if there is no such frame.
    """
    name = f"{display(frame)} (frame {frame.number})"
    with image_stream(frame) as stream:
        check_bytes(name, stream, limit_pixels)
        with opened(stream, name, limit_pixels) as image:
            try:
                image.seek(frame.number - 1)
            except Image.DecompressionBombError as error:
                raise too_large(name, None, limit_pixels) from error
            except PARSER_ERRORS as error:
                raise damaged(name, image.format or "image", error) from error
            # A copy, since the file's own picture changes with the frame.
            return decode(image, name, limit_pixels).copy()
