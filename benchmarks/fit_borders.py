"""Fit again how the segmenter weighs the border of a mask beside what its network expects.

    python benchmarks/fit_borders.py --data ../shared/data --clothes 70 --things 50 --seed 21

prints a table, and the line as `src/vicl/models/promptable/borders.py` holds it: of the ratio with
the least squared error.  A network that was trained anew expects other IoUs: fit again then.

Asked for are clothes, or all that a person wears (CCP), and things of 1% to 12% of a scene that is
composed on photographs; the photographs were held out from training, the cut-outs on them were not.
Each is asked for by up to five simulated clicks, by a box and by scribbles.  The IoU of a candidate
is fitted by least squares, to all candidates: base + own * (the IoU that the network expects)
+ border * (how sure the outlines are on which its border lies).  For each ratio of border to own:
the mean squared error of that, and the mean IoU of the candidate that then comes first.

The answers are ranked again, not asked for again: clicks follow the candidate that the network
likes best.  Errors and IoUs are of the prompts that were fitted to.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from rich.console import Console
from rich.table import Table
from torch import Tensor

from matching import Asked
from segmenting import CLICKS, LARGEST, SMALLEST, box_of, iou, next_click
from vicl.engine import MaskPrompt
from vicl.evaluation.episodes import DatasetError
from vicl.files.progress import progress
from vicl.loading import load_segmenter
from vicl.models.promptable.borders import on_outlines
from vicl.models.promptable.guidance import Guide
from vicl.segmenters.encoded import EncodedImage
from vicl.segmenters.promptable import Promptable
from vicl.training.matching.pictures import Listed
from vicl.training.matching.scenes import CutOuts, compose_group
from vicl.training.promptable.prompts import scribble

RATIOS = (0.0, 0.5, 0.7, 1.0)
CUT_OUTS = ("objects", "objects3d")
SIDE = 512
"""Of a scene, in pixels."""

GROUNDS = 2
"""Scenes that share things."""

THING = (0.01, 0.12)
"""Share of the scene."""

SHIFT = 1000
"""Added to the seed for things, so that they are not drawn as clothes are."""

Mask = Bool[np.ndarray, "h w"]
Photo = UInt8[np.ndarray, "h w 3"]
Values = Float[np.ndarray, " n"]


class Plain(Promptable):
    """A segmenter that scores by its network alone, and notes what both parts of a score are.

    Without a head for outlines of its own it leaves the scores as they are.  It looks at pictures
    as the other segmenter does, so that it has the outlines all the same.
    """

    def __init__(self, whole: Promptable) -> None:
        super().__init__(whole.encoder, whole.net)
        self.whole = whole
        self.noted: list[Float[Tensor, "2 n"]] = []

    def _look(self, levels: Photo) -> Any:
        return self.whole._look(levels)

    def _asked(self, kept: Any, guide: Guide) -> tuple[Tensor, Tensor]:
        odds, own = super()._asked(kept, guide)
        self.noted.append(torch.stack([own, on_outlines(odds, kept.outline)]))
        return odds, own


@dataclass(frozen=True, eq=False)
class Answer:
    """What is known of the candidates for one prompt.

    Attributes:
        kind: Of the prompt.
        own: IoU that the network expects of each.
        border: How sure the outlines are on which the border of each lies.
        ious: That each has.
    """

    kind: str
    own: Values
    border: Values
    ious: Values


@dataclass(frozen=True)
class Fit:
    """The linear function, with its mean squared error."""

    base: float
    own: float
    border: float
    error: float

    def expected(self, answer: Answer) -> Values:
        """IoU of each candidate, not kept in [0, 1]: so that the order is."""
        return self.base + self.own * answer.own + self.border * answer.border


def main() -> int:
    """Fit and compare; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="dataset folder")
    parser.add_argument("--clothes", type=int, default=70, help="at most")
    parser.add_argument("--things", type=int, default=50)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--model", default="default", help="the segmenter")
    given = parser.parse_args()
    if given.clothes < 1 or given.things < 1 or given.seed < 0:
        parser.error("expected --clothes and --things of at least 1, --seed of at least 0")
    try:
        rows = Asked(given.data, given.data, 0, given.seed, "matching", None).held_out()
        things = _cut_outs(given.data)
        segmenter = _plain(given.model)
        answers: list[Answer] = []
        for name, count, wanted in (
            ("clothes", given.clothes, clothes(rows, given.clothes, given.seed)),
            ("things", given.things, small_things(rows, things, given.things, given.seed)),
        ):
            with progress(name, total=count) as advance:
                for index, (picture, mask) in enumerate(wanted):
                    rng = np.random.default_rng(index)
                    answers += asked_for(segmenter, picture, mask, rng)
                    advance()
    except ValueError as error:
        print(f"fit_borders.py: {error}", file=sys.stderr)
        return 2
    fits = {ratio: fit(answers, ratio) for ratio in RATIOS}
    least = min(fits.values(), key=lambda one: one.error)
    Console(width=120).print(table(answers, fits))
    print(f"_BASE, _OWN, _BORDER = {least.base:.2f}, {least.own:.2f}, {least.border:.2f}")
    return 0


def _cut_outs(data: Path) -> CutOuts:
    folders = [data / name for name in CUT_OUTS]
    for folder in folders:
        if not folder.is_dir():
            raise DatasetError(f"{folder}: there is no such folder; expected one of cut-outs")
    return CutOuts.of(folders)


