"""Saved prompts: a folder of kilobytes that names its backbone; and the answer of one image.

The folder is a model folder (:mod:`vicl.storage.folder`): `config.json` says the method, its
options, the classes and the backbone with the hash of its weights; `model.safetensors` has what was
learned.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from jaxtyping import UInt8
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Generator, Tensor

from vicl.files import display
from vicl.files.faults import said
from vicl.images import ImageLike, to_levels
from vicl.models.devices import Device
from vicl.prompts.backbones.backbone import Backbone, Reading
from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.classifier import Classifier
from vicl.prompts.methods import Method, method
from vicl.prompts.options import Options
from vicl.prompts.reading import bring, device_of, reading_of
from vicl.storage.checkpoints import TensorRef, open_checkpoint
from vicl.storage.folder import (
    CONFIG,
    FORMAT_VERSION,
    WEIGHTS,
    Manifest,
    ModelError,
    checked,
    compare,
    read_manifest,
    write_folder,
)

KIND: Final = "tuned"
"""What `config.json` calls it."""

PROMPT: Final = "prompt"
"""The folder of the saved prompt within that of its run."""


class Described(BaseModel):
    """What `config.json` says of a saved prompt.

    Attributes:
        method: Its name.
        options: That were given to it.
        classes: Names, in the order of the answers.
        backbone: As `load_backbone` takes it.
        backbone_hash: SHA-256, in hex, of its weights; None where it has no file of them.
        resize, crop, filter: How images are read; see
            :class:`vicl.prompts.backbones.backbone.Reading`.
        side: Of the images that the backbone sees, in pixels; None: its own.
        temperature: By what logits are divided where they become scores.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    method: str
    options: dict[str, Any]
    classes: tuple[str, ...] = Field(min_length=2, max_length=100_000)
    backbone: str
    backbone_hash: str | None
    resize: int | None = Field(ge=1, le=4096)
    crop: int = Field(ge=1, le=4096)
    filter: Literal["bilinear", "bicubic"]
    side: int | None = Field(default=None, ge=1, le=4096)
    temperature: float = Field(default=1.0, ge=1, allow_inf_nan=False)


@dataclass(frozen=True)
class Classified:
    """What a classifier says of an image.

    Attributes:
        label: The class of the highest score.
        scores: How likely each class is; they sum to 1.
    """

    label: str
    scores: Mapping[str, float]


def save_classifier(
    classifier: Classifier,
    folder: Path,
    *,
    method: Method,
    options: Options,
    card: str,
    overwrite: bool = False,
) -> None:
    """Save what was learned.

    Args:
        classifier: That learned.
        folder: A new one, or an older model's to be replaced.
        method: That made it.
        options: Of the method.
        card: Its README.
        overwrite: Replace a model that is there.

    Raises:
        ModelError: If it cannot be written.
    """
    backbone, reading = classifier.backbone, reading_of(classifier)
    described = Described(
        method=method.name,
        options=options.model_dump(mode="json"),
        classes=classifier.classes,
        backbone=backbone.source,
        backbone_hash=backbone.weights_hash,
        resize=reading.resize,
        crop=reading.crop,
        filter=reading.filter,
        side=backbone.side,
        temperature=classifier.temperature,
    )
    manifest = Manifest(
        format=FORMAT_VERSION, model=KIND, architecture=described.model_dump(mode="json")
    )
    write_folder(
        classifier,
        folder,
        manifest,
        card,
        overwrite=overwrite,
        extras=None,
        dtype=torch.float32,
    )


def read_description(folder: Path) -> Described:
    """What a saved prompt says of itself.

    Raises:
        ModelError: If it is none, or broken.
    """
    if not (folder / CONFIG).is_file():
        raise ModelError(
            f"{display(folder)}: is no saved prompt, it has no {CONFIG}; give a folder that `vicl "
            "tune` saved, or that of its run"
        )
    manifest, name = read_manifest(folder), display(folder / CONFIG)
    if manifest.model != KIND:
        raise ModelError(
            f"{name}: is of a model of kind {manifest.model[:60]!r}, expected {KIND!r}; give a "
            "folder that `vicl tune` saved"
        )
    try:
        return Described.model_validate(manifest.architecture)
    except ValidationError as error:
        raise ModelError(f"{name}: {said(error)}") from error


