"""Figures of a paper's source that are PDFs of one page."""

from __future__ import annotations

import math
from typing import Final

from PIL import Image

from vicl.figures.arxiv.extract.limits import Limits
from vicl.figures.arxiv.extract.rasters import fitted
from vicl.files import FileError
from vicl.files.extras import to_install

DPI: Final = 200
"""At which pages are drawn, as for the paper's data."""

POINTS: Final = 72
"""In an inch: the unit of a PDF's sizes."""

SPARE: Final = 2
"""Times the longest side of a figure that the page is drawn at, at most: it is then shrunk."""


def check_pdfium() -> None:
    """See that PDFs can be drawn here.

    Raises:
        FileError: If the package for it is not installed.
    """
    try:
        import pypdfium2  # noqa: F401
    except ImportError as error:
        raise FileError(f"figures that are PDFs need pypdfium2: {to_install('figures')}") from error


def scale_of(size: tuple[float, float], longest: int) -> float | None:
    """Pixels a point at which a page is drawn; None for a page of no size.

    Args:
        size: Of the page, in points.
        longest: Side of a figure, in pixels.
    """
    if not (min(size) > 0 and math.isfinite(max(size))):  # NaN fails too
        return None
    return min(DPI / POINTS, SPARE * longest / max(size))


def draw_pdf(data: bytes, limits: Limits) -> Image.Image | str:
    """Draw a PDF that has one page, on white.

    Args:
        data: Its file.
        limits: Of which `longest` counts here.

    Returns:
        As :func:`vicl.figures.arxiv.extract.rasters.fitted`; or in a word or two why there is none.
    """
    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD

    try:
        with pypdfium2.PdfDocument(data) as document:
            if len(document) != 1:
                return "several pages" if len(document) else "damaged"
            page = document[0]
            scale = scale_of(page.get_size(), limits.longest)
            if scale is None:
                return "no size"
            # Notes beside the text of a page are not a figure's, and LaTeX leaves them out.
            bitmap = page.render(scale=scale, draw_annots=False, may_draw_forms=False)
            return fitted(bitmap.to_pil(), limits.longest, (scale * POINTS, scale * POINTS))
    except pypdfium2.PdfiumError as error:
        # The code may be that of an earlier document, where PDFium sets none.
        locked = error.err_code == FPDF_ERR_PASSWORD and b"/Encrypt" in data
        return "encrypted" if locked else "damaged"
