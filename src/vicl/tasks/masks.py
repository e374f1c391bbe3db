"""Masks as people have them: one written table of rules, and an error where it is ambiguous.

| the mask | what is marked |
|---|---|
| bool array, 1-bit image | True |
| float array in [0, 1] | 0.5 and above |
| gray or index values within {0, 1} | 1 |
| values within {0, 255} | 255 |
| {0, 1, 255} | 1; 255 is void |
| {0, v} for one other value v | v |
| near 0 and near 255 with values between (JPEG noise, soft edges) | 128 and above |
| several index values, `classes={"name": value, ...}` | the named values; 255 is void |
| several index values, `classes=["a", "b"]` | 1 is the first name, 2 the second ...; 255 is void |
| RGBA with a varying alpha (a cut-out) | alpha 128 and above |
| coloured, `classes={"name": "#rrggbb", ...}` | pixels near that colour, nearest first |
| coloured: black and one other colour | the other colour |
| one mask a class, `{"name": mask, ...}` | each by the rules above; a later one lies on top |
| anything else | an error that says what was found and how to say what is meant |

A mask without colours counts by its values, also where colours are named, unless one of those is
gray.  A palette image counts by its index values, unless the colours it uses are black and white.
Void pixels belong to no class: they are drawn as background.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image
from torch import Tensor

from vicl.images import DEFAULT_LIMIT_PIXELS, open_image
from vicl.tasks.palette import Colour

ClassesLike = None | str | Sequence[str] | Mapping[str, Any]

VOID = 255
"""Index value of pixels that belong to no class."""
_NEAR = 32
"""Gray levels by which JPEG noise may move black and white."""
_COLOUR_TOLERANCE = 64.0
"""Euclidean RGB distance by which JPEG noise may move a class's colour."""


class MaskError(ValueError):
    """A mask that cannot be read, or can be read in more than one way."""


@dataclass(frozen=True)
class Classes:
    """The classes of a segmentation or detection task, and what marks each in a mask.

    Attributes:
        names: One or more, in the order of their numbers (1, 2, ...; 0 is the background).
        keys: For each, the index value or RGB colour that marks it; None where none was said.
    """

    names: tuple[str, ...]
    keys: tuple[int | Colour | None, ...]

    @classmethod
    def parse(cls, classes: ClassesLike) -> Classes:
        """Take classes as people write them.

        Args:
            classes: None (one class, "object"), names, a mapping of names to index values or
                colours ("#rrggbb" or (r, g, b)), or text such as "crop=#00ff00,weed=2".

        Raises:
            ValueError: If a name stands twice or is empty, or a key is neither value nor colour.
        """
        if classes is None:
            return cls(("object",), (None,))
        if isinstance(classes, str):
            pairs = [part.partition("=")[::2] for part in classes.split(",")]
            items = [(name.strip(), key.strip() or None) for name, key in pairs]
        elif isinstance(classes, Mapping):
            items = list(classes.items())
        else:
            items = [(name, None) for name in classes]
        names = tuple(str(name) for name, _ in items)
        if not names or len(set(names)) < len(names) or any(not name.strip() for name in names):
            raise ValueError(
                f"classes: got {list(names)}, expected at least one name, each once and not empty"
            )
        if len(names) > VOID - 1:
            raise ValueError(f"classes: got {len(names)}, expected at most {VOID - 1}")
        return cls(names, tuple(_parse_key(name, key) for name, key in items))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_colours(self) -> bool:
        """Whether colours mark the classes."""
        return any(isinstance(key, tuple) for key in self.keys)

    @property
    def has_gray(self) -> bool:
        """Whether one of the colours is gray, and could mark a class in a mask without colour."""
        return any(isinstance(key, tuple) and len(set(key)) == 1 for key in self.keys)


@dataclass(frozen=True, eq=False)
class Labels:
    """A mask that has been read.

    Attributes:
        labels: Class numbers, 0 = background, (h, w).
        void: True where a pixel belongs to no class and should not be scored, (h, w).
    """

    labels: UInt8[np.ndarray, "h w"]
    void: Bool[np.ndarray, "h w"]