def load_classifier(
    folder: str | os.PathLike[str],
    *,
    backbone: Backbone | str | None = None,
    device: Device = "auto",
) -> Classifier:
    """Load what was learned onto its backbone.

    Args:
        folder: That `vicl tune` saved, or that of its run.
        backbone: Where the backbone is, or itself; None: where it was when this was learned.
        device: Where it runs; heeded where the backbone is not given itself.

    Returns:
        In evaluation mode.

    Raises:
        ModelError: If it cannot be read, or the backbone's weights are others.
    """
    place = Path(folder)
    if not (place / CONFIG).is_file() and (place / PROMPT / CONFIG).is_file():
        place = place / PROMPT
    described, name = read_description(place), display(place)
    if backbone is None or isinstance(backbone, str):
        source = described.backbone if backbone is None else backbone
        try:
            backbone = load_backbone(source, device=device)
        except ModelError as error:
            raise ModelError(
                f"{name}: was learned on the backbone {display(described.backbone)}: {error}"
            ) from error
    _check_backbone(name, described, backbone)
    try:
        chosen = method(described.method)
        options = chosen.options.model_validate(described.options)
        generator = Generator().manual_seed(0)
        if described.side is not None:
            backbone = backbone.at(described.side)
        made = chosen.make(backbone, described.classes, options, generator)
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(f"{display(place / CONFIG)}: {said(error)}") from error
    classifier = made.to(backbone.mean.device)
    _fill(classifier, place)
    classifier.reading = Reading(described.resize, described.crop, described.filter)
    classifier.temperature = described.temperature
    return classifier.eval()


def _check_backbone(name: str, described: Described, backbone: Backbone) -> None:
    """Refuse another backbone than the one that it was learned on."""
    if described.backbone_hash is None:
        same = backbone.source == described.backbone
    else:
        same = backbone.weights_hash == described.backbone_hash
    if not same:
        raise ModelError(
            f"{name}: was learned on the backbone {display(described.backbone)} "
            f"({_short(described.backbone_hash)}), got {display(backbone.source)} "
            f"({_short(backbone.weights_hash)}); give the one that it was learned on"
        )


def _short(found: str | None) -> str:
    return "weights of no file" if found is None else f"SHA-256 {found[:12]}…"


def _fill(classifier: Classifier, folder: Path) -> None:
    """Give a classifier what was learned; the names and shapes are exactly its own."""
    with open_checkpoint(folder / WEIGHTS) as checkpoint:
        if not isinstance(checkpoint.data, dict):
            raise ModelError(f"{display(checkpoint.path)}: is not safetensors")
        refs = {str(k): v for k, v in checkpoint.data.items() if isinstance(v, TensorRef)}
        state = {k: tuple(v.shape) for k, v in classifier.state_dict().items()}
        compare(checkpoint.path, state, {name: ref.shape for name, ref in refs.items()})
        found: dict[str, Tensor] = {
            key: checked(tensor, key, checkpoint.path)
            for key, tensor in checkpoint.load(refs).items()
        }
    # Whole numbers, such as a map of labels, are saved as floats and copied into their own type.
    classifier.load_state_dict(found)


def classify(
    image: ImageLike,
    classifier: Classifier | str | os.PathLike[str],
    *,
    device: Device = "auto",
) -> Classified:
    """Say what an image shows.

    Args:
        image: As for :func:`vicl.predict`.
        classifier: One, or the folder of a saved prompt, which is loaded each time.
        device: Where it runs; heeded where a folder is given.

    Raises:
        ImageError: If the image cannot be read.
        ModelError: As :func:`load_classifier`.
    """
    if not isinstance(classifier, Classifier):
        classifier = load_classifier(classifier, device=device)
    pixels = bring(Image.fromarray(to_levels(image)), reading_of(classifier))
    return classify_many(classifier, [pixels])[0]


@torch.inference_mode()
def classify_many(
    classifier: Classifier, pixels: Sequence[UInt8[Tensor, "3 s s"]]
) -> list[Classified]:
    """Say what images show that are at the classifier's side already, of levels in [0, 255]."""
    if not pixels:
        return []
    batch = torch.stack(list(pixels)).to(device_of(classifier)).float() / 255
    found = []
    for row in classifier.scores(classifier.eval()(batch)).tolist():
        named = dict(zip(classifier.classes, row, strict=True))
        found.append(Classified(max(named, key=named.__getitem__), named))
    return found


def untuned(
    chosen: Method, options: Options, backbone: str, classes: tuple[str, ...], device: Device
) -> Classifier:
    """A classifier of a method that needs no training, such as zero-shot.

    Raises:
        ModelError: If there is no such backbone, or it does not serve.
        ValueError: If the classes or options are wrong.
    """
    net = load_backbone(backbone, device=device)
    made = chosen.make(net, classes, options, Generator().manual_seed(0))
    return made.to(net.mean.device).eval()
