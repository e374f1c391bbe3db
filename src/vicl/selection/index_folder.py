"""An index on the disk, beside its pool: written whole, mapped, and brought up to date.

A folder holds `features-*.npy`, float32 rows of unit length, which is mapped and never read whole;
and `index.json`, which says whose rows they are, of which encoder, and how large the files were and
when they were changed. The features are written first and named by `index.json` last, so that a
reader sees an old index or a new one. Images that did not change are not encoded again.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.lib import format as npy
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vicl.engine import Encoder
from vicl.files import (
    TEMPORARY_PREFIX,
    FileError,
    display,
    hash_file,
    open_atomic,
    reason,
    write_atomic,
)
from vicl.files.bounded import read_bounded
from vicl.files.faults import said
from vicl.images import DEFAULT_LIMIT_PIXELS
from vicl.selection.entry import is_there
from vicl.selection.index import Index, Looking, check_any, encoded
from vicl.selection.pool import CocoPart, Entry, Pool, PoolError

log = logging.getLogger(__name__)

_NAME, _LIMIT = "index.json", 1 << 29
_LEFT = re.compile(
    rf"features-[0-9a-f]{{16}}\.npy|{re.escape(TEMPORARY_PREFIX)}[0-9a-f]{{16}}\.tmp"
)


class _Row(BaseModel):
    """An image that has been encoded; sizes in bytes, times in nanoseconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    image: str
    size: int
    changed: int
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    marks: tuple[int, int] | None = None
    marks_sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    shows: tuple[str | int, ...] | None = None


class _Manifest(BaseModel):
    """`index.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["vicl index"] = "vicl index"
    version: Literal[1] = 1
    encoder: str = Field(max_length=400)
    weights_hash: str | None
    looking: Looking
    channels: int = Field(ge=1)
    features: str = Field(pattern=r"^features-[0-9a-f]{16}\.npy$")
    rows: tuple[_Row, ...]


@dataclass(frozen=True)
class Changes:
    """What became of a pool's images since its index was written.

    Attributes:
        kept: Not encoded again.
        new: Encoded for the first time.
        changed: Encoded anew: the file is another.
        gone: No longer in the pool.
        broken: Cannot be read, and are left out.
    """

    kept: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    broken: int = 0

    def __str__(self) -> str:
        parts = [(getattr(self, f), f) for f in ("kept", "new", "changed", "gone", "broken")]
        return ", ".join(f"{count} {what}" for count, what in parts if count) or "empty"


def index_folder(source: str | os.PathLike[str]) -> Path:
    """Where a pool's index is unless somebody says otherwise: beside the pool, `NAME.index`."""
    path = Path(os.path.abspath(source))  # noqa: PTH100 - "." has no name, and links stay
    return path.with_name(f"{path.name}.index")


def made_by(folder: str | os.PathLike[str]) -> tuple[str, Looking] | None:
    """The encoder that an index is of, and what is compared; None where there is no index.

    Raises:
        PoolError: If it is broken.
    """
    manifest = _manifest(Path(folder))
    return None if manifest is None else (manifest.encoder, manifest.looking)


def index_pool(
    pool: Pool,
    encoder: Encoder,
    folder: str | os.PathLike[str],
    *,
    looking: Looking = "whole",
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
    advance: Callable[[int], object] = lambda steps: None,
) -> tuple[Index, Changes]:
    """Open a pool's index, and bring it up to date: only what is new or changed is encoded.

    What has been encoded is kept where Ctrl-C or an error ends it.

    Args:
        pool: Images that cannot be read are left out, which is logged.
        encoder: One of another name, or with other weights, encodes all anew.
        folder: Where it is kept, such as :func:`index_folder` gives.
        looking: What is compared.
        limit_pixels: Of images.
        advance: Is told how many images are done.

    Returns:
        The index, and what had become of the images since it was written.

    Raises:
        PoolError: If the index is broken, or no image can be read.
        FileError: If it cannot be written.
    """
    place = Path(folder)
    _manifest(place)  # refuses a folder of something else before anything is done with it
    with _locked(place):
        return _updated(pool, encoder, place, looking, limit_pixels, advance)


