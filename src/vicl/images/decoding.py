"""Opening image files that may come from a stranger.

Only the listed formats are opened, the size is compared before anything is decoded, and whatever
Pillow's parsers make of the bytes is a picture or an :class:`ImageError`.  :mod:`vicl.images`
offers these names too, and is where to import them from.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, TypeAlias

from PIL import Image, UnidentifiedImageError, features

from vicl.files import FileError, display, open_plain, reason
from vicl.images.counting import MOST_FRAMES, SINGLE, count_pictures

DEFAULT_LIMIT_PIXELS: Final = 64_000_000
"""Width times height above which an image is refused before it is decoded."""

ANY_SIZE: Final = 1 << 62
"""For looking at a header only: pixels that no image has."""

HAS_AVIF: Final = bool(features.check("avif"))
"""Whether this Pillow was built with AVIF, as its wheels are."""

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", *(("AVIF",) if HAS_AVIF else ()))
"""What is opened, by Pillow's names; phones' multi-picture JPEG (MPO) count as JPEG."""

PARSER_ERRORS: Final = (
    Image.DecompressionBombError,
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
    BufferError,
    struct.error,
    zlib.error,
)
"""Everything that Pillow's parsers are known to throw on hostile bytes."""

log = logging.getLogger(__name__)

_SHALLOW: Final = 64
"""Of 255: what 14 bits and fewer reach, kept in the lower part of 16."""

ORIENTATION: Final = 0x0112
ROTATIONS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS: Final = frozenset(ROTATIONS[key] for key in (5, 6, 7, 8))
_SPARE: Final = 2
"""Times the size needed that a JPEG is decoded to at least: what Pillow's thumbnails take too."""
_EXIF_KEYS: Final = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")

_SIGNATURES: Final = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (8, b"WEBP", "WEBP"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"GIF8", "GIF"),
    (0, b"%PDF", "PDF"),
    (0, b"%!", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyp", "HEIC or video"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\x93NUMPY", "NumPy"),
    (0, b"PK\3\4", "zip"),
)
"""(offset, bytes, name): for saying what a file is that is refused, or that has no name."""


class ImageError(FileError):
    """An image that cannot be used; the message names it, the fault and the remedy."""


Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""


def open_image(
    source: str | os.PathLike[str] | Image.Image, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS
) -> Image.Image:
    """Read and decode one image, in the mode in which it is stored, upright.

    The EXIF orientation is applied (damaged EXIF data count as none); of an animation or a stack
    the first frame is read, and the log says once how many there are (:mod:`vicl.images.frames`
    reads the others); a file cut short is refused, never padded.  Of colour with 16 bits a channel
    Pillow keeps the upper 8, which the log says where little is left.  Colour profiles stay in
    `info["icc_profile"]` and are not applied.

    Args:
        source: The path of a plain file, or a PIL image, which is checked in the same way and
            comes back itself where it is upright already.
        limit_pixels: Largest width times height, compared before anything is decoded.

    Returns:
        The decoded image; mode as stored: `1`, `P`, `L`, `LA`, `I;16`, `RGB`, `RGBA`, `CMYK`, ...

    Raises:
        ImageError: If there is no such plain file, it is not an image of a listed format, it is
            damaged, truncated or empty, or it is over the limit.
    """
    return open_reduced(source, None, limit_pixels=limit_pixels)[0]


def open_reduced(
    source: str | os.PathLike[str] | Image.Image,
    longest: int | None,
    *,
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
    halve_over: int | None = None,
) -> tuple[Image.Image, Size]:
    """Read and decode an image that is to be shrunk, as :func:`open_image` does.

    Args:
        source: As for :func:`open_image`.
        longest: Longest side that is needed, in pixels. A JPEG file is then decoded straight to a
            half, a quarter or an eighth, never to less than `_SPARE` times as much. None: all.
        limit_pixels: As for :func:`open_image`.
        halve_over: Pixels above which half of each side is enough, of a JPEG file whose sides are
            even. None: never.

    Returns:
        The decoded image, and the full (height, width), upright.

    Raises:
        ImageError: As :func:`open_image`.
    """
    if limit_pixels < 1:
        raise ImageError(f"limit_pixels: got {limit_pixels}, expected at least 1")
    if isinstance(source, Image.Image):
        with quiet_pillow(), _pillow_limit(limit_pixels):
            upright = decode(source, image_name(source), limit_pixels)
            return upright, (upright.height, upright.width)
    name = display(source)
    # A stream and not the path: Pillow would map a bare BMP or TIFF into memory, and a map of a
    # file that somebody shortens later kills the process.
    with image_stream(source) as stream:
        check_bytes(name, stream, limit_pixels)
        return _read(stream, name, limit_pixels, longest, halve_over)


