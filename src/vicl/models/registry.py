"""What there is to answer with: a row for every kind of model, and one for every engine by name.

Importing this imports neither PyTorch nor a model, so that listing engines is quick.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vicl.engine import InContextModel
    from vicl.models.pretrained import Pretrained


@dataclass(frozen=True)
class Kind:
    """A kind of model with weights.

    Attributes:
        model: Its class, which says its name and the class of its configurations.
        use: What it is for, in a line.
        objective: How it is trained.
    """

    model: type[Pretrained]
    use: str
    objective: Literal["inpainting", "vqgan", "matching", "promptable"] = "inpainting"


@functools.cache
def kinds() -> dict[str, Kind]:
    """The kinds of model with weights, by name."""
    from vicl.models import autoregressive, beit, mae, mae_vqgan, unet, vqgan
    from vicl.models.matching import head, outlines
    from vicl.models.promptable import network

    rows = (
        Kind(mae_vqgan.MAEVQGAN, "the paper's model: a masked autoencoder over a VQGAN's codes"),
        Kind(mae.MAE, "a masked autoencoder over pixels"),
        Kind(beit.BEiT, "one transformer over all patches, predicting a VQGAN's codes"),
        Kind(autoregressive.Autoregressive, "a causal transformer that completes a VQGAN's codes"),
        Kind(unet.UNet, "a convolutional encoder-decoder over pixels"),
        Kind(vqgan.VQGAN, "the tokenizer of those that predict codes", objective="vqgan"),
        Kind(head.MatchingHead, "the head of the engine `matching`", objective="matching"),
        Kind(outlines.OutlineHead, "its head for lines", objective="matching"),
        Kind(network.PromptableNet, "clicks and boxes to masks", objective="promptable"),
    )
    return {row.model.kind: row for row in rows}


@dataclass(frozen=True)
class Engine:
    """An engine that comes with the package.

    Attributes:
        name: What :func:`vicl.load_model` and `--model` take.
        make: Makes it; None where it is a model folder of the package's.
        use: When to use it, in a line.
        weights: Size of its weights, in words.
        floor: Whether it is there to be beaten.
    """

    name: str
    make: Callable[[], InContextModel] | None
    use: str
    weights: str = "none"
    floor: bool = False


def _untrained(name: str) -> InContextModel:
    if name == "analogies":
        from vicl.models.analogies import Analogies

        return Analogies()
    from vicl.models.floors import Copy, Identity

    return Copy() if name == "copy" else Identity()


ENGINES: tuple[Engine, ...] = (
    Engine(
        "matching",
        None,
        "masks, boxes and edges on photographs: an ImageNet network's features and small trained "
        "heads",
        weights="1 MiB, with the package, and 23 MB of its own package",
    ),
    Engine(
        "default",
        None,
        "a small MAE-VQGAN, the paper's model: new rules between drawn things, not photographs",
        weights="10 MiB, with the package",
    ),
    Engine(
        "analogies",
        functools.partial(_untrained, "analogies"),
        "learns from your examples at prompt time: edges, recolouring, denoising, separable masks",
    ),
    Engine(
        "copy",
        functools.partial(_untrained, "copy"),
        "the answer is the example's output: the floor to beat",
        floor=True,
    ),
    Engine(
        "identity",
        functools.partial(_untrained, "identity"),
        "the answer is the query: the floor for colorization and restoration",
        floor=True,
    ),
)