def with_noted(pool: Pool, folder: str | os.PathLike[str]) -> Pool:
    """A pool with what its index, where there is one, knows of the files that are as they were.

    Nothing is encoded or written.

    Raises:
        PoolError: If the index is broken.
    """
    place = Path(folder)
    manifest = _manifest(place) if (place / _NAME).is_file() else None
    rows = {} if manifest is None else {row.image: row for row in manifest.rows}

    def noted(entry: Entry) -> Entry:
        row = rows.get(_key(entry, place))
        now = None if row is None else _still(entry, row)
        return entry if now is None else _noted(entry, now)

    return replace(pool, entries=tuple(map(noted, pool.entries)))


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Keep other processes from the folder: two that index at once delete each other's features."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        handle = os.open(place, os.O_RDONLY)  # the folder itself: nothing is left in it
    except OSError as error:
        raise FileError(
            f"{display(place)}: cannot be made or opened ({reason(error)}); check the permissions, "
            "or give another place with --index"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("%s: another process indexes it; waiting for that", display(place))
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass  # file systems without locks
        yield
    finally:
        os.close(handle)


def _updated(
    pool: Pool,
    encoder: Encoder,
    place: Path,
    looking: Looking,
    limit_pixels: int,
    advance: Callable[[int], object],
) -> tuple[Index, Changes]:
    """See :func:`index_pool`."""
    old = _manifest(place)
    if old is not None and (old.encoder, old.weights_hash, old.looking) != (
        *(encoder.name, encoder.weights_hash),
        looking,
    ):
        log.warning("%s: is of another encoder; all images are encoded anew", display(place))
        old = None
    by_name, unnamed = _by_name(pool, place)
    kept, left, changes = _compared(by_name, old)
    advance(len(kept))
    if left or changes.gone or old is None or any(row != was for was, row, *_ in kept):
        done = _write(place, old, kept, left, encoder, looking, limit_pixels, advance)
        check_any(pool, len(kept) + len(done))
        changes = replace(changes, broken=len(left) - len(done))
    changes = replace(changes, broken=changes.broken + unnamed)
    manifest = _manifest(place)
    assert manifest is not None
    entries = tuple(_noted(by_name[row.image], row) for row in manifest.rows)
    features = torch.from_numpy(_mapped(place / manifest.features, manifest))
    found = replace(pool, entries=entries)
    index = Index(found, features, encoder, looking, limit_pixels=limit_pixels, folder=place)
    # A list may name an image several times, each time with something else marked.
    return (index if len(by_name) == len(pool) - unnamed else index.only(pool)), changes


_Kept = tuple[_Row, _Row, int]
"""A row as it was, as it is now, and its place in the old features."""


def _by_name(pool: Pool, place: Path) -> tuple[dict[str, Entry], int]:
    """Images by what the index calls them; and how many it cannot call, since JSON is UTF-8."""
    found: dict[str, Entry] = {}
    unnamed = 0
    for entry in pool.entries:
        key = _key(entry, place)
        if key.isascii() or _is_text(key):
            found[key] = entry
            continue
        unnamed += 1
        log.warning("left out of the index: %s: its name is not UTF-8; rename it", display(key))
    return found, unnamed


def _is_text(name: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _compared(
    by_name: Mapping[str, Entry], old: _Manifest | None
) -> tuple[list[_Kept], list[Entry], Changes]:
    """Which images keep their rows, and which are to be encoded."""
    before = {} if old is None else {row.image: (row, at) for at, row in enumerate(old.rows)}
    kept: list[_Kept] = []
    left: list[Entry] = []
    new = changed = 0
    for name, entry in by_name.items():
        was, at = before.pop(name, (None, 0))
        now = None if was is None else _still(entry, was)
        if was is not None and now is not None:
            kept.append((was, now, at))
            continue
        left.append(entry)
        new, changed = new + (was is None), changed + (was is not None)
    return kept, left, Changes(len(kept), new, changed, gone=len(before))


def _still(entry: Entry, row: _Row) -> _Row | None:
    """An image's row as it is now; None if the image is another."""
    assert entry.file is not None
    try:
        status = entry.file.stat()
        if status.st_size != row.size:
            return None
        if status.st_mtime_ns != row.changed:
            if hash_file(entry.file) != row.sha256:
                return None
            row = row.model_copy(update={"changed": status.st_mtime_ns})
    except (OSError, FileError):
        return None
    marks = _marks(entry)
    if marks != row.marks:
        noted = {"marks": marks, "marks_sha256": _marks_hash(entry), "shows": _shown(entry)}
        row = row.model_copy(update=noted)
    return row


def _write(
    place: Path,
    old: _Manifest | None,
    kept: Sequence[_Kept],
    left: Sequence[Entry],
    encoder: Encoder,
    looking: Looking,
    limit_pixels: int,
    advance: Callable[[int], object],
) -> list[_Row]:
    """Write an index of rows that are kept and images that are encoded; gives the new rows."""
    rows = tuple(row for _, row, _ in kept)
    if old is not None and not left and [at for *_, at in kept] == [*range(len(old.rows))]:
        same = old.model_copy(update={"rows": rows})  # times or annotations are others
        write_atomic(place / _NAME, same.model_dump_json().encode())
        return []
    name = f"features-{secrets.token_hex(8)}.npy"
    before = None if old is None else _mapped(place / old.features, old)
    done: list[_Row] = []
    stopped: BaseException | None = None
    channels = 0 if old is None else old.channels
    with open_atomic(place / name) as stream:
        _header(stream, 0, 0)
        for _, _, at in kept:
            assert before is not None
            stream.write(before[at].tobytes())
        try:
            for entry, row in encoded(left, encoder, looking, limit_pixels, advance):
                now = _row(entry, place)
                stream.write(row.numpy().astype("<f4").tobytes())
                done.append(now)
                channels = len(row)
        except BaseException as error:  # what is done is kept whatever ended it
            stopped = error
        end = stream.tell()
        stream.seek(0)
        _header(stream, len(kept) + len(done), channels)
        stream.seek(end)
    if kept or done:
        manifest = _Manifest(
            encoder=encoder.name,
            weights_hash=encoder.weights_hash,
            looking=looking,
            channels=channels,
            features=name,
            rows=(*rows, *done),
        )
        write_atomic(place / _NAME, manifest.model_dump_json().encode())
        for file in place.glob("features-*.npy"):  # only now does nothing name the others
            if file.name != name:
                file.unlink(missing_ok=True)
    else:
        (place / name).unlink(missing_ok=True)
    if stopped is not None:
        raise stopped
    return done


def _header(stream: Any, rows: int, channels: int) -> None:
    """NumPy's header: 128 bytes for any shape of two sides, since it leaves room for digits."""
    shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, channels)}
    npy.write_array_header_1_0(stream, shape)


