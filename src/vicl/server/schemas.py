"""What the API takes and gives, as JSON; the OpenAPI description is made of these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, WithJsonSchema
from starlette.datastructures import UploadFile

Task = Literal["segmentation", "detection", "image", "edges", "colorization"]
Status = Literal["open", "accepted", "skipped", "rejected", "nothing"]
Tool = Literal["brush", "box", "polygon", "lasso", "fill", "mask", "answer", "hint"]
ExportFormat = Literal[
    "masks", "indexed", "per-class", "overlays", "coco", "coco-polygons", "yolo", "labelme", "voc"
]
SentFile = Annotated[InstanceOf[UploadFile], WithJsonSchema({"type": "string", "format": "binary"})]
"""A file of a form. What comes is Starlette's own class, and not FastAPI's below it."""

Level = Annotated[int, Field(ge=0, le=255)]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Point = tuple[Coordinate, Coordinate]
ClassId = Annotated[int, Field(ge=0, le=254)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class MarkClass(_Model):
    """A class of things that is marked; its id stands in index masks."""

    id: int = Field(ge=1, le=254)
    name: str = Field(min_length=1, max_length=200)
    colour: tuple[Level, Level, Level]
    key: str = Field(default="", max_length=20)
    locked: bool = False


class MarkedBox(_Model):
    """A box of a thing, xyxy in pixels of the image."""

    class_: ClassId = Field(validation_alias="class", serialization_alias="class")
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate]
    score: float = Field(default=1, allow_inf_nan=False)


class Stroke(_Model):
    """Pixels that are said to be of a class, of the ground (0), or unknown again (null).

    A hint says what colour they have, for colorization, and marks nothing.
    """

    op: Literal["stroke"] = "stroke"
    key: str = Field(default="", max_length=100)
    class_: ClassId | None = Field(
        default=None, validation_alias="class", serialization_alias="class"
    )
    tool: Tool
    points: tuple[Point, ...] = Field(default=(), max_length=100_000)
    size: float = Field(default=1, gt=0, le=10_000, allow_inf_nan=False)
    png: str | None = Field(default=None, max_length=8 << 20)
    locked: tuple[ClassId, ...] = Field(default=(), max_length=254)
    colour: tuple[Level, Level, Level] | None = Field(default=None, description="of a hint")
    boxes: tuple[MarkedBox, ...] | None = Field(
        default=None, max_length=10_000, description="an answer of detection that was taken"
    )


class Step(_Model):
    """An edit without a shape."""

    op: Literal["undo", "redo", "clear", "take-answer"]
    key: str = Field(default="", max_length=100)


Edit = Annotated[Stroke | Step, Field(discriminator="op")]


class Engine(_Model):
    """An engine that may answer."""

    name: str
    what: str
    ready: bool
    needs: str | None = Field(default=None, description="what is missing, where it is not ready")
    licence: str | None = Field(default=None, description="of another's, as its card states it")


class EngineList(_Model):
    """Engines: of the package, of this machine, and what others there are."""

    engines: tuple[Engine, ...]


class Counts(_Model):
    """How many images there are of each kind."""

    images: int = 0
    broken: int = 0
    marked: int = 0
    examples: int = 0
    answered: int = 0
    accepted: int = 0
    skipped: int = 0
    rejected: int = 0
    nothing: int = 0


class ProjectState(_Model):
    """The project as a whole."""

    version: int
    revision: int
    folder: str
    place: str = Field(description="the project's own folder")
    task: Task
    tasks: tuple[str, ...]
    engine: str | None
    engines: tuple[Engine, ...]
    asks: str | None = Field(description="a question, where its engine waits for a person's yes")
    classes: tuple[MarkClass, ...]
    settings: dict[str, Any]
    counts: Counts
    prompt: str | None


class ProjectChange(_Model):
    """What is changed of the project; what is left out stays."""

    task: Task | None = None
    engine: str | None = Field(
        default=None,
        max_length=4096,
        description="a name, a model folder, or hub:owner/name; it is loaded before it counts",
    )
    classes: tuple[MarkClass, ...] | None = Field(default=None, min_length=1, max_length=254)
    settings: dict[str, Any] | None = None


class Item(_Model):
    """An image of the project."""

    id: str
    name: str
    width: int
    height: int
    bytes: int
    broken: str | None
    revision: int
    status: Status
    example: bool
    marked: bool
    output: bool
    hinted: bool = Field(default=False, description="whether hints of colour answer it")
    confidence: float | None
    presence: float | None
    answer_revision: str | None
    stale: bool


class Items(_Model):
    """A page of images."""

    total: int
    items: tuple[Item, ...]


class Added(_Model):
    """Images that were added."""

    items: tuple[Item, ...]


class Edits(_Model):
    """An image's last strokes that count, and how many may be taken back or done again.

    Of more than about 500 strokes the first ones are in the marks alone, and stay.
    """

    revision: int
    strokes: tuple[Stroke, ...]
    undo: int
    redo: int


class Edited(_Model):
    """What an edit did: the box of pixels that changed, half-open."""

    revision: int
    dirty: tuple[int, int, int, int]
    undo: int
    redo: int
    marked: bool = Field(default=False, description="is anything marked now (of detection: boxed)")


class StatusChange(_Model):
    """What is changed of an image's status."""

    status: Status | None = None
    example: bool | None = None


