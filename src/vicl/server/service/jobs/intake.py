"""From a stranger's zip to the folder of a job."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import Final

from vicl.images import find_images
from vicl.server.names import is_text
from vicl.server.problems import Refusal
from vicl.server.service.uploads import Upload
from vicl.server.unpacking import unpacked

IMAGES: Final = "images"
ANSWERS: Final = "answers"
RESULT: Final = "result.zip"

_MOST_NAME: Final = 200
"""Bytes of one part of a name: answers' own endings still go behind it."""
_MOST_DEEP: Final = 8


def take_in(upload: Upload, folder: Path, most: int) -> tuple[int, int]:
    """Unpack a zip of images.

    Args:
        upload: It may be anything.
        folder: Of the job; new.
        most: Bytes that may be unpacked.

    Returns:
        How many images it has, and how many bytes its files.

    Raises:
        Refusal: If it is no zip, holds no image or too much, or a name in it is no name of a file
            below a folder.
    """
    images, size, places = folder / IMAGES, 0, set[str]()
    images.mkdir()
    with upload.path.open("rb") as stream:
        for name, data in unpacked("images.zip", stream):
            place = _place(name)
            size += len(data)
            if size > most:
                raise Refusal(413, f"images: unpacked it is more than {most >> 20} MiB; send less.")
            # Where case does not count, one would be written over the other.
            if place.as_posix().casefold() in places:
                raise Refusal(422, f"images: holds {_shown(name)} twice; rename one.")
            places.add(place.as_posix().casefold())
            target = images / place
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise Refusal(
                    422, f"images: {_shown(name)} is a file and a folder too; rename one."
                ) from error
    found = len(find_images(images))
    if not found:
        raise Refusal(422, "images: the zip holds no image; pack photographs, in folders or not.")
    return found, size


def clear(folder: Path) -> None:
    """Remove what a job that has ended needs no longer."""
    for name in (IMAGES, ANSWERS):
        shutil.rmtree(folder / name, ignore_errors=True)


def _place(name: str) -> PurePosixPath:
    """Where a file of a zip goes below the folder of images.

    Raises:
        Refusal: If that is not below it, or the name is none that every system has.
    """
    parts = name.replace("\\", "/").split("/")
    if not is_text(name) or not name.isprintable() or ":" in name:
        raise Refusal(422, f"images: holds {_shown(name)}, whose name is no plain text; rename it.")
    if "" in parts or "." in parts or ".." in parts:
        raise Refusal(
            422, f"images: holds {_shown(name)}, a name that leads out of its folder; pack it anew."
        )
    if len(parts) > _MOST_DEEP or any(len(part.encode()) > _MOST_NAME for part in parts):
        raise Refusal(422, f"images: holds {_shown(name)}, whose name is too long; shorten it.")
    return PurePosixPath(*parts)


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 80 else f"{name[:80]}...")
