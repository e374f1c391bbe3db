"""Drawing pages that are planned."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from vicl.canvas.rects import Rect
from vicl.figures.synthetic.captions import ink_width, write
from vicl.figures.synthetic.pages import Inset, Plan


def draw_page(
    plan: Plan, pictures: Sequence[Sequence[UInt8[np.ndarray, "_h _w 3"]]]
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw a page.

    Args:
        plan: Where everything stands.
        pictures: As many as `plan.rects`, of these sizes.
    """
    height, width = plan.size
    canvas = Image.new("RGB", (width, height), plan.paper)
    pen = ImageDraw.Draw(canvas)
    for rects, shown, labels in zip(plan.rects, pictures, plan.labels, strict=True):
        for rect, pixels, text in zip(rects, shown, labels, strict=True):
            picture = Image.fromarray(pixels)
            if plan.inset is not None:
                _draw_inset(picture, plan.inset)
            canvas.paste(picture, (rect.left, rect.top))
            if plan.border:
                corner = (rect.right - 1, rect.bottom - 1)
                pen.rectangle(((rect.left, rect.top), corner), None, plan.ink, plan.border)
            if text:
                _draw_label(canvas, text, rect)
        if plan.arrows:
            _draw_arrow(pen, rects[0], rects[1], plan)
    for text, left, top, line, turned in plan.texts:
        write(canvas, text, (left, top), line=line, ink=plan.ink, turned=turned)
    if plan.quality is not None:
        buffer = io.BytesIO()
        canvas.save(buffer, "JPEG", quality=plan.quality)
        canvas = Image.open(buffer).convert("RGB")
    return np.asarray(canvas)


def _draw_label(canvas: Image.Image, text: str, rect: Rect) -> None:
    """A letter on a plate in a picture's corner."""
    line = max(7, min(12, rect.height // 6))
    plate = (rect.left, rect.top, rect.left + ink_width(text, line) + 3, rect.top + line + 2)
    canvas.paste((255, 255, 255), plate)
    write(canvas, text, (rect.left + 2, rect.top), line=line, ink=(0, 0, 0), turned=False)


def _draw_inset(picture: Image.Image, inset: Inset) -> None:
    width, height = picture.size
    half_w, half_h = inset.part * width / 2, inset.part * height / 2
    x, y = inset.x * width, inset.y * height
    box = (round(x - half_w), round(y - half_h), round(x + half_w), round(y + half_h))
    size = (max(2, round(inset.shown * width)), max(2, round(inset.shown * height)))
    part = picture.crop(box).resize(size, Image.Resampling.BICUBIC)
    left = 0 if inset.corner % 2 == 0 else width - size[0]
    top = 0 if inset.corner < 2 else height - size[1]
    pen = ImageDraw.Draw(picture)
    pen.rectangle(box, None, inset.colour)
    picture.paste(part, (left, top))
    pen.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), None, inset.colour)


def _draw_arrow(pen: ImageDraw.ImageDraw, first: Rect, second: Rect, plan: Plan) -> None:
    """A small arrow from one picture to the next, in the gap and somewhat over it."""
    y0, x0 = first.top + first.height / 2, first.left + first.width / 2
    y1, x1 = second.top + second.height / 2, second.left + second.width / 2
    y, x = (
        ((first.bottom + second.top) / 2, x0)
        if abs(y1 - y0) > abs(x1 - x0)
        else (y0, (first.right + second.left) / 2)
    )
    angle = math.atan2(y1 - y0, x1 - x0)
    reach = max(4.0, 0.03 * min(plan.size))
    ahead, aside = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))

    def at(forward: float, sideways: float) -> tuple[float, float]:
        return (
            x + reach * (forward * ahead[0] + sideways * aside[0]),
            y + reach * (forward * ahead[1] + sideways * aside[1]),
        )

    pen.line((at(-1.0, 0.0), at(0.3, 0.0)), plan.ink, max(1, round(reach / 3)))
    pen.polygon((at(1.0, 0.0), at(0.1, 0.6), at(0.1, -0.6)), plan.ink)
