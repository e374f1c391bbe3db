"""Getting one file over HTTP: goes on where it stopped, and never trusts what came.

The file grows under `NAME.part` and takes its final name in one step, once its size and hash are
right. Proxies come from the environment (`https_proxy`, `http_proxy`, `no_proxy`).
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vicl.files import FileError, display, hash_file, reason, write_atomic
from vicl.files.plain_json import parse_json
from vicl.files.web import http_opener

CHUNK = 1 << 20
SIZE_LIMIT = 32 << 30
"""Of any file, in bytes; no published checkpoint is near it."""

TIMEOUT = 60.0
ATTEMPTS = 6
"""Tries in a row that bring nothing new, before it gives up."""

_TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))


class DownloadError(FileError):
    """A file that could not be had; the message says why, and what to put where instead."""


class _UnreachableError(Exception):
    """A drop or an answer that may be better next time; `offline`: there is no such host now."""

    def __init__(self, message: str, *, offline: bool = False) -> None:
        super().__init__(message)
        self.offline = offline


def fetch(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> str:
    """Get a file, unless it is there already; gives its SHA-256 in hex.

    Args:
        url: http or https.
        path: Its final name. A file of this name is checked, not fetched again.
        sha256: What it must have, in hex; None if nobody knows, and the caller accepts that.
        size: Bytes that it must have, if known.
        progress: Called with the bytes that are there and the bytes that there will be.
        wait: Called with seconds between tries.

    Raises:
        DownloadError: If it cannot be had, or is not what it should be; a wrong one is removed.
    """
    if path.exists():
        return _checked(path, sha256, size, keep=True)
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{display(url)}: got an address that is neither http nor https")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failures, pause = 0, 1.0
    while True:
        before = _length(part)
        try:
            _receive(url, part, size, progress)
            break
        except _UnreachableError as error:
            failures = 1 if _length(part) > before else failures + 1
            if failures >= ATTEMPTS or (error.offline and not _length(part)):
                raise DownloadError(
                    f"cannot get {display(url)} ({reason(error)}); {_length(part):,} bytes are "
                    f"kept in {display(part)}, and the next try goes on from there"
                ) from error
            wait(min(pause * 2 ** (failures - 1), 30.0))
    got = _checked(part, sha256, size, keep=False)
    part.replace(path)
    _notes(part).unlink(missing_ok=True)
    return got


def _receive(
    url: str, part: Path, size: int | None, progress: Callable[[int, int | None], None] | None
) -> None:
    """Get what is missing of a file, to its end."""
    have = _length(part)
    notes = _read_notes(part)
    if notes.get("url") != url:
        have = 0  # the rest of another file would spoil both
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    request.add_header("User-Agent", "vicl")
    if have:
        request.add_header("Range", f"bytes={have}-")
        if isinstance(validator := notes.get("validator"), str):
            # A file that changed since comes whole. Where the server marks no versions, its
            # length must be the same, and the hash tells in the end.
            request.add_header("If-Range", validator)
    try:
        answer = http_opener(urllib.request.HTTPRedirectHandler()).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                part.unlink(missing_ok=True)
                raise _UnreachableError("what was kept does not fit the file any more") from error
            if error.code in _TRANSIENT:
                raise _UnreachableError(f"the server says {error.code}") from error
            raise DownloadError(
                f"{display(url)}: the server says {error.code} {reason(error)}; the file may have "
                "moved"
            ) from error
    except ValueError as error:
        raise DownloadError(f"{display(url)}: is no address ({reason(error)})") from error
    except (OSError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        words = reason(cause) if isinstance(cause, BaseException) else str(cause)
        offline = isinstance(cause, socket.gaierror | ConnectionRefusedError)
        raise _UnreachableError(words, offline=offline) from error
    with answer:
        start, total = _extent(answer, have, url)
        _check_answer(answer, url, total, size)
        if start and total != notes.get("total"):
            part.unlink()
            raise _UnreachableError("the file has another length than when it was begun")
        if start == 0:
            write_atomic(_notes(part), _note(url, answer, total).encode())
        _append(answer, part, start, total, progress)


def _append(
    answer: Any,
    part: Path,
    start: int,
    total: int | None,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    """Write what comes behind the first `start` bytes."""
    done = start
    if total is not None and shutil.disk_usage(part.parent).free < total - start:
        raise DownloadError(
            f"{display(part)}: {total - start:,} bytes are to come, but the disk has no room for "
            "them; free some space, or set VICL_CACHE to another folder"
        )
    with part.open("r+b" if start else "wb") as stream:
        stream.seek(start)
        while True:
            try:
                piece = answer.read1(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _UnreachableError(reason(error)) from error
            if not piece:
                break
            done += len(piece)
            if done > (SIZE_LIMIT if total is None else total):
                raise DownloadError(f"{display(part)}: more comes than was announced; stopped")
            stream.write(piece)
            if progress is not None:
                progress(done, total)
        stream.flush()
        os.fsync(stream.fileno())
    if total is not None and done < total:
        raise _UnreachableError(f"the connection ended after {done:,} of {total:,} bytes")


def _extent(answer: Any, have: int, url: str) -> tuple[int, int | None]:
    """Where an answer's bytes start in the file, and how long the file is."""
    length = answer.headers.get("Content-Length", "")
    if answer.status == 206:
        found = re.fullmatch(
            r"bytes (\d{1,24})-(\d{1,24})/(\d{1,24})", answer.headers.get("Content-Range", "")
        )
        if found is None or int(found[1]) != have:
            raise DownloadError(f"{display(url)}: another part came than was asked for")
        return have, int(found[3])
    # A server without ranges, or a file that changed: from the start.
    return 0, int(length) if re.fullmatch(r"\d{1,24}", length, re.ASCII) else None


