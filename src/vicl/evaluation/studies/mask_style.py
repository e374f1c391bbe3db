"""How a mask is drawn: white on black, its inverse, other colours, a texture, an outline.

Examples' masks are drawn in a style; the answer is read back, in that style, as white on black, and
then scored as ever.

Source: Bar et al. 2022, arXiv:2209.00647 (study of mask styles).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from vicl.engine import Filled, InContextModel
from vicl.evaluation.episodes import Dataset, Episode
from vicl.evaluation.scoring.scorers import Scorer, Scores, scorer_for
from vicl.evaluation.studies.answering import Measured, Variant, make_rows, measure
from vicl.evaluation.studies.table import StudyTable
from vicl.images import to_tensor
from vicl.models.floors import Copy
from vicl.prompt import Example, Prompt
from vicl.tasks.palette import Colour

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
YELLOW, PURPLE = (253, 231, 37), (68, 1, 84)
"""The ends of matplotlib's viridis, in which masks are often shown."""
GREEN, BLUE, RED = (0, 160, 70), (30, 60, 200), (210, 40, 40)

STRIPE = 1 / 16
"""Width of a stripe of the texture, as a share of the picture's sides."""
LINE = 1 / 16
"""Width of an outline, likewise."""

CEILING = "the truth"


@runtime_checkable
class Style(Protocol):
    """How masks are drawn and read."""

    def draw(self, mask: Bool[np.ndarray, "h w"]) -> Float[Tensor, "3 h w"]:
        """A mask as a picture, RGB in [0, 1]."""
        ...

    def read(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
        """How white each pixel of the mask is, in [0, 1]; above one half it belongs to it."""
        ...


@dataclass(frozen=True)
class Colours:
    """Two flat colours; a pixel is read as the nearer one.

    Attributes:
        inside: Of the mask.
        outside: Of the background.
    """

    inside: Colour
    outside: Colour

    def draw(self, mask: Bool[np.ndarray, "h w"]) -> Float[Tensor, "3 h w"]:
        """See :meth:`Style.draw`."""
        inside, outside = (_colour(c)[:, None, None] for c in (self.inside, self.outside))
        return torch.where(torch.from_numpy(mask), inside, outside)

    def read(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
        """The place of a pixel's colour between the two; of white and black its mean channel."""
        inside, outside = _colour(self.inside), _colour(self.outside)
        axis = inside - outside
        part = torch.einsum("chw,c->hw", image - outside[:, None, None], axis)
        return (part / axis.square().sum()).clamp(0, 1)


@dataclass(frozen=True)
class Stripes:
    """The mask is filled with slanting stripes, white and black, on black."""

    def draw(self, mask: Bool[np.ndarray, "h w"]) -> Float[Tensor, "3 h w"]:
        """See :meth:`Style.draw`."""
        height, width = mask.shape
        phase = np.arange(height)[:, None] / height + np.arange(width) / width
        white = np.floor(phase / STRIPE) % 2 == 0
        return _gray(torch.from_numpy(mask & white).float())

    def read(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
        """The brightness after a closing: dark is only what a square wider than a stripe is."""
        brightness = image.mean(dim=0).numpy()
        square = tuple(math.ceil(STRIPE * side) + 1 for side in brightness.shape)
        return torch.from_numpy(ndimage.grey_closing(brightness, square))


@dataclass(frozen=True)
class Outline:
    """White lines along the mask's inner border, on black; a mask's holes are lost in reading."""

    def draw(self, mask: Bool[np.ndarray, "h w"]) -> Float[Tensor, "3 h w"]:
        """See :meth:`Style.draw`; the border runs along the picture's edge too."""
        width = max(1, round(LINE * min(mask.shape)))
        inner = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width)
        return _gray(torch.from_numpy(mask & ~inner).float())

    def read(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
        """Lines, and what they enclose."""
        lines = image.mean(dim=0).numpy() > 0.5
        return torch.from_numpy(ndimage.binary_fill_holes(lines)).float()


STYLES: dict[str, Style] = {
    "white on black": Colours(WHITE, BLACK),
    "black on white": Colours(BLACK, WHITE),
    "yellow on purple": Colours(YELLOW, PURPLE),
    "purple on yellow": Colours(PURPLE, YELLOW),
    "green on black": Colours(GREEN, BLACK),
    "red on blue": Colours(RED, BLUE),
    "stripes": Stripes(),
    "outline": Outline(),
}


def run(
    engines: Sequence[InContextModel],
    dataset: Dataset,
    *,
    count: int | None = 100,
    seed: int = 0,
    examples: int = 1,
    batch_size: int | None = None,
    progress: bool = False,
) -> StudyTable:
    """Answer the same episodes with masks drawn in different styles.

    Args:
        engines: Each with another name; Copy is added.
        dataset: Of segmentation or detection.
        count: How many episodes; None for all.
        seed: Of the episodes.
        examples: How many an episode shows.
        batch_size: See :func:`vicl.evaluation.studies.answering.measure`.
        progress: Likewise.

    Raises:
        ValueError: If the dataset has no masks.
        vicl.evaluation.episodes.DatasetError: If there are not enough images.
    """
    if dataset.kind not in ("segmentation", "detection"):
        raise ValueError(
            f"dataset: got {dataset.name}, whose episodes are of {dataset.kind}; expected "
            "segmentation or detection, where there are masks to draw"
        )
    scorer = scorer_for(dataset.kind)
    episodes = dataset.episodes(count, seed=seed, examples=examples)
    asked = (Copy(), *(engine for engine in engines if engine.name != Copy.name))
    measured = measure(
        [Variant(name, asked, _show(style), _read(style)) for name, style in STYLES.items()],
        dataset,
        episodes,
        scorer,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
    )
    measured += _ceiling(dataset, episodes, scorer)
    in_order = sorted(measured, key=lambda entry: list(STYLES).index(entry.variant))
    return StudyTable(
        "mask-style",
        f"Style of the masks: {dataset.name}",
        scorer.metrics[0],
        make_rows(in_order, scorer),
        (
            "Answers are read back in the style of their examples; "
            f'"{CEILING}" is the right answer, drawn in that style and read back.',
        ),
    )


def _ceiling(dataset: Dataset, episodes: Sequence[Episode], scorer: Scorer) -> list[Measured]:
    """What the right answer scores, drawn and read back."""
    found: dict[str, list[Scores]] = {name: [] for name in STYLES}
    for episode in episodes:
        case = dataset.load(episode)
        mask = _mask(case.truth.image)
        for name, style in STYLES.items():
            answer = _read(style)(Filled(style.draw(mask)))
            found[name].append(scorer.score(case, answer))
    return [Measured(name, CEILING, tuple(scores)) for name, scores in found.items()]


def _show(style: Style) -> Callable[[Prompt], Prompt]:
    """Draw a prompt's masks anew."""

    def show(prompt: Prompt) -> Prompt:
        masks = [_mask(to_tensor(example.output)) for example in prompt.examples]
        pairs = [
            Example(example.input, style.draw(mask))
            for example, mask in zip(prompt.examples, masks, strict=True)
        ]
        return Prompt(pairs, prompt.query)

    return show


def _read(style: Style) -> Callable[[Filled], Filled]:
    """Read an answer as white on black, at its own size and in its cell."""

    def read(answer: Filled) -> Filled:
        cell = answer.cell
        return replace(
            answer,
            image=_gray(style.read(answer.image)),
            cell=None if cell is None else _gray(style.read(cell)),
        )

    return read


def _mask(image: Float[Tensor, "3 h w"]) -> Bool[np.ndarray, "h w"]:
    """A mask that is drawn white on black."""
    return np.asarray(image.mean(dim=0).numpy() > 0.5)


def _gray(values: Float[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    return values.expand(3, -1, -1).contiguous()


def _colour(colour: Colour) -> Float[Tensor, " 3"]:
    return torch.tensor(colour, dtype=torch.float32) / 255
