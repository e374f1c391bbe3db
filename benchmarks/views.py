"""What do several views of a prompt gain, how they are fused, and what do they cost?

    python benchmarks/views.py --data ../shared/data --episodes 40 --sheet views.png

answers the episodes of `vicl evaluate segmentation` on one view, and on several by every fusion:
the eight arrangements of one example, all or until they agree; several examples, a canvas each. It
prints the IoU at the query's size with bootstrap 95% intervals and paired differences to one view,
how many views a query took, and answers a second of one thread's own time, which other work on the
machine takes nothing from. A sheet shows the first episodes.
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
from vicl.evaluation.episodes import DatasetError
from vicl.evaluation.studies.mean_features import MeanFeatures
from vicl.evaluation.studies.variants import Shown, first
from vicl.exports.sheets import contact_sheet
from vicl.images import save_image, to_tensor
from vicl.loading import load_model
from vicl.metrics import bootstrap_interval, iou, paired_interval
from vicl.models.masked_autoencoder import MaskedAutoencoder
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.fusing import FUSIONS, fuses_tokens

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

    def show(self, answer: Filled, right: Tensor, seconds: float) -> None:
        """Take an answer."""
        masks = [image.mean(dim=0).numpy() > 0.5 for image in (answer.image, right)]
        self.values.append(iou(*masks))
        self.views.append(len(answer.views) or 1)
        self.seconds.append(seconds)


def ways(inpainter: Inpainter, examples: int) -> dict[str, Way]:
    """All ways of asking, by name; the first is one view."""

    def views(**how: Any) -> CanvasModel:
        return CanvasModel(inpainter, spins=1, shows="mask", **how)

    fusions = [f for f in FUSIONS if f in ("answers", "images", "vote") or fuses_tokens(inpainter)]
    found: dict[str, InContextModel] = {"one view": Shown(views(), first(1))}
    if inpainter.spins > 1:
        asked = CanvasModel(inpainter, shows="mask")
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, print, and draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="default", help="one with a canvas")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--examples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="PNG of the first episodes")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        dataset = manifest(given.data, "segmentation").for_examples(given.examples)
        episodes = dataset.episodes(given.episodes, seed=given.seed, examples=given.examples)
    except DatasetError as error:
        parser.error(str(error))
    inpainter = load_model(given.model, device="cpu")
    if not isinstance(inpainter, Inpainter):
        parser.error(f"--model: {inpainter.name} has no canvas")
    asked = ways(inpainter, given.examples)
    rows: list[list[Tensor]] = []
    shown = [name for name in asked if "agree" not in name and "logits" not in name]
    for episode in episodes:
        case = dataset.load(episode)
        right, row = to_tensor(case.truth.image), [*drawn(case.prompt.examples[0])]
        row += [to_tensor(case.prompt.query), right]
        for name, way in asked.items():
            begun = time.process_time()
            (answer,) = way.engine.answer([case.prompt])
            way.show(answer, right, time.process_time() - begun)
            row += [answer.image] if name in shown else []
        rows += [row] if len(rows) < _ROWS else []
    title = f"Segmentation, {len(episodes)} episodes of {dataset.name}, {inpainter.name}"
    Console(width=150).print(table_of(asked, title))
    if given.sheet is not None:
        headers = ("example", "its mask", "query", "truth", *shown)
        labels = [f"{episode.index}" for episode in episodes[: len(rows)]]
        save_image(contact_sheet(rows, headers=headers, labels=labels), given.sheet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
