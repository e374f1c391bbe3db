"""Images in tar files, as WebDataset packs them, read from a stream in bounded memory.

An image is a member whose extension (all that follows the first dot of its name, as WebDataset has
it) is that of an image; `a.jpg` is one, `a.mask.png` is not.

WebDataset's own reader is not used: it would read a member of any size that a header claims.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from vicl.files import display
from vicl.images.decoding import ImageError
from vicl.images.finding import IMAGE_SUFFIXES

MEMBER_LIMIT: Final = 1 << 26
"""Bytes above which a member is not read."""

_HEADER_LIMIT = 1 << 20
"""Bytes of headers that may stand before a member."""


class Member(NamedTuple):
    """An image in a shard, not yet decoded.

    Attributes:
        name: For messages: its shard's and its own, in one line.
        data: The file.
        path: Its own name as it stands in the tar, which may be anything.
    """

    name: str
    data: bytes
    path: str = ""


class Group(NamedTuple):
    """Files that stand side by side and have one name up to its first dot: WebDataset's sample.

    Attributes:
        name: For messages: its shard's and its own, in one line.
        key: What the names have in common, as it stands in the tar.
        files: The contents, by what follows the first dot.
    """

    name: str
    key: str
    files: dict[str, bytes]

    def image(self) -> Member:
        """Its image.

        Raises:
            ImageError: If it has none, or several.
        """
        found = [extension for extension in self.files if _is_image(f"a.{extension}")]
        if len(found) != 1:
            raise ImageError(
                f"{self.name}: has {len(found)} images of one name, expected one; give the others "
                "names of their own"
            )
        end = f".{found[0]}"
        return Member(f"{self.name}{display(end)}", self.files[found[0]], self.key + end)

    @property
    def shows(self) -> bool:
        """Whether it has an image."""
        return any(_is_image(f"a.{extension}") for extension in self.files)


def image_members(raw: Any, shard: str, *, tell: bool = False) -> Iterator[Member | ImageError]:
    """Read the images of a tar, one after the other.

    Args:
        raw: A stream of bytes.
        shard: What it is called in messages.
        tell: Of links and devices with an image's name too; else they are passed over.

    Returns:
        What cannot be read comes as an error in its place.

    Raises:
        tarfile.TarError: If the tar is damaged; so may be what reading it raises.
    """
    for tar, member in tar_members(raw):
        if not _is_image(member.name):
            continue
        name = f"{shard}: {display(member.name)}"
        if not member.isreg():
            if tell and not member.isdir():
                yield ImageError(f"{name}: is a link or device; pack the file itself")
            continue
        if member.size > MEMBER_LIMIT:
            yield ImageError(f"{name}: is larger than {MEMBER_LIMIT >> 20} MiB; shrink it")
            continue
        content = tar.extractfile(member)
        yield Member(name, content.read() if content else b"", member.name)


def file_groups(raw: Any, shard: str) -> Iterator[Group | ImageError]:
    """Read the plain files of a tar, those of one name together.

    Args:
        raw: A stream of bytes.
        shard: What it is called in messages.

    Returns:
        What is too large to be read comes as an error in its place.

    Raises:
        tarfile.TarError: If the tar is damaged; so may be what reading it raises.
    """
    group: Group | None = None
    left = 0  # bytes that the group may still have; below 0 it is not read
    for tar, member in tar_members(raw):
        if not member.isreg():
            continue
        folder, slash, base = member.name.rpartition("/")
        stem, _, extension = base.partition(".")
        key = f"{folder}{slash}{stem}"
        if group is None or key != group.key or extension in group.files:
            if group is not None:
                yield _whole(group, left)
            group, left = Group(f"{shard}: {display(key)}", key, {}), MEMBER_LIMIT
        left -= member.size + tarfile.BLOCKSIZE
        if left < 0:
            group.files.clear()
            continue
        content = tar.extractfile(member)
        group.files[extension] = content.read() if content else b""
    if group is not None:
        yield _whole(group, left)


def _whole(group: Group, left: int) -> Group | ImageError:
    """A group, or what is wrong with it."""
    if left < 0:
        return ImageError(f"{group.name}: is larger than {MEMBER_LIMIT >> 20} MiB; shrink it")
    return group


def tar_members(raw: Any) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Go through a tar of a stranger, member by member, in bounded memory.

    Args:
        raw: A stream of bytes.

    Returns:
        The tar, and a member whose data can be read until the next one is asked for.

    Raises:
        tarfile.TarError: If the tar is damaged; so may be what reading it raises.
    """
    stream: Any = _Metered(raw)  # of tarfile's protocol for streams it has what is needed
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # else it would keep them all
            if member.issparse():
                raise tarfile.ReadError("sparse members, whose size is not known, are not read")
            stream.left = _HEADER_LIMIT + (member.size if _has_data(member) else 0)
            yield tar, member
        # `tarfile` takes a damaged header for the end.
        if not stream.holds_zeros(tar.offset):
            raise tarfile.ReadError("a header is damaged")


class _Metered:
    """A stream of which only so much can be read: what is left is set anew for each member.

    Tar headers can claim sizes and lists of any length, which `tarfile` would read into memory, or
    step over long after the stream's end.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._last = b""
        self._position = 0
        self.left = _HEADER_LIMIT

    def read(self, size: int) -> bytes:
        self._last = self._stream.read(size)
        if not self._last:  # a whole tar has an end that is found before the stream's
            raise tarfile.ReadError("it is cut short")
        self._position += len(self._last)
        self.left -= len(self._last)
        if self.left < 0:
            raise tarfile.ReadError(f"headers of more than {_HEADER_LIMIT >> 20} MiB")
        return self._last

    def holds_zeros(self, offset: int) -> bool:
        """Whether the block at an offset, which was read last, is that which ends a tar."""
        start = offset - (self._position - len(self._last))
        return self._last[start : start + tarfile.BLOCKSIZE] == bytes(tarfile.BLOCKSIZE)


def _is_image(member: str) -> bool:
    extension = member.rpartition("/")[2].partition(".")[2]
    return f".{extension.lower()}" in IMAGE_SUFFIXES


def _has_data(member: tarfile.TarInfo) -> bool:
    """Whether a member's data stand behind its header, by `tarfile`'s rules."""
    return member.isreg() or member.type not in tarfile.SUPPORTED_TYPES
