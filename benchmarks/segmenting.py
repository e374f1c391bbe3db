"""Clicks and boxes to masks: how far each segmenter comes, beside the box and the classical ones.

    python benchmarks/segmenting.py --data ../shared/data --objects 100 --seed 0

asks for one object of each photograph, over 1% of it: of COCO128 one that is alone of its class,
of DAVIS the main object, of BSDS a segment. All are for development only, and no weights of the
package have seen them. Clicks are simulated: the first in the heart of the object (the place
farthest from its border), each next one in the heart of the largest error of the answer with the
highest score. A box is the object's own, moved by up to 5% of its sides.

For each: mean IoU after 1, 3 and 5 clicks and from the box, of the best of the candidates and of
the first (the one with the highest score); and the mean number of clicks to an IoU of 0.85, ten
where ten do not suffice. Bootstrap 95% intervals are over photographs, of DAVIS over sequences.

Beside it: the box itself; scikit-image's random walker and flood fill (of five tolerances the one
that is best on the source, which favours it); and GrabCut, where OpenCV is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from rich.console import Console
from rich.table import Table

from vicl.engine import Candidates, MaskPrompt, Segmenter
from vicl.evaluation.datasets.manifests import read_manifest
from vicl.evaluation.episodes import DatasetError
from vicl.files.progress import progress
from vicl.images import open_image, to_levels
from vicl.loading import load_segmenter
from vicl.metrics import Interval, bootstrap_statistic
from vicl.training.promptable.prompts import depth_of

SOURCES = ("coco128", "davis", "bsds")
CLICKS = (1, 3, 5)
MOST, GOOD = 10, 0.85
SMALLEST, LARGEST = 0.01, 0.9
MOVED = 0.05
TOLERANCES = (0.04, 0.08, 0.12, 0.2, 0.3)
"""Of flood fill: largest difference in a channel, of [0, 1]."""

Mask = Bool[np.ndarray, "h w"]
Photo = UInt8[np.ndarray, "h w 3"]
Ask = Callable[[MaskPrompt], Candidates]


@dataclass(frozen=True, eq=False)
class Object:
    """What is to be cut out.

    Attributes:
        photo: Of the photograph.
        mask: Where the object is.
        cluster: Photographs of one cluster are not independent.
    """

    photo: Photo
    mask: Mask
    cluster: str


@dataclass
class Scores:
    """Of one segmenter, a row an object."""

    clusters: list[str] = field(default_factory=list)
    best: list[list[float]] = field(default_factory=list)
    first: list[list[float]] = field(default_factory=list)
    needed: list[float] = field(default_factory=list)
    box: list[tuple[float, float]] = field(default_factory=list)

    def interval(self, values: Sequence[float]) -> Interval:
        """The mean with its interval over clusters."""
        names = sorted(set(self.clusters))
        of = np.array([names.index(name) for name in self.clusters])
        sums = np.bincount(of, np.asarray(values, float), len(names))
        counts = np.bincount(of, minlength=len(names))
        return bootstrap_statistic(
            lambda draws: sums[draws].sum(1) / counts[draws].sum(1), len(names)
        )


def objects(data: Path, source: str, count: int, seed: int) -> Iterator[Object]:
    """One object of each of some photographs."""
    rng = np.random.default_rng(seed)
    rows = [row for row in read_manifest(data) if row["source"] == source]
    found = 0
    for index in rng.permutation(len(rows)):
        row = rows[int(index)]
        told = row["annotations"]["mask"]
        labels = np.asarray(open_image(data / told["path"]))
        values = [
            one["value"] for one in told["classes"].values() if one.get("instances", 1) == 1
        ] or [int(value) for value in told.get("segments", ())]
        large = [v for v in values if SMALLEST <= (labels == v).mean() <= LARGEST]
        if large:
            mask = labels == large[int(rng.integers(len(large)))]
            yield Object(to_levels(data / row["image"]), mask, str(row.get("sequence", row["id"])))
            found += 1
        if found == count:
            return


def iou(one: Mask, other: Mask) -> float:
    """Of two masks, not both empty."""
    return float((one & other).sum() / (one | other).sum())


def next_click(answer: Mask, wanted: Mask) -> tuple[tuple[float, float], int]:
    """The heart of the largest error, and whether it is missing (1) or too much (0)."""
    missing, wrong = depth_of(wanted & ~answer), depth_of(answer & ~wanted)
    label = int(missing.max() >= wrong.max())
    far = missing if label else wrong
    row, column = np.unravel_index(int(far.argmax()), far.shape)
    return (float(column), float(row)), label


def clicked(ask: Ask, wanted: Mask) -> tuple[list[float], list[float], float]:
    """IoU of the best candidate and of the first after each click, and the clicks needed."""
    answer, points, labels = np.zeros_like(wanted), [], []
    best, first = [], []
    for number in range(1, MOST + 1):
        if (answer == wanted).all():
            best.append(1.0)
            first.append(1.0)
            continue
        point, label = next_click(answer, wanted)
        points.append(point)
        labels.append(label)
        found = ask(MaskPrompt(points, labels))
        scores = [iou(mask, wanted) for mask in found.masks]
        answer = found.masks[0]
        best.append(max(scores))
        first.append(scores[0])
        if number >= max(CLICKS) and max(first) >= GOOD:
            break
    good = [number for number, score in enumerate(first, 1) if score >= GOOD]
    return best, first, float(good[0] if good else MOST)


def box_of(mask: Mask, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """The object's box, moved a little."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    box += rng.uniform(-MOVED, MOVED, 4) * np.tile(box[2:] - box[:2], 2)
    x0, y0, x1, y1 = np.clip(box, 0, np.tile(mask.shape[::-1], 2)).tolist()
    return x0, y0, x1, y1


