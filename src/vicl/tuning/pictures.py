"""Pictures of what was learned: the prompt itself, images as the backbone gets them, confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vicl.exports.sheets import contact_sheet
from vicl.images import save_image, to_pil
from vicl.prompts.classifier import Classifier
from vicl.prompts.reading import device_of

_SEEN: Final = 256
"""Pixels of the longer side from which on a picture can be seen."""

_LARGEST: Final = 60
"""Classes of a confusion table that is drawn."""


def prompt_pictures(classifier: Classifier) -> dict[str, Image.Image]:
    """What was learned, where it is an image, in whole multiples of its size; by name."""
    return {name: _enlarged(to_pil(image)) for name, image in classifier.pictured().items()}


def _enlarged(image: Image.Image) -> Image.Image:
    times = max(1, -(-_SEEN // max(image.size)))
    size = (image.width * times, image.height * times)
    return image.resize(size, Image.Resampling.NEAREST)


@torch.inference_mode()
def shown_sheet(classifier: Classifier, images: Float[Tensor, "b 3 s s"]) -> Image.Image | None:
    """Images beside what the backbone gets of them; None where that is the same."""
    classifier.eval()
    given = images.to(device_of(classifier))
    seen = classifier.shown(given)
    if seen.shape == given.shape and torch.equal(seen, given):
        return None
    rows = [[image, got.clamp(0, 1)] for image, got in zip(images, seen.cpu(), strict=True)]
    return contact_sheet(rows, headers=("image", "as the backbone gets it"), cell=224)


def confusion_picture(
    confusion: Int[np.ndarray, "c c"], classes: Sequence[str]
) -> Image.Image | None:
    """A table of what was taken for what, the darker the more; None of too many classes.

    Args:
        confusion: How many images of a class (row) were taken for which (column).
        classes: Their names.
    """
    count = len(classes)
    if count > _LARGEST:
        return None
    side = 44 if count <= 20 else 28
    font = ImageFont.load_default(size=13 if count <= 20 else 10)
    names = [name if len(name) <= 18 else f"{name[:17]}…" for name in classes]
    left = 16 + max(int(font.getlength(name)) for name in names)
    top = left + 18
    page = Image.new("RGB", (left + count * side + 12, top + count * side + 12), "white")
    pen = ImageDraw.Draw(page)
    pen.text((8, 6), "rows: truth; columns: answer", fill=(20, 20, 20), font=font)
    shares = confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    for row, name in enumerate(names):
        middle = top + row * side + side // 2
        pen.text((left - 8, middle), name, fill=(20, 20, 20), font=font, anchor="rm")
        _write_upwards(page, name, (left + row * side + side // 2, top - 6), font)
        for column in range(count):
            _draw_cell(
                pen,
                (left + column * side, top + row * side),
                side,
                font,
                int(confusion[row, column]),
                float(shares[row, column]),
                row == column,
            )
    return page


def _draw_cell(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    side: int,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    number: int,
    share: float,
    right: bool,
) -> None:
    """One field: its number on a colour, blue where it is right and red where it is wrong."""
    full = np.array((40, 90, 160) if right else (180, 50, 40))
    red, green, blue = (int(v) for v in np.rint(255 + (full - 255) * share))
    box = (at, (at[0] + side - 1, at[1] + side - 1))
    pen.rectangle(box, fill=(red, green, blue), outline=(220, 220, 220))
    if number:
        ink = (255, 255, 255) if share > 0.5 else (20, 20, 20)
        middle = (at[0] + side // 2, at[1] + side // 2)
        pen.text(middle, str(number), fill=ink, font=font, anchor="mm")


def _write_upwards(
    page: Image.Image,
    text: str,
    foot: tuple[int, int],
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:
    """Write from below upwards; `foot` is the middle of where it begins."""
    width, height = int(font.getlength(text)) + 2, 18
    strip = Image.new("RGB", (max(1, width), height), "white")
    ImageDraw.Draw(strip).text((0, height // 2), text, fill=(20, 20, 20), font=font, anchor="lm")
    turned = strip.rotate(90, expand=True)
    page.paste(turned, (foot[0] - turned.width // 2, foot[1] - turned.height))


def write_pictures(
    folder: Path,
    classifier: Classifier,
    images: Float[Tensor, "b 3 s s"] | None,
    confusion: Int[np.ndarray, "c c"],
) -> list[Path]:
    """Write all pictures of a classifier that there are; gives their files.

    Args:
        folder: Where to.
        classifier: Of what was learned.
        images: Some, as it takes them, to show what the backbone gets; None: none.
        confusion: How many images of a class (row) were taken for which (column).
    """
    found: dict[str, Image.Image | None] = dict(prompt_pictures(classifier))
    if images is not None:
        found["as-given"] = shown_sheet(classifier, images)
    found["confusion"] = confusion_picture(confusion, classifier.classes)
    return [*_written(folder, found)]


def _written(folder: Path, found: Mapping[str, Image.Image | None]) -> list[Path]:
    files = []
    for name, picture in found.items():
        if picture is not None:
            files.append(folder / f"{name}.png")
            save_image(picture, files[-1])
    return files
