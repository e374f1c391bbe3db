"""Finding images in folders, by their suffixes."""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path
from typing import Final

from vicl.files import display, reason
from vicl.images.decoding import HAS_AVIF, ImageError
from vicl.images.encoding import WRITERS

IMAGE_SUFFIXES: Final = frozenset(
    {*WRITERS, ".jfif", ".jpe", ".mpo", ".apng", *((".avif",) if HAS_AVIF else ())}
)
"""What :func:`find_images` looks for, in lower case."""

# fmt: off
OTHER_PICTURES: Final = frozenset((
    ".avif", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpf", ".jpx", ".jxl", ".psd", ".psb",
    ".xcf", ".kra", ".svg", ".eps", ".ai", ".ico", ".icns", ".tga", ".pcx", ".ppm", ".pgm",
    ".pbm", ".pnm", ".pfm", ".dib", ".dds", ".exr", ".hdr", ".dcm", ".nii", ".czi", ".nd2",
    ".lif", ".svs", ".fits", ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2",
    ".raf", ".pef", ".srw", ".raw",
)) - IMAGE_SUFFIXES
# fmt: on
"""Suffixes of pictures that are not read: a folder's are told of, not passed over."""

APP_PROJECT: Final = "vicl-project"
"""The folder that the app keeps in one of photographs: its pictures are answers and marks."""

log = logging.getLogger(__name__)


def find_images(folder: str | os.PathLike[str]) -> list[Path]:
    """List the images below a folder.

    Args:
        folder: Searched with its subfolders.  Hidden files and folders (a leading dot) and the
            app's projects are skipped, links to folders are not followed.

    Returns:
        Sorted paths, each beginning with `folder`, of the files with one of `IMAGE_SUFFIXES`.  The
        log says how many other pictures (:data:`OTHER_PICTURES`) were left out.

    Raises:
        ImageError: If the folder, or one below it, is missing or cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise ImageError(
            f"{display(error.filename or folder)}: cannot be listed ({reason(error)}); "
            "give a folder that exists and that you may read"
        ) from error

    found: list[Path] = []
    others: Counter[str] = Counter()
    try:
        for parent, folders, names in os.walk(folder, onerror=refuse):
            folders[:] = [n for n in folders if not n.startswith(".") and n != APP_PROJECT]
            paths = [Path(parent, name) for name in names if not name.startswith(".")]
            found += [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
            others.update(p.suffix.lower() for p in paths if p.suffix.lower() in OTHER_PICTURES)
    except OSError as error:
        refuse(error)
    _tell_left_out(display(folder), others)
    return sorted(found)


def _tell_left_out(name: str, others: Counter[str]) -> None:
    if not others:
        return
    count = others.total()
    log.warning(
        "%s: %d %s left out: %s; read are JPEG, PNG, WebP, %sBMP, TIFF and GIF: convert the others "
        "first%s",
        name,
        count,
        "file" if count == 1 else "files",
        ", ".join(f"{suffix} ({number})" for suffix, number in sorted(others.items())),
        "AVIF, " if HAS_AVIF else "",
        " (HEIC: heif-convert IN.heic OUT.jpg)" if others.keys() & {".heic", ".heif"} else "",
    )