def measure(asks: Callable[[Photo], Ask], wanted: Sequence[Object], seed: int, name: str) -> Scores:
    """Ask one segmenter for all objects."""
    scores, rng = Scores(), np.random.default_rng(seed)
    with progress(name, total=len(wanted)) as advance:
        for one in wanted:
            ask = asks(one.photo)
            best, first, needed = clicked(ask, one.mask)
            found = ask(MaskPrompt(box=box_of(one.mask, rng)))
            boxed = [iou(mask, one.mask) for mask in found.masks]
            scores.clusters.append(one.cluster)
            scores.best.append(best)
            scores.first.append(first)
            scores.needed.append(needed)
            scores.box.append((max(boxed), boxed[0]))
            advance()
    return scores


def inside_box(prompt: MaskPrompt, size: tuple[int, int]) -> Mask:
    """The pixels of a prompt's box; all of them without one."""
    mask = np.ones(size, bool)
    if prompt.box is not None:
        x0, y0, x1, y1 = np.rint(prompt.box).astype(int)
        mask[:] = False
        mask[y0:y1, x0:x1] = True
    return mask


def seeds(prompt: MaskPrompt, size: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """1 = in, 2 = out, 0 = unknown: discs around clicks; what is outside the box, or the border."""
    down, across = np.mgrid[: size[0], : size[1]]
    found = np.zeros(size, np.uint8)
    found[[0, -1]] = 2
    found[:, [0, -1]] = 2
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        found[~inside_box(prompt, size)] = 2
        middle = ((across - (x0 + x1) / 2) / (x1 - x0)) ** 2
        middle = middle + ((down - (y0 + y1) / 2) / (y1 - y0)) ** 2
        found[middle < 0.25**2] = 1
    for (x, y), label in zip(prompt.points, prompt.labels, strict=True):
        found[(across - x) ** 2 + (down - y) ** 2 <= 9] = 1 if label else 2
    return found


def one_mask(mask: Mask) -> Candidates:
    """An answer without alternatives."""
    return Candidates(mask[None], np.ones(1, np.float32))


def box_itself(photo: Photo) -> Ask:
    """The box; of clicks all of the photograph."""
    return lambda prompt: one_mask(inside_box(prompt, photo.shape[:2]))


def random_walker(photo: Photo) -> Ask:
    """scikit-image's, on Lab."""
    from skimage.color import rgb2lab
    from skimage.segmentation import random_walker as walk

    convert: Any = rgb2lab
    lab = convert(photo) / 100

    def ask(prompt: MaskPrompt) -> Candidates:
        marked = seeds(prompt, photo.shape[:2])
        walked: Any = walk
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of chances a little outside [0, 1]
            found = walked(lab, marked.astype(np.int32), beta=130, mode="cg_j", channel_axis=2)
        return one_mask(found == 1)

    return ask


def flood_fill(tolerance: float) -> Callable[[Photo], Ask]:
    """What is connected with a click in and alike, without that of a click out."""
    from skimage.segmentation import flood

    fill: Any = flood

    def asks(photo: Photo) -> Ask:
        colours = photo.astype(np.float32) / 255

        def filled(x: float, y: float) -> Mask:
            row, column = int(y), int(x)
            far = np.abs(colours - colours[row, column]).max(2)
            found: Mask = fill(far <= tolerance, (row, column))
            return found

        def ask(prompt: MaskPrompt) -> Candidates:
            found = np.zeros(photo.shape[:2], bool)
            points = [*zip(prompt.points.tolist(), prompt.labels.tolist(), strict=True)]
            if prompt.box is not None:
                x0, y0, x1, y1 = prompt.box.tolist()
                points.append(([(x0 + x1) / 2, (y0 + y1) / 2], 1))
            for label in (1, 0):
                for (x, y), of in points:
                    if of == label:
                        found[filled(x, y)] = bool(label)
            return one_mask(found & inside_box(prompt, photo.shape[:2]))

        return ask

    return asks


def grab_cut(photo: Photo) -> Ask:
    """OpenCV's, five rounds."""
    cv2: Any = importlib.import_module("cv2")

    def ask(prompt: MaskPrompt) -> Candidates:
        marked = seeds(prompt, photo.shape[:2])
        state = np.choose(marked, (cv2.GC_PR_FGD, cv2.GC_FGD, cv2.GC_BGD)).astype(np.uint8)
        if prompt.box is not None:
            state[marked == 1] = cv2.GC_PR_FGD
        models = np.zeros((2, 1, 65))
        cv2.grabCut(photo, state, None, *models, 5, cv2.GC_INIT_WITH_MASK)
        return one_mask(np.isin(state, (cv2.GC_FGD, cv2.GC_PR_FGD)))

    return ask


def ours(segmenter: Segmenter) -> Callable[[Photo], Ask]:
    """A segmenter of vicl's."""

    def asks(photo: Photo) -> Ask:
        image = segmenter.encode(photo)
        return lambda prompt: image.many([prompt])[0]

    return asks


def table(title: str, found: dict[str, Scores]) -> Table:
    """A row a segmenter: the best candidate / the first."""
    drawn = Table(title=title)
    for heading in ("", *(f"{n} clicks" for n in CLICKS), "box", f"clicks to {GOOD}", "n"):
        drawn.add_column(heading)
    for name, scores in found.items():
        cells = []
        for number in CLICKS:
            best = scores.interval([row[number - 1] for row in scores.best])
            first = scores.interval([row[number - 1] for row in scores.first])
            cells.append(f"{best} / {first.mean:.3f}")
        boxed = scores.interval([best for best, _ in scores.box])
        cells.append(f"{boxed} / {scores.interval([first for _, first in scores.box]).mean:.3f}")
        needed = scores.interval(scores.needed)
        cells.append(f"{needed.mean:.1f} [{needed.low:.1f}, {needed.high:.1f}]")
        drawn.add_row(name, *cells, str(len(scores.clusters)))
    return drawn


def latency(segmenter: Segmenter, wanted: Sequence[Object]) -> str:
    """Median times in milliseconds."""
    encoding, asking = [], []
    for one in wanted[:10]:
        begun = time.perf_counter()
        image = segmenter.encode(one.photo)
        encoding.append(time.perf_counter() - begun)
        point, _ = next_click(np.zeros_like(one.mask), one.mask)
        for _ in range(3):
            begun = time.perf_counter()
            image.many([MaskPrompt([point])])
            asking.append(time.perf_counter() - begun)
    encoded, asked = (1000 * float(np.median(times)) for times in (encoding, asking))
    return f"encoding {encoded:.0f} ms, a click {asked:.0f} ms (medians)"


def main() -> int:
    """Measure; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sources", nargs="+", default=SOURCES, choices=SOURCES)
    parser.add_argument("--objects", type=int, default=100, help="of each source, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="default", help="the segmenter")
    parser.add_argument("--no-classical", action="store_true", help="ask the segmenter alone")
    given = parser.parse_args()
    console = Console(width=180)
    try:
        segmenter = load_segmenter(given.model, device="cpu")
        for source in given.sources:
            wanted = list(objects(given.data, source, given.objects, given.seed))
            if not wanted:
                raise DatasetError(f"{given.data}: has no object of {source}")
            found = {segmenter.name: measure(ours(segmenter), wanted, given.seed, source)}
            if not given.no_classical:
                found |= classical(wanted, given.seed)
            console.print(table(f"{source}: IoU, best candidate / first", found))
            console.print(f"{source}: {latency(segmenter, wanted)}")
    except ValueError as error:
        print(f"segmenting.py: {error}", file=sys.stderr)
        return 2
    return 0


def classical(wanted: Sequence[Object], seed: int) -> dict[str, Scores]:
    """Those that learn nothing."""
    found = {
        "the box": measure(box_itself, wanted, seed, "box"),
        "random walker": measure(random_walker, wanted, seed, "random walker"),
    }
    fills = [measure(flood_fill(one), wanted, seed, "flood fill") for one in TOLERANCES]
    found["flood fill"] = max(fills, key=lambda one: float(np.mean([b[0] for b in one.best])))
    if importlib.util.find_spec("cv2") is not None:
        found["GrabCut"] = measure(grab_cut, wanted, seed, "GrabCut")
    return found


if __name__ == "__main__":
    sys.exit(main())
