"""Where shards are: files on this machine, or objects that fsspec reads (`s3://`, `gs://`, ...)."""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vicl.files import FileError, display, open_atomic, open_plain, reason
from vicl.files.extras import to_install

SHARD = ".tar"
"""What the name of a shard ends in."""


def is_url(place: str) -> bool:
    """Whether a place is an address, and no path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def is_shards(argument: str) -> bool:
    """Whether an argument names shards: tars, or an address that ends with a slash."""
    return argument.endswith(SHARD) or (is_url(argument) and argument.endswith("/"))


def expand(argument: str) -> list[str]:
    """The shards that an argument names, in order: one, those of a glob, those in an address.

    Raises:
        FileError: If there is none, or the address cannot be read.
    """
    place = _local(argument)
    if is_url(place):
        fs, path = _remote(place)
        pattern = f"{path.rstrip('/')}/*{SHARD}" if place.endswith("/") else path
        if not glob.has_magic(pattern):
            return [place]
        with _told(place):
            found = [str(fs.unstrip_protocol(one)) for one in sorted(fs.glob(pattern))]
    elif argument.endswith("/"):
        found = sorted(map(str, Path(place).glob(f"*{SHARD}")))
    elif Path(place).exists() or not glob.has_magic(place):
        return [place]
    else:
        found = sorted(glob.glob(place, recursive=True))  # noqa: PTH207 - absolute ones too
    if not found:
        raise FileError(f"{display(argument)}: holds no shards (*{SHARD}); check the address")
    return found


def inside(folder: str, name: str) -> str:
    """The place of a name in a folder."""
    place = _local(folder)
    return f"{place.rstrip('/')}/{name}" if is_url(place) else str(Path(place) / name)


def name_of(place: str) -> str:
    """The last part of a place."""
    return place.rstrip("/").rpartition("/")[2]


def size_of(place: str) -> int | None:
    """Bytes of what is there; None if nothing is.

    Raises:
        FileError: If the address cannot be read.
    """
    place = _local(place)
    if not is_url(place):
        return Path(place).stat().st_size if Path(place).is_file() else None
    fs, path = _remote(place)
    with _told(place):
        fs.invalidate_cache()
        return int(fs.size(path)) if fs.isfile(path) else None


@contextmanager
def open_place(place: str) -> Iterator[Any]:
    """Open what is there for reading.

    Raises:
        FileError: If it cannot be opened.
    """
    place = _local(place)
    if not is_url(place):
        with open_plain(place) as stream:
            yield stream
        return
    fs, path = _remote(place)
    with _told(place):
        remote: Any = fs.open(path, "rb")
    with remote:
        yield remote


def put(file: Path, place: str) -> None:
    """Put a file there, whole or not at all, in place of what is there.

    Raises:
        FileError: If it cannot be written.
    """
    place = _local(place)
    if not is_url(place):
        with file.open("rb") as source, open_atomic(place) as stream:
            shutil.copyfileobj(source, stream, 1 << 20)
        return
    fs, path = _remote(place)
    with _told(place):  # stores show an object when all of it has come
        fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        fs.put_file(str(file), path)


def _local(place: str) -> str:
    """A path, of `file://` too; other addresses as they are."""
    return place.removeprefix("file://") if place.startswith("file://") else place


def _remote(place: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise FileError(
            f"{display(place)}: addresses need the library fsspec: {to_install('ray')}"
        ) from error
    with _told(place):
        fs, path = url_to_fs(place)
    return fs, str(path)


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Errors of drivers, which are of all kinds, as one that names the place."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileError(f"{display(place)}: there is no such object; check the address") from error
    except Exception as error:
        raise FileError(
            f"{display(place)}: cannot be reached ({reason(error)}); check the address, its "
            "driver (s3:// needs s3fs, gs:// gcsfs) and your credentials"
        ) from error
