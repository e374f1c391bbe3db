"""Colorization by hints: how near the true colours a few dabs come, beside gray and nearest dabs.

    python benchmarks/colour_hints.py --data ../shared/data --photos 30 --seed 0

takes colour photographs of BSDS and COCO128 (for development only) and dabs on them as somebody
would who knows the colours: each dab is where the answer is farthest from the truth by now (after a
blur of the dab's size), and has the mean true colour of the pixels that it covers.

Each way dabs for itself. `nearest dab` gives every pixel the colour of the nearest one, at the
photograph's own lightness. Chroma error is what `vicl evaluate colorization` measures: the mean
distance in (a*, b*) of CIELAB. Intervals are bootstrap 95% over photographs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from rich.console import Console
from rich.table import Table

from vicl.evaluation.datasets.manifests import read_manifest
from vicl.evaluation.episodes import DatasetError
from vicl.exports.sheets import contact_sheet
from vicl.files.progress import progress
from vicl.images import save_image, to_levels, to_tensor
from vicl.metrics import bootstrap_interval
from vicl.metrics.pictures import chroma_error, chroma_recovered
from vicl.tasks.colour_hints import Dab, colorize

COUNTS = (0, 1, 5, 10, 20)
SIZE = 9
"""Of a dab, in pixels."""
SHOWN = 6

Photo = UInt8[np.ndarray, "h w 3"]
Way = Callable[[Photo, Sequence[Dab]], Photo]


def photographs(data: Path, sources: Sequence[str], count: int, seed: int) -> list[Photo]:
    """Colour photographs, as many of each source as there is room for."""
    rows = [
        row
        for row in read_manifest(data)
        if row["source"] in sources and row["use"] == "evaluate" and not row.get("gray")
    ]
    drawn = np.random.default_rng(seed).permutation(len(rows))[:count]
    return [to_levels(data / rows[int(place)]["image"]) for place in drawn]


def nearest_dab(photo: Photo, dabs: Sequence[Dab]) -> Photo:
    """Every pixel has the chroma of the nearest dab, and its own luma."""
    luma, blue, red = Image.fromarray(photo).convert("YCbCr").split()
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]] + 0.5
    nearest = np.argmin([(x - dab.x) ** 2 + (y - dab.y) ** 2 for dab in dabs], axis=0)
    colours = np.array([dab.colour for dab in dabs], np.uint8)[nearest]
    _, blue, red = Image.fromarray(colours).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (luma, blue, red)).convert("RGB"))


def by_hints(photo: Photo, dabs: Sequence[Dab]) -> Photo:
    """What the package gives."""
    return np.asarray(colorize(photo, dabs))


def next_dab(answer: Photo, truth: Photo) -> Dab:
    """A dab of the true colour where the answer is farthest from it."""
    from scipy.ndimage import gaussian_filter
    from skimage.color import rgb2lab

    convert: Any = rgb2lab
    apart = np.hypot(*np.moveaxis(convert(answer)[..., 1:] - convert(truth)[..., 1:], 2, 0))
    blurred = gaussian_filter(apart, SIZE / 2)
    y, x = np.unravel_index(int(blurred.argmax()), blurred.shape)
    across, down = np.mgrid[: truth.shape[1], : truth.shape[0]]
    covered = (np.hypot(across - x, down - y) <= SIZE / 2).T
    colour = tuple(int(level) for level in truth[covered].mean(0).round())
    return Dab(float(x) + 0.5, float(y) + 0.5, colour, SIZE)  # type: ignore[arg-type]


def dabbed(photo: Photo, way: Way) -> list[Photo]:
    """The answers after so many dabs as `COUNTS` says; before the first it is gray."""
    answer = np.asarray(Image.fromarray(photo).convert("L").convert("RGB"))
    answers, dabs = [answer], list[Dab]()
    while len(dabs) < COUNTS[-1]:
        dabs.append(next_dab(answer, photo))
        answer = way(photo, dabs)
        if len(dabs) in COUNTS:
            answers.append(answer)
    return answers


def errors(answers: Sequence[Photo], truth: Photo) -> Float[np.ndarray, "n 2"]:
    """Chroma error and chroma recovered of each answer."""
    wanted = to_tensor(truth).numpy()
    found = [to_tensor(answer).numpy() for answer in answers]
    return np.array([(chroma_error(one, wanted), chroma_recovered(one, wanted)) for one in found])


def table(found: dict[str, Float[np.ndarray, "p n 2"]]) -> Table:
    """A row a way: chroma error, with the share of colour that is recovered."""
    drawn = Table(title=f"chroma error (recovered), {len(next(iter(found.values())))} photographs")
    for heading in ("", *(f"{count} dabs" for count in COUNTS)):
        drawn.add_column(heading)
    for name, scores in found.items():
        cells = []
        for place in range(len(COUNTS)):
            error = bootstrap_interval(scores[:, place, 0])
            share = scores[:, place, 1].mean()
            cells.append(f"{error.mean:.2f} [{error.low:.2f}, {error.high:.2f}] ({share:.2f})")
        drawn.add_row(name, *cells)
    return drawn


def main() -> int:
    """Measure; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sources", nargs="+", default=["bsds", "coco128"])
    parser.add_argument("--photos", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="also a picture of some of them to look at")
    given = parser.parse_args()
    try:
        photos = photographs(given.data, given.sources, given.photos, given.seed)
    except DatasetError as error:
        parser.error(str(error))
    if not photos:
        parser.error(f"--sources: none of {', '.join(given.sources)} is in {given.data}")
    ways: dict[str, Way] = {"vicl": by_hints, "nearest dab": nearest_dab}
    found: dict[str, list[Float[np.ndarray, "n 2"]]] = {name: [] for name in ways}
    rows, seconds = [], []
    with progress("photographs", total=len(photos)) as advance:
        for photo in photos:
            shown = [photo]
            for name, way in ways.items():
                answers = dabbed(photo, way)
                found[name].append(errors(answers, photo))
                shown += answers[name != "vicl" :]
            rows.append(shown)
            begun = time.process_time()
            colorize(photo, [next_dab(shown[1], photo)])
            seconds.append(time.process_time() - begun)
            advance()
    if given.sheet is not None:
        heads = ["truth", *(f"{n} dabs" for n in COUNTS), *(f"nearest of {n}" for n in COUNTS[1:])]
        sheet = contact_sheet(
            [[to_tensor(one) for one in row] for row in rows[:SHOWN]], headers=heads
        )
        save_image(sheet, given.sheet)
    console = Console()
    console.print(table({name: np.array(scores) for name, scores in found.items()}))
    console.print(f"an answer: {np.median(seconds):.2f} s of processor time (median)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
