"""What a generator is asked, as a picture: to be looked at before a model works on it."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from vicl.generators.scene import Scene
from vicl.images import resize, to_pil, to_tensor
from vicl.tasks.palette import palette

BONES: Final = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6)),
    *((5, 7), (7, 9), (6, 8), (8, 10), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
"""Pairs of a person's keypoints between which there is a line, in COCO's order."""

_PAPER: Final = 244
_DIMMED: Final = 0.5
_HOLE: Final = (205, 60, 190)
_LINE: Final = 200
"""Pixels of the longer side for each pixel of a line's width."""


def sketch(scene: Scene, size: tuple[int, int] = (512, 512)) -> Image.Image:
    """Draw a scene: its boxes with what is in them, people, maps, and the hole of its image.

    Args:
        scene: What is asked.
        size: (height, width), where the scene does not say it.

    Returns:
        Mode RGB, of the scene's size.
    """
    height, width = scene.size or size
    ground = torch.full((3, height, width), _PAPER / 255)
    shown = [resize(to_tensor(drawn), (height, width)) for drawn in scene.maps.values()]
    if scene.image is not None and scene.hole is not None:
        hole = torch.from_numpy(scene.hole)
        colour = torch.tensor(_HOLE)[:, None, None] / 255
        known = to_tensor(scene.image)
        ground = torch.where(hole, 0.5 * known + 0.5 * colour, known)
        ground = ground if not shown else (ground + sum(shown)) / (1 + len(shown))
    elif shown:
        ground = torch.stack(shown).mean(0)
    if shown and (len(scene.boxes) or len(scene.keypoints)):
        ground = ground * _DIMMED
    picture = to_pil(ground)
    pen, line = ImageDraw.Draw(picture), max(1, round(max(height, width) / _LINE))
    _draw_boxes(scene, picture, pen, line)
    _draw_people(scene, pen, line)
    return picture


def _draw_boxes(scene: Scene, picture: Image.Image, pen: ImageDraw.ImageDraw, line: int) -> None:
    font = ImageFont.load_default(size=max(10, round(max(picture.size) / 18)))
    colours = palette(len(scene.boxes))
    for box, phrase, reference, colour in zip(
        scene.boxes, scene.phrases, scene.references, colours, strict=True
    ):
        x0, y0, x1, y1 = (round(float(edge)) for edge in box)
        if reference is not None:
            shown = to_tensor(reference)
            scale = min((x1 - x0) / shown.shape[2], (y1 - y0) / shown.shape[1])
            fitted = tuple(max(1, round(side * scale)) for side in shown.shape[1:])
            picture.paste(to_pil(resize(shown, (fitted[0], fitted[1]))), (x0, y0))
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=colour, width=2 * line)
        if phrase:
            corner = (x0 + 3 * line, y0 + 3 * line)
            pen.rectangle(pen.textbbox(corner, phrase, font=font), fill=colour)
            light = 0.3 * colour[0] + 0.6 * colour[1] + 0.1 * colour[2] > 140
            pen.text(corner, phrase, fill="black" if light else "white", font=font)


def _draw_people(scene: Scene, pen: ImageDraw.ImageDraw, line: int) -> None:
    for person, colour in zip(scene.keypoints, palette(len(scene.keypoints)), strict=True):
        seen = ~np.isnan(person).any(1)
        for one, other in BONES:
            if seen[one] and seen[other]:
                ends = [tuple(person[at].tolist()) for at in (one, other)]
                pen.line(ends, fill=colour, width=2 * line)
        for x, y in person[seen].tolist():
            pen.ellipse((x - 2 * line, y - 2 * line, x + 2 * line, y + 2 * line), fill=colour)