def _row(entry: Entry, place: Path) -> _Row:
    if entry.file is None:
        raise PoolError("an image that is no file cannot be kept on disk: say encode_pool(pool)")
    status = entry.file.stat()
    return _Row(
        image=_key(entry, place),
        size=status.st_size,
        changed=status.st_mtime_ns,
        sha256=hash_file(entry.file),
        marks=_marks(entry),
        marks_sha256=_marks_hash(entry),
        shows=_shown(entry),
    )


def _marks(entry: Entry) -> tuple[int, int] | None:
    """Size and time of an annotation's file."""
    files = entry.files
    if len(files) < 2 or not is_there(files[1]):
        return None
    status = files[1].stat()
    return status.st_size, status.st_mtime_ns


def _marks_hash(entry: Entry) -> str | None:
    """Of an annotation's file; of a part of one that was read whole it is known anyway."""
    files = () if isinstance(entry.annotation, CocoPart) else entry.files
    return hash_file(files[1]) if len(files) == 2 and is_there(files[1]) else None


def _shown(entry: Entry) -> tuple[str | int, ...] | None:
    if entry.annotation is None:
        return None
    try:
        shows = entry.shows
    except ValueError as error:
        log.warning("an annotation that cannot be read, and is never an example: %s", error)
        return ()
    return None if shows is None else tuple(sorted(shows, key=str))


def _key(entry: Entry, place: Path) -> str:
    """How the index calls an image: from its own folder, so that both may move together."""
    return "" if entry.file is None else os.path.relpath(entry.file, place)


def _noted(entry: Entry, row: _Row) -> Entry:
    """An entry with what the index knows of it."""
    shows = None if row.shows is None else frozenset(row.shows)
    return replace(entry, noted=shows, hashes=(row.sha256, row.marks_sha256))


def _manifest(place: Path) -> _Manifest | None:
    file = place / _NAME
    if not file.is_file():
        if place.exists() and (not place.is_dir() or not all(map(_is_left, place.iterdir()))):
            raise PoolError(
                f"{display(place)}: is there and no index; give another place with --index, or "
                "remove it"
            )
        return None
    try:
        return _Manifest.model_validate_json(read_bounded(file, _LIMIT, PoolError))
    except ValidationError as error:
        raise PoolError(
            f"{display(file)}: is no index that this vicl reads ({said(error)}); remove "
            f"{display(place)}, and index the pool anew"
        ) from error


def _is_left(file: Path) -> bool:
    """Whether it is what a first run leaves that was ended before it named its features."""
    return bool(_LEFT.fullmatch(file.name))


def _mapped(file: Path, manifest: _Manifest) -> Float[np.ndarray, "n d"]:
    """The rows, mapped; privately, so that nothing can write to the file."""
    again = "remove the index's folder, and index the pool anew"
    try:
        rows: Any = np.load(file, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PoolError(f"{display(file)}: cannot be read ({reason(error)}); {again}") from error
    if not isinstance(rows, np.ndarray):  # a zip, whatever it is called
        raise PoolError(f"{display(file)}: is no array of NumPy; {again}")
    if rows.dtype != np.dtype("<f4") or rows.shape != (len(manifest.rows), manifest.channels):
        raise PoolError(
            f"{display(file)}: got {rows.dtype} {rows.shape}, expected float32 "
            f"{(len(manifest.rows), manifest.channels)}; {again}"
        )
    return np.asanyarray(rows)
