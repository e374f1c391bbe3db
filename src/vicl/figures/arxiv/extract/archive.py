"""The files in a paper's source, one after the other, in bounded memory and never on the disk.

arXiv serves a source as a gzipped tar, as one gzipped TeX file, or as a PDF.  Which it is, its
bytes say, not its name.

The tar is read here and not by `tarfile`, which takes headers of any claimed size into memory,
keeps all members, and in some releases of Python steps backwards where a header says so.  Only what
a reader needs is understood: regular files, and the headers by which long names come.
"""

from __future__ import annotations

import gzip
import os
import posixpath
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

from vicl.figures.arxiv.extract.limits import Limits
from vicl.files import FileError, display, open_plain, reason
from vicl.images.decoding import kind_of

ONLY_FILE: Final = "main.tex"
"""What the one file of a source that is no archive is called here."""

_BLOCK: Final = 512
_CHUNK: Final = 1 << 16
_HEADERS: Final = 1 << 16
"""Most bytes of a long name, or of extended headers."""

_REGULAR: Final = (b"0", b"\0", b"7")
_KINDS: Final = {b"1": "link", b"2": "link", b"3": "device", b"4": "device", b"6": "device"}
_RECORD: Final = re.compile(rb"([0-9]{1,5}) ")


class SourceError(FileError):
    """A source that cannot be used; the message says why."""


class PdfOnlyError(SourceError):
    """A source that is the paper itself and not what it was made from."""


class Member(NamedTuple):
    """A file of a source.

    Attributes:
        path: Where it lies in the source, with neither ".." nor "." nor a leading "/".
        data: All of it; None where it is not read.
        fault: Why it is not read, in a word or two; "" where it is.
    """

    path: str
    data: bytes | None
    fault: str = ""


@runtime_checkable
class _Reads(Protocol):
    def read(self, size: int) -> bytes: ...


def members(source: Path, limits: Limits) -> Iterator[Member]:
    """Read the files of a source, in its order; folders are passed over.

    A path may come more than once: in an archive the last one counts.

    Args:
        source: The file.
        limits: Of which `source`, `unpacked`, `members` and `member` count here.

    Raises:
        PdfOnlyError: If it is a paper in PDF or PostScript.
        SourceError: If it is damaged, none of the forms above, or over a limit.
    """
    name = display(source.name)  # where it lies is no matter of the paper's
    try:
        with open_plain(source) as packed:
            size = os.fstat(packed.fileno()).st_size
            if size > limits.source:
                raise SourceError(f"{name}: has {size} bytes, over the limit of {limits.source}")
            squeezed = packed.peek(2).startswith(b"\x1f\x8b")
            raw: _Reads = gzip.GzipFile(fileobj=packed) if squeezed else packed
            yield from _read(_Metered(raw, name, limits.unpacked), limits)
    except SourceError:
        raise
    except FileError as error:
        raise SourceError(str(error)) from error
    except EOFError as error:
        raise SourceError(f"{name}: is cut short; get it again") from error
    except (OSError, zlib.error) as error:
        raise SourceError(f"{name}: is damaged ({reason(error)}); get it again") from error


def _read(stream: _Metered, limits: Limits) -> Iterator[Member]:
    start = stream.read(_BLOCK)
    kind = kind_of(start)
    if kind in ("PDF", "PostScript"):
        raise PdfOnlyError(f"{stream.name}: is the paper as {kind}, not its source")
    if len(start) == _BLOCK and (start == bytes(_BLOCK) or _is_header(start)):
        yield from _of_tar(stream, start, limits)
    elif not start or b"\0" in start or kind:
        what = f"{kind or 'something else'}, not" if start else "empty, and not"
        raise SourceError(f"{stream.name}: holds {what} a tar or TeX")
    else:
        rest = stream.read(limits.member - len(start) + 1)
        if len(start) + len(rest) > limits.member:
            raise SourceError(f"{stream.name}: its one file has over {limits.member} bytes")
        yield Member(ONLY_FILE, start + rest)


class _Metered:
    """A stream of which only so many bytes can be read, all that are asked for or to its end."""

    def __init__(self, raw: _Reads, name: str, most: int) -> None:
        self._raw, self._left, self._most, self.name = raw, most, most, name

    def read(self, size: int) -> bytes:
        parts = []
        while size > 0 and (part := self._raw.read(min(size, _CHUNK))):
            size -= len(part)
            self._left -= len(part)
            if self._left < 0:
                raise SourceError(f"{self.name}: unpacks to over {self._most} bytes")
            parts.append(part)
        return b"".join(parts)

    def exactly(self, size: int) -> bytes:
        """As many bytes, which a header promised."""
        data = self.read(size)
        if len(data) < size:
            raise EOFError
        return data

    def skip(self, size: int) -> None:
        while size > 0:
            size -= len(self.exactly(min(size, _CHUNK)))


