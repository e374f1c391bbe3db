"""Extracts as `vicl figures extract` leaves them, of pictures that a test makes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vicl.figures.arxiv.identifiers import PaperId
from vicl.images import encode_image


def texture(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Blobs of colour as no other seed gives: a picture with something to say at each scale."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8))
    fine = Image.fromarray(rng.integers(0, 256, (24, 36, 3), np.uint8))
    parts = [part.resize(size, Image.Resampling.BICUBIC) for part in (coarse, fine)]
    return Image.blend(parts[0], parts[1], 0.3)


def write_extract(
    folder: Path,
    papers: Mapping[str, Sequence[Image.Image]],
    *,
    known: Mapping[str, Mapping[str, Any]] | None = None,
    captions: Mapping[str, str] | None = None,
) -> list[str]:
    """Write an extract; gives the files of its figures, in order.

    Args:
        folder: Its folder.
        papers: Figures by paper, with or without version.
        known: More of a paper's line.
        captions: By the file of the figure.
    """
    figures, journal = [], []
    for name in sorted(papers):
        paper = PaperId.parse(name)
        place = folder / "images" / paper.file_name
        place.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(papers[name], 1):
            data = encode_image(picture)
            file = f"images/{paper.file_name}/{number:04d}.png"
            (folder / file).write_bytes(data)
            figures.append(
                {
                    "paper_id": paper.number,
                    "version": paper.version,
                    "file": file,
                    "img_name": f"figures_{number}.png",
                    "kind": "raster",
                    "members": [f"figures/{number}.png"],
                    "width": picture.width,
                    "height": picture.height,
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "caption": (captions or {}).get(file, ""),
                    "label": "",
                }
            )
        journal.append(
            {
                "paper_id": paper.number,
                "version": paper.version,
                "source": f"sources/{paper.file_name}.gz",
                "title": f"On {name}",
                "categories": ["cs.CV"],
                "published": None,
                "licence": None,
                "sha256": "0" * 64,
                "bytes": 1,
                "kept": len(papers[name]),
                "dropped": {},
                "lost": {},
                "status": "done",
                "reason": "",
                "seconds": 0.1,
                **(known or {}).get(name, {}),
            }
        )
    for file, rows in (("figures.jsonl", figures), ("papers.jsonl", journal)):
        (folder / file).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return [str(row["file"]) for row in figures]
