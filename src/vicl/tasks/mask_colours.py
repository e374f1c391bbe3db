"""Rules for masks of colours: which colour marks which class, and how a palette image counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Integer, UInt8

from vicl.tasks.classes import VOID, Classes, key_text
from vicl.tasks.labels import Labels, MaskError, levels, looks_inverted, looks_photographic
from vicl.tasks.mask_pixels import Pixels
from vicl.tasks.mask_values import NEAR
from vicl.tasks.palette import Colour, palette

_TOLERANCE = 64.0
"""Euclidean RGB distance by which JPEG noise may move a class's colour."""
_SAME = 12
"""Levels by which channels of gray, or of one colour of a lossless palette, may differ."""
_GROUNDS: tuple[Colour, ...] = ((0, 0, 0), (255, 255, 255))
_BAND = 64
"""Rows that are compared with the colours at once, so that memory does not grow with the mask."""
_SAMPLE = 1 << 20
"""Pixels that are enough to say which colours a mask has."""


def colour_labels(rgb: UInt8[np.ndarray, "h w 3"], classes: Classes, where: str) -> Labels:
    """Read a mask in which colours mark the classes.

    Raises:
        MaskError: If it shows no class's colour, or it is not plain which colour is meant.
    """
    colours = list(classes.colours)
    if not colours:
        colours = [_only_colour(rgb, classes, where)]
    elif len(colours) < len(classes):
        raise MaskError(
            f"classes: got a colour for some of {list(classes.names)}, expected one for each"
        )
    others = [c for c in _GROUNDS if c not in colours] + _rivals(rgb, colours)
    labels = np.zeros(rgb.shape[:2], np.uint8)
    for top in range(0, len(rgb), _BAND):
        band = slice(top, top + _BAND)
        labels[band] = _nearest(rgb[band], colours, others)
    _refuse_photograph(rgb, labels, classes.colours, where)
    if not labels.any():
        raise MaskError(
            f"{where}: holds none of the classes' colours {[key_text(c) for c in colours]}; its "
            f"main colours are {[key_text(c) for c in _main_colours(rgb)[:8]]}"
        )
    return Labels(labels, np.zeros(labels.shape, bool))


def _refuse_photograph(
    rgb: UInt8[np.ndarray, "h w 3"],
    labels: UInt8[np.ndarray, "h w"],
    colours: Sequence[Colour],
    where: str,
) -> None:
    """A photograph in which a named colour stands only by chance, and was not drawn with it."""
    found, numbers = rgb[labels > 0], labels[labels > 0]
    if not colours or not len(found) or not looks_photographic(rgb):
        return
    step = len(found) // _SAMPLE + 1
    meant = np.array(colours, np.float32)[numbers[::step] - 1]
    # Of colours by chance one in eight lies within half of the distance.
    near = np.linalg.norm(found[::step] - meant, axis=1) < _TOLERANCE / 2
    if near.mean() < 0.25:
        raise MaskError(
            f"{where}: looks like a photograph, which has the classes' colours "
            f"{[key_text(c) for c in colours]} here and there, but nothing drawn in them: an "
            "example is the photograph first, then its mask (command line: --example IN OUT)"
        )


def _nearest(
    rgb: UInt8[np.ndarray, "h w 3"], colours: list[Colour], others: list[Colour]
) -> UInt8[np.ndarray, "h w"]:
    """The number of the nearest of some colours; 0 where that is another's, or none is near."""
    channels = [rgb[..., index].astype(np.int32) for index in range(3)]
    labels = np.zeros(rgb.shape[:2], np.uint8)
    best = np.full(rgb.shape[:2], int(_TOLERANCE**2), np.int32)
    for number, colour in enumerate((*colours, *others), start=1):
        distance = np.zeros_like(best)
        for channel, level in zip(channels, colour, strict=True):
            distance += (channel - level) ** 2
        nearer = distance < best
        best[nearer] = distance[nearer]
        labels[nearer] = number if number <= len(colours) else 0
    return labels


def is_gray(rgb: UInt8[np.ndarray, "h w 3"], classes: Classes) -> bool:
    """Whether a picture in colour is a mask without colour, and shows none that is named."""
    red, green, blue = (rgb[..., index] for index in range(3))
    most = np.maximum(np.maximum(red, green), blue)
    coloured = most - np.minimum(np.minimum(red, green), blue) > _SAME
    if coloured.mean() >= 0.005:
        return False
    few = rgb[coloured].astype(np.float32)
    return not any(
        (((few - np.array(colour, np.float32)) ** 2).sum(axis=1) < _TOLERANCE**2).any()
        for colour in classes.colours
    )


def one_kind(pixels: Pixels, classes: Classes, where: str) -> Pixels:
    """Decide whether a palette image counts by its index values or by its colours.

    Raises:
        MaskError: If the two contradict one another, and either could be meant.
    """
    values, colours, table = pixels.values, pixels.colours, pixels.palette
    if values is None or colours is None or table is None:
        return pixels
    used, _ = levels(values)
    by_index, by_colour = Pixels(values=values), Pixels(colours=colours)
    if classes.colours:
        steps = np.abs(table[used].astype(int)[:, None] - np.array(classes.colours)).max(axis=2)
        return by_colour if (steps <= _SAME).any() else by_index
    shades = table[used]
    gray = bool((np.ptp(shades.astype(int), axis=1) <= _SAME).all())
    two_ends = gray and shades.min() <= NEAR and shades.max() >= 255 - NEAR
    if classes.values:
        _refuse_old_numbers(used, table, classes, where)
        return by_index if not two_ends or set(used.tolist()) & set(classes.values) else by_colour
    if len(classes) > 1:
        return by_index
    if colours.shape[2] == 4:
        # Few solid values over a transparent 0 are an index mask; a picture's many are a cut-out.
        clear = values[colours[..., 3] == 0]
        return by_index if clear.size and not clear.any() and len(used) <= 16 else by_colour
    if two_ends:
        _refuse_inverted_palette(values, colours, where)
        return by_colour
    if len(used) == 2 and used[0] == 0 and not np.ptp(shades[1]) and np.ptp(shades[0]) > _SAME:
        name, ground = (key_text(_colour(rgb)) for rgb in shades)
        raise MaskError(
            f"{where}: its palette has {name} at 0 and {ground} at {used[1]}: by its values "
            f"{used[1]} is the object, by its colours {name}. Say which: classes={{'name': "
            f"{used[1]}}} or classes={{'name': '{name}'}} (command line: --classes "
            f"name={used[1]} or --classes name={name})"
        )
    return by_index


