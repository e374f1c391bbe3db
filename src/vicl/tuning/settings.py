"""How a prompt is tuned, in plain values, checked: defaults, `--set KEY=VALUE`, and a budget."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    ValidationError,
)

from vicl.files import FileError
from vicl.files.faults import said
from vicl.files.times import seconds_of
from vicl.prompts.methods import Method
from vicl.prompts.options import Options
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.files import read_override
from vicl.training.settings import AnyOptimiser, Many, Part, Precision, Rate
from vicl.tuning.published import published
from vicl.tuning.reading import Augment

Settings = TypeVar("Settings", bound=Part)


class SettingsError(FileError):
    """Settings that are wrong; the message names the key, what was given and what is allowed."""


class TuneSettings(Part):
    """How something is learned beside a frozen backbone.

    Attributes:
        optimiser: Which; see :class:`vicl.training.settings.AnyOptimiser`.
        lr: Peak learning rate, for 256 images a step where `scale_lr`.
        scale_lr: Multiply it by batch / 256.
        momentum: Of SGD.
        weight_decay: Of the weights that decay.
        clip: Greatest norm of the gradient; None for no limit.
        schedule: How the rate moves; see :class:`vicl.training.settings.Rate`, as for
        by, warmup, first_lr, milestones, factor, every: what it moves by and how far.
        warmup_limit: Share of the run that the warm-up takes at most; 1 where `warmup` is given.
        epochs: Times that every image is seen.
        batch: Images of a step; all where there are fewer.
        least_steps: Of an epoch; where images are few, a step has as many fewer.
        augment: What is random about the images.
        side: Of the images that the backbone sees, in pixels; None: its own. Half of it costs
            about a quarter.
        stretch: Bring images to the side whatever their shape, so that nothing is cut off.
        keep: What is saved: what did best on the validation images (the lowest Brier score), or
            what came last.
        patience: Share of the run without a lower Brier score on the validation images after which
            it ends; 1: never.
        refit: Learn from the validation images too, and end with the last epoch: VTAB's protocol,
            for settings that were chosen before.
        precision: Of the arithmetic.
        workers: Threads that read images.
    """

    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: PositiveFloat = 1.0
    scale_lr: bool = True
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: NonNegativeFloat = 1e-4
    clip: PositiveFloat | None = None
    schedule: Literal["cosine", "milestones", "decay", "constant"] = "cosine"
    by: Literal["step", "epoch"] = "epoch"
    warmup: NonNegativeInt = 10
    warmup_limit: float = Field(default=0.1, ge=0, le=1)
    first_lr: PositiveFloat | None = None
    milestones: tuple[float, ...] = (0.5, 0.72)
    factor: float = Field(default=0.1, gt=0, le=1)
    every: Many = 2
    epochs: Many = 100
    batch: Many = 128
    least_steps: Many = 1
    augment: Augment = "none"
    side: int | None = Field(default=None, ge=1, le=4096)
    stretch: bool = False
    keep: Literal["best", "last"] = "best"
    patience: float = Field(default=0.3, gt=0, le=1)
    refit: bool = False
    precision: Precision = "fp32"
    workers: int = Field(default=2, ge=1, le=64)

    def stepped_by(self) -> AnyOptimiser:
        """The optimiser."""
        return AnyOptimiser(
            kind=self.optimiser,
            lr=self.lr,
            scale_lr=self.scale_lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            clip=self.clip,
        )

    def rate(self, length: int) -> Rate:
        """How the learning rate moves in a run of so many steps or epochs."""
        return Rate(
            kind=self.schedule,
            by=self.by,
            warmup=min(self.warmup, int(self.warmup_limit * length)),
            first=self.first_lr,
            milestones=self.milestones,
            factor=self.factor,
            every=self.every,
        )


@dataclass(frozen=True)
class Pace:
    """How steps and epochs go together: every image once an epoch, and every batch full.

    Attributes:
        images: That are learned from.
        batch: Of a step, at most `images`.
        epochs: Of the run.
    """

    images: int
    batch: int
    epochs: int

    @property
    def steps(self) -> int:
        """Of the run."""
        return math.ceil(self.epochs * self.images / self.batch)

    def epoch(self, step: int) -> int:
        """Of a step, both counted from 0."""
        return min(self.epochs - 1, step * self.batch // self.images)


@dataclass(frozen=True)
class Budget:
    """What a search may take.

    Attributes:
        trials: So many runs; or
        seconds: so long.
    """

    trials: int | None = None
    seconds: float | None = None


def settle(
    method: Method, overrides: Sequence[str] = (), *, shots: int | None = None
) -> tuple[Options, TuneSettings]:
    """A method's options and the settings of its training: the published ones, and overrides.

    Args:
        method: Which.
        overrides: "key=value" each, of an option or a setting; the value is YAML.
        shots: Images of each class, by which some published settings go; None: all.

    Raises:
        SettingsError: If a key is unknown, or a value wrong.
    """
    options: dict[str, Any] = {}
    training: dict[str, Any] = {}
    for text in overrides:
        try:
            key, value = read_override(text, "lr=0.1")
        except RecipeError as error:
            raise SettingsError(str(error)) from error
        if key in method.options.model_fields:
            options[key] = value
        elif key in TuneSettings.model_fields:
            training[key] = value
        else:
            raise SettingsError(_unknown(key, method))
    if "warmup" in training:
        training.setdefault("warmup_limit", 1.0)
    if "batch" in training:
        training.setdefault("least_steps", 1)
    defaults = published(method.name, options, shots=shots)
    return (
        _checked(method.options, options, options),
        _checked(TuneSettings, defaults | training, training),
    )


def _checked(kind: type[Any], values: dict[str, Any], given: dict[str, Any]) -> Any:
    try:
        made: BaseModel = kind.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"--set {said(error)}") from error
    for key, value in given.items():
        # YAML takes yes and on for truths, which would pass for 1.
        used = getattr(made, key)
        number = isinstance(used, int | float) and not isinstance(used, bool)
        if isinstance(value, bool) and number:
            raise SettingsError(f"--set {key}: got {str(value).lower()}, expected a number")
    return made


def settled(kind: type[Settings], overrides: Sequence[str], example: str) -> Settings:
    """Settings of "key=value" each, whose value is YAML.

    Args:
        kind: Which settings.
        overrides: As somebody typed them.
        example: One that is right, for an error.

    Raises:
        SettingsError: If a key is unknown, or a value wrong.
    """
    try:
        return kind.model_validate(dict(read_override(text, example) for text in overrides))
    except RecipeError as error:
        raise SettingsError(str(error)) from error
    except ValidationError as error:
        keys = ", ".join(kind.model_fields)
        raise SettingsError(f"--set {said(error)}; the keys are {keys}") from error


def _unknown(key: str, method: Method) -> str:
    own, shared = [*method.options.model_fields], [*TuneSettings.model_fields]
    close = difflib.get_close_matches(key[:100], [*own, *shared], n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    mine = f"of {method.name}: {', '.join(own)}; " if own else ""
    return (
        f"--set {key[:100]}: there is no such key{hint}; allowed are {mine}of the training: "
        f"{', '.join(shared)}"
    )


def read_budget(text: str) -> Budget:
    """A number of runs, or a time such as 90s, 10m or 2h.

    Raises:
        SettingsError: If it is neither.
    """
    if seconds := seconds_of(text):
        return Budget(seconds=seconds)
    if not re.fullmatch(r"[0-9]{1,6}", text.strip()) or int(text) < 1:
        raise SettingsError(
            f"--search: got {text[:60]!r}, expected a number of runs such as 12, or a time such as "
            "90s, 10m or 2h"
        )
    return Budget(trials=int(text))
