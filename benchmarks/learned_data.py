"""Images with classes for learned prompts, written as folders: train/, val/ and test/ by class.

`digits` are scikit-learn's, enlarged; `squares` are counted (the demonstration of Elsayed et al.
2018, arXiv:1806.11146); `garments` are cut from the photographs of ../shared/data (CCP) by their
boxes; `styles` are its flat cut-outs against its shaded ones. Nothing is used but what may be
learned from.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from vicl.images import open_image, save_image, to_rgb

SHARES: Final = (("train", 0.6), ("val", 0.15), ("test", 0.25))
"""Of the photographs or things; all that is of one is in one split."""

GARMENTS: Final = (
    *("bag", "belt", "blouse", "coat", "dress", "hair", "hat", "jeans"),
    *("pants", "shirt", "shoes", "skirt", "sunglasses", "sweater"),
)
_SQUARES: Final[Mapping[str, int]] = {"train": 2000, "val": 300, "test": 1000}
_SIDE: Final = 36
_LEAST: Final = 24
"""Pixels of a garment's shorter side, at least."""

_FEWEST: Final = 5
"""Images of a class of garments in each split, at least."""

Made = Iterator[tuple[str, str, str, Image.Image]]
"""Of each image its split, its class, its name and itself."""


def write(name: str, folder: Path, shared: Path) -> Path:
    """Write a set once; gives its folder.

    Args:
        name: One of :data:`SETS`.
        folder: Where all sets are.
        shared: The development data.

    Raises:
        ValueError: If there is no such set.
    """
    if name not in SETS:
        raise ValueError(f"data: got {name!r}, expected one of {', '.join(SETS)}")
    place = folder / name
    done = place / "done"
    if not done.exists():
        for split, label, stem, image in SETS[name](shared):
            save_image(image, place / split / label / f"{stem}.png")
        done.write_text("all images are there\n")
    return place


def _split(key: str, seed: int = 0) -> str:
    """The split of a photograph or a thing, by its name."""
    drawn = np.random.default_rng([seed, *key.encode()]).random()
    for split, share in SHARES:
        drawn -= share
        if drawn < 0:
            return split
    return SHARES[-1][0]


def _digits(_: Path) -> Made:
    from sklearn.datasets import load_digits

    found = load_digits()
    for index, (pixels, label) in enumerate(zip(found.images, found.target, strict=True)):
        levels = np.rint(pixels * 255 / 16).astype(np.uint8)
        image = Image.fromarray(levels).resize((64, 64), Image.Resampling.BICUBIC)
        yield _split(f"digit {index}"), str(label), f"{index:04}", image.convert("RGB")


def _squares(_: Path) -> Made:
    """One to ten white squares of 9 px on the 16 places of a black image of 36 px."""
    for number, (split, count) in enumerate(_SQUARES.items()):
        rng = np.random.default_rng([7, number])
        for index in range(count):
            many = index % 10 + 1
            image = np.zeros((_SIDE, _SIDE, 3), dtype=np.uint8)
            for place in rng.choice(16, many, replace=False):
                row, column = 9 * (place // 4), 9 * (place % 4)
                image[row : row + 9, column : column + 9] = 255
            yield split, f"{many:02}", f"{index:05}", Image.fromarray(image)


def _garments(shared: Path) -> Made:
    """Garments by their boxes; those with few images in some split are left out."""
    found = [*_cut_out(shared)]
    counts = Counter((split, label) for split, label, _, _ in found)
    for one in found:
        if all(counts[split, one[1]] >= _FEWEST for split, _ in SHARES):
            yield one


def _cut_out(shared: Path) -> Made:
    for line in (shared / "data/manifest.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        if record["source"] != "ccp" or record["use"] != "train":
            continue
        image = to_rgb(open_image(shared / "data" / record["image"]))
        for number, one in enumerate(record["annotations"].get("boxes", [])):
            left, top, right, bottom = one["box"]
            small = min(right - left, bottom - top) < _LEAST
            if one["class"] in GARMENTS and not small:
                part = image.crop((left, top, right, bottom))
                yield _split(record["id"]), one["class"], f"{record['id']}-{number}", part


def _styles(shared: Path) -> Made:
    """The same things flat and shaded, over grays, at one size; a thing is in one split."""
    for label, folder in (("flat", "objects"), ("shaded", "objects3d")):
        for file in sorted((shared / "data" / folder).iterdir()):
            key = "-".join(part for part in file.stem.split("-") if part != "fe0f")
            picture = open_image(file).convert("RGBA").resize((128, 128), Image.Resampling.BICUBIC)
            gray = int(np.random.default_rng([3, *file.name.encode()]).integers(90, 230))
            page = Image.new("RGBA", picture.size, (gray, gray, gray, 255))
            page.alpha_composite(picture)
            yield _split(key), label, file.stem, page.convert("RGB")


SETS: Final[Mapping[str, Callable[[Path], Made]]] = {
    "digits": _digits,
    "squares": _squares,
    "garments": _garments,
    "styles": _styles,
}
