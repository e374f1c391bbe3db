"""The figures of one paper, out of its source: the same wherever and beside whatever it is done."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from PIL import Image

from vicl.figures.arxiv.extract import grids
from vicl.figures.arxiv.extract.archive import Member, PdfOnlyError, SourceError, members
from vicl.figures.arxiv.extract.limits import Limits
from vicl.figures.arxiv.extract.pictures import (
    PictureKind,
    img_name,
    is_tex,
    is_unpublished,
    open_picture,
    picture_kind,
)
from vicl.figures.arxiv.latex.figures import LatexFigure, read_figures
from vicl.files import FileError, hash_file

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
    dpi: tuple[float, float]

    def opened(self) -> Image.Image:
        image = Image.open(io.BytesIO(self.png), formats=("PNG",))
        image.load()
        image.info["dpi"] = self.dpi
        return image


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
        self._wishes, self._limits, self._wanted = wishes, wishes.limits, wanted
        self._found: dict[str, _Drawn | str] = {}  # by path: a picture, or why it is none
        self._texts: dict[str, str] = {}
        self._dropped: Counter[str] = Counter()
        self._bytes = self._length = 0  # of figures; of texts

    def take(self, member: Member) -> None:
        """Draw a member, if it is a picture that is wanted."""
        path, data, fault = member
        if not path:
            self._dropped[fault] += 1
            return
        self._length -= len(self._texts.pop(path, ""))
        before = self._found.pop(path, None)  # as in unpacking, the last one of a path counts
        if before is not None:
            self._dropped["replaced in the archive"] += 1
            self._bytes -= len(before.png) if isinstance(before, _Drawn) else 0
        kind: PictureKind | None = None
        if data is not None:
            kind, fault = picture_kind(path, data)
        if kind is not None and data is not None:
            self._found[path] = self._draw(kind, path, data)
        elif fault:
            self._found[path] = fault
        elif data is not None and is_tex(path):
            text = _decoded(data)
            self._length += len(text)
            if self._length <= self._limits.texts:
                self._texts[path] = text

    def _draw(self, kind: PictureKind, path: str, data: bytes) -> _Drawn | str:
        if self._wanted is not None and img_name(path) not in self._wanted:
            return "not listed"
        picture = open_picture(kind, data, self._limits)
        if isinstance(picture, str):
            return picture
        return _Drawn(kind, self._encoded(picture), picture.size, picture.info["dpi"])

    def _encoded(self, picture: Image.Image) -> bytes:
        buffer = io.BytesIO()
        # A sixth more bytes than by default, in a sixth of its time, which was most of a paper's.
        picture.save(buffer, "PNG", compress_level=1)
        png = buffer.getvalue()
        self._bytes += len(png)
        if self._bytes > self._limits.written:
            raise SourceError(f"its figures take over {self._limits.written} bytes")
        return png

    def extracted(self, sha256: str | None) -> Extracted:
        """What came of it."""
        drawn = {path: one for path, one in self._found.items() if isinstance(one, _Drawn)}
        faults = {path: one for path, one in self._found.items() if isinstance(one, str)}
        if self._wanted is None and not self._wishes.keep_unpublished:
            faults |= {path: "name" for path in drawn if is_unpublished(img_name(path))}
        self._dropped.update(faults.values())
        texts = self._read_texts() if self._wanted is None else []
        said = grids.captions(texts, drawn.keys())
        figures = [
            PaperFigure(img_name(path), one.kind, (path,), *one.size, one.png, *said.get(path, ()))
            for path, one in drawn.items()
            if path not in faults
        ]
        for grid in grids.grids(
            texts, drawn.keys(), lambda path: drawn[path].opened(), self._dropped
        ):
            name, size = f"assembled_{grid.number:03d}.png", grid.image.size
            png = self._encoded(grid.image)
            figures.append(PaperFigure(name, "assembled", grid.members, *size, png, *grid.said))
        missing = (self._wanted or frozenset()) - {figure.img_name for figure in figures}
        why = {img_name(path): fault for path, fault in faults.items()}
        lost = {name: why.get(name, "not in the source") for name in sorted(missing)}
        dropped = dict(sorted(self._dropped.items()))
        return Extracted("done", "", sha256, tuple(figures), dropped, lost)

    def _read_texts(self) -> list[LatexFigure]:
        if self._length > self._limits.texts:
            self._dropped["grids not assembled: too much text"] += 1
            return []
        return read_figures(self._texts)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:  # older texts, of which every byte is some letter
        return data.decode("latin-1")
