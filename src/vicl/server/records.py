"""What the files of a project hold, beside answers (:mod:`vicl.server.schemas`) and strokes."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from vicl.server.schemas import MarkClass, Score, Status, Task

VERSION: Final = 1


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProjectFile(_File):
    """`project.json`."""

    version: int = Field(default=VERSION, ge=1)
    folder: str | None = Field(default=None, max_length=4096)
    task: Task = "segmentation"
    engine: str | None = Field(default=None, max_length=4096)
    settings: dict[str, Any] = Field(default_factory=dict)
    classes: tuple[MarkClass, ...] = (
        MarkClass(id=1, name="object", colour=(230, 80, 60), key="1"),
    )
    revision: int = Field(default=0, ge=0)


class ImageEntry(_File):
    """An image, as `images.json` lists it.

    Attributes:
        name: Below the folder of photographs, or below the project's `uploads/`.
        uploaded: Which of the two.
        broken: Why it cannot be used.
        stamp: Of the file when it was looked at.
    """

    name: str = Field(max_length=4096)
    uploaded: bool = False
    width: int = 0
    height: int = 0
    bytes: int = 0
    broken: str | None = None
    stamp: int = 0


class ImagesFile(_File):
    """`images.json`."""

    images: dict[str, ImageEntry] = Field(default_factory=dict)


class StatusFile(_File):
    """`status.json`."""

    status: Status = "open"
    example: bool = False
    revision: int = Field(default=0, ge=0)


class ScoreOf(_File):
    """An expected score of the history, and what it is of."""

    task: Task
    engine: str | None
    examples: int
    expected: float

    def likewise(self, other: ScoreOf) -> bool:
        """Whether another was measured by the same engine for the same task."""
        return (self.task, self.engine) == (other.task, other.engine)


class ScoreFile(_File):
    """`score.json`: the last expected score, which prompt it is of, and those before."""

    prompt: str = ""
    score: Score | None = None
    history: tuple[ScoreOf, ...] = ()
