"""Small figures of both kinds, an extract of them, and a filter that tells them apart."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from vicl.figures.arxiv.filtering.cues import CUES
from vicl.figures.arxiv.filtering.figure_filter import FigureFilter, FilterConfig
from vicl.files.journal import json_line


def shot(seed: int, size: tuple[int, int]) -> np.ndarray:
    """What the cues take for a photograph: many levels, softly differing."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
    smooth = np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC)).astype(float)
    return (smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)


def grid(seed: int = 0, rows: int = 2, columns: int = 3, gap: int = 6) -> np.ndarray:
    """Photographs in rows and columns on white."""
    high, wide = 60, 80
    page = np.full((rows * (high + gap) + gap, columns * (wide + gap) + gap, 3), 255, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = gap + row * (high + gap), gap + column * (wide + gap)
            cell = shot(1000 * seed + row * columns + column, (high, wide))
            page[top : top + high, left : left + wide] = cell
    return page


def text(seed: int = 0) -> np.ndarray:
    """Lines of black strokes on white."""
    rng = np.random.default_rng(seed)
    page = np.full((150, 250, 3), 255, np.uint8)
    for top in range(10, 140, 12):
        page[top : top + 7, 8:242] = np.where(rng.random((7, 234, 1)) < 0.4, 0, 255)
    return page


def extract(folder: Path, count: int = 4) -> list[str]:
    """An extract: grids and text by turns, a figure a paper; gives the files in order."""
    rows, files = [], []
    for number in range(count):
        file = f"images/2201.{number + 1:05d}/0001.png"
        (folder / file).parent.mkdir(parents=True)
        Image.fromarray(text(number) if number % 2 else grid(number)).save(folder / file)
        sha256 = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        paper = {"paper_id": f"2201.{number + 1:05d}", "version": 1}
        known = {"file": file, "sha256": sha256, "width": 250, "height": 150}
        rows.append(json_line(paper | known))
        files.append(file)
    (folder / "figures.jsonl").write_bytes(b"".join(rows))
    return files


def bare_filter(folder: Path) -> FigureFilter:
    """A filter that heeds one cue alone: how much of the page is photographs."""
    made = FigureFilter(FilterConfig(encoder="none", encoder_hash=None, features=0))
    made.weight[CUES.index("photographs_area")] = 20.0
    made.bias[0] = -6.0
    made.save(folder, "# bare\n")
    return FigureFilter.open(folder)


def scores_of(folder: Path) -> dict[str, float]:
    """What `scores.jsonl` says."""
    lines = (folder / "scores.jsonl").read_text().splitlines()
    return {row["file"]: row["score"] for row in map(json.loads, lines)}