def read_labels(mask: Any, classes: Classes, *, limit_pixels: int = DEFAULT_LIMIT_PIXELS) -> Labels:
    """Read a mask by the table at the top of this module.

    Args:
        mask: Path, PIL image, (h, w) or (h, w, 3 or 4) array, (3, h, w) float tensor, or a mapping
            of class names to such masks.
        classes: What the mask may hold.
        limit_pixels: Of a file; see :func:`vicl.images.open_image`.

    Raises:
        MaskError: If the mask is ambiguous or holds none of the classes.
        vicl.images.ImageError: If a file cannot be opened.
    """
    if isinstance(mask, Mapping):
        return _read_one_each(mask, classes, limit_pixels)
    where = f"mask {os.fspath(mask)!r}" if isinstance(mask, str | os.PathLike) else "mask"
    values = _pixels(mask, where, limit_pixels)
    if values.ndim == 3 and values.shape[2] == 4:
        cut_out = _cut_out(values, classes, where)
        if cut_out is not None:
            return cut_out
        values = values[..., :3]
    if values.ndim == 3:
        spread = values.max(axis=2).astype(int) - values.min(axis=2)
        gray = (spread <= 12).mean() > 0.995
        if not gray or classes.has_gray:
            return _colour_labels(values, classes, where)
        values = values.mean(axis=2).round().astype(np.int32)
    elif classes.has_gray:
        shades = values.clip(0, 255).astype(np.uint8)
        return _colour_labels(np.repeat(shades[..., None], 3, axis=2), classes, where)
    return _value_labels(values, classes, where)


def _parse_key(name: str, key: Any) -> int | Colour | None:
    if key is None:
        return None
    text = str(key)
    if text.startswith("#") and len(text) == 7:
        try:
            red, green, blue = bytes.fromhex(text[1:])
        except ValueError:
            pass  # not hexadecimal: refused below like any other text
        else:
            return red, green, blue
    elif isinstance(key, tuple | list) and len(key) == 3 and all(0 <= int(c) <= 255 for c in key):
        return int(key[0]), int(key[1]), int(key[2])
    elif text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise ValueError(
        f"classes: {name!r} is marked by {key!r}, expected an index value (1 or more) or a colour "
        "such as #ff0000"
    )


def _pixels(mask: Any, where: str, limit_pixels: int) -> np.ndarray:
    """(h, w) integers, or (h, w, 3 or 4) uint8."""
    values: np.ndarray
    if isinstance(mask, Tensor):
        values = mask.detach().cpu().numpy()
        if values.ndim == 3 and values.shape[0] == 3:
            values = (values.transpose(1, 2, 0) * 255).round().astype(np.uint8)
    elif isinstance(mask, np.ndarray):
        values = mask
    else:
        values = _image_pixels(open_image(mask, limit_pixels=limit_pixels))
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim == 2 and values.size:
        if values.dtype.kind == "f":
            if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
                raise MaskError(
                    f"{where}: a float mask must lie in [0, 1], got {values.min()} to "
                    f"{values.max()}; for class numbers use integers"
                )
            return (values >= 0.5).astype(np.int32)
        if values.dtype.kind in "biu":
            return values.astype(np.int32)
    if values.ndim == 3 and values.shape[2] in (3, 4) and values.size and values.dtype == np.uint8:
        return values
    raise MaskError(
        f"{where}: got an array of shape {values.shape} and type {values.dtype}, expected (h, w) "
        "of bool, integers or floats in [0, 1], or (h, w, 3) of uint8"
    )


