"""Figures of a paper's source that are EPS files, where Ghostscript is present."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from vicl.figures.arxiv.extract.limits import Limits
from vicl.figures.arxiv.extract.pdfs import POINTS, scale_of
from vicl.figures.arxiv.extract.rasters import open_raster

_BOX: Final = re.compile(
    rb"^%%BoundingBox:[ \t]*(-?[0-9.]{1,12})[ \t]+(-?[0-9.]{1,12})[ \t]+(-?[0-9.]{1,12})[ \t]+"
    rb"(-?[0-9.]{1,12})",
    re.MULTILINE,
)
_HEAD: Final = b"\xc5\xd0\xd3\xc6"
"""Of EPS files with a preview: the place and length of the PostScript follow."""


def ghostscript() -> str | None:
    """The path of Ghostscript's program; None where there is none."""
    return shutil.which("gs")


def draw_eps(data: bytes, limits: Limits) -> Image.Image | str:
    """Draw what lies in the bounding box of an EPS file, on white.

    Args:
        data: Its file.
        limits: Of which `longest`, `pixels` and `seconds` count here.

    Returns:
        As :func:`vicl.figures.arxiv.extract.rasters.fitted`; or in a word or two why there is none.
    """
    program = ghostscript()
    if program is None:
        return "no Ghostscript"
    if data.startswith(_HEAD):
        start = int.from_bytes(data[4:8], "little")
        data = data[start : start + int.from_bytes(data[8:12], "little")]
    try:
        left, bottom, right, top = map(float, _box(data))
    except ValueError:
        return "no bounding box"
    scale = scale_of((right - left, top - bottom), limits.longest)
    if scale is None:
        return "no size"
    with tempfile.TemporaryDirectory(prefix="vicl-eps-") as place:
        folder = Path(place)
        (folder / "figure.eps").write_bytes(data)
        command = [
            *(program, "-dSAFER", "-dBATCH", "-dNOPAUSE", "-dQUIET", "-P-", "-dEPSCrop"),
            *("-sDEVICE=png16m", "-dTextAlphaBits=4", "-dGraphicsAlphaBits=4", "-dLastPage=1"),
            *(f"-r{scale * POINTS:.6f}", "-sOutputFile=figure.png", "figure.eps"),
        ]
        try:
            # Neither a shell nor the environment, in which Ghostscript looks for options.
            done = subprocess.run(
                command,
                cwd=folder,
                env={"PATH": os.defpath, "TMPDIR": place},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=limits.seconds / 4,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "too long to draw"
        drawn = folder / "figure.png"
        if done.returncode != 0 or not drawn.is_file() or drawn.is_symlink():
            return "damaged"
        if drawn.stat().st_size > limits.member:
            return "too many bytes"
        picture = open_raster(drawn.read_bytes(), limits)
        if not isinstance(picture, str):  # whatever Ghostscript wrote of it
            dpi = POINTS * picture.width / (right - left), POINTS * picture.height / (top - bottom)
            picture.info = {"dpi": dpi}
        return picture


def _box(data: bytes) -> tuple[bytes, ...]:
    """The four sides of the bounding box, in points; the file's end may be where it is given.

    Raises:
        ValueError: If there is none.
    """
    found = _BOX.search(data)
    if found is None:
        raise ValueError
    return found.groups()
