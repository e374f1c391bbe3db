"""The measures of the paper's synthetic study: right colour, right place, right form.

They are taken at the published cell of 74 px and, those that say "full", at the picture's own size.
Source: Bar et al. 2022, arXiv:2209.00647, section 4 (synthetic data study).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from vicl.engine import Filled
from vicl.evaluation.datasets.generated.shapes import (
    COLOURS,
    ColourName,
    Form,
    change_of,
    covered,
)
from vicl.evaluation.episodes import Case
from vicl.evaluation.scoring.measures import Metric, answer_cell
from vicl.images import resize
from vicl.metrics import iou

CELL = 74
"""Side of the cell at which answers are scored, in pixels: that of the published 3×2 grid."""

METRICS = (
    Metric("color_aware_iou", "color-aware IoU (cell)"),
    Metric("color_blind_iou", "color-blind IoU (cell)"),
    Metric("square_or_circle", "square or circle"),
    Metric("color_aware_iou_full", "color-aware IoU (224 px)"),
    Metric("color_blind_iou_full", "color-blind IoU (224 px)"),
)


def shape_scores(case: Case, answer: Filled) -> dict[str, float]:
    """Score the answer to an episode of the study, by each of :data:`METRICS`."""
    name = case.truth.name
    cell = answer_cell(answer, size=CELL, filter="bilinear").numpy()
    truth = resize(case.truth.image, (CELL, CELL), filter="bilinear").numpy()
    aware, blind = shape_ious(cell, truth, name)
    own = shape_ious(answer.image.numpy(), case.truth.image.numpy(), name)
    return {
        "color_aware_iou": aware,
        "color_blind_iou": blind,
        "square_or_circle": float(has_right_form(cell, name)),
        "color_aware_iou_full": own[0],
        "color_blind_iou_full": own[1],
    }


def shape_ious(
    answer: Float[np.ndarray, "3 s s"], truth: Float[np.ndarray, "3 s s"], change: str
) -> tuple[float, float]:
    """Compare an answer of the study with the truth; both are rounded to the change's colours.

    Args:
        answer: RGB in [0, 1].
        truth: The same.
        change: Of the study.

    Returns:
        The color-aware IoU, of the answer's right colour, and the color-blind one, of all that is
        not white.

    Raises:
        ValueError: If there is no such change.
    """
    wanted = change_of(change)
    found, right = (_rounded(image, wanted.palette) for image in (answer, truth))
    colour, white = wanted.palette.index(wanted.colour), wanted.palette.index("white")
    return iou(found == colour, right == colour), iou(found != white, right != white)


def has_right_form(answer: Float[np.ndarray, "3 s s"], change: str) -> bool:
    """Say whether an answer is a square or a circle as its change asks, whatever its colour.

    A picture of white alone is neither.  See :func:`shape_ious`.
    """
    wanted = change_of(change)
    found = _rounded(answer, wanted.palette)
    return form_of(found != wanted.palette.index("white")) == wanted.form


def form_of(mask: Bool[np.ndarray, "s s"]) -> Form | None:
    """Say whether a square fits a mask better than a circle, or neither, where it is empty.

    Of each form the best one by IoU is sought, by steps from the mask's centre and area and from
    the box around it. The picture's edge cuts it off as it may have cut off the mask's shape.
    """
    if not mask.any():
        return None
    square, circle = (_best_fit(mask, form) for form in ("square", "circle"))
    return "square" if square > circle else "circle"


def _best_fit(mask: Bool[np.ndarray, "s s"], form: Form) -> float:
    """The IoU of a mask with the figure of a form that fits it best."""
    area, places = float(mask.sum()), np.argwhere(mask)
    low, high = places.min(axis=0), places.max(axis=0)
    radius = np.sqrt(area / np.pi) if form == "circle" else (np.sqrt(area) - 1) / 2
    starts = (
        np.array([*places.mean(axis=0), radius]),
        np.array([*(low + high) / 2, (high - low).max() / 2]),
    )
    return max(_climbed(mask, form, start) for start in starts)


def _climbed(
    mask: Bool[np.ndarray, "s s"], form: Form, start: Float[np.ndarray, " 3"], *, step: float = 8.0
) -> float:
    """The best IoU on the way from a figure (y, x, radius), by ever smaller steps."""
    size, at = len(mask), start
    best = iou(covered(size, *map(float, at), form=form), mask)
    while step >= 0.25:
        tried = [at + step * move for move in _MOVES]
        scores = [iou(covered(size, *map(float, place), form=form), mask) for place in tried]
        if max(scores) > best:
            best = max(scores)
            at = tried[int(np.argmax(scores))]
        else:
            step /= 2
    return best


# Along each of y, x and the radius; and growing on one side only, as a shape does that an edge
# cuts off.
_MOVES = np.array(
    [*np.eye(3), *-np.eye(3), *((dy, dx, 1.0) for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)))]
)


def _rounded(
    image: Float[np.ndarray, "3 s s"], palette: tuple[ColourName, ...]
) -> Int[np.ndarray, "s s"]:
    """The index of each pixel's nearest colour, in 8 bits, so that a picture saved scores alike."""
    table = 255 * np.array([COLOURS[name] for name in palette])
    apart = np.square(np.round(255 * image)[None] - table[:, :, None, None]).sum(axis=1)
    return np.asarray(apart.argmin(axis=0))
