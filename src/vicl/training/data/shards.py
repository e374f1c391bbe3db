"""WebDataset shards: images in tar files, on disk or by URL.

Members are read as bytes and decoded like any image file: nothing is unpacked to the disk, and
nothing is unpickled (see :mod:`vicl.images.tars`). WebDataset's own URLs can be commands; ours
cannot.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

import numpy as np

from vicl.files import display, open_plain, reason
from vicl.files.extras import to_install
from vicl.images import ImageError, open_bytes, to_rgb
from vicl.images.decoding import PARSER_ERRORS
from vicl.images.tars import MEMBER_LIMIT, Group, Member, file_groups, image_members
from vicl.training.data.sources import Lane, Picture
from vicl.training.data.streams import Stream
from vicl.training.recipe.data import RecipeError, ShardSource
from vicl.training.seeds import Purpose, numbers

Item: TypeAlias = Member | Group | ImageError
"""What a shard holds, not yet decoded; an error in place of what cannot be read."""

Piece = TypeVar("Piece", Member, Group)

_BUFFER = 256
"""Images that wait to be shuffled, or fewer where they take more than `MEMBER_LIMIT` bytes."""


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

    def items(self, lane: Lane, seed: int, epoch: int) -> Iterator[Item]:
        """Go through a lane's shards once."""
        order = numbers(seed, Purpose.SHARDS, epoch).permutation(len(self.urls))
        items = (
            item
            for index in order[lane.index :: lane.count]
            for item in self._read(self.urls[index])
        )
        return _shuffled(items, numbers(seed, Purpose.BUFFER, epoch, lane.index))

    def _read(self, url: str) -> Iterator[Item]:
        """Read what a shard holds, as :meth:`decode` takes it."""
        return read_shard(url)

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
            f"shards {display(urls)}: need the library WebDataset: {to_install('train')}"
        ) from error
    found: list[str] = expand_urls(urls)
    for url in found:
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", url) and not is_remote(url):
            raise RecipeError(
                f"shards {display(url)}: expected a path, or a URL that begins with http:// or "
                "https://; put ./ before a path with a colon"
            )
        if not is_remote(url):
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
    return _read(url, image_members)


def read_groups(url: str) -> Iterator[Group | ImageError]:
    """Read all files of a shard, those of one name together; as :func:`read_shard` otherwise."""
    return _read(url, file_groups)


def _read(
    url: str, parts: Callable[[Any, str], Iterator[Piece | ImageError]]
) -> Iterator[Piece | ImageError]:
    name = display(url)
    try:
        with _opened(url) as stream:
            yield from parts(stream, name)
    except (tarfile.TarError, *PARSER_ERRORS) as error:
        yield ImageError(f"{name}: cannot be read to its end ({reason(error)}); get a whole copy")


@contextlib.contextmanager
def _opened(url: str) -> Iterator[Any]:
    """The bytes of a shard, inflated where it is compressed."""
    if is_remote(url):
        from webdataset.gopen import gopen_curl

        raw = gopen_curl(url, "rb")
    else:
        raw = open_plain(url)
    inflate = re.search(r"\.t?gz(\?.*)?$", url)
    with contextlib.closing(raw):
        yield gzip.GzipFile(fileobj=raw, mode="rb") if inflate else raw


def is_remote(url: str) -> bool:
    """Whether a shard is an address, and not a path."""
    return re.match("https?://", url) is not None


def _shuffled(items: Iterable[Item], generator: np.random.Generator) -> Iterator[Item]:
    """Shuffle neighbours: each image waits in a buffer until its turn is drawn."""
    waiting: list[Item] = []
    held = 0
    for item in items:
        waiting.append(item)
        held += _size(item)
        while len(waiting) > _BUFFER or held > MEMBER_LIMIT:
            index = int(generator.integers(len(waiting)))
            waiting[index], waiting[-1] = waiting[-1], waiting[index]
            drawn = waiting.pop()
            held -= _size(drawn)
            yield drawn
    for index in generator.permutation(len(waiting)):
        yield waiting[index]


def _size(item: Item) -> int:
    if isinstance(item, Group):
        return sum(map(len, item.files.values()))
    return len(item.data) if isinstance(item, Member) else 0
