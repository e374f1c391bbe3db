"""Files of a source that are pictures, and what only seems one."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.figures.arxiv.papers import as_file, encrypted_pdf, eps, pdf, photograph, tar

from vicl.figures.arxiv.extract.eps import ghostscript
from vicl.figures.arxiv.extract.limits import Limits
from vicl.figures.arxiv.extract.pictures import (
    img_name,
    is_tex,
    is_unpublished,
    open_picture,
    picture_kind,
)

PNG = as_file(photograph(1))
GIF = as_file(photograph(1), "GIF")


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header claims so many pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + PNG[33:]


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("a.png", PNG, ("raster", "")),
        ("notes.txt", PNG, ("raster", "")),  # what it is called says nothing
        ("a.pdf", as_file(photograph(1), "JPEG"), ("raster", "")),
        ("a.gif", pdf(), ("pdf", "")),
        ("a.pdf", b"some bytes\n" + pdf(), ("pdf", "")),
        ("a.tex", b"% %PDF-1.5\n\\documentclass", (None, "")),
        ("a.eps", b"%!PS\n%%BoundingBox: 0 0 9 9", ("eps", "")),
        ("a.ps", eps(), ("eps", "")),
        ("font.pfa", b"%!PS-AdobeFont-1.0", (None, "")),
        ("a.tex", b"BMVC is a conference, and no bitmap", (None, "")),
        ("a.bmp", as_file(photograph(1), "BMP"), ("raster", "")),
        ("a.png", as_file(photograph(1), "WEBP"), (None, "other format")),
        ("a.png", b"<html>", (None, "no picture")),
        ("a.PNG", b"", (None, "no picture")),
        ("._a.png", b"\0\5\26\7" + bytes(60), (None, "no picture")),
        ("a.gz", b"\x1f\x8b\x08", (None, "nested archive")),
        ("a.png", b"PK\3\4", (None, "nested archive")),
        ("data", tar({"a": b""}), (None, "nested archive")),
        ("main.tex", b"text", (None, "")),
    ],
)
def test_what_a_file_is_its_bytes_say(
    path: str, data: bytes, expected: tuple[str | None, str]
) -> None:
    assert picture_kind(path, data) == expected


def test_names() -> None:
    assert img_name("figs/a b/c.png") == "figs_a_b_c.png".replace("a_b", "a b")
    assert [is_unpublished(name) for name in ("Arch.png", "my_pipeline.pdf", "a.png")] == [1, 1, 0]
    assert [is_tex(name) for name in ("a/b.TEX", "cvpr.sty", "tex", "a.png")] == [1, 1, 0, 0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_comes_as_rgb_and_bounded(mode: str) -> None:
    image = photograph(1, (3000, 20))
    image = (
        image.convert("L").convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
    )
    found = open_picture("raster", as_file(image, "TIFF"), Limits())
    assert isinstance(found, Image.Image)
    assert (found.mode, found.size) == ("RGB", (1024, 7))


def test_resolution_is_kept_for_what_the_page_makes_of_it() -> None:
    buffer = io.BytesIO()
    photograph(1, (2400, 1200)).save(buffer, "JPEG", dpi=(300, 150))
    shrunk = open_picture("raster", buffer.getvalue(), Limits())
    assert shrunk.info["dpi"] == pytest.approx((300 * 1024 / 2400, 150 * 512 / 1200), rel=1e-3)
    assert open_picture("raster", PNG, Limits()).info == {"dpi": (72, 72)}
    page = open_picture("pdf", pdf(box="0 0 720 360"), Limits())
    assert page.size == (1024, 512)
    assert page.info["dpi"] == pytest.approx((102.4, 102.4), rel=1e-3)


def test_a_page_is_drawn_at_200_dots_an_inch_on_white() -> None:
    page = open_picture("pdf", pdf(), Limits())
    assert (page.mode, page.size) == ("RGB", (278, 139))
    assert np.array_equal(
        np.asarray(page)[70, [5, 130, 150, 270]], [[255, 0, 0]] * 2 + [[255] * 3] * 2
    )


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("raster", PNG[:-40], "damaged"),
        ("raster", png_of_size(30_000, 30_000), "too many pixels"),
        ("raster", GIF[:6] + b"\xff" * 4 + GIF[10:], "too many pixels"),
        ("raster", as_file(Image.fromarray(np.full((4, 4), -1, np.int32)), "TIFF"), "damaged"),
        ("pdf", b"%PDF-1.5 rubbish", "damaged"),
        ("pdf", pdf()[:200], "damaged"),
        ("pdf", encrypted_pdf(), "encrypted"),
        ("pdf", pdf(pages=2), "several pages"),
        ("pdf", pdf(pages=0), "damaged"),
        ("eps", b"%!PS-Adobe EPSF", "no Ghostscript"),
    ],
)
def test_what_cannot_be_drawn_has_a_reason(
    kind: str, data: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert open_picture(kind, data, Limits()) == reason


@pytest.mark.parametrize("box", ["0 0 2000000 20", "0 0 20 2000000", "-5e9 0 5e9 1e10", "0 0 0 0"])
def test_pages_of_any_size_are_bounded(box: str) -> None:
    found = open_picture("pdf", pdf(box=box), Limits())
    assert found == "no size" or max(found.size) <= 1024


GHOSTSCRIPT = """#!/bin/sh
case "$*" in *-dSAFER*-dEPSCrop*-r200.*) ;; *) exit 1 ;; esac
[ -z "$GS_OPTIONS" ] || exit 1
grep -q broken figure.eps || cp "{drawn}" figure.png
"""


def test_eps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph(1, (278, 139)).save(tmp_path / "drawn.png", dpi=(9, 9))
    program = tmp_path / "gs"
    program.write_text(GHOSTSCRIPT.format(drawn=tmp_path / "drawn.png"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GS_OPTIONS", "-dNOSAFER")
    drawn = open_picture("eps", eps(), Limits())
    assert drawn.size == (278, 139)
    assert drawn.info["dpi"] == pytest.approx((200, 200), rel=1e-2)
    preview = b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(eps())) + bytes(20) + eps() + b"rest"
    assert open_picture("eps", preview, Limits()).size == (278, 139)
    assert open_picture("eps", eps() + b"broken", Limits()) == "damaged"
    assert open_picture("eps", b"%!PS-Adobe EPSF", Limits()) == "no bounding box"
    assert open_picture("eps", eps("0 0 0 9"), Limits()) == "no size"

    def too_long(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("gs", timeout)

    monkeypatch.setattr(subprocess, "run", too_long)
    assert open_picture("eps", eps(), Limits()) == "too long to draw"


def drawn_by_ghostscript(program: bytes) -> Image.Image | str:
    head = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 10 20 110 70\n"
    return open_picture("eps", head + program, Limits())


@pytest.mark.skipif(ghostscript() is None, reason="Ghostscript is not installed")
def test_eps_by_the_real_ghostscript(tmp_path: Path) -> None:
    red = drawn_by_ghostscript(b"1 0 0 setrgbcolor 10 20 50 50 rectfill showpage")
    assert red.size == (278, 139)
    pixels = np.asarray(red.convert("RGB"))
    assert (pixels[:, :138] == (255, 0, 0)).all()
    assert (pixels[:, 140:] == 255).all()
    secret, written = tmp_path / "secret.ps", tmp_path / "written"
    secret.write_text("0 0 1 setrgbcolor 10 20 100 50 rectfill")
    attacks = (
        f"({secret}) run showpage",
        f"({written}) (w) file (x) writestring showpage",
        f"(%pipe%touch {written}) (w) file showpage",
        f"<</OutputDevice /pdfwrite /OutputFile ({written})>> setpagedevice showpage",
    )
    assert [drawn_by_ghostscript(attack.encode()) for attack in attacks] == ["damaged"] * 4
    assert not written.exists()
