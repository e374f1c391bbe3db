"""Rules for masks of numbers: gray levels, index values, truth values."""

from __future__ import annotations

import logging

import numpy as np
from jaxtyping import Bool, Integer

from vicl.tasks.classes import VOID, Classes
from vicl.tasks.labels import Labels, MaskError, levels, listed, looks_photographic

log = logging.getLogger(__name__)

NEAR = 32
"""Gray levels by which JPEG noise may move black and white."""
_WHITE_16 = 65535


def value_labels(
    values: Integer[np.ndarray, "h w"],
    classes: Classes,
    where: str,
    *,
    fractions: bool = False,
    lossy: bool = False,
) -> Labels:
    """Read a mask without colour.

    Args:
        values: Gray levels, index values or truth values.
        classes: What it may hold; colours only say how classes are to be drawn.
        where: What messages call it.
        fractions: Whether the values are 255ths of floats in [0, 1].
        lossy: Whether they come from a JPEG, which changes values.

    Raises:
        MaskError: If it is not plain what is marked, or nothing of the classes is.
    """
    keys = list(classes.values)
    if not keys and len(classes) == 1:
        return _fraction_labels(values, where) if fractions else _binary_labels(values, where)
    if fractions:
        values = (_fraction_labels(values, where).labels > 0).astype(np.int32)
    present, counts = levels(values)
    if len(present) > 64 and ((present > NEAR) & (present < 224)).sum() > 32:
        raise MaskError(
            f"{where}: has {len(present)} gray values, which looks like a photograph, a JPEG or a "
            "mask that was resized with smoothing; index masks are saved lossless (PNG) and "
            "resized by nearest neighbour"
        )
    if not keys:
        extra = [int(v) for v in present if v not in (0, VOID) and v > len(classes)]
        if extra or not any(0 < v <= len(classes) for v in present):
            raise MaskError(
                f"{where}: has the values {listed(present, counts)}, but {len(classes)} classes "
                f"are named, whose values would be 1 to {len(classes)}; say each one's value "
                "by classes={'name': value} (command line: --classes name=value,...), or give one "
                "mask a class"
            )
        keys = list(range(1, len(classes) + 1))
    elif len(keys) < len(classes):
        raise MaskError(f"classes: got a value for some of {classes.names}, expected one for each")
    others = [value for value in present.tolist() if value not in (0, VOID, *keys)]
    if lossy and others:
        raise MaskError(
            f"{where}: is a JPEG, which changes values: beside {_named(classes, keys)} it has "
            f"{len(others)} others ({listed(present, counts)}); save index masks lossless (PNG)"
            + ("" if len(classes) > 1 else ", or if it is black and white name no value")
        )
    # By a table, since a pass over the pixels for each class would cost classes times pixels.
    table = np.zeros(_WHITE_16 + 1, np.uint8)
    table[keys] = np.arange(1, len(keys) + 1)
    labels = table[values if present[-1] <= _WHITE_16 else np.where(values <= _WHITE_16, values, 0)]
    if not labels.any():
        raise MaskError(
            f"{where}: holds none of the classes ({_named(classes, keys)}); its values are "
            f"{listed(present, counts)}; name the values that it has by "
            "classes={'name': value} (command line: --classes name=value,...)"
        )
    return Labels(labels, (values == VOID) & (labels == 0))