def image_stream(source: str | os.PathLike[str]) -> io.BufferedReader:
    """Open an image's file, whatever is in it.

    Raises:
        ImageError: If there is no such plain file.
    """
    try:
        return open_plain(source)
    except FileError as error:
        raise ImageError(str(error)) from error


def open_bytes(data: bytes, name: str, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Image.Image:
    """Read and decode the bytes of an image file, as :func:`open_image` does.

    Args:
        data: The whole file.
        name: What messages call it.
        limit_pixels: As for :func:`open_image`.

    Raises:
        ImageError: As :func:`open_image`.
    """
    return _read(io.BytesIO(data), name, limit_pixels)[0]


@contextlib.contextmanager
def opened(
    stream: io.BufferedReader | io.BytesIO,
    name: str,
    limit_pixels: int,
    *,
    formats: tuple[str, ...] = FORMATS,
) -> Iterator[Image.Image]:
    """Open an image by its header; inside, Pillow is quiet and holds to the limit.

    Raises:
        ImageError: If it is not an image of a listed format, or over the limit.
    """
    with quiet_pillow(), _pillow_limit(limit_pixels):
        try:
            image: Image.Image = Image.open(stream, formats=formats)
        except Image.DecompressionBombError as error:
            raise too_large(name, None, limit_pixels) from error
        except PARSER_ERRORS as error:
            raise _unreadable(name, stream, error) from error
        check_size(image, name, limit_pixels)
        yield image


def _read(
    stream: io.BufferedReader | io.BytesIO,
    name: str,
    limit_pixels: int,
    longest: int | None = None,
    halve_over: int | None = None,
) -> tuple[Image.Image, Size]:
    with opened(stream, name, limit_pixels) as image:
        shallow = _loses_depth(image)
        width, height = image.size
        if longest is not None:
            shrink_early(image, longest)
        huge = halve_over is not None and width * height > halve_over
        # Even, as cameras' are: odd ones would be shifted where they are turned.
        if huge and image.format == "JPEG" and width % 2 == height % 2 == 0:
            image.draft(None, (width // 2, height // 2))
        decoded = decode(image, name, limit_pixels)
        if shallow:
            colours = decoded.convert("RGB").getextrema()
            highest = max(int(high) for _, high in colours)  # type: ignore[misc]
            if highest < _SHALLOW:
                _tell_lost_depth(name, highest)
        frames = 1 if image.format in SINGLE else frame_count(stream)
        if frames != 1:
            _tell_frames(name, frames)
        return decoded, (width, height) if _is_turned(image) else (height, width)


def shrink_early(image: Image.Image, longest: int) -> None:
    """Have a JPEG file decoded smaller, never to less than `_SPARE` times the longest side."""
    scale = _SPARE * longest / max(image.size)
    if scale < 1 and image.format == "JPEG":
        image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


def kind_of(head: bytes) -> str:
    """What a file is by its first 16 bytes or more, by the names of signatures; "" if unknown."""
    return next((kind for at, sign, kind in _SIGNATURES if head.startswith(sign, at)), "")


def _is_turned(image: Image.Image) -> bool:
    """Whether an image that was decoded lies on its side as it is stored."""
    try:
        return ROTATIONS.get(image.getexif().get(ORIENTATION, 1)) in SIDEWAYS
    except PARSER_ERRORS:
        return False


def frame_count(stream: io.BufferedReader | io.BytesIO) -> int | None:
    """How many frames a file of a listed format holds; None where it is damaged.

    At most one more than :data:`vicl.images.counting.MOST_FRAMES`.
    """
    try:
        stream.seek(0)
        # Opened anew: counting moves through the frames, and must not change how one is decoded.
        return count_pictures(stream, Image.open(stream, formats=FORMATS))
    except PARSER_ERRORS:
        return None


@lru_cache(maxsize=1024)
def _tell_frames(name: str, frames: int | None) -> None:
    """Once a file: a picture is read more than once in a run."""
    log.warning(
        "%s: has %s frames; the first is taken; of queries --all-frames answers all "
        "(vicl.images.open_frames)",
        name,
        "several" if frames is None else f"over {MOST_FRAMES}" if frames > MOST_FRAMES else frames,
    )


def _loses_depth(image: Image.Image) -> bool:
    """Whether an opened file stores colour with 16 bits a channel, of which Pillow keeps 8."""
    raw = str(getattr(image, "tile", ""))
    return ";16" in raw and image.mode in ("RGB", "RGBA", "RGBX", "LA", "CMYK")


@lru_cache(maxsize=1024)
def _tell_lost_depth(name: str, highest: int) -> None:
    log.warning(
        "%s: is 16-bit colour, of which the upper 8 bits are read: its values reach only %d of "
        "255; scale it to the full range first, or save it as grey",
        name,
        highest,
    )


def image_name(image: Image.Image) -> str:
    """Name a PIL image in a message: its file where it knows it."""
    filename = getattr(image, "filename", "")
    return display(filename) if filename and isinstance(filename, str) else "PIL image"


def check_bytes(name: str, stream: io.BufferedReader, limit_pixels: int) -> None:
    """Refuse a file that is larger than any image within the limit; some are read whole."""
    size = os.fstat(stream.fileno()).st_size
    if size > 2**26 + 16 * limit_pixels:
        raise ImageError(
            f"{name}: is a file of {size / 1e6:.4g} MB, more than an image within the limit of "
            f"{limit_pixels / 1e6:.4g} Mpx needs; save its first frame alone, or raise the limit "
            "by limit_pixels=... (command line: --limit-pixels N)"
        )


def check_size(image: Image.Image, name: str, limit_pixels: int) -> None:
    """Refuse a picture that is too large or has no pixels, before it is decoded."""
    if image.width * image.height > limit_pixels:
        raise too_large(name, image.size, limit_pixels)
    if min(image.size) < 1:
        raise ImageError(f"{name}: has no pixels (size {image.size}); give another image")


def decode(image: Image.Image, name: str, limit_pixels: int) -> Image.Image:
    """Check the size, decode, turn upright."""
    check_size(image, name, limit_pixels)
    try:
        image.load()
    except PARSER_ERRORS as error:
        raise damaged(name, getattr(image, "format", None) or "image", error) from error
    try:
        rotation = ROTATIONS.get(image.getexif().get(ORIENTATION, 1))
    except PARSER_ERRORS:
        return image
    if rotation is None:
        return image
    upright = image.transpose(rotation)
    for key in _EXIF_KEYS:  # else the next reader turns it again
        upright.info.pop(key, None)
    return upright


def too_large(name: str, size: tuple[int, int] | None, limit_pixels: int) -> ImageError:
    """The error of a picture over the limit."""
    got = "" if size is None else f" ({size[0]} x {size[1]} = {size[0] * size[1] / 1e6:.4g} Mpx)"
    return ImageError(
        f"{name}: has more pixels{got} than the limit of {limit_pixels / 1e6:.4g} Mpx; "
        "shrink the image, or raise the limit by limit_pixels=... (command line: --limit-pixels N)"
    )


def damaged(name: str, kind: str, error: BaseException) -> ImageError:
    """The error of a file that cannot be decoded."""
    return ImageError(
        f"{name}: damaged or truncated {kind} ({reason(error)}); get a whole copy of the file, "
        "or save it again from an image editor"
    )


def _unreadable(
    name: str, stream: io.BufferedReader | io.BytesIO, error: BaseException
) -> ImageError:
    """Say why Pillow would not open the file."""
    stream.seek(0)
    head = stream.read(512)
    kind = kind_of(head)
    if kind in FORMATS:
        # Pillow's own words would name the stream, not the file.
        unknown = isinstance(error, UnidentifiedImageError)
        return damaged(name, kind, SyntaxError("bad header") if unknown else error)
    if b"<svg" in head:
        kind = "SVG"
    fault = f"is {kind}, which is not supported" if kind else "is not an image of a known format"
    return ImageError(f"{name}: {fault}; convert it to PNG or JPEG")


# Pillow logs what its parsers stumble over; without any handler Python would print it.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_guard: warnings.catch_warnings[None] | None = None
_limit_lock = threading.RLock()


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Drop the warnings that Pillow's own modules give, and no others.

    `warnings.catch_warnings` is not safe when threads overlap (the last to leave would restore
    the first one's filters for good), so the first to enter sets the filter and the last to leave
    takes it away.
    """
    global _quiet_depth, _quiet_guard
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_guard = warnings.catch_warnings()
            _quiet_guard.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0 and _quiet_guard is not None:
                _quiet_guard.__exit__(None, None, None)


@contextlib.contextmanager
def _pillow_limit(limit_pixels: int) -> Iterator[None]:
    """Let Pillow open up to `limit_pixels`, where its own process-wide limit is lower.

    Only then is the setting touched, for the time of one image; it is never lowered or removed.
    """
    if Image.MAX_IMAGE_PIXELS is None or limit_pixels <= Image.MAX_IMAGE_PIXELS:
        yield
        return
    with _limit_lock:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = limit_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