class Clicks(_Model):
    """Points in (1) and out (0) of a thing, and a box around it."""

    points: tuple[Point, ...] = Field(default=(), max_length=100)
    labels: tuple[Literal[0, 1], ...] = Field(default=(), max_length=100)
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None


class Candidate(_Model):
    """A mask that clicks may mean, as PNG in base64."""

    png: str
    score: float
    box: tuple[int, int, int, int]


class Found(_Model):
    """Candidates, best first."""

    candidates: tuple[Candidate, ...]


class AnswerFacts(_Model):
    """What is told of an answer."""

    prompt_revision: str
    confidence: float | None = None
    presence: float | None = None
    objects: int | None = None
    seconds: float
    engine: str
    canvas: bool = Field(default=False, description="whether the engine saw one canvas")
    boxes: tuple[MarkedBox, ...] = Field(default=(), description="of detection")


class Ask(_Model):
    """What is to be answered."""

    scope: Literal["open", "all"] = "all"
    image: str | None = Field(default=None, max_length=100)


class Asked(_Model):
    """How many answers are under way."""

    total: int


class HistoryEntry(_Model):
    """The expected score when there were so many examples."""

    examples: int
    expected: float


class Score(_Model):
    """The expected score by leaving one example out, or what it needs."""

    needs: str | None = None
    metric: str | None = None
    examples: int = 0
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    copy_: float | None = Field(default=None, validation_alias="copy", serialization_alias="copy")
    history: tuple[HistoryEntry, ...] = ()
    seconds: float | None = None


class TriedEngine(_Model):
    """An engine to try, and how many seconds that is expected to take."""

    name: str
    seconds: float
    measured: bool = Field(description="by its own answers here; else a guess")


class Trial(_Model):
    """How long trying engines is expected to take."""

    seconds: float
    engines: tuple[TriedEngine, ...]
    needs: str | None = None


class ExportWish(_Model):
    """What is to be exported."""

    formats: tuple[ExportFormat, ...] = Field(default=("masks",), max_length=8)
    which: Literal["accepted", "all"] = "all"
    prompt: bool = False


class SampleSet(_Model):
    """Photographs that come with the package."""

    name: str
    title: str
    task: str
    images: int


class Samples(_Model):
    """All sample sets."""

    samples: tuple[SampleSet, ...]


class SampleWish(_Model):
    """Which sample set."""

    name: str = Field(max_length=200)


class Imported(_Model):
    """What was imported, and what was not, with why."""

    items: tuple[Item, ...]
    left_out: tuple[str, ...] = ()


class Problem(BaseModel):
    """Why a request was refused (RFC 9457); `detail` is a sentence for a person."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    state: dict[str, Any] | None = None