def _refuse_inverted_palette(
    values: Integer[np.ndarray, "h w"], colours: UInt8[np.ndarray, "h w 3"], where: str
) -> None:
    """White at index 0, black at another: either could be the object, unless one is background."""
    present, _ = levels(values)
    if len(present) == 2 and present[0] == 0:
        zero = values == 0
        if colours[zero][0].min() >= 255 - NEAR and looks_inverted(zero):
            raise MaskError(
                f"{where}: its palette has white at 0 and black at {present[1]}: by its values "
                f"{present[1]} is the object, by its colours white, which covers "
                f"{zero.mean():.0%} and the border. Say which: classes={{'name': {present[1]}}} or "
                f"classes={{'name': '#ffffff'}} (command line: --classes name={present[1]} or "
                "--classes name=#ffffff)"
            )


def _refuse_old_numbers(
    used: Int[np.ndarray, " n"], table: UInt8[np.ndarray, "256 3"], classes: Classes, where: str
) -> None:
    """A mask that vicl wrote when it numbered classes 1 to n, whatever values were named."""
    count = len(classes)
    found = [int(v) for v in used if v not in (0, VOID)]
    old = np.array_equal(table[1 : count + 1], np.array(palette(count), np.uint8))
    if count > 1 and old and max(found, default=0) <= count and set(found) - set(classes.values):
        raise MaskError(
            f"{where}: has the values {found}, but the classes are marked by "
            f"{list(classes.values)}: it looks like an answer of vicl with classes numbered 1 to "
            f"{count}; give it with the names alone, classes=[...] (command line: --classes "
            "name,name,...), or answer anew, so that the values named are written"
        )


def _only_colour(rgb: UInt8[np.ndarray, "h w 3"], classes: Classes, where: str) -> Colour:
    """The one colour beside black."""
    main = _main_colours(rgb)
    others = [colour for colour in main if max(colour) > NEAR]
    if len(classes) == 1 and len(main) == 2 and len(others) == 1:
        return others[0]
    found = f"is coloured ({', '.join(key_text(c) for c in main[:8])})"
    if looks_photographic(rgb):
        raise MaskError(
            f"{where}: {found} and looks like a photograph, or a mask laid over one: an example is "
            "the photograph first, then its mask (command line: --example IN OUT); save the mask "
            "alone, in black and white or one flat colour a class"
        )
    raise MaskError(
        f"{where}: {found}: say which colour is which class with classes={{'name': '#rrggbb'}} "
        "(command line: --classes name=#rrggbb)"
    )


def _rivals(rgb: UInt8[np.ndarray, "h w 3"], colours: list[Colour]) -> list[Colour]:
    """Common flat colours that were not named, so that they are not taken for a near one."""
    packed, counts = _packed(rgb)
    common = _unpacked(packed[counts >= 0.005 * counts.sum()])
    steps = np.linalg.norm(common[:, None].astype(float) - np.array(colours), axis=2)
    # Nearer ones may be a named colour after JPEG, farther ones are beyond its reach.
    apart = (steps.min(axis=1) > _TOLERANCE / 2) & (steps.min(axis=1) < 2 * _TOLERANCE)
    named_too = bool((steps.min(axis=1) <= _TOLERANCE / 2).any())
    return [_colour(pixel) for pixel in common[apart]] if named_too else []


def _main_colours(rgb: UInt8[np.ndarray, "h w 3"]) -> list[Colour]:
    """Colours that cover at least 0.5% of the pixels, commonest first; close ones are merged."""
    packed, counts = _packed(rgb)
    pixels = _unpacked(packed)
    order = np.argsort(-counts, kind="stable")[:512]
    main: list[tuple[np.ndarray, int]] = []
    for pixel, count in zip(pixels[order].astype(float), counts[order], strict=True):
        for index, (colour, total) in enumerate(main):
            if np.linalg.norm(colour - pixel) <= _TOLERANCE:
                main[index] = (colour, total + int(count))
                break
        else:
            main.append((pixel, int(count)))
    least = 0.005 * counts.sum()
    return [_colour(c) for c, total in sorted(main, key=lambda item: -item[1]) if total >= least]


def _packed(rgb: UInt8[np.ndarray, "h w 3"]) -> tuple[np.ndarray, np.ndarray]:
    """The colours of a sample of the pixels, one number each, and how often they occur."""
    pixels = rgb.reshape(-1, 3)
    # An odd step meets every column of a picture in turn.
    pixels = pixels[:: (len(pixels) // _SAMPLE) | 1]
    codes = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    packed, counts = np.unique(codes, return_counts=True)
    return packed, counts


def _unpacked(packed: np.ndarray) -> np.ndarray:
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)


def _colour(rgb: np.ndarray) -> Colour:
    return int(rgb[0]), int(rgb[1]), int(rgb[2])
