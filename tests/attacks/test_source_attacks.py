"""Sources of papers that are to break out of their folder, or to take all there is."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from tests.figures.arxiv.papers import (
    TAIL,
    as_file,
    header,
    member,
    paper,
    pdf,
    photograph,
    source,
    squeezed,
    tar,
)

PNG = as_file(photograph(1))


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    return PNG[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def picture_pdf(side: int) -> bytes:
    """A page whose picture has so many pixels a side, of one bit each."""
    rows = zlib.compress(bytes(side * (side + 7) // 8), 9)
    image = f"BI /W {side} /H {side} /BPC 1 /CS /G /F /Fl ID ".encode() + rows + b" EI"
    drawing = b"100 0 0 50 0 0 cm " + image
    return pdf(drawing.decode("latin-1"))


ESCAPES = squeezed(
    member(b"../escaped.png", PNG)
    + member(b"/tmp/escaped.png", PNG)
    + member(b"a/../../../escaped.png", PNG)
    + header(b"door", 0, b"2", link=b"..")
    + member(b"door/escaped.png", PNG)
    + header(b"hard.png", 0, b"1", link=b"/etc/passwd")
    + header(b"null", 0, b"3")
    + TAIL
)
"""`door` would lead outside, and what is written through it; here it is a name and no more."""


def hostile() -> dict[str, bytes]:
    """By file: what each holds takes a second to make."""
    return {
        "2209.00001.gz": ESCAPES,
        "2209.00002.gz": squeezed(squeezed(bytes(300 << 20))),
        "2209.00003.gz": source({"a.png": png_header(60_000, 60_000) + PNG[33:], "b.png": PNG}),
        "2209.00004.gz": source(
            {"a.png": png_header(9, 9) + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200 << 20)))}
        ),
        "2209.00005.gz": source({"a.gif": b"GIF89a" + b"\xff" * 4 + bytes(60)}),
        "2209.00006.gz": source({"a.pdf": pdf(" " * (200 << 20)), "b.png": PNG}),
        "2209.00007.gz": source({"a.pdf": picture_pdf(30_000), "b.png": PNG}),
        "2209.00008.gz": source([(f"{number}/" * 20 + "a.png", b"") for number in range(10_000)]),
        "2209.00009.gz": squeezed(member(b"a", b"9" * 65_000, b"x") + member(b"b.png", PNG) + TAIL),
        "2209.00010.gz": source({"a.tar.gz": source(paper()), "b.tar": tar(paper())}),
        "2209.00011.gz": source({"a.pdf": pdf("q " * 500_000 + "0 0 9 9 re f"), "b.png": PNG}),
        "2209.00012.gz": source(
            {"main.tex": b"\\documentclass{a}" + b"{" * 1_000_000, "b.png": PNG}
        ),
    }


@pytest.mark.slow
def test_a_run_over_hostile_sources(tmp_path: Path) -> None:
    sources, out = tmp_path / "sources", tmp_path / "out"
    sources.mkdir()
    files = hostile()
    for name, data in files.items():
        (sources / name).write_bytes(data)
    command = [sys.executable, "-m", "vicl", "figures", "extract", str(sources), "-o", str(out)]
    done = subprocess.run(
        [*command, "--workers", "2", "--memory", "512", "--time", "60s", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    counts = json.loads(done.stdout)
    assert sum(counts["papers"].values()) == len(files), done.stderr
    lines = [json.loads(line) for line in (out / "papers.jsonl").read_bytes().splitlines()]
    papers = {line["paper_id"]: line for line in lines}
    assert papers["2209.00001"]["dropped"] == {"device": 1, "link": 2, "path outside": 3}
    # What is a bomb fails or is passed over; what stands beside a large picture is found.
    assert "holds something else" in papers["2209.00002"]["reason"]
    assert papers["2209.00003"]["dropped"] == {"too many pixels": 1}
    assert papers["2209.00005"]["kept"] == papers["2209.00004"]["kept"] == 0
    assert papers["2209.00008"]["dropped"] == {"no picture": 10_000}
    assert papers["2209.00010"]["dropped"] == {"nested archive": 2}
    for number in ("03", "09", "11", "12"):
        assert papers[f"2209.000{number}"]["kept"] >= 1, papers[f"2209.000{number}"]
    assert not list(tmp_path.rglob("*escaped*"))
    assert not Path("/tmp/escaped.png").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "sources"]
    # Names are numbers, so that nothing in a source says where anything is written.
    assert all(path.stem.isdigit() for path in out.rglob("*.png"))
