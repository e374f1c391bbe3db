"""The methods, a line each: what is learned, with which options, made by what.

A method is added by a file and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
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


METHODS: Final[tuple[Method, ...]] = (
    Method("linear", "a linear layer on the features", Options, _linear),
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
