"""The figures of one paper, out of its source: the same wherever and beside whatever it is done."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vicl.figures.arxiv.archive import Member, PdfOnlyError, SourceError, members
from vicl.figures.arxiv.limits import Limits
from vicl.figures.arxiv.pictures import (
    PictureKind,
    img_name,
    is_tex,
    is_unpublished,
    open_picture,
    picture_kind,
)
from vicl.files import FileError, hash_file
from vicl.images import encode_image

Kind = Literal[PictureKind, "assembled"]

Status = Literal["done", "pdf-only", "failed"]
"""What became of a paper: its source may be the paper itself; one that failed has no figures."""


@dataclass(frozen=True)
class Wishes:
    """What is wanted of a paper.

    Attributes:
        limits: How much may be taken of it.
        keep_unpublished: Also pictures that the paper's data leave out for their names.
    """

    limits: Limits = field(default_factory=Limits)
    keep_unpublished: bool = False


@dataclass(frozen=True)
class PaperFigure:
    """A figure of a paper.

    Attributes:
        img_name: What the published list calls it.
        kind: What it was made of.
        members: Paths in the source that it was made of.
        width: In pixels.
        height: In pixels.
        png: It, as a file.
        caption: Of the figure in the paper; "" where none is known.
        label: Likewise.
    """

    img_name: str
    kind: Kind
    members: tuple[str, ...]
    width: int
    height: int
    png: bytes = field(repr=False)
    caption: str = ""
    label: str = ""

    def row(self) -> dict[str, Any]:
        """What is said of it in `figures.jsonl`, but for its paper and file."""
        return {
            "img_name": self.img_name,
            "kind": self.kind,
            "members": list(self.members),
            "width": self.width,
            "height": self.height,
            "sha256": hashlib.sha256(self.png).hexdigest(),
            "caption": self.caption,
            "label": self.label,
        }


@dataclass(frozen=True)
class Extracted:
    """What came of a paper.

    Attributes:
        status: See :data:`Status`.
        reason: Why not, where it is not done.
        sha256: Of the source, in hex; None where it cannot be read.
        figures: In the archive's order, then the assembled ones in the text's.
        dropped: How many pictures were left out, by reason.
        lost: Of pictures that were asked for by name: why they are not here.
    """

    status: Status
    reason: str
    sha256: str | None
    figures: tuple[PaperFigure, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)


class _Drawn(NamedTuple):
    kind: PictureKind
    png: bytes
    size: tuple[int, int]


def extract_paper(source: Path, wishes: Wishes, wanted: frozenset[str] | None = None) -> Extracted:
    """Take the figures out of a paper's source.

    Args:
        source: As arXiv serves it; it may come from a stranger.
        wishes: What is wanted.
        wanted: Names of the published list; then these pictures are taken and no others. None:
            all, and figures that the text assembles.

    Raises:
        MemoryError: If the process may not have what it takes.
    """
    sha256: str | None = None
    status: Status = "failed"
    paper = _Paper(wishes, wanted)
    try:
        sha256 = hash_file(source)
        for member in members(source, wishes.limits):
            paper.take(member)
        return paper.extracted(sha256)
    except PdfOnlyError as error:
        status, reason = "pdf-only", str(error)
    except FileError as error:
        reason = str(error)
    return Extracted(status, reason, sha256, lost=dict.fromkeys(sorted(wanted or ()), status))


class _Paper:
    """The members of a source as they come."""

    def __init__(self, wishes: Wishes, wanted: frozenset[str] | None) -> None:
        self._wishes, self._wanted = wishes, wanted
        self._found: dict[str, _Drawn | str] = {}  # by path: a picture, or why it is none
        self._texts: dict[str, str] = {}
        self._dropped: Counter[str] = Counter()
        self._bytes = 0

    def take(self, member: Member) -> None:
        """Draw a member, if it is a picture that is wanted."""
        path, data, fault = member
        if path in self._texts:
            del self._texts[path]
        kind: PictureKind | None = None
        if data is not None:
            kind, fault = picture_kind(path, data)
        if kind is None and not fault:
            if data is not None and is_tex(path):
                self._texts[path] = _decoded(data)
            return
        before = self._found.pop(path, None)
        if before is not None:
            self._dropped["replaced in the archive"] += 1
            self._bytes -= len(before.png) if isinstance(before, _Drawn) else 0
        self._found[path] = fault if kind is None or data is None else self._draw(kind, path, data)

    def _draw(self, kind: PictureKind, path: str, data: bytes) -> _Drawn | str:
        if fault := self._unwanted(path):
            return fault
        limits = self._wishes.limits
        picture = open_picture(kind, data, limits)
        if isinstance(picture, str):
            return picture
        drawn = _Drawn(kind, encode_image(picture), picture.size)
        self._bytes += len(drawn.png)
        if self._bytes > limits.written:
            raise SourceError(f"its figures take over {limits.written} bytes")
        return drawn

    def _unwanted(self, path: str) -> str:
        """Why a picture is left out for its name; "" where it is not."""
        name = img_name(path)
        if self._wanted is not None:
            return "" if name in self._wanted else "not listed"
        if is_unpublished(name) and not self._wishes.keep_unpublished:
            return "name"
        return ""

    def extracted(self, sha256: str | None) -> Extracted:
        """What came of it."""
        figures, faults = [], {}
        for path, found in self._found.items():
            if isinstance(found, _Drawn):
                figures.append(
                    PaperFigure(img_name(path), found.kind, (path,), *found.size, found.png)
                )
            else:
                faults[img_name(path)] = found
                self._dropped[found] += 1
        there = {figure.img_name for figure in figures}
        lost = {
            name: faults.get(name, "not in the source")
            for name in sorted((self._wanted or frozenset()) - there)
        }
        dropped = dict(sorted(self._dropped.items()))
        return Extracted("done", "", sha256, tuple(figures), dropped, lost)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:  # older texts, of which every byte is some letter
        return data.decode("latin-1")
