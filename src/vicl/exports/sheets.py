"""Contact sheets: pictures in rows and columns on one white page, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vicl.images import to_pil

_MARGIN = 10
_GAP = 8
_INK = (20, 20, 20)
_FAINT = (190, 190, 190)

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def contact_sheet(
    rows: Sequence[Sequence[Float[Tensor, "3 _ _"] | None]],
    *,
    headers: Sequence[str],
    labels: Sequence[str] | None = None,
    captions: Sequence[Sequence[str | None]] | None = None,
    cell: int = 160,
) -> Image.Image:
    """Draw pictures in a table.

    Args:
        rows: RGB in [0, 1], of any sizes; None leaves a cell empty. A picture is scaled to fit
            its cell, aspect kept; a row is as high as its highest picture.
        headers: One per column, above it.
        labels: One per row, left of it; lines may be broken with a newline.
        captions: One per cell, under it; None or "" for none.
        cell: Greatest width and height of a picture on the page, in pixels.

    Returns:
        The page, mode RGB.  Text that is too long for its column is cut with an ellipsis.

    Raises:
        ValueError: If there is no row or column, a row, `labels` or `captions` has another length
            than the table, or `cell` is under 16.
    """
    _check(rows, headers, labels, captions, cell)
    font = ImageFont.load_default(size=max(10, cell // 11))
    line = int(font.getbbox("Ag")[3]) + 3
    words = [part for text in labels or () for part in text.split("\n")]
    left = _MARGIN + (min(max(_width(font, w) for w in words), 2 * cell) + _GAP if words else 0)
    notes = captions if captions is not None else [[None] * len(headers)] * len(rows)
    bands = [
        _band(row, texts, font=font, line=line, cell=cell)
        for row, texts in zip(rows, notes, strict=True)
    ]
    top = _MARGIN + line + _GAP
    height = top + sum(band.height + _GAP for band in bands) - _GAP + _MARGIN
    page = Image.new("RGB", (left + bands[0].width + _MARGIN, height), "white")
    pen = ImageDraw.Draw(page)
    for column, header in enumerate(headers):
        at = (left + column * (cell + _GAP), _MARGIN)
        _write(pen, at, header, font=font, room=cell, line=line)
    for index, band in enumerate(bands):
        if labels:
            _write(pen, (_MARGIN, top), labels[index], font=font, room=2 * cell, line=line)
        page.paste(band, (left, top))
        top += band.height + _GAP
    return page


def _band(
    row: Sequence[Float[Tensor, "3 _ _"] | None],
    texts: Sequence[str | None],
    *,
    font: _Font,
    line: int,
    cell: int,
) -> Image.Image:
    """Draw one row: its pictures, and the captions under them."""
    pictures = [None if image is None else _fit(image, cell) for image in row]
    tall = max((picture.height for picture in pictures if picture), default=cell // 4)
    below = line * max(len(text.split("\n")) if text else 0 for text in texts)
    band = Image.new("RGB", (len(row) * (cell + _GAP) - _GAP, tall + below), "white")
    pen = ImageDraw.Draw(band)
    for index, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        x = index * (cell + _GAP)
        if picture is None:
            pen.line((x + cell // 2 - 6, tall // 2, x + cell // 2 + 6, tall // 2), fill=_FAINT)
        else:
            at = (x + (cell - picture.width) // 2, 0)
            band.paste(picture, at)
            # A frame, so that a white answer can be told from the page.
            corner = (at[0] + picture.width - 1, picture.height - 1)
            pen.rectangle((at, corner), outline=_FAINT)
        under = picture.height if picture else tall
        _write(pen, (x, under + 1), text or "", font=font, room=cell, line=line)
    return band


def _check(
    rows: Sequence[Sequence[Tensor | None]],
    headers: Sequence[str],
    labels: Sequence[str] | None,
    captions: Sequence[Sequence[str | None]] | None,
    cell: int,
) -> None:
    if not rows or not headers:
        raise ValueError(f"got {len(rows)} rows and {len(headers)} headers, expected some of each")
    if cell < 16:
        raise ValueError(f"cell: got {cell}, expected at least 16 pixels")
    for name, table in (("rows", rows), ("captions", captions)):
        for index, row in enumerate(table or ()):
            if len(row) != len(headers):
                raise ValueError(
                    f"{name}[{index}]: got {len(row)} cells, expected {len(headers)}, one a header"
                )
    for name, column in (("labels", labels), ("captions", captions)):
        if column is not None and len(column) != len(rows):
            raise ValueError(f"{name}: got {len(column)}, expected {len(rows)}, one a row")


def _fit(image: Float[Tensor, "3 h w"], cell: int) -> Image.Image:
    picture = to_pil(image)
    scale = cell / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _width(font: _Font, text: str) -> int:
    return int(font.getlength(text)) + 1


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, *, font: _Font, room: int, line: int
) -> None:
    for index, part in enumerate(text.split("\n")):
        short = part
        while short and _width(font, short) > room:
            short = short.removesuffix("…")[:-1] + "…" if short != "…" else ""
        pen.text((at[0], at[1] + index * line), short, fill=_INK, font=font)
