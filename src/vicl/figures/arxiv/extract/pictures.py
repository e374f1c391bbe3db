"""Which files of a paper's source are pictures: by what is in them, whatever they are called."""

from __future__ import annotations

import posixpath
from typing import Final, Literal

from PIL import Image

from vicl.figures.arxiv.extract import eps, pdfs, rasters
from vicl.figures.arxiv.extract.limits import Limits
from vicl.images import ImageError
from vicl.images.decoding import kind_of

PictureKind = Literal["raster", "pdf", "eps"]

UNPUBLISHED: Final = ("arch", "pipeline")
"""A picture with one of these in its name is not among the paper's data."""

_SUFFIXES: Final = frozenset(
    (".jpeg", ".jpg", ".png", ".gif", ".bmp", ".tiff", ".tif", ".pdf", ".eps", ".epsf", ".epsi")
)
_TEX: Final = frozenset((".tex", ".ltx", ".latex", ".tikz", ".pgf", ".sty", ".cls", ".bbl"))
_OTHER: Final = frozenset(("WEBP", "AVIF", "HEIC or video", "Photoshop", "ICO", "JPEG 2000"))
_ARCHIVES: Final = (b"\x1f\x8b", b"PK\3\4", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf", b"Rar!\x1a\7")


def img_name(path: str) -> str:
    """What the published list calls a picture, by its path in the source."""
    return path.replace("/", "_")


def is_unpublished(name: str) -> bool:
    """Whether the paper's data leave out a picture of this name."""
    return any(word in name.lower() for word in UNPUBLISHED)


def is_tex(path: str) -> bool:
    """Whether a file is text that LaTeX reads, by its name."""
    return posixpath.splitext(path)[1].lower() in _TEX


def picture_kind(path: str, data: bytes) -> tuple[PictureKind | None, str]:
    """What kind of picture a file is.

    Args:
        path: Its path in the source, of which the suffix is a hint.
        data: All of it.

    Returns:
        Its kind, or None; and of what seems a picture and is none, in a word or two what it is.
    """
    suffix = posixpath.splitext(path)[1].lower()
    kind = kind_of(data[:512])
    if kind == "BMP" and data[6:10] != bytes(4):  # text may begin with these two letters
        kind = ""
    if kind in rasters.FORMATS:
        return "raster", ""
    if kind == "PDF" or (suffix == ".pdf" and b"%PDF-" in data[:1024]):
        return "pdf", ""
    if kind == "PostScript" and (
        suffix in (".eps", ".epsf", ".epsi") or b"EPSF" in data[:64] or data[0] == 0xC5
    ):
        return "eps", ""
    if kind in _OTHER:
        return None, "other format"
    if data.startswith(_ARCHIVES) or data[257:262] == b"ustar":
        return None, "nested archive"
    return None, "no picture" if suffix in _SUFFIXES else ""


def open_picture(kind: PictureKind, data: bytes, limits: Limits) -> Image.Image | str:
    """Make a picture of a file.

    Returns:
        As :func:`vicl.figures.arxiv.extract.rasters.fitted`; or in a word or two why there is none.

    Raises:
        MemoryError: If the process may not have what it takes.
    """
    draw = {"raster": rasters.open_raster, "pdf": pdfs.draw_pdf, "eps": eps.draw_eps}[kind]
    try:
        return draw(data, limits)
    except ImageError:
        return "damaged"
