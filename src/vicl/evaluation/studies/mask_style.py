"""How a mask is drawn: white on black, its inverse, other colours, a texture, an outline.

Examples' masks are drawn in a style; the answer is read back, in that style, as white on black, and
then scored as ever.

Source: Bar et al. 2022, arXiv:2209.00647 (study of mask styles).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from vicl.engine import Filled, InContextModel
from vicl.evaluation.episodes import Dataset, Episode
from vicl.evaluation.scoring.measures import marked
from vicl.evaluation.scoring.scorers import Scores, scorer_for
from vicl.evaluation.studies.table import StudyTable
from vicl.evaluation.studies.variants import Asking, Measured, Shown, measure, tabulate
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


@dataclass(frozen=True)
class Style:
    """How masks are drawn and read.

    Attributes:
        draw: Gives a mask as a picture, RGB in [0, 1].
        read: Gives how white each pixel of the mask is, in [0, 1]; above one half it belongs to it.
    """

    draw: Callable[[Bool[np.ndarray, "h w"]], Float[Tensor, "3 h w"]]
    read: Callable[[Float[Tensor, "3 h w"]], Float[Tensor, "h w"]]


def flat(inside: Colour, outside: Colour) -> Style:
    """Two flat colours, of the mask and of the background; a pixel is read as the nearer one."""
    on, off = (torch.tensor(c, dtype=torch.float32)[:, None, None] / 255 for c in (inside, outside))

    def read(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
        """The place of a pixel's colour between the two; of white and black its mean channel."""
        axis = (on - off)[:, 0, 0]
        part = torch.einsum("chw,c->hw", image - off, axis)
        return (part / axis.square().sum()).clamp(0, 1)

    return Style(lambda mask: torch.where(torch.from_numpy(mask), on, off), read)


def _striped(mask: Bool[np.ndarray, "h w"]) -> Float[Tensor, "3 h w"]:
    """The mask filled with slanting stripes, white and black, on black."""
    height, width = mask.shape
    phase = np.arange(height)[:, None] / height + np.arange(width) / width
    white = np.floor(phase / STRIPE) % 2 == 0
    return _gray(torch.from_numpy(mask & white).float())


def _closed(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """The brightness after a closing: dark is only what a square wider than a stripe is."""
    brightness = image.mean(dim=0).numpy()
    square = tuple(math.ceil(STRIPE * side) + 1 for side in brightness.shape)
    return torch.from_numpy(ndimage.grey_closing(brightness, square))


def _outlined(mask: Bool[np.ndarray, "h w"]) -> Float[Tensor, "3 h w"]:
    """White lines on black along the mask's inner border, at the picture's edge too."""
    width = max(1, round(LINE * min(mask.shape)))
    inner = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width)
    return _gray(torch.from_numpy(mask & ~inner).float())


def _filled(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """Lines, and what they enclose; a mask's holes are lost."""
    return torch.from_numpy(ndimage.binary_fill_holes(image.mean(dim=0).numpy() > 0.5)).float()


STYLES: dict[str, Style] = {
    "white on black": flat(WHITE, BLACK),
    "black on white": flat(BLACK, WHITE),
    "yellow on purple": flat(YELLOW, PURPLE),
    "purple on yellow": flat(PURPLE, YELLOW),
    "green on black": flat(GREEN, BLACK),
    "red on blue": flat(RED, BLUE),
    "stripes": Style(_striped, _closed),
    "outline": Style(_outlined, _filled),
}


def run(
    engines: Mapping[str, InContextModel],
    dataset: Dataset,
    asking: Asking,
    *,
    examples: int = 1,
) -> StudyTable:
    """Answer the same episodes with masks drawn in different styles.

    Args:
        engines: By their names; Copy is added.
        dataset: Of segmentation or detection.
        asking: Which episodes, and how.
        examples: How many an episode shows.

    Raises:
        ValueError: If the dataset has no masks.
        vicl.evaluation.episodes.DatasetError: If there are not enough images.
    """
    if dataset.task not in ("segmentation", "detection"):
        raise ValueError(
            f"dataset: got {dataset.name}, whose episodes are of {dataset.task}; expected "
            "segmentation or detection, where there are masks to draw"
        )
    episodes = asking.episodes(dataset, examples)
    asked: dict[str, InContextModel] = {Copy.name: Copy(), **engines}
    variants = {
        (name, engine): Shown(model, _show(style), _read(style))
        for name, style in STYLES.items()
        for engine, model in asked.items()
    }
    measured = measure(variants, dataset, episodes, asking) + _ceiling(dataset, episodes)
    in_order = sorted(measured, key=lambda entry: list(STYLES).index(entry.variant))
    note = (
        "Answers are read back in the style of their examples; "
        f'"{CEILING}" is the right answer, drawn in that style and read back.'
    )
    return tabulate("mask-style", "Style of the masks", in_order, dataset, [note])


def _ceiling(dataset: Dataset, episodes: Sequence[Episode]) -> list[Measured]:
    """What the right answer scores, drawn and read back."""
    scorer = scorer_for(dataset.measures)
    found: dict[str, list[Scores]] = {name: [] for name in STYLES}
    for episode in episodes:
        case = dataset.load(episode)
        mask = marked(case.truth.image)
        for name, style in STYLES.items():
            answer = _read(style)(Filled(style.draw(mask)))
            found[name].append(scorer.score(case, answer))
    return [Measured(name, CEILING, tuple(scores)) for name, scores in found.items()]


def _show(style: Style) -> Callable[[Prompt], Prompt]:
    """Draw a prompt's masks anew."""

    def show(prompt: Prompt) -> Prompt:
        pairs = [
            Example(example.input, style.draw(marked(to_tensor(example.output))))
            for example in prompt.examples
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


def _gray(values: Float[Tensor, "h w"]) -> Float[Tensor, "3 h w"]:
    return values.expand(3, -1, -1).contiguous()
