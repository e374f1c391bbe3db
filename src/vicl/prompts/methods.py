"""The methods, a line each: what is learned, with which options, made by what.

A method is added by a file and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Generator

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.classifier import Classifier


class Options(BaseModel):
    """What a method can be told: checked, never changed. Most have fields of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Method:
    """A way to adapt a backbone.

    Attributes:
        name: What `vicl tune` calls it.
        title: What is learned, in a line, with its source.
        options: What it can be told.
        make: Makes the classifier: (backbone, classes, options, generator).
    """

    name: str
    title: str
    options: type[Options]
    make: Callable[[Backbone, Sequence[str], Any, Generator], Classifier]


def _linear(backbone: Backbone, classes: Sequence[str], _: Options, generator: Generator) -> Any:
    from vicl.prompts.linear import Linear

    return Linear(backbone, classes, generator=generator)


class ZeroShotOptions(Options):
    """Options of zero-shot.

    Attributes:
        templates: Texts with `{}` for the name of a class, or names of sets of templates
            (`vicl.prompts.templates`); the mean over all is taken.
    """

    templates: tuple[str, ...] = ("photo",)


class TextOptions(Options):
    """Options of coop.

    Attributes:
        context: Tokens that are learned before a name.
        words: The contexts begin at these, and are as many; None: they begin at random.
        position: Where the name stands: behind the contexts, amid them, or before them.
        class_specific: Each class has contexts of its own.
    """

    context: int = Field(default=16, gt=0, le=64)
    words: str | None = None
    position: Literal["end", "middle", "front"] = "end"
    class_specific: bool = False


class ConditionalOptions(Options):
    """Options of cocoop.

    Attributes:
        context: Tokens that are learned before a name.
        words: The contexts begin at these, and are as many; None: they begin at random.
    """

    context: int = Field(default=4, gt=0, le=64)
    words: str | None = "a photo of a"


class UnifiedOptions(Options):
    """Options of upt.

    Attributes:
        text: Learned vectors that become contexts before a name.
        image: Learned vectors that become tokens of the image.
        attention: Over which vectors each attends: over all ("intended"), or, as the published code
            does, over itself alone ("published").
    """

    text: int = Field(default=4, gt=0, le=64)
    image: int = Field(default=4, gt=0, le=64)
    attention: Literal["intended", "published"] = "intended"


def _zero_shot(
    backbone: Backbone, classes: Sequence[str], options: ZeroShotOptions, _: Generator
) -> Any:
    from vicl.prompts.zero_shot import ZeroShot

    return ZeroShot(backbone, classes, templates=options.templates)


def _coop(
    backbone: Backbone, classes: Sequence[str], options: TextOptions, generator: Generator
) -> Any:
    from vicl.prompts.text import TextPrompt

    return TextPrompt(backbone, classes, generator=generator, **options.model_dump())


def _cocoop(
    backbone: Backbone, classes: Sequence[str], options: ConditionalOptions, generator: Generator
) -> Any:
    from vicl.prompts.conditional import ConditionalPrompt

    return ConditionalPrompt(backbone, classes, generator=generator, **options.model_dump())


def _upt(
    backbone: Backbone, classes: Sequence[str], options: UnifiedOptions, generator: Generator
) -> Any:
    from vicl.prompts.unified import UnifiedPrompt

    return UnifiedPrompt(backbone, classes, generator=generator, **options.model_dump())


METHODS: Final[tuple[Method, ...]] = (
    Method("linear", "a linear layer on the features", Options, _linear),
    Method("zero-shot", "nothing: the classes' names as texts", ZeroShotOptions, _zero_shot),
    Method("coop", "words before the classes' names (arXiv:2109.01134)", TextOptions, _coop),
    Method(
        "cocoop",
        "words before the names, shifted by each image (arXiv:2203.05557)",
        ConditionalOptions,
        _cocoop,
    ),
    Method(
        "upt",
        "vectors that prompt both words and image (arXiv:2210.07225)",
        UnifiedOptions,
        _upt,
    ),
)


def method(name: str) -> Method:
    """One of the methods.

    Raises:
        ValueError: If there is none of the name.
    """
    for one in METHODS:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in METHODS)
    raise ValueError(f"method: got {name!r}, expected one of {known}")
