"""WebDataset shards: images in tar files, on disk or by URL.

Members are read as bytes and decoded like any image file: nothing is unpacked to the disk, and
nothing is unpickled.  An image is a member whose extension (all that follows the first dot of its
name, as WebDataset has it) is that of an image; `a.jpg` is one, `a.mask.png` is not.

WebDataset's own reader of tar files is not used: it would read a member of any size that a header
claims, and its URLs can be commands.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from vicl.files import display, open_plain, reason
from vicl.images import IMAGE_SUFFIXES, ImageError, open_bytes, to_rgb
from vicl.images.decoding import PARSER_ERRORS
from vicl.training.data.sources import Lane, Picture
from vicl.training.data.streams import Stream
from vicl.training.recipe.data import RecipeError, ShardSource
from vicl.training.seeds import Purpose, numbers

MEMBER_LIMIT: Final = 1 << 26
"""Bytes above which a member is not read."""

_HEADER_LIMIT = 1 << 20
"""Bytes of headers that may stand before a member."""

_BUFFER = 256
"""Images that wait to be shuffled, or fewer where they take more than `MEMBER_LIMIT` bytes."""


class Member(NamedTuple):
    """An image in a shard, not yet decoded."""

    name: str
    data: bytes


class Shards(Stream):
    """Tar shards.

    A lane reads its part of the shards; where there are fewer shards than lanes, it reads all of
    them and takes each `count`-th image.  The order of the shards is another one in every epoch,
    and images are shuffled among some hundred neighbours.

    Attributes:
        urls: Paths and URLs.

    Raises:
        FileError: If a shard on disk is missing.
        RecipeError: If a URL is neither http nor https, or WebDataset or (for URLs) the program
            curl is not installed.
    """

    def __init__(self, source: ShardSource) -> None:
        self.name = f"shards {display(source.urls)}"
        self.count = source.samples
        self.urls = expand(source.urls)

    def describe(self) -> str:
        """One line: how many shards, and images where that is known."""
        images = "" if self.count is None else f", {self.count} images"
        return f"{self.name}: {len(self.urls)} shards{images}"

    def splits(self, lanes: int) -> bool:
        """Whether there is a shard for every lane."""
        return len(self.urls) >= lanes

    def items(self, lane: Lane, seed: int, epoch: int) -> Iterator[Member | ImageError]:
        """Go through a lane's shards once."""
        order = numbers(seed, Purpose.SHARDS, epoch).permutation(len(self.urls))
        members = (
            member
            for index in order[lane.index :: lane.count]
            for member in read_shard(self.urls[index])
        )
        return _shuffled(members, numbers(seed, Purpose.BUFFER, epoch, lane.index))

    def decode(self, item: Any) -> Picture:
        """Decode an image."""
        return Picture(to_rgb(open_bytes(item.data, item.name)))


def expand(urls: str) -> list[str]:
    """Spell out the shards that braces stand for.

    Raises:
        FileError, RecipeError: As for :class:`Shards`.
    """
    try:
        from webdataset.shardlists import expand_urls
    except ImportError as error:
        raise RecipeError(
            f'shards {display(urls)}: need the library WebDataset: pip install "vicl[train]"'
        ) from error
    found: list[str] = expand_urls(urls)
    for url in found:
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", url) and not _is_remote(url):
            raise RecipeError(
                f"shards {display(url)}: expected a path, or a URL that begins with http:// or "
                "https://; put ./ before a path with a colon"
            )
        if not _is_remote(url):
            open_plain(url).close()
        elif shutil.which("curl") is None:
            raise RecipeError(
                f"shards {display(url)}: URLs are read by the program curl; install it, or give "
                "files"
            )
    return found


def read_shard(url: str) -> Iterator[Member | ImageError]:
    """Read the images of a shard, one after the other.

    Returns:
        What cannot be read comes as an error in its place; one that damages the tar ends it.
    """
    name = display(url)
    try:
        with _opened(url) as stream:
            yield from _members(stream, name)
    except (tarfile.TarError, *PARSER_ERRORS) as error:
        yield ImageError(f"{name}: cannot be read to its end ({reason(error)}); get a whole copy")


def _members(raw: Any, shard: str) -> Iterator[Member | ImageError]:
    stream: Any = _Metered(raw)  # of tarfile's protocol for streams it has what is needed
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # else it would keep them all
            if member.issparse():
                raise tarfile.ReadError("sparse members, whose size is not known, are not read")
            stream.left = _HEADER_LIMIT + (member.size if _has_data(member) else 0)
            if not member.isreg() or not _is_image(member.name):
                continue
            name = f"{shard}: {display(member.name)}"
            if member.size > MEMBER_LIMIT:
                yield ImageError(f"{name}: is larger than {MEMBER_LIMIT >> 20} MiB; shrink it")
                continue
            content = tar.extractfile(member)
            yield Member(name, content.read() if content else b"")
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


@contextlib.contextmanager
def _opened(url: str) -> Iterator[Any]:
    """The bytes of a shard, inflated where it is compressed."""
    if _is_remote(url):
        from webdataset.gopen import gopen_curl

        raw = gopen_curl(url, "rb")
    else:
        raw = open_plain(url)
    inflate = re.search(r"\.t?gz(\?.*)?$", url)
    with contextlib.closing(raw):
        yield gzip.GzipFile(fileobj=raw, mode="rb") if inflate else raw


def _is_remote(url: str) -> bool:
    return re.match("https?://", url) is not None


def _is_image(member: str) -> bool:
    extension = member.rpartition("/")[2].partition(".")[2]
    return f".{extension.lower()}" in IMAGE_SUFFIXES


def _has_data(member: tarfile.TarInfo) -> bool:
    """Whether a member's data stand behind its header, by `tarfile`'s rules."""
    return member.isreg() or member.type not in tarfile.SUPPORTED_TYPES


def _shuffled(
    members: Iterable[Member | ImageError], generator: np.random.Generator
) -> Iterator[Member | ImageError]:
    """Shuffle neighbours: each image waits in a buffer until its turn is drawn."""
    waiting: list[Member | ImageError] = []
    held = 0
    for member in members:
        waiting.append(member)
        held += _size(member)
        while len(waiting) > _BUFFER or held > MEMBER_LIMIT:
            index = int(generator.integers(len(waiting)))
            waiting[index], waiting[-1] = waiting[-1], waiting[index]
            drawn = waiting.pop()
            held -= _size(drawn)
            yield drawn
    for index in generator.permutation(len(waiting)):
        yield waiting[index]


def _size(member: Member | ImageError) -> int:
    return len(member.data) if isinstance(member, Member) else 0