def _of_tar(stream: _Metered, block: bytes, limits: Limits) -> Iterator[Member]:
    count = 0
    told: dict[str, bytes] = {}  # by headers before a member, of it
    while block and block != bytes(_BLOCK):
        if not _is_header(block):
            raise SourceError(f"{stream.name}: a header in its tar is damaged; get it again")
        count += 1
        if count > limits.members:
            raise SourceError(f"{stream.name}: holds over {limits.members} members")
        kind, size = block[156:157], _number(block[124:136], stream.name)
        if kind in (b"L", b"x", b"X"):
            if size > _HEADERS:
                raise SourceError(f"{stream.name}: a header in its tar has {size} bytes")
            data = stream.exactly(size)
            told |= {"path": data} if kind == b"L" else _records(data)
            stream.skip(-size % _BLOCK)
        elif kind in (b"K", b"g"):
            stream.skip(size + -size % _BLOCK)
        else:
            yield from _of_header(stream, block, kind, told, limits)
            told = {}
        block = stream.read(_BLOCK)
        if 0 < len(block) < _BLOCK:
            raise EOFError


def _of_header(
    stream: _Metered, block: bytes, kind: bytes, told: dict[str, bytes], limits: Limits
) -> Iterator[Member]:
    """What stands behind a header that is a member's own."""
    name, size = _name(block, told), _number(block[124:136], stream.name)
    if "size" in told:
        if not re.fullmatch(rb"[0-9]{1,19}", told["size"]):
            raise SourceError(f"{stream.name}: a header in its tar gives no size; get it again")
        size = int(told["size"])
    if kind == b"5" or (kind == b"\0" and name.endswith(b"/")):  # the latter before 1988
        return
    path = _inside(name)
    if kind in _KINDS:
        yield Member(path or "", None, _KINDS[kind])
        return
    fault = "" if kind in _REGULAR else "other kind of member"
    if kind == b"S" or any(key.startswith("GNU.sparse") for key in told):
        fault = "sparse"
        more = kind == b"S" and block[482]
        while more:
            more = stream.exactly(_BLOCK)[504]
    if path is None:
        fault = fault or "path outside"
    elif size > limits.member:
        fault = fault or "too many bytes"
    if fault:
        stream.skip(size + -size % _BLOCK)
        yield Member(path or "", None, fault)
        return
    data = stream.exactly(size)
    stream.skip(-size % _BLOCK)
    yield Member(path or "", data)


def _is_header(block: bytes) -> bool:
    """Whether the sum that stands in a block is that of its bytes, signed or not."""
    if len(block) < _BLOCK:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    total = sum(rest)
    signed = total - 256 * sum(byte > 127 for byte in rest)
    said = block[148:156].strip(b" \0")
    return bool(re.fullmatch(rb"[0-7]{1,8}", said)) and int(said, 8) in (total, signed)


def _number(field: bytes, name: str) -> int:
    """A number of a header: octal, or binary where the highest bit is set."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip(b" ")
    if not re.fullmatch(rb"[0-7]*", digits):
        raise SourceError(f"{name}: a header in its tar has no size; get it again")
    return int(digits or b"0", 8)


def _records(data: bytes) -> dict[str, bytes]:
    """The key=value records of an extended header; what follows a damaged one is left out."""
    found, start = {}, 0
    while (length := _RECORD.match(data, start)) is not None:
        end = start + int(length[1])
        if not length.end() < end <= len(data):
            break
        key, _, value = data[length.end() : end].removesuffix(b"\n").partition(b"=")
        found[key.decode("latin-1")] = value
        start = end
    return found


def _name(block: bytes, told: dict[str, bytes]) -> bytes:
    if "path" in told:
        return told["path"].partition(b"\0")[0]
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _inside(name: bytes) -> str | None:
    """A member's path within its source; None for one that would lead out of it."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:  # what old systems wrote, of which every byte is some letter
        text = name.decode("latin-1")
    path = posixpath.normpath(text)
    if not text or text.startswith("/") or path in (".", "..") or path.startswith("../"):
        return None
    return path