def _plain(model: str) -> Plain:
    segmenter = load_segmenter(model, device="cpu")
    if not isinstance(segmenter, Promptable) or segmenter.outlines is None:
        raise DatasetError(f"{model}: has no outlines that borders may lie on; give default")
    return Plain(segmenter)


def clothes(rows: Sequence[Listed], count: int, seed: int) -> Iterator[tuple[Photo, Mask]]:
    """Of each of some photographs a class, or all that is worn."""
    rng = np.random.default_rng(seed)
    found = 0
    for index in rng.permutation(len(rows)):
        image = rows[int(index)].read()
        worn = image.labels > 0
        # All of it is drawn as often as two of the classes.
        masks = [*(image.labels == value for value in image.classes.values()), worn, worn]
        masks = [mask for mask in masks if SMALLEST <= mask.mean() <= LARGEST]
        if masks:
            yield np.ascontiguousarray(image.picture), masks[int(rng.integers(len(masks)))]
            found += 1
        if found == count:
            return


def small_things(
    rows: Sequence[Listed], things: CutOuts, count: int, seed: int
) -> Iterator[tuple[Photo, Mask]]:
    """One thing of each of some scenes."""
    rng = np.random.default_rng(seed + SHIFT)
    found = 0
    while True:
        chosen = rng.choice(len(rows), GROUNDS, replace=False).tolist()
        grounds = [rows[index].read().picture for index in chosen]
        for scene in compose_group(rng, things, grounds, SIDE):
            shares = np.bincount(scene.objects.ravel(), minlength=2) / scene.objects.size
            shares[0] = 0
            small = np.flatnonzero((shares >= THING[0]) & (shares <= THING[1]))
            if len(small):
                yield scene.picture, scene.objects == small[int(rng.integers(len(small)))]
                found += 1
            if found == count:
                return


def asked_for(
    segmenter: Plain, picture: Photo, wanted: Mask, rng: np.random.Generator
) -> Iterator[Answer]:
    """The answers to clicks, to a box and to scribbles."""
    image = segmenter.encode(picture)
    answer, points, labels = np.zeros_like(wanted), [], []
    for number in range(1, max(CLICKS) + 1):
        if (answer == wanted).all():
            break
        point, label = next_click(answer, wanted)
        points.append(point)
        labels.append(label)
        told, answer = _ask(segmenter, image, MaskPrompt(points, labels), wanted, _clicks(number))
        yield told
    yield _ask(segmenter, image, MaskPrompt(box=box_of(wanted, rng)), wanted, "box")[0]
    strokes = scribble(rng, wanted)
    if strokes.any():
        drawn = np.where(strokes, 1, 255).astype(np.uint8)
        yield _ask(segmenter, image, MaskPrompt(scribbles=drawn), wanted, "scribbles")[0]


def _clicks(number: int) -> str:
    return "1 click" if number == 1 else f"{number} clicks"


def _ask(
    segmenter: Plain, image: EncodedImage, prompt: MaskPrompt, wanted: Mask, kind: str
) -> tuple[Answer, Mask]:
    """What is known of the candidates, and the mask of the first."""
    segmenter.noted.clear()
    found = image.many([prompt])[0]
    # Where it looked closer it asked twice, and scored by the mean; candidates come best first.
    own, border = torch.stack(segmenter.noted).mean(0)
    order = own.argsort(descending=True, stable=True)
    ious = np.array([iou(mask, wanted) for mask in found.masks])
    return Answer(kind, own[order].numpy(), border[order].numpy(), ious), found.masks[0]


def fit(answers: Sequence[Answer], ratio: float) -> Fit:
    """Least squares, with that ratio of the weights."""
    score = np.concatenate([one.own + ratio * one.border for one in answers]).astype(float)
    ious = np.concatenate([one.ious for one in answers])
    rows = np.stack([np.ones_like(score), score], 1)
    base, own = np.linalg.lstsq(rows, ious, rcond=None)[0].tolist()
    error = float(((np.clip(base + own * score, 0, 1) - ious) ** 2).mean())
    return Fit(base, own, ratio * own, error)


def table(answers: Sequence[Answer], fits: dict[float, Fit]) -> Table:
    """A row a ratio: what was fitted, and the mean IoU of the first; below it that of the best."""
    by_kind = {
        kind: [one for one in answers if one.kind == kind]
        for kind in (*map(_clicks, CLICKS), "box", "scribbles")
    }
    drawn = Table(title=f"Fitted to {len(answers)} prompts; mean IoU of the first candidate")
    for heading in ("ratio", "base", "own", "border", "squared error", *by_kind):
        drawn.add_column(heading)
    for ratio, fitted in fits.items():
        numbers = (fitted.base, fitted.own, fitted.border)
        cells = [f"{value:.2f}" for value in numbers] + [f"{fitted.error:.4f}"]
        for some in by_kind.values():
            cells.append(_mean([float(one.ious[fitted.expected(one).argmax()]) for one in some]))
        drawn.add_row(f"{ratio:g}", *cells)
    best = [_mean([float(one.ious.max()) for one in some]) for some in by_kind.values()]
    drawn.add_row("best", *[""] * 4, *best)
    drawn.add_row("n", *[""] * 4, *(str(len(some)) for some in by_kind.values()))
    return drawn


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" if values else ""


if __name__ == "__main__":
    sys.exit(main())
