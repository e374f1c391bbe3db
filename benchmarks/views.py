"""What do several views of a prompt gain, how they are fused, and what do they cost?

    python benchmarks/views.py --data ../shared/data --episodes 40 --sheet views.png
    python benchmarks/views.py --study --episodes 20 --sheet study.png

answers the episodes of `vicl evaluate segmentation` (with `--study` of the six tasks of the paper's
synthetic study, so many of each) on one view, and on several by every fusion: the eight
arrangements of one example, all or until they agree; several examples, a canvas each. It prints the
IoU at the query's size (of the study: the colour-aware one of its cells) with bootstrap 95%
intervals and paired differences to one view, how many views a query took, and answers a second of
one thread's own time, which other work on the machine takes nothing from. A sheet shows episodes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vicl.engine import Filled, InContextModel, Inpainter, drawn
from vicl.evaluation.datasets import manifest
from vicl.evaluation.datasets.generated.shapes import CHANGES, ShapesStudy
from vicl.evaluation.episodes import Case, Dataset, DatasetError
from vicl.evaluation.scoring.shapes import shape_scores
from vicl.evaluation.studies.mean_features import MeanFeatures
from vicl.evaluation.studies.variants import Shown, first
from vicl.exports.sheets import contact_sheet
from vicl.images import save_image, to_tensor
from vicl.loading import load_model
from vicl.metrics import bootstrap_interval, iou, paired_interval
from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.fusing import FUSIONS, Shows, fuses_tokens

_BARS = (0.8, 0.9, 0.95)
"""From which agreement on no more views are asked."""

_ROWS = 10
"""Episodes that the sheet shows."""


@dataclass
class Way:
    """A way of asking, and what came of it, an entry an episode.

    Attributes:
        engine: What answers.
        values: IoU.
        views: How many views were asked.
        seconds: That answering took.
    """

    engine: InContextModel
    values: list[float] = field(default_factory=list)
    views: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def show(self, answer: Filled, case: Case, seconds: float) -> None:
        """Take an answer."""
        self.values.append(_score(case, answer))
        self.views.append(len(answer.views) or 1)
        self.seconds.append(seconds)


def _score(case: Case, answer: Filled) -> float:
    if case.truth.name in CHANGES:
        return shape_scores(case, answer)["color_aware_iou"]
    masks = [
        image.mean(dim=0).numpy() > 0.5 for image in (answer.image, to_tensor(case.truth.image))
    ]
    return iou(*masks)


def ways(inpainter: Inpainter, examples: int, shows: Shows = "mask") -> dict[str, Way]:
    """All ways of asking, by name; the first is one view."""

    def views(**how: Any) -> CanvasModel:
        return CanvasModel(inpainter, spins=1, shows=shows, **how)

    fusions = [f for f in FUSIONS if f in ("answers", "images", "vote") or fuses_tokens(inpainter)]
    found: dict[str, InContextModel] = {"one view": Shown(views(), first(1))}
    if inpainter.spins > 1:
        asked = CanvasModel(inpainter, shows=shows)
        found[f"one view, {inpainter.spins**2} moves"] = Shown(asked, first(1))
    for fuse in fusions:
        found[f"8 arrangements: {fuse}"] = Shown(views(arrangements=8, fuse=fuse), first(1))
    for bar in _BARS:
        asked = views(arrangements=8, fuse="images", agree=bar)
        found[f"up to 8 arrangements: images, agree {bar:g}"] = Shown(asked, first(1))
    for fuse in fusions:
        found[f"{examples} examples: {fuse}"] = views(examples_per_canvas=1, fuse=fuse)
    if isinstance(inpainter, MaskedAutoencoder):
        found[f"{examples} examples: mean of features"] = MeanFeatures(inpainter)
    return {name: Way(engine) for name, engine in found.items()}


def table_of(asked: dict[str, Way], title: str) -> Table:
    """What came of all ways, beside the first."""
    table = Table(title=title)
    for heading in ("", "IoU [95%]", "less one view, paired", "views", "answers/s", "ratio"):
        table.add_column(heading)
    base = next(iter(asked.values()))
    for name, way in asked.items():
        count = len(way.values)
        table.add_row(
            name,
            str(bootstrap_interval(way.values)),
            "" if way is base else str(paired_interval(way.values, base.values)),
            f"{sum(way.views) / count:.2f}",
            f"{count / sum(way.seconds):.2f}",
            f"{sum(base.seconds) / sum(way.seconds):.2f}",
        )
    return table


def _cases(given: argparse.Namespace) -> list[Case]:
    """The episodes that are asked about, of at least so many examples each."""
    if given.study:
        sets: list[Dataset] = [ShapesStudy(change) for change in CHANGES]
    else:
        sets = [manifest(given.data, "segmentation").for_examples(given.examples)]
    return [
        one.load(episode)
        for one in sets
        for episode in one.episodes(given.episodes, seed=given.seed, examples=given.examples)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, print, and draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked_of = parser.add_mutually_exclusive_group(required=True)
    asked_of.add_argument("--data", type=Path, help="folder with a manifest")
    asked_of.add_argument("--study", action="store_true", help="the paper's synthetic tasks")
    parser.add_argument("--model", default="default", help="one with a canvas")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--examples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="PNG of the first episodes")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        cases = _cases(given)
    except DatasetError as error:
        parser.error(str(error))
    inpainter = load_model(given.model, device="cpu")
    if not isinstance(inpainter, Inpainter):
        parser.error(f"--model: {inpainter.name} has no canvas")
    asked = ways(inpainter, given.examples, "image" if given.study else "mask")
    rows: list[list[Tensor]] = []
    shown = [name for name in asked if "agree" not in name and "logits" not in name]
    apart = max(1, len(cases) // _ROWS)
    for number, case in enumerate(cases):
        row = [*drawn(case.prompt.examples[0])]
        row += [to_tensor(case.prompt.query), to_tensor(case.truth.image)]
        for name, way in asked.items():
            begun = time.process_time()
            (answer,) = way.engine.answer([case.prompt])
            way.show(answer, case, time.process_time() - begun)
            row += [answer.image] if name in shown else []
        rows += [row] if number % apart == 0 and len(rows) < _ROWS else []
    what = "The synthetic study" if given.study else "Segmentation"
    title = f"{what}, {len(cases)} episodes, seed {given.seed}, {inpainter.name}"
    Console(width=150).print(table_of(asked, title))
    if given.sheet is not None:
        headers = ("example", "its output", "query", "truth", *shown)
        labels = [f"{apart * row}" for row in range(len(rows))]
        save_image(contact_sheet(rows, headers=headers, labels=labels), given.sheet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
