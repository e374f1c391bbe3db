"""How should an engine answer a photograph that is larger than what it is shown?

    python benchmarks/resolution.py --data ../shared/data

An engine sees a large photograph made smaller, and its answer is enlarged (`bicubic`, or `guided`
by the photograph's edges); or it sees the photograph in tiles. Here the engine is shown at most
--limit pixels a side, a third of the photographs' own size, and each way is measured at that size:
segmentation by IoU, edges by the Berkeley benchmark's F, and two tasks on pictures (a negative, and
noise removed) by PSNR in dB, counted up to 60. The reference path is `bicubic`; `whole` is the
engine without a limit. Prints a table of means and paired bootstrap 95% intervals of each way minus
bicubic.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

import vicl
from vicl.engine import Filled, InContextModel
from vicl.evaluation.datasets import manifest
from vicl.evaluation.episodes import DatasetError
from vicl.images import to_tensor
from vicl.metrics import iou, paired_interval
from vicl.metrics.edges import edge_counts, image_f
from vicl.metrics.pictures import psnr
from vicl.prompt import Prompt
from vicl.prompting.tiling import LargeQueries

Case = tuple[Prompt, Callable[[Tensor], float]]


@dataclass(frozen=True)
class Limited:
    """An engine that is shown no more than `max_size` pixels a side."""

    engine: InContextModel
    max_size: int | None
    name: str = "limited"
    weights_hash: str | None = None

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """The engine's."""
        return self.engine.answer(prompts, samples=samples, seed=seed)


def main() -> int:
    """Measure; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=30, help="cases of each kind")
    parser.add_argument("--limit", type=int, default=128, help="pixels a side that are shown")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default="analogies")
    options = parser.parse_args()
    engine = vicl.load_model(options.engine)
    assert isinstance(engine, InContextModel)
    limited = Limited(engine, options.limit)
    ways: dict[str, InContextModel] = {
        "bicubic": LargeQueries(limited, upsampling="bicubic"),
        "guided": LargeQueries(limited, upsampling="guided"),
        "tiles": LargeQueries(limited, tile=options.limit),
        "whole": engine,
    }
    table = Table(title=f"Shown at most {options.limit} px a side")
    for heading in ("kind", "n", "way", "mean", "minus bicubic, 95% interval", "s/query"):
        table.add_column(heading, no_wrap=True)
    try:
        for kind, cases in _kinds(options):
            _measure(table, kind, cases, ways, options.seed)
    except DatasetError as error:
        Console(stderr=True).print(f"resolution.py: {error}", markup=False)
        return 2
    Console(width=110).print(table)
    return 0


def _measure(
    table: Table,
    kind: str,
    cases: Iterator[Case],
    ways: dict[str, InContextModel],
    seed: int,
) -> None:
    scores: dict[str, list[float]] = {name: [] for name in ways}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for prompt, score in cases:
        for name, engine in ways.items():
            start = time.perf_counter()
            image = engine.answer([prompt], seed=seed)[0].image
            seconds[name].append(time.perf_counter() - start)
            scores[name].append(score(image))
    for name, values in scores.items():
        gain = paired_interval(values, scores["bicubic"])
        table.add_row(
            kind,
            str(len(values)),
            name,
            f"{np.mean(values):.3f}",
            "" if name == "bicubic" else f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]",
            f"{np.median(seconds[name]):.2f}",
        )
    table.add_section()


def _kinds(options: argparse.Namespace) -> Iterator[tuple[str, Iterator[Case]]]:
    masks = manifest(options.data, "segmentation")
    edges = manifest(options.data, "edges")

    def segmentation() -> Iterator[Case]:
        for episode in masks.episodes(options.count, seed=options.seed):
            case = masks.load(episode)
            truth = case.truth.image[0].numpy() > 0.5
            yield (
                case.prompt,
                lambda image, truth=truth: iou(image.mean(dim=0).numpy() > 0.5, truth),  # type: ignore[misc]
            )

    def edge_maps() -> Iterator[Case]:
        for episode in edges.episodes(options.count, seed=options.seed):
            case = edges.load(episode)
            lines = case.truth.annotators
            yield (
                case.prompt,
                lambda image, lines=lines: image_f(edge_counts(image.mean(dim=0).numpy(), lines)),  # type: ignore[misc]
            )

    def pictures(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Iterator[Case]:
        generator = torch.Generator().manual_seed(options.seed)
        for episode in edges.episodes(options.count, seed=options.seed):
            prompt = edges.load(episode).prompt
            example = to_tensor(prompt.examples[0].input)
            pairs = [
                change(image, torch.randn(image.shape, generator=generator))
                for image in (example, to_tensor(prompt.query))
            ]
            (shown, output), (query, truth) = pairs
            yield (
                Prompt([(shown, output)], query),
                lambda image, truth=truth: min(60.0, psnr(image.numpy(), truth.numpy())),  # type: ignore[misc]
            )

    yield "segmentation (IoU)", segmentation()
    yield "edges (F)", edge_maps()
    yield "negative (PSNR)", pictures(lambda image, noise: (image, 1 - image))
    yield "noise (PSNR)", pictures(lambda image, noise: ((image + 0.1 * noise).clamp(0, 1), image))


if __name__ == "__main__":
    sys.exit(main())
