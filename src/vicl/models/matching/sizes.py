"""How large the things are that examples mark: that decides how they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool

from vicl.models.matching.cues import Marks

_THIN: Final = 0.06
"""Up to this thickness things are small, in shares of a picture's side: see :func:`is_small`."""

_SEEN: Final = 0.02
"""Share of a picture from which the deeper levels see a thing: three of their places."""

_KNOWN: Final = 0.99
"""Share of a mask that has to be known to tell how large things are: strokes do not."""


def is_small(marks: Sequence[Marks]) -> bool:
    """Whether what examples mark is small enough to be looked at from nearer.

    Small is what is thin, so that a crowd of small things that touch counts and one large thing
    with a few specks beside it does not.

    Args:
        marks: What each example marks, on any grid.
    """
    found = _typical(marks, _thickness)
    return found is not None and found < _THIN


def is_seen(marks: Sequence[Marks]) -> bool:
    """Whether the deeper levels see what examples mark, so that they can tell whether it is there.

    Half of what is marked lies in connected things of at least 2% of the picture.

    Args:
        marks: What each example marks, on any grid.
    """
    found = _typical(marks, _share)
    return found is None or found >= _SEEN


def _typical(
    marks: Sequence[Marks], measure: Callable[[Bool[np.ndarray, "h w"]], float]
) -> float | None:
    """The median over the examples that tell; None if none does."""
    found = sorted(measure(inside) for inside in _told(marks))
    return found[len(found) // 2] if found else None


def _told(marks: Sequence[Marks]) -> Iterator[Bool[np.ndarray, "h w"]]:
    for mark in marks:
        inside = mark.inside >= 0.5
        if inside.any() and float((mark.inside + mark.outside).mean()) >= _KNOWN:
            yield inside.cpu().numpy()


def _thickness(inside: Bool[np.ndarray, "h w"]) -> float:
    """Places of a strip lie, at the median, a quarter of its width from its border."""
    from scipy import ndimage

    # With a border: what the frame cuts off ends there.
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))
    return 4 * (float(np.median(depth[depth > 0])) - 0.5) / len(inside)


def _share(inside: Bool[np.ndarray, "h w"]) -> float:
    """That of a connected thing, half of what is marked lying in larger ones."""
    from scipy import ndimage

    numbers, _ = ndimage.label(inside, structure=np.ones((3, 3)))
    areas = np.sort(np.bincount(numbers.ravel())[1:])
    middle = int(np.searchsorted(areas.cumsum(), areas.sum() / 2))
    return float(areas[middle]) / inside.size