def opaque(alpha: Integer[np.ndarray, "h w"], where: str) -> Bool[np.ndarray, "h w"] | None:
    """What an alpha channel marks: the more opaque part; None if it says nothing.

    Raises:
        MaskError: If it has three levels, and the middle one could be either.
    """
    present, counts = levels(alpha)
    low, high = int(present[0]), int(present[-1])
    truth = low == 0 and len(present) == 2  # 0 and 1, too
    if high - low < NEAR and not truth:  # constant but for noise
        return None
    if len(present) == 3 and high < 4 * (present[1] - low) < 3 * high:
        raise MaskError(
            f"{where}: its alpha channel has three levels, {listed(present, counts)}: it is not "
            f"plain whether {present[1]} is the object; save alpha with two levels"
        )
    solid: np.ndarray = alpha == high if len(present) == 2 else alpha >= -(-128 * high // 255)
    return solid


def _fraction_labels(values: Integer[np.ndarray, "h w"], where: str) -> Labels:
    """Floats in [0, 1], as 255ths: cut at a half, and said so where that was not plain."""
    present, counts = levels(values)
    _refuse_three_levels(present, counts, where)
    if len(present) == 2 and present[0] == 0:
        marked = values > 0
    else:
        marked = values >= 128
        if not _is_cut(values):
            log.warning(
                "%s: is soft (floats between 0 and 1, as of a matte or a probability map): cut at "
                "0.5, which marks %.0f%% of it; to choose where, give mask >= value",
                where,
                100 * marked.mean(),
            )
    return Labels(marked.astype(np.uint8), np.zeros(values.shape, bool))


def _binary_labels(values: Integer[np.ndarray, "h w"], where: str) -> Labels:
    present, counts = levels(values)
    found = set(present.tolist())
    void = np.zeros(values.shape, bool)
    if found <= {0, 1}:
        marked = values == 1
    elif found <= {0, VOID}:
        marked = values == VOID
    elif found == {0, 1, VOID} and _is_void(counts):
        marked, void = values == 1, values == VOID
    elif len(found) == 2 and 0 in found:
        marked = values > 0
    else:
        _refuse_three_levels(present, counts, where)
        shades = _eight_bit(values, present, counts)
        if not ((shades > NEAR) & (shades < VOID)).any() or not _is_cut(shades):
            raise MaskError(f"{where}: {_not_plain(values, present, counts)}")
        marked = shades >= 128
    return Labels(marked.view(np.uint8), void)


def _is_void(counts: np.ndarray) -> bool:
    """Whether 255 is what nobody marked, beside 0 and 1: a rim, or all but some scribbles."""
    return bool(10 * counts[1] >= counts[2] or 2 * counts[2] > counts.sum())


def _eight_bit(values: np.ndarray, present: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Gray levels of 16 bits in 8, where they are no instance numbers.

    These are fewer, and not nearly all black and white.
    """
    top = int(present[-1])
    ends = (present <= 257 * NEAR) | (present >= 257 * (255 - NEAR))
    gray = len(present) > 64 or (len(present) > 3 and counts[ends].sum() > 0.9 * counts.sum())
    return values // 257 if gray and 60_000 < top <= _WHITE_16 else values


def _refuse_three_levels(present: np.ndarray, counts: np.ndarray, where: str) -> None:
    """Black, white and one level between: a trimap, or a second class."""
    if len(present) == 3 and present[0] == 0 and NEAR < present[1] < 224 <= present[2] <= VOID:
        middle, top = int(present[1]), int(present[2])
        raise MaskError(
            f"{where}: has three levels, {listed(present, counts)}: it is not plain which is the "
            f"object. If {middle} is unknown (a trimap), write 1 for the object and 255 for what "
            f"is unknown, or leave the unknown out with classes={{'name': {top}}} (command line: "
            f"--classes name={top}); if it is a second class, name both: classes={{'a': {middle}, "
            f"'b': {top}}} (command line: "
            f"--classes a={middle},b={top})"
        )


def _is_cut(shades: Integer[np.ndarray, "h w"]) -> bool:
    """Whether gray levels are black and white but for JPEG noise and edges a few pixels wide."""
    low, high = shades <= NEAR, (shades >= 255 - NEAR) & (shades <= 255)
    between = ~(low | high)
    if not low.any() or not high.any() or between.mean() >= 0.1:
        return False
    if not between.any():
        return True
    from scipy import ndimage

    # Between lies only what sees black and white nearby. Gaussian edges pass up to a sigma of two
    # pixels, masks enlarged four times, and JPEG of any quality; mattes and gradients do not.
    reach = max(4, max(shades.shape) // 250)
    seen = between
    for end in (low, high):
        seen = seen & ndimage.maximum_filter(end.view(np.uint8), 2 * reach + 1).view(bool)
    return bool(seen.sum() > 0.75 * between.sum())


def _not_plain(values: np.ndarray, present: np.ndarray, counts: np.ndarray) -> str:
    """What was found in a mask of one class, what it probably is, and the way out."""
    found = f"has the values {listed(present, counts)}: it is not plain which is the object"
    last = int(present[-1])
    if len(present) > 64 and looks_photographic(values):
        return (
            f"{found}. It looks like a photograph: an example is the photograph first, then its "
            "mask (command line: --example IN OUT); black and white, or one value a class"
        )
    if len(present) > 64 or (len(present) > 16 and last <= VOID):
        return (
            f"{found}. It looks like a soft matte, a probability map or a gradient: cut it where "
            "the object begins, in Python mask >= 128, on the command line by saving that as a "
            "black and white PNG; or save it as the alpha channel of a cut-out (RGBA), which is "
            "cut in the middle"
        )
    if len(present) == 2:  # and neither is 0
        first = int(present[0])
        return (
            f"{found}, and neither is 0, the background. Say which it is: classes={{'name': "
            f"{last}}} or classes={{'name': {first}}} (command line: --classes name={last} or "
            f"--classes name={first})"
        )
    marking = [int(v) for v in present if v not in (0, VOID)] or [last]
    named = ",".join(f"{name}={value}" for name, value in zip("abc", marking, strict=False))
    if set(present.tolist()) == {0, 1, VOID}:
        return (
            f"{found}: 1 would be the object and 255 void, but 255 covers more than ten times as "
            "much. Say which is the object: classes={'name': 255} or classes={'name': 1} (command "
            "line: --classes name=255 or --classes name=1)"
        )
    return (
        f"{found}. It looks like an index mask of several classes, or like instance numbers: say "
        f"so with classes={{'name': value}} (command line: --classes name=value, or all of them: "
        f"--classes {named}); to mark all instances as one, give mask > {int(present[0])} (black "
        "and white)"
    )


def _named(classes: Classes, keys: list[int]) -> str:
    return ", ".join(f"{name}={key}" for name, key in zip(classes.names, keys, strict=True))