def _image_pixels(image: Image.Image) -> np.ndarray:
    if image.mode == "P":
        indices = np.asarray(image)
        palette = np.asarray(image.getpalette("RGB") or [], dtype=int).reshape(-1, 3)
        used = np.unique(indices)
        used = used[used < len(palette)]
        alpha = "transparency" in image.info
        # A two-colour palette of black and white is a binary mask, whatever its indices.
        shades = {tuple(palette[index]) for index in used}
        if not alpha and shades == {(0, 0, 0), (255, 255, 255)}:
            return np.asarray(image.convert("L"))
        return np.asarray(image.convert("RGBA")) if alpha else indices
    if image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16"):
        return np.asarray(image)
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _read_one_each(masks: Mapping[Any, Any], classes: Classes, limit_pixels: int) -> Labels:
    unknown = [name for name in masks if name not in classes.names]
    if unknown or not masks:
        raise MaskError(
            f"mask: got masks for {[str(name) for name in masks]}, expected classes among "
            f"{list(classes.names)}"
        )
    binary = Classes(("object",), (None,))
    labels: np.ndarray | None = None
    void: np.ndarray | None = None
    for name, mask in masks.items():
        one = read_labels(mask, binary, limit_pixels=limit_pixels)
        if labels is None or void is None:
            labels, void = np.zeros_like(one.labels), np.zeros_like(one.void)
        if one.labels.shape != labels.shape:
            raise MaskError(
                f"mask of {name!r}: got {one.labels.shape}, expected {labels.shape} as the others"
            )
        labels[one.labels > 0] = classes.names.index(name) + 1
        void |= one.void
    assert labels is not None
    assert void is not None
    return Labels(labels, void & (labels == 0))


def _cut_out(rgba: np.ndarray, classes: Classes, where: str) -> Labels | None:
    """A mask that is carried by the alpha channel; None if that channel says nothing."""
    solid = rgba[..., 3] >= 128
    if rgba[..., 3].min() == 255:
        return None
    if classes.has_colours:
        black = np.where(solid[..., None], rgba[..., :3], 0).astype(np.uint8)
        return _colour_labels(black, classes, where)
    levels = np.unique(rgba[..., :3][solid])
    if set(levels.tolist()) == {0, 255}:
        raise MaskError(
            f"{where}: is black and white and also partly transparent: both could be the mask; "
            "save it without its alpha channel, or give only that channel"
        )
    if len(classes) > 1:
        raise MaskError(
            f"{where}: a cut-out marks one class, but {len(classes)} are named; give one mask a "
            "class: {'name': mask, ...}"
        )
    return Labels(solid.astype(np.uint8), np.zeros(solid.shape, bool))


def _value_labels(values: Int[np.ndarray, "h w"], classes: Classes, where: str) -> Labels:
    present, counts = np.unique(values, return_counts=True)
    # In a mask without colour, colours only say how classes are to be drawn.
    keys = [key for key in classes.keys if isinstance(key, int)]
    if not keys and len(classes) == 1:
        return _binary_labels(values, present, counts, where)
    if len(present) > 64 and ((present > _NEAR) & (present < 224)).sum() > 32:
        raise MaskError(
            f"{where}: has {len(present)} gray values, which looks like a photograph or a JPEG; "
            "index masks must be lossless (PNG)"
        )
    if not keys:
        extra = [int(v) for v in present if v not in (0, VOID) and v > len(classes)]
        if extra or not any(0 < v <= len(classes) for v in present):
            raise MaskError(
                f"{where}: has the values {_listed(present, counts)}, but {len(classes)} classes "
                f"are named, whose values would be 1 to {len(classes)}; say each one's value "
                "(classes={'name': value}) or give one mask a class ({'name': mask})"
            )
        keys = list(range(1, len(classes) + 1))
    elif len(keys) < len(classes):
        raise MaskError(f"classes: got a value for some of {classes.names}, expected one for each")
    labels = np.zeros(values.shape, np.uint8)
    for number, key in enumerate(keys, start=1):
        labels[values == key] = number
    if not labels.any():
        raise MaskError(
            f"{where}: holds none of the classes ({dict(zip(classes.names, keys, strict=True))}); "
            f"its values are {_listed(present, counts)}"
        )
    return Labels(labels, (values == VOID) & (labels == 0))


