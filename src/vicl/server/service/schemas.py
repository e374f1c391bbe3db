"""What a service takes and gives beside files; the OpenAPI description is made of these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ReplyFormat = Literal["json", "png", "zip"]
Pixels = Literal["none", "rle", "png"]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
BoxCorners = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
ExampleBoxes = Annotated[
    list[dict[str, Annotated[list[BoxCorners], Field(max_length=1000)]]], Field(max_length=64)
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class PredictFields(_Model):
    """The words of a form to `/v1/predict`, beside its files."""

    prompt: str | None = Field(
        default=None, max_length=200, description="A prompt file that the service has loaded."
    )
    task: Literal["image", "segmentation", "detection", "edges", "colorization"] | None = Field(
        default=None, description="Of examples that are sent; image where it is left out."
    )
    classes: str | None = Field(
        default=None,
        max_length=20_000,
        description="Of examples: `name=#rrggbb,...` or `name=value,...`, as `--classes` takes it.",
    )
    palette: bool = Field(default=False, description="Draw all classes in one prompt, by colours.")
    boxes: Literal["largest", "all"] = Field(
        default="largest", description="Detection: which boxes of a class are read."
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="PromptSettings, as a JSON object."
    )
    example_boxes: ExampleBoxes | None = Field(
        default=None,
        description="Detection: instead of `example_output`, for each example its boxes "
        "[x0, y0, x1, y1] in pixels, by class, as JSON.",
    )
    format: ReplyFormat = Field(
        default="json",
        description="json; png, of one query; or zip: a PNG each, answers.json and labels.json.",
    )
    pixels: Pixels = Field(
        default="png",
        description="In JSON: masks as COCO's run lengths, answers as PNG in base64, or neither.",
    )
    timeout: float | None = Field(
        default=None, gt=0, le=3600, description="Seconds; the service's own limit holds too."
    )


class ClassAnswer(_Model):
    """How much of a query is of a class.

    Attributes:
        area: Share of the query's pixels.
        score: Mean score of its pixels, in [0, 1]; left out where it has none.
    """

    number: int
    name: str
    area: float
    score: float | None = None


class BoxAnswer(_Model):
    """A box around an object, x0, y0, x1, y1 in pixels of the query."""

    class_: str = Field(validation_alias="class", serialization_alias="class")
    box: BoxCorners
    score: float


class ClassMask(_Model):
    """The pixels of a class, as COCO's compressed run lengths."""

    class_: str = Field(validation_alias="class", serialization_alias="class")
    size: tuple[int, int]
    counts: str


class ViewAnswer(_Model):
    """One of several ways in which a query was asked, and what came of it.

    Attributes:
        class_: Whose, where each class was asked for by itself.
        examples: Which of the prompt's examples were shown, counted from 0.
        arrangement: Of the grid, 1 to 8.
        likelihood: Log-likelihood of its own answer; left out where the engine has none.
        agreement: With the fused answer, in [0, 1].
    """

    class_: str | None = Field(default=None, validation_alias="class", serialization_alias="class")
    examples: tuple[int, ...]
    arrangement: int
    likelihood: float | None = None
    agreement: float


class Prediction(_Model):
    """The answer to one query."""

    query: str
    size: tuple[int, int] = Field(description="(height, width) in pixels, the query's.")
    confidence: float | None = None
    likelihood: float | None = None
    presence: float | None = Field(
        default=None, description="How likely what the examples mark is there at all."
    )
    objects: dict[str, int] | None = Field(
        default=None, description="How many of each class; where `instances` is set."
    )
    classes: tuple[ClassAnswer, ...] = ()
    boxes: tuple[BoxAnswer, ...] = ()
    rle: tuple[ClassMask, ...] | None = None
    png: str | None = Field(
        default=None, description="The file that `vicl predict` writes, in base64."
    )
    views: tuple[ViewAnswer, ...] = Field(
        default=(), description="That were fused, where there are several; of tiles none."
    )
    alternatives: tuple[Prediction, ...] = ()


class Predictions(_Model):
    """Answers to the queries of a request, in their order."""

    prompt: str | None = Field(
        default=None, description="Left out where the request brought examples."
    )
    engine: str
    task: str
    seconds: float
    answers: tuple[Prediction, ...]


class ModelFacts(_Model):
    """An engine that is loaded."""

    name: str
    weights_hash: str | None
    answers_examples: bool = Field(description="Whether examples of requests are answered by it.")


class Models(_Model):
    """All engines that are loaded."""

    models: tuple[ModelFacts, ...]


class PromptFacts(_Model):
    """A prompt file that is loaded."""

    name: str
    task: str
    classes: tuple[str, ...]
    engine: str
    examples: int
    settings: dict[str, Any]


class Prompts(_Model):
    """All prompt files that are loaded."""

    prompts: tuple[PromptFacts, ...]


class Health(_Model):
    """How the service is."""

    state: str
    version: str
