"""The filter: is a figure a grid with at least one natural image?

Source: Bar, Gandelsman, Darrell, Globerson, Efros, "Visual prompting via image inpainting",
NeurIPS 2022, section 3.2: a binary classifier that was trained on 2,000 images labelled by hand.
Differs: logistic regression over the frozen features of an encoder and layout cues.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vicl.engine import Encoder
from vicl.figures.arxiv.filtering.cues import CUES, layout_cues
from vicl.files import display
from vicl.files.faults import said
from vicl.images import as_floats
from vicl.storage.folder import (
    CONFIG,
    FORMAT_VERSION,
    Manifest,
    ModelError,
    fill_from,
    read_manifest,
    write_folder,
)

KIND: Final = "figure-filter"
"""What `config.json` calls it."""

_STEP: Final = 32
"""Sides that encoders take are multiples of it."""

_CUES_WEIGH: Final = 10.0
"""By which cues are larger than features, so that the few are heard beside the many."""

STRENGTHS: Final = (1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse strengths of the penalty, of which cross-validation chooses."""


class FilterConfig(BaseModel):
    """A filter's architecture.

    Attributes:
        encoder: Whose features it reads, as :func:`vicl.load_encoder` takes it.
        encoder_hash: SHA-256 of the encoder's weights.
        side: Longest side of a page as it is encoded, in pixels.
        features: How many numbers the encoder gives of a page.
        cues: Names of the cues, in order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    encoder: str = Field(max_length=200)
    encoder_hash: str | None = Field(max_length=64)
    side: Annotated[int, Field(ge=64, le=1024, multiple_of=_STEP)] = 320
    features: int = Field(ge=0, le=1 << 16)
    cues: tuple[str, ...] = CUES


class FigureFilter(nn.Module):
    """Scores figures, from what :func:`describe` gives of them.

    Args:
        config: Its architecture; the weights begin at 0.

    Attributes:
        weights_hash: SHA-256 of the weights' file; None until they are loaded.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, config: FilterConfig) -> None:
        super().__init__()
        self.config = config
        self.weights_hash: str | None = None
        width = config.features + len(config.cues)
        for name, value in (
            ("mean", torch.zeros(width)),
            ("scale", torch.ones(width)),
            ("weight", torch.zeros(width)),
            ("bias", torch.zeros(1)),
        ):
            self.register_buffer(name, value)

    def score(self, described: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
        """The chance of each figure to be wanted, by what the filter learned from; in [0, 1]."""
        return torch.sigmoid(torch.from_numpy(self.log_odds(described))).numpy()

    def log_odds(self, described: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
        """What :meth:`score` is the logistic function of."""
        values = (torch.from_numpy(described).double() - self.mean) * self.scale
        return (values @ self.weight.double() + self.bias).numpy()

    def save(self, folder: str | os.PathLike[str], card: str, *, overwrite: bool = False) -> None:
        """Write it as a model folder, whole or not at all.

        Args:
            folder: To make; may be there already if it is empty.
            card: Text of `README.md`.
            overwrite: Replace a model folder that is there.

        Raises:
            ModelError: If the folder holds anything else, or cannot be written.
        """
        manifest = Manifest(
            format=FORMAT_VERSION, model=KIND, architecture=self.config.model_dump(mode="json")
        )
        write_folder(
            self, folder, manifest, card, overwrite=overwrite, extras=None, dtype=torch.float32
        )

    @classmethod
    def open(cls, folder: Path) -> FigureFilter:
        """Read a folder, which may come from a stranger.

        Raises:
            ModelError: If it is no filter, is damaged, or has other cues than this vicl.
        """
        name = display(folder / CONFIG)
        if not (folder / CONFIG).is_file():
            raise ModelError(
                f"{name}: no such file, so this is no filter; make one with `vicl figures "
                "train-filter`"
            )
        manifest = read_manifest(folder)
        if manifest.model != KIND:
            raise ModelError(
                f"{name}: is a {manifest.model[:80]!r}, expected a {KIND}; make one with `vicl "
                "figures train-filter`"
            )
        try:
            config = FilterConfig.model_validate(manifest.architecture)
        except ValueError as error:
            raise ModelError(f"{name}: is no valid configuration: {said(error)}") from error
        if config.cues != CUES:
            raise ModelError(
                f"{name}: was made by another vicl, whose layout cues were others; make it anew "
                "with `vicl figures train-filter`"
            )
        made = cls(config)
        made.weights_hash = fill_from(made, folder)
        return made


def describe(
    image: UInt8[np.ndarray, "h w 3"], encoder: Encoder | None, side: int
) -> Float[np.ndarray, " n"]:
    """What a filter knows of a figure: the encoder's features of the whole, then the cues.

    Args:
        image: RGB, at the size at which figures are extracted.
        encoder: Whose features; None for the cues alone.
        side: Longest side at which it is encoded, in pixels; the sides become multiples of 32.

    Returns:
        Float32.
    """
    cues = layout_cues(image)
    if encoder is None:
        return cues
    factor = side / max(image.shape[:2])
    height, width = (max(1, round(one * factor / _STEP)) * _STEP for one in image.shape[:2])
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    pixels = as_floats(np.array(resized))
    whole = encoder.encode(pixels[None]).whole[0].cpu().numpy()
    return np.concatenate([whole, cues])


def fit_filter(
    described: Float[np.ndarray, "b n"],
    wanted: Bool[np.ndarray, " b"],
    config: FilterConfig,
    *,
    strength: float,
) -> FigureFilter:
    """Fit logistic regression.

    Args:
        described: What :func:`describe` gives of each figure.
        wanted: Whether it is.
        config: Of the filter.
        strength: Inverse strength of the squared penalty on the weights of standardised values.

    Raises:
        ValueError: If all figures are wanted, or none is.
    """
    from sklearn.linear_model import LogisticRegression

    if wanted.all() or not wanted.any():
        raise ValueError(
            f"labels: got {int(wanted.sum())} yes and {int((~wanted).sum())} no; expected some of "
            "each"
        )
    mean = described.mean(axis=0)
    scale = 1 / np.maximum(described.std(axis=0), 1e-3)
    scale[len(scale) - len(config.cues) :] *= _CUES_WEIGH
    fitted = LogisticRegression(C=strength, max_iter=2000, tol=1e-6).fit(
        (described - mean) * scale, wanted
    )
    made = FigureFilter(config)
    made.mean, made.scale = torch.from_numpy(mean), torch.from_numpy(scale)
    made.weight = torch.from_numpy(fitted.coef_[0].astype(np.float32))
    made.bias = torch.from_numpy(fitted.intercept_.astype(np.float32))
    return made
