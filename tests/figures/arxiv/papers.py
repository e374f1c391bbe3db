"""Papers that are made for tests: sources as arXiv serves them, and hostile ones."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

TAIL = bytes(2 * 512)
"""Ends a tar."""


def photograph(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Soft shapes of colour, never twice the same; (width, height)."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def as_file(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def pdf(
    drawing: str = "1 0 0 rg 0 0 50 50 re f",
    *,
    box: str = "0 0 100 50",
    pages: int = 1,
    trailer: str = "",
) -> bytes:
    """A PDF by hand: on each page a drawing in its language (red: the lower left half)."""
    content = zlib.compress(drawing.encode())
    kids = " ".join(f"{number} 0 R" for number in range(4, 4 + pages))
    page = f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] /Contents 3 0 R /Resources << >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(content), content),
        *[page.encode()] * pages,
    ]
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}"
    end += f"trailer << /Size {size} /Root 1 0 R {trailer}>>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + end.encode()


def encrypted_pdf() -> bytes:
    """One for which nobody has the password."""
    locked = f"<< /Filter /Standard /V 1 /R 2 /P -4 /O <{'41' * 32}> /U <{'42' * 32}> >>"
    return pdf(trailer=f"/Encrypt {locked} /ID [<{'43' * 16}> <{'43' * 16}>] ")


def eps(box: str = "0 0 100 50") -> bytes:
    return f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: {box}\n0 0 50 50 rectfill\n".encode()


def tar(members: Mapping[str, bytes] | Sequence[tuple[str, bytes]], *, format: int = 1) -> bytes:
    """A tar as Python writes it; a path may come more than once."""
    buffer = io.BytesIO()
    pairs = members.items() if isinstance(members, Mapping) else members
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, data in pairs:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def header(
    name: bytes, size: int | bytes, kind: bytes = b"0", *, link: bytes = b"", rest: bytes = b""
) -> bytes:
    """A tar's header by hand: what `tarfile` would not write; `rest` stands from byte 257 on."""
    number = size if isinstance(size, bytes) else b"%011o\0" % size
    block = name[:100].ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
    block += number + b"00000000000\0" + b" " * 8 + kind + link[:100].ljust(100, b"\0")
    block += rest or b"ustar\x0000"
    block = block.ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def member(name: bytes, data: bytes, kind: bytes = b"0") -> bytes:
    """A header with its data, filled up to a block."""
    return header(name, len(data), kind) + data + bytes(-len(data) % 512)


def squeezed(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def source(members: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> bytes:
    """A source as arXiv serves it: a gzipped tar."""
    return squeezed(tar(members))


TEX = r"""\documentclass{article}
\usepackage{graphicx}
\begin{document}
\begin{figure}
  \centering
  \begin{tabular}{cc}
    \includegraphics[width=.48\linewidth]{figs/input} &
    \includegraphics[width=.48\linewidth]{figs/output} \\
  \end{tabular}
  \caption{An input and its \emph{output}.}
  \label{fig:pair}
\end{figure}
\begin{figure}
  \includegraphics[width=\linewidth]{plot.pdf}
  \caption{A plot.}
\end{figure}
\end{document}
"""


def paper(seed: int = 0, *, size: tuple[int, int] = (96, 64)) -> dict[str, bytes]:
    """The files of a paper: a grid of two files, a plot, and what the published data leave out."""
    return {
        "main.tex": TEX.encode(),
        "figs/input.jpg": as_file(photograph(3 * seed, size), "JPEG"),
        "figs/output.png": as_file(photograph(3 * seed + 1, size)),
        "figs/architecture.png": as_file(photograph(3 * seed + 2, size)),
        "plot.pdf": pdf(),
        "supplement.pdf": pdf(pages=3),
        "cvpr.sty": b"\\ProvidesPackage{cvpr}\n",
    }


def harvest(folder: Path, count: int, *, size: tuple[int, int] = (96, 64)) -> Path:
    """A folder of as many papers, named by identifiers."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        (folder / f"2209.{seed + 1:05d}v1.gz").write_bytes(source(paper(seed, size=size)))
    return folder
