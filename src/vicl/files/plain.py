"""Plain files: opening them, writing them whole or not at all, naming them in messages."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TEMPORARY_PREFIX = ".vicl-"
"""How the names of files begin that are being written."""


class FileError(ValueError):
    """A file that cannot be read or written; the message names it, the fault and the remedy."""


def display(path: str | os.PathLike[str]) -> str:
    """Name a file in a message: always one line, with no control characters.

    Args:
        path: Any path; names with line breaks, escape sequences or undecodable bytes come quoted.
    """
    name = os.fspath(path)
    return name if name and name.isprintable() else ascii(name)


def reason(error: BaseException) -> str:
    """Say in a few words what an exception means: one line, at most 200 characters."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    words = " ".join((text or type(error).__name__).split())
    return "".join(char for char in words if char.isprintable())[:200]


def open_plain(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Open a plain file that is not empty; a pipe or a device, which might block, is refused.

    Args:
        path: Links are followed.

    Returns:
        The file, for reading bytes; the caller closes it.

    Raises:
        FileError: If there is no such file, it is a folder, device or pipe, it is empty, or it
            may not be read.
    """
    name = display(path)
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise FileError(f"{name}: is a folder, not a file; give the files in it")
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{name}: is a device or pipe; save its contents to a plain file")
        if status.st_size == 0:
            raise FileError(f"{name}: is an empty file (0 bytes); get a whole copy of it")
        return Path(path).open("rb")
    except FileNotFoundError as error:
        raise FileError(f"{name}: no such file; {_instead(os.fspath(path))}") from error
    except PermissionError as error:
        raise FileError(f"{name}: may not be read; change its permissions") from error
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"{name}: cannot be opened ({reason(error)}); check the path") from error


def _instead(name: str | bytes) -> str:
    """What to do about a file that is not there."""
    text = os.fsdecode(name)
    if "://" in text:
        return "it is an address: download it first"
    if text.startswith("~"):
        return "write the home folder in full (in Python: Path(...).expanduser())"
    return "check the path"


def hash_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a plain file, in hex.

    Raises:
        FileError: As :func:`open_plain`.
    """
    with open_plain(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a whole file, or leave everything as it was; see :func:`open_atomic`.

    Args:
        path: The final name.
        data: All of the contents.

    Raises:
        FileError: If `path` is a folder or a device, or the folder or file cannot be written
            (no permission, disk full).
    """
    with open_atomic(path) as stream:
        stream.write(data)


@contextlib.contextmanager
def open_atomic(path: str | os.PathLike[str]) -> Iterator[io.BufferedWriter]:
    """Open a file for writing that appears whole, or leaves everything as it was.

    The bytes go to a hidden temporary file in the same folder, are forced to the disk, and take
    the final name in one step; a reader sees the old file or the new one.  When anything fails,
    the temporary file is removed.  Missing parent folders are created.  A symbolic link is
    written through: its target is replaced, the link stays.  Permissions follow the umask.

    Args:
        path: The final name.

    Raises:
        FileError: If `path` is a folder or a device, or the folder or file cannot be written
            (no permission, disk full).
    """
    target = _target(Path(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"{display(path)}: its folder cannot be made ({reason(error)}); "
            "choose another folder, or make this one first"
        ) from error
    # Short and independent of the name, which may be as long as the file system allows.
    temporary = target.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as stream:
            with contextlib.suppress(OSError):  # file systems without locks
                fcntl.flock(stream, fcntl.LOCK_EX)  # until it has its name: see remove_leftovers
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise FileError(
            f"{display(path)}: cannot be written ({reason(error)}); "
            "free some space, check the permissions, or choose another folder"
        ) from error
    sync_folder(target.parent)


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed left of the files that they were writing.

    Files that another process is writing are locked, and stay.

    Args:
        folder: Not those below it; it may be missing.
    """
    for file in Path(folder).glob(f"{TEMPORARY_PREFIX}*.tmp"):
        # Locked, of somebody else, or on a file system without locks: it stays.
        with contextlib.suppress(OSError), file.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.unlink()


def _target(path: Path) -> Path:
    """Follow links to the file that is to be replaced; refuse what is not a plain file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG  # nothing there yet
    except (OSError, ValueError) as error:
        raise FileError(
            f"{display(path)}: cannot be written ({reason(error)}); choose another path"
        ) from error
    if stat.S_ISDIR(mode):
        raise FileError(f"{display(path)}: is a folder; give the name of a file in it")
    if not stat.S_ISREG(mode):
        # Replacing /dev/null or a pipe by a file would break it for everybody else.
        raise FileError(f"{display(path)}: is a device or pipe; give the name of a plain file")
    return Path(os.path.realpath(path))


def sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut, where the system lets folders be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


NO_ROOM: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM))
"""What every file after this one would fail of, too."""


def is_no_room(error: BaseException | None) -> bool:
    """Whether a file could not be written for want of room or of leave."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        error = error.__cause__
    return False


def check_writable(out: str | os.PathLike[str]) -> None:
    """Refuse a file's or a folder's name where nothing can be written, before any work is done.

    Raises:
        FileError: If the nearest folder above it that exists may not be written to, or is full; or
            a file stands in a folder's place.
    """
    place = Path(out).absolute()
    there = next(path for path in (place, *place.parents) if path.exists())
    if there == place and there.is_file():
        there = place.parent
    if not there.is_dir():
        raise FileError(f"{display(there)}: is no folder, to be written in; give another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise FileError(
            f"{display(there)}: cannot be written to (it is read-only, or you may not); give "
            "another place"
        )
    room = shutil.disk_usage(there)
    if room.free == 0 < room.total:  # places that cannot tell have 0 of 0
        raise FileError(
            f"{display(there)}: its disk is full; free some space, or give another place"
        )
