"""An image's edits: a log of strokes and of steps back and forth, and the marks they make."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from vicl.files import FileError, display, reason
from vicl.files.faults import said
from vicl.files.journal import Journal, complete_lines
from vicl.server.marks import UNKNOWN, Dirty, Marks, blank, draw
from vicl.server.schemas import Edit, Edited, Edits, MarkedBox, Step, Stroke

_EDIT: Final[TypeAdapter[Stroke | Step]] = TypeAdapter(Edit)
_LIMIT: Final = 1 << 30
"""Bytes of a log."""


class Told(NamedTuple):
    """Which kinds of things the edits of an image tell."""

    marks: bool
    boxes: bool
    hints: bool


class ImageEdits:
    """The edits of one image, each on the disk before it counts.

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
        self.marks: Marks = blank(size)
        self.done: list[Stroke] = []
        self.undone: list[Stroke] = []
        self.revision = 0
        self._keys: set[str] = set()
        self._journal: Journal | None = None
        for line in _read(path):
            try:
                self._fold(_EDIT.validate_json(line))
            except ValueError as error:
                fault = said(error) if isinstance(error, ValidationError) else str(error)
                raise FileError(
                    f"{display(path)}: line {self.revision + 1} is no edit ({fault}); the file is "
                    "damaged: move it away to begin the image's marks anew"
                ) from error
        self._render()

    def knows(self, key: str) -> bool:
        """Whether an edit of this key is in the log: it was sent twice."""
        return bool(key) and key in self._keys

    def state(self) -> Edits:
        """The strokes that count."""
        return Edits(
            revision=self.revision,
            strokes=tuple(self.done),
            undo=len(self.done),
            redo=len(self.undone),
        )

    def hints(self) -> tuple[Stroke, ...]:
        """The hints of colour that count, the oldest first."""
        cleared = [place for place, one in enumerate(self.done) if one == self._everything()]
        since = self.done[cleared[-1] + 1 :] if cleared else self.done
        return tuple(one for one in since if one.tool == "hint")

    def boxes(self) -> tuple[MarkedBox, ...]:
        """The boxes that count; one of no class takes those away of which it holds the middle."""
        found: list[MarkedBox] = []
        for one in self.done:
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
            return self._edited(dirty)
        self._write(edit)
        self._fold(edit)
        self._render()
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
        self._journal.append(as_line(edit))

    def _fold(self, edit: Stroke | Step) -> None:
        """Count an edit of the log."""
        self.revision += 1
        if edit.key:
            self._keys.add(edit.key)
        if isinstance(edit, Stroke):
            self.done.append(edit)
            self.undone.clear()
        elif edit.op == "undo" and self.done:
            self.undone.append(self.done.pop())
        elif edit.op == "redo" and self.undone:
            self.done.append(self.undone.pop())
        elif edit.op == "clear":
            self.done.append(self._everything())
            self.undone.clear()

    def _everything(self) -> Stroke:
        """What clears the image."""
        return Stroke(tool="box", points=((0, 0), (self.size[1], self.size[0])), class_=None)

    def _render(self) -> None:
        self.marks = blank(self.size)
        for stroke in self.done:
            draw(self.marks, stroke)


def _has_middle(
    outer: tuple[float, float, float, float], inner: tuple[float, float, float, float]
) -> bool:
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3]


def as_line(edit: Stroke | Step) -> Mapping[str, Any]:
    """An edit as a line of the log holds it."""
    held: dict[str, Any] = json.loads(
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
