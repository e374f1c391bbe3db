"""An image's edits: a log of strokes and of steps back and forth, and the marks they make."""

from __future__ import annotations

import base64
import logging
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vicl.files import FileError, display, reason, write_atomic
from vicl.files.faults import said
from vicl.files.journal import Journal, complete_lines, json_line
from vicl.files.plain_json import parse_json
from vicl.server.marks import UNKNOWN, Dirty, Marks, StrokeError, blank, draw, picture_of, png
from vicl.server.schemas import Edit, Edited, Edits, MarkedBox, Step, Stroke

log = logging.getLogger(__name__)

_EDIT: Final[TypeAdapter[Stroke | Step]] = TypeAdapter(Edit)
_LIMIT: Final = 1 << 30
"""Bytes of a log."""
UNDO: Final = 500
"""So many strokes can be taken back; of those before, their marks are kept as a picture."""
_MOST_LINES: Final = 2 * UNDO
_MOST_BYTES: Final = 64 << 20
"""A log that has more is written anew; then it keeps half of that at most."""
_APART: Final = 50
"""Strokes between the pictures that are held, from which an undo draws the marks anew."""
_KEYS: Final = 1000
_BOXES: Final = 10_000
"""So many boxes one stroke holds at most."""


class _Base(BaseModel):
    """The first line of a log that was written anew: what the edits before it made.

    Attributes:
        revision: How many edits these were.
        png: Their marks, in base64.
        strokes: Their hints and boxes that count, which a picture of marks does not hold.
        keys: Of the last of them.
    """

    model_config = ConfigDict(extra="forbid")

    op: Literal["base"] = "base"
    revision: int = Field(ge=0)
    png: str
    strokes: tuple[Stroke, ...] = ()
    keys: tuple[str, ...] = Field(default=(), max_length=_KEYS)


class Told(NamedTuple):
    """Which kinds of things the edits of an image tell."""

    marks: bool
    boxes: bool
    hints: bool


