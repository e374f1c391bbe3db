"""How an image becomes what a classifier takes: resized, and the middle cut out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from vicl.prompts.backbones.backbone import Reading
from vicl.prompts.classifier import Classifier


def device_of(classifier: Classifier) -> torch.device:
    """Where a classifier runs."""
    return classifier.backbone.mean.device


def reading_of(classifier: Classifier, *, stretch: bool = False) -> Reading:
    """How images become what a classifier takes.

    Args:
        classifier: With a reading of its own, or a side, or its backbone's.
        stretch: Bring both sides to the classifier's, whatever the image's shape: nothing is cut
            off.
    """
    if classifier.reading is not None:
        return classifier.reading
    backbone = classifier.backbone
    side = classifier.side
    if stretch:
        return replace(backbone.reading, resize=None, crop=side)
    # A task's small image is not cut: what surrounds it is learned.
    return (
        backbone.reading
        if side == backbone.side
        else replace(backbone.reading, resize=side, crop=side)
    )


def bring(image: Image.Image, reading: Reading) -> UInt8[Tensor, "3 s s"]:
    """An image of mode RGB at a classifier's side: resized, then the middle cut out."""
    sized = resized(image, reading, reading.resize)
    top = round((sized.height - reading.crop) / 2)
    left = round((sized.width - reading.crop) / 2)
    part = sized.crop((left, top, left + reading.crop, top + reading.crop))
    # A copy: Pillow's own memory is read-only.
    return torch.from_numpy(np.array(part)).permute(2, 0, 1).contiguous()


def resized(image: Image.Image, reading: Reading, short: int | None) -> Image.Image:
    """An image whose short side is `short`; None: both sides are the classifier's."""
    resample = Image.Resampling[reading.filter.upper()]
    if short is None:
        return image.resize((reading.crop, reading.crop), resample)
    scale = short / min(image.size)
    size = (max(short, int(image.width * scale)), max(short, int(image.height * scale)))
    return image if image.size == size else image.resize(size, resample)
