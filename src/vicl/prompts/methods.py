"""The methods, a line each: what is learned, with which options, made by what.

A method is added by a file and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Generator

from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.classifier import Classifier
from vicl.prompts.options import (
    AdapterOptions,
    ConditionalOptions,
    LoraOptions,
    MlpOptions,
    Options,
    PartialOptions,
    PixelOptions,
    ReprogramOptions,
    SideOptions,
    TextOptions,
    UnifiedOptions,
    VptOptions,
    ZeroShotOptions,
)


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


def _pixel(
    backbone: Backbone, classes: Sequence[str], options: PixelOptions, generator: Generator
) -> Any:
    from vicl.prompts.pixel import PixelClassifier

    return PixelClassifier(backbone, classes, options, generator=generator)


def _reprogram(
    backbone: Backbone, classes: Sequence[str], options: ReprogramOptions, generator: Generator
) -> Any:
    from vicl.prompts.reprogram import Reprogram

    return Reprogram(backbone, classes, options, generator=generator)


def _vpt(
    backbone: Backbone, classes: Sequence[str], options: VptOptions, generator: Generator
) -> Any:
    from vicl.prompts.vpt import make_vpt

    return make_vpt(backbone, classes, options, generator)


def _mlp(
    backbone: Backbone, classes: Sequence[str], options: MlpOptions, generator: Generator
) -> Any:
    from vicl.prompts.mlp import MLP

    return MLP(backbone, classes, layers=options.layers, generator=generator)


def _partial(
    backbone: Backbone, classes: Sequence[str], options: PartialOptions, _: Generator
) -> Any:
    from vicl.prompts.parts import Partial

    return Partial(backbone, classes, layers=options.layers)


def _full(backbone: Backbone, classes: Sequence[str], _: Options, __: Generator) -> Any:
    from vicl.prompts.parts import Full

    return Full(backbone, classes)


def _side(
    backbone: Backbone, classes: Sequence[str], options: SideOptions, generator: Generator
) -> Any:
    from vicl.prompts.side import SideTune

    weights = None if options.weights is None else Path(options.weights)
    return SideTune(backbone, classes, weights=weights, generator=generator)


def _bias(backbone: Backbone, classes: Sequence[str], _: Options, __: Generator) -> Any:
    from vicl.prompts.parts import Bias

    return Bias(backbone, classes)


def _adapter(
    backbone: Backbone, classes: Sequence[str], options: AdapterOptions, generator: Generator
) -> Any:
    from vicl.prompts.adapter import Adapter

    return Adapter(backbone, classes, **options.model_dump(), generator=generator)


def _lora(
    backbone: Backbone, classes: Sequence[str], options: LoraOptions, generator: Generator
) -> Any:
    from vicl.prompts.lora import Lora

    return Lora(backbone, classes, **options.model_dump(), generator=generator)


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
    Method("pixel", "a picture added to every image (VP, 2203.17274)", PixelOptions, _pixel),
    Method(
        "reprogram",
        "a frame around small images, the backbone's labels for classes (1806.11146)",
        ReprogramOptions,
        _reprogram,
    ),
    Method("vpt", "vectors among a transformer's tokens (VPT, 2203.12119)", VptOptions, _vpt),
    Method("mlp", "a few layers on the features", MlpOptions, _mlp),
    Method("partial", "the backbone's last layers", PartialOptions, _partial),
    Method("full", "all of the backbone", Options, _full),
    Method("side", "a small network beside the backbone (1912.13503)", SideOptions, _side),
    Method("bias", "the backbone's biases (BitFit, 2106.10199)", Options, _bias),
    Method("adapter", "bottlenecks in every layer (1902.00751)", AdapterOptions, _adapter),
    Method("lora", "low-rank additions to matrices (LoRA, 2106.09685)", LoraOptions, _lora),
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