class ImageEdits:
    """The edits of one image, each on the disk before it counts.

    The log is written anew, whole, where it grows long: the last :data:`UNDO` strokes stay (fewer
    only where their masks are large); of those before, the marks become one picture, and hints and
    boxes stay as they are.

    Args:
        path: The log; a missing one is empty.
        size: (height, width) of the image.

    Attributes:
        marks: What the strokes that count make.
        revision: How many edits there are.

    Raises:
        FileError: If the log cannot be read, or a whole line of it is no edit.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.path, self.size = path, size
        self.done: list[Stroke] = []
        self.undone: list[Stroke] = []
        self._before: tuple[Stroke, ...] = ()
        self.revision = 0
        self._keys: dict[str, None] = {}
        self._journal: Journal | None = None
        self._held: dict[int, bytes] = {0: zlib.compress(blank(size).tobytes(), 1)}
        lines = _read(path)
        self._lines, self._bytes = len(lines), sum(map(len, lines))
        self._most = _MOST_LINES, _MOST_BYTES
        for number, line in enumerate(lines, start=1):
            try:
                if number == 1 and parse_json(line).get("op") == "base":
                    self._begin(_Base.model_validate_json(line))
                else:
                    self._fold(_EDIT.validate_json(line))
            except (ValueError, AttributeError) as error:
                fault = said(error) if isinstance(error, ValidationError) else str(error)
                raise FileError(
                    f"{display(path)}: line {number} is no edit ({fault}); the file is damaged: "
                    "move it away to begin the image's marks anew"
                ) from error
        try:
            self.marks: Marks = self._after(len(self.done))
        except StrokeError as error:
            raise FileError(
                f"{display(path)}: does not fit the image, which was changed since ({error}); put "
                "the image back, or move the file away to begin its marks anew"
            ) from error
        self._shorten()

    def knows(self, key: str) -> bool:
        """Whether an edit of this key is in the log: it was sent twice."""
        return bool(key) and key in self._keys

    def state(self) -> Edits:
        """The strokes that count; of those that cannot be taken back, hints and boxes."""
        return Edits(
            revision=self.revision,
            strokes=(*self._before, *self.done),
            undo=len(self.done),
            redo=len(self.undone),
        )

    def hints(self) -> tuple[Stroke, ...]:
        """The hints of colour that count, the oldest first."""
        return self._hints((*self._before, *self.done))

    def _hints(self, strokes: Iterable[Stroke]) -> tuple[Stroke, ...]:
        found: list[Stroke] = []
        everything = self._everything()
        for one in strokes:
            if one.tool == "hint":
                found.append(one)
            elif one == everything:
                found.clear()
        return tuple(found)

    def boxes(self) -> tuple[MarkedBox, ...]:
        """The boxes that count; one of no class takes those away of which it holds the middle."""
        return self._boxes((*self._before, *self.done))

    def _boxes(self, strokes: Iterable[Stroke]) -> tuple[MarkedBox, ...]:
        found: list[MarkedBox] = []
        for one in strokes:
            if one.tool == "answer" and one.boxes is not None:
                found += one.boxes
            elif one.tool == "box":
                x0, y0, x1, y1 = self._corners(one)
                if one.class_ is None:
                    found = [f for f in found if not _has_middle((x0, y0, x1, y1), f.box)]
                elif one.class_ > 0 and x1 - x0 >= 1 and y1 - y0 >= 1:
                    found.append(MarkedBox(class_=one.class_, box=(x0, y0, x1, y1)))
        return tuple(found)

    def _corners(self, stroke: Stroke) -> tuple[float, float, float, float]:
        """A box of a stroke as xyxy, on the image."""
        height, width = self.size
        xs = sorted(min(max(x, 0.0), float(width)) for x, _ in stroke.points[:2])
        ys = sorted(min(max(y, 0.0), float(height)) for _, y in stroke.points[:2])
        return xs[0], ys[0], xs[1], ys[1]

    def told(self) -> Told:
        """Which kinds of things there are."""
        marked = bool((self.marks != UNKNOWN).any())
        return Told(marked, bool(self.boxes()), bool(self.hints()))

    def apply(self, edit: Stroke | Step) -> Edited:
        """Write an edit to the log, then draw it.

        Raises:
            StrokeError: If it cannot be drawn; then it is not in the log.
            FileError: If it cannot be written; likewise.
        """
        if isinstance(edit, Stroke):
            tried = self.marks.copy()
            dirty = draw(tried, edit)
            self._write(edit)
            self._fold(edit)
            self.marks = tried
            self._hold(len(self.done), tried)
            self._shorten()
            return self._edited(dirty)
        self._write(edit)
        self._fold(edit)
        self.marks = self._after(len(self.done))
        self._shorten()
        return self._edited((0, 0, self.size[1], self.size[0]))

    def unchanged(self) -> Edited:
        """What is told of an edit that is there already."""
        return self._edited((0, 0, 0, 0))

    def close(self) -> None:
        """Close the log."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _edited(self, dirty: Dirty) -> Edited:
        return Edited(
            revision=self.revision, dirty=dirty, undo=len(self.done), redo=len(self.undone)
        )

    def _write(self, edit: Stroke | Step) -> None:
        if self._journal is None:
            self._journal = Journal(self.path, resume=True, durable=True)
        self._bytes += self._journal.append(as_line(edit))
        self._lines += 1

    def _begin(self, base: _Base) -> None:
        """Take what edits made that are in the log no more."""
        self.revision = base.revision
        self._keys = dict.fromkeys(base.keys)
        self._before = base.strokes
        self._held = {0: zlib.compress(picture_of(base.png, self.size).tobytes(), 1)}

    def _fold(self, edit: Stroke | Step) -> None:
        """Count an edit of the log."""
        self.revision += 1
        if edit.key:
            self._keys[edit.key] = None
        if isinstance(edit, Stroke):
            self._add(edit)
        elif edit.op == "undo" and self.done:
            self.undone.append(self.done.pop())
        elif edit.op == "redo" and self.undone:
            self.done.append(self.undone.pop())
        elif edit.op == "clear":
            self._add(self._everything())

    def _everything(self) -> Stroke:
        """What clears the image."""
        corners = ((0.0, 0.0), (float(self.size[1]), float(self.size[0])))
        return Stroke(tool="box", points=corners, class_=None)

    def _add(self, stroke: Stroke) -> None:
        if self.undone:  # pictures of what cannot be done again
            self._held = {n: held for n, held in self._held.items() if n <= len(self.done)}
        self.undone.clear()
        self.done.append(stroke)

    def _after(self, count: int) -> Marks:
        """The marks that the first strokes make, drawn from the nearest picture that is held."""
        nearest = max(number for number in self._held if number <= count)
        pixels = np.frombuffer(zlib.decompress(self._held[nearest]), np.uint8)
        marks: Marks = pixels.reshape(self.size).copy()
        for number, stroke in enumerate(self.done[nearest:count], start=nearest + 1):
            draw(marks, stroke)
            self._hold(number, marks)
        return marks

    def _hold(self, number: int, marks: Marks) -> None:
        if number % _APART == 0:
            self._held[number] = zlib.compress(marks.tobytes(), 1)

    def _shorten(self) -> None:
        """Write a log that grew long anew; one that cannot be is left as it is."""
        if self._lines <= self._most[0] and self._bytes <= self._most[1]:
            return
        dropped = max(0, len(self.done) - UNDO)
        # In the order in which they were made; those that were taken back are taken back again.
        strokes = [*self.done[dropped:], *reversed(self.undone)]
        lines = [json_line(as_line(one)) for one in strokes]
        lines += [json_line(as_line(Step(op="undo")))] * len(self.undone)
        size = sum(map(len, lines))
        while size > _MOST_BYTES // 2 and dropped < len(self.done):
            size -= len(lines.pop(0))
            dropped += 1
        marks, before = self._after(dropped), self._beyond_marks(dropped)
        base = _Base(
            revision=self.revision - len(lines),
            png=base64.b64encode(png(Image.fromarray(marks))).decode(),
            strokes=before,
            keys=tuple(self._keys)[-_KEYS:],
        )
        first = base.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"
        self.close()
        try:
            write_atomic(self.path, first + b"".join(lines))
        except FileError as error:
            log.warning("%s; its log stays long", error)
        else:
            held = self._held.items()
            self._held = {n - dropped: picture for n, picture in held if n > dropped}
            self._held[0] = zlib.compress(marks.tobytes(), 1)
            self.done, self._before = self.done[dropped:], before
            self._keys = dict.fromkeys(base.keys)
            self._lines, self._bytes = len(lines) + 1, len(first) + size
        # Not again at the next stroke, whatever was not written or could not be left out.
        self._most = self._lines + UNDO, self._bytes + _MOST_BYTES // 2

    def _beyond_marks(self, count: int) -> tuple[Stroke, ...]:
        """What the first strokes tell that is no mark, as strokes: boxes and hints that count."""
        strokes = (*self._before, *self.done[:count])
        boxes = self._boxes(strokes)
        parts = [boxes[at : at + _BOXES] for at in range(0, len(boxes), _BOXES)]
        return (*(Stroke(tool="answer", boxes=part) for part in parts), *self._hints(strokes))


def _has_middle(
    outer: tuple[float, float, float, float], inner: tuple[float, float, float, float]
) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def as_line(edit: Stroke | Step) -> Mapping[str, Any]:
    """An edit as a line of the log holds it."""
    held: dict[str, Any] = parse_json(
        edit.model_dump_json(by_alias=True, exclude_defaults=True, exclude={"op"})
    )
    return {"op": edit.op} | ({"class": edit.class_} if isinstance(edit, Stroke) else {}) | held


def _read(path: Path) -> list[bytes]:
    try:
        if not path.is_file():
            return []
        if path.stat().st_size > _LIMIT:
            raise FileError(f"{display(path)}: is larger than {_LIMIT >> 20} MiB; not opened")
        return complete_lines(path)
    except OSError as error:
        raise FileError(f"{display(path)}: cannot be read ({reason(error)})") from error
