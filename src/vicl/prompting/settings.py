"""How a prompt is asked: one value, which prompter, prompt file and command line read and write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from vicl.canvas.arrangements import ARRANGEMENTS
from vicl.canvas.layout import Layout
from vicl.canvas.rects import Fit
from vicl.engine import Sampling
from vicl.files.faults import said
from vicl.images.upsampling import Upsampling
from vicl.prompting.fusing import Fusion

Tile = Literal["auto", "whole"] | Annotated[int, Field(ge=16, le=1 << 20)]


def _first(value: Any) -> Any:
    """A number of arrangements is so many of the first."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    if not 1 <= value <= len(ARRANGEMENTS):
        raise ValueError(
            f"got {value}, expected 1 to {len(ARRANGEMENTS)}, or a list of such numbers"
        )
    return tuple(range(1, value + 1))


class PromptSettings(BaseModel):
    """All that an answer depends on beside examples, task, engine and query.

    Attributes:
        seed: Of everything random; not negative.
        samples: How many different answers to give a query, if the engine has as many.
        tile: Answer in overlapping tiles of this many pixels a side, at least 16, or show the query
            "whole". "auto" tiles queries that are larger than the engine takes, if the task looks
            at what is near (images, edges, colorization) and one sample is asked for; measured by
            `benchmarks/resolution.py`.
        white: The value that is white in 16-bit, 32-bit and float images, of examples and queries;
            larger ones are cut to it. None: where examples are such images the smallest of 255,
            1023, 4095, 16383 and 65535 that covers their largest value (1 where all lie in [0, 1]),
            which the prompter then keeps here, so that each query is scaled as they are; else each
            such query by its own largest value. Images of 8 bits do not heed it.
        upsampling: How answers of an engine that sees less than the query's pixels are enlarged.
        min_presence: The chance that what the examples mark is in the query, in [0, 1], under which
            the answer is empty; 0 always answers. None: as the engine says. For engines that tell.
        instances: Tell separate objects of a mask apart, by the engine where it can, else by what
            is connected: answers have `objects` then.
        sampling: For inpainters: how answers after the first are drawn; None as `Sampling()` says.
            The first is the likeliest at every place.
        layout: For inpainters: the grid; None takes the general one for each prompt's number of
            examples. More than it (or the canvas) holds are answered in groups.
        fit: For inpainters: how images of other shapes go into the general grid's cells; a given
            layout has its own.
        spins: For inpainters: steps along each axis by which a view is asked again, moved by parts
            of a patch (see :mod:`vicl.canvas.moves`): `spins` squared canvases. None: as the
            inpainter says, where answers are fused, else 1.
        arrangements: For inpainters: in which of the eight arrangements of the grid
            (:mod:`vicl.canvas.arrangements`) a prompt is asked, the answer being drawn on the
            canvas of the first; a number n is the first n of them.
        fuse: For inpainters: how the views become one; see :data:`vicl.prompting.fusing.Fusion`.
        agree: For inpainters: ask no more views of a prompt once its answers so far all agree with
            their fused answer at least so much, in (0, 1] (see :class:`vicl.engine.View`): two
            views are asked, then one at a time. None: all are asked.
        examples_per_canvas: For inpainters: how many of a prompt's examples stand on a canvas, the
            others on canvases of their own. None: as many as fit, shared out; where cells are
            fused, evenly.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    seed: int = Field(default=0, ge=0, lt=2**63)
    samples: int = Field(default=1, ge=1, le=10_000)
    tile: Tile = "auto"
    white: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    upsampling: Upsampling = "guided"
    min_presence: float | None = Field(default=None, ge=0, le=1)
    instances: bool = False
    sampling: Sampling | None = None
    layout: Layout | None = None
    fit: Fit = "stretch"
    spins: int | None = Field(default=None, ge=1, le=64)
    arrangements: Annotated[tuple[int, ...], BeforeValidator(_first)] = (1,)
    fuse: Fusion = "answers"
    agree: float | None = Field(default=None, gt=0, le=1)
    examples_per_canvas: int | None = Field(default=None, ge=1, le=1024)

    @model_validator(mode="after")
    def _check(self) -> PromptSettings:
        if isinstance(self.tile, int) and self.samples > 1:
            raise ValueError("samples, tile: an answer in tiles has no alternatives")
        if not self.arrangements or any(a not in ARRANGEMENTS for a in self.arrangements):
            raise ValueError(
                f"arrangements: got {[*self.arrangements]}, expected numbers from 1 to "
                f"{len(ARRANGEMENTS)}, at least one"
            )
        return self

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> PromptSettings:
        """Settings by name; those that are left out have their defaults.

        Raises:
            TypeError: If there is no setting of a name.
            ValueError: If a value cannot be; the message says which and what was expected.
        """
        unknown = sorted(given.keys() - cls.model_fields.keys())
        if unknown:
            raise TypeError(
                f"{', '.join(unknown)}: no such setting; there are {', '.join(cls.model_fields)}"
            )
        try:
            return cls.model_validate(dict(given))
        except ValidationError as error:
            raise ValueError(said(error)) from error

    def changed(self, given: Mapping[str, Any]) -> PromptSettings:
        """These settings, but for some.

        Raises:
            TypeError: As :meth:`of`.
            ValueError: As :meth:`of`.
        """
        return type(self).of({**self.given(), **given})

    def given(self) -> dict[str, Any]:
        """The settings by name that are not at their defaults."""
        return {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.default
        }

    def of_canvas(self) -> dict[str, Any]:
        """Those of :meth:`given` that only an engine with a canvas takes."""
        return {name: value for name, value in self.given().items() if name not in FOR_ALL}

    def without_canvas(self) -> PromptSettings:
        """These settings for an engine without a canvas."""
        return type(self).of({name: v for name, v in self.given().items() if name in FOR_ALL})


FOR_ALL = ("seed", "samples", "tile", "white", "upsampling", "min_presence", "instances")
"""Settings that every engine takes; the others say how a canvas is asked."""