def _check_answer(answer: Any, url: str, total: int | None, size: int | None) -> None:
    """Refuse a web page in the place of a file, and a file of another size."""
    kind = answer.headers.get_content_type()
    if kind in ("text/html", "application/xhtml+xml"):
        raise DownloadError(
            f"{display(url)}: a web page came instead of the file; it may have moved, or its host "
            "wants you to click something"
        )
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{display(url)}: came compressed, which was not asked for")
    if total is not None and (total > SIZE_LIMIT or (size is not None and total != size)):
        raise DownloadError(
            f"{display(url)}: has {total:,} bytes, expected "
            f"{f'at most {SIZE_LIMIT:,}' if size is None else f'{size:,}'}; not fetched"
        )


def _checked(found: Path, sha256: str | None, size: int | None, *, keep: bool) -> str:
    """Compare a whole file with what it should be; gives its hash."""
    got = hash_file(found)
    length = _length(found)
    fault = None
    if size is not None and length != size:
        fault = f"has {length:,} bytes, expected {size:,}"
    elif sha256 is not None and got != sha256.lower():
        fault = f"has the SHA-256 {got}, expected {sha256.lower()}"
    if fault is not None:
        if not keep:
            found.unlink(missing_ok=True)
            _notes(found).unlink(missing_ok=True)
        advice = "remove it" if keep else "it was removed"
        raise DownloadError(
            f"{display(found)}: {fault}; it is not the published file, or it was damaged; {advice}"
        )
    return got


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _notes(part: Path) -> Path:
    """What was known of a file when its first bytes came."""
    return part.with_name(part.name + ".json")


def _note(url: str, answer: Any, total: int | None) -> str:
    tag = answer.headers.get("ETag", "")
    strong = tag if tag.startswith('"') else answer.headers.get("Last-Modified")
    return json.dumps({"url": url, "validator": strong, "total": total})


def _read_notes(part: Path) -> dict[str, Any]:
    try:
        raw = parse_json(_notes(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}