def _binary_labels(
    values: np.ndarray, present: np.ndarray, counts: np.ndarray, where: str
) -> Labels:
    found = set(present.tolist())
    void = np.zeros(values.shape, bool)
    if found <= {0, 1}:
        marked = values == 1
    elif found <= {0, 255}:
        marked = values == 255
    elif found == {0, 1, VOID}:
        marked, void = values == 1, values == VOID
    elif len(found) == 2 and 0 in found:
        marked = values > 0
    elif ((present > _NEAR) & (present < VOID)).any() and _near_ends(values) > 0.9:
        marked = values >= 128
    else:
        raise MaskError(
            f"{where}: has the values {_listed(present, counts)}: it is not plain which is the "
            "object; say so with classes={'name': value} (command line: --classes name=value)"
        )
    return Labels(marked.astype(np.uint8), void)


def _near_ends(values: np.ndarray) -> float:
    """The share of pixels near black or near white, if both occur."""
    low, high = values <= _NEAR, (values >= 255 - _NEAR) & (values <= 255)
    return float((low | high).mean()) if low.any() and high.any() else 0.0


def _colour_labels(rgb: UInt8[np.ndarray, "h w 3"], classes: Classes, where: str) -> Labels:
    if classes.has_colours:
        colours = [key for key in classes.keys if isinstance(key, tuple)]
        if len(colours) < len(classes):
            raise MaskError(
                f"classes: got a colour for some of {list(classes.names)}, expected one for each"
            )
    else:
        colours = [_only_colour(rgb, classes, where)]
    grounds = [c for c in ((0, 0, 0), (255, 255, 255)) if c not in colours]
    labels = np.zeros(rgb.shape[:2], np.uint8)
    best = np.full(rgb.shape[:2], _COLOUR_TOLERANCE**2)
    for number, colour in enumerate((*colours, *grounds), start=1):
        distance = ((rgb.astype(np.float32) - np.array(colour, np.float32)) ** 2).sum(axis=2)
        nearer = distance < best
        best[nearer] = distance[nearer]
        labels[nearer] = number if number <= len(colours) else 0
    if not labels.any():
        raise MaskError(
            f"{where}: holds none of the classes' colours {[_hex(c) for c in colours]}; its main "
            f"colours are {[_hex(c) for c in _main_colours(rgb)]}"
        )
    return Labels(labels, np.zeros(labels.shape, bool))


def _only_colour(rgb: np.ndarray, classes: Classes, where: str) -> Colour:
    """The one colour beside black."""
    main = _main_colours(rgb)
    others = [colour for colour in main if max(colour) > _NEAR]
    if len(classes) == 1 and len(main) == 2 and len(others) == 1:
        return others[0]
    raise MaskError(
        f"{where}: is coloured ({', '.join(_hex(c) for c in main[:8])}): say which colour is which "
        "class with classes={'name': '#rrggbb'} (command line: --classes name=#rrggbb)"
    )


def _main_colours(rgb: np.ndarray) -> list[Colour]:
    """Colours that cover at least 0.5% of the pixels, commonest first; close ones are merged."""
    codes = rgb.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    packed, counts = np.unique(codes, return_counts=True)
    pixels = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    order = np.argsort(-counts, kind="stable")[:512]
    main: list[tuple[np.ndarray, int]] = []
    for pixel, count in zip(pixels[order].astype(float), counts[order], strict=True):
        for index, (colour, total) in enumerate(main):
            if np.linalg.norm(colour - pixel) <= _COLOUR_TOLERANCE:
                main[index] = (colour, total + int(count))
                break
        else:
            main.append((pixel, int(count)))
    least = 0.005 * counts.sum()
    return [
        (int(c[0]), int(c[1]), int(c[2]))
        for c, total in sorted(main, key=lambda item: -item[1])
        if total >= least
    ]


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _listed(present: np.ndarray, counts: np.ndarray) -> str:
    shares = counts / counts.sum()
    text = [f"{v} ({s:.1%})" for v, s in zip(present[:8].tolist(), shares[:8], strict=True)]
    return ", ".join(text) + (f" and {len(present) - 8} more" if len(present) > 8 else "")
