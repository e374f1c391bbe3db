"""What is done with each answer: its files, the pictures beside it, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vicl.exports.answers import Answer, Query, as_row, count_objects
from vicl.exports.masks import objects_image
from vicl.exports.writers import Writer
from vicl.prompting.prompter import VisualPrompter


@dataclass(frozen=True)
class Taken:
    """What became of an answer.

    Attributes:
        written: The file that holds it, where one does.
        row: It in numbers, where they were asked for.
        counts: Objects of each class, likewise.
    """

    written: Path | None
    row: dict[str, Any] | None
    counts: dict[str, int] | None

    def count_line(self, name: str) -> str:
        """The counts behind a name, in a line; the name alone where nobody asked for them."""
        if self.counts is None:
            return name
        said = ", ".join(f"{label} {count}" for label, count in self.counts.items())
        return f"{name}: {said}"


@dataclass(frozen=True)
class Taking:
    """What is wanted of each answer beside its own file.

    Attributes:
        canvas: The filled grid, as a picture beside it.
        overlay: The query with its mask and boxes over it, likewise.
        objects: The numbers of separate objects, likewise, where it has them.
        rows: It in numbers.
        counts: How many objects of each class.
    """

    canvas: bool = False
    overlay: bool = False
    objects: bool = False
    rows: bool = False
    counts: bool = False

    def take(
        self, prompter: VisualPrompter, writer: Writer | None, query: Query, answer: Answer
    ) -> Taken:
        """Write an answer and what stands beside it."""
        written = None
        if writer is not None:
            # First what stands beside it: where the answer is, a resumed run has nothing to do.
            if self.canvas:
                writer.save_beside(query, "canvas", prompter.canvas(query.image, answer))
            if self.overlay:
                writer.save_beside(query, "overlay", prompter.overlay(query.image, answer))
            if self.objects and answer.objects is not None:
                writer.save_beside(query, "objects", objects_image(answer.objects))
            written = writer.write(query, answer)
        return Taken(
            written,
            as_row(query, answer, written) if self.rows else None,
            count_objects(answer) if self.counts else None,
        )
