"""What clicks, boxes and `everything` give on the package's photographs: `docs/segmenting.jpg`.

    python benchmarks/segmenting_sheet.py --out docs/segmenting.jpg

A row a photograph: the three candidates of one click with their scores, the first of two clicks
(red = out), the first of a box, and everything, in random colours.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from vicl.engine import Candidates, MaskPrompt
from vicl.exports.candidates import all_as_answer
from vicl.exports.sheets import contact_sheet
from vicl.files.packaged import PHOTOS
from vicl.images import save_image, to_levels, to_tensor
from vicl.loading import load_segmenter

HEADERS = ("one click", "or", "or", "a second click", "a box", "everything")
DIMMED, TINT = 0.4, 0.45
RED, GREEN = (235, 60, 50), (70, 230, 90)

Photo = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Shown:
    """A photograph and what is asked of it, in pixels."""

    name: str
    inside: tuple[int, int]
    second: tuple[int, int, int]
    box: tuple[int, int, int, int]


ROWS = (
    Shown("cat.jpg", (225, 150), (330, 60, 1), (90, 10, 330, 270)),
    Shown("coffee.jpg", (255, 100), (140, 170, 1), (60, 30, 370, 300)),
    Shown("dandelion_1.jpg", (190, 150), (60, 280, 0), (60, 30, 330, 290)),
    Shown("coins_1.jpg", (40, 55), (40, 115, 0), (15, 30, 70, 80)),
    Shown("bowl.jpg", (190, 190), (60, 60, 0), (120, 100, 480, 320)),
    Shown("tissue_1.jpg", (100, 100), (200, 200, 0), (60, 20, 150, 200)),
)


def tinted(photo: Photo, mask: Bool[np.ndarray, "h w"], prompt: MaskPrompt | None = None) -> Tensor:
    """A photograph with a mask, and what was asked."""
    pixels = photo.astype(np.float32)
    pixels[~mask] *= DIMMED
    pixels[mask] += TINT * (np.array(RED, np.float32) - pixels[mask])
    picture = Image.fromarray(pixels.round().astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    if prompt is not None:
        size = max(3, max(photo.shape) // 60)
        for (x, y), label in zip(prompt.points.tolist(), prompt.labels.tolist(), strict=True):
            place = (x - size, y - size, x + size, y + size)
            pen.ellipse(place, fill=GREEN if label else RED, outline="white")
        if prompt.box is not None:
            pen.rectangle(prompt.box.tolist(), outline=GREEN, width=max(1, size // 2))
    return to_tensor(picture)


def coloured(photo: Photo, found: Candidates) -> Tensor:
    """A photograph with all masks, the smaller ones on top."""
    objects = all_as_answer(found).objects
    assert objects is not None
    colours = np.random.default_rng(0).integers(40, 255, (len(found) + 1, 3))
    pixels = np.where((objects > 0)[..., None], 0.4 * photo + 0.6 * colours[objects], 0.5 * photo)
    return to_tensor(Image.fromarray(pixels.round().astype(np.uint8)))


def main(arguments: list[str] | None = None) -> int:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("segmenting.jpg"))
    parser.add_argument("--model", default="default", help="the segmenter")
    parser.add_argument("--rows", type=int, default=len(ROWS))
    parser.add_argument("--grid", type=int, default=12, help="of everything")
    given = parser.parse_args(arguments)
    try:
        segmenter = load_segmenter(given.model, device="cpu")
    except ValueError as error:
        print(f"segmenting_sheet.py: {error}", file=sys.stderr)
        return 2
    rows, captions = [], []
    for shown in ROWS[: given.rows]:
        photo = to_levels(PHOTOS / shown.name)
        image = segmenter.encode(photo)
        one = MaskPrompt([shown.inside])
        (first,) = image.many([one])
        *point, label = shown.second
        two = MaskPrompt([shown.inside, point], [1, label])
        box = MaskPrompt(box=shown.box)
        second, boxed = image.many([two, box])
        found = image.everything(grid=given.grid)
        pictures = [tinted(photo, mask, one) for mask in first.masks]
        pictures += [tinted(photo, second.masks[0], two), tinted(photo, boxed.masks[0], box)]
        rows.append([*pictures, coloured(photo, found)])
        scores = [*first.scores, second.scores[0], boxed.scores[0]]
        captions.append([*(f"{score:.2f}" for score in scores), f"{len(found)} masks"])
    save_image(contact_sheet(rows, headers=HEADERS, captions=captions), given.out)
    print(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
