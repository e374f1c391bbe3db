"""How far can the confidence of analogies be trusted? Against what is right, and for the strange.

    python benchmarks/reliability.py --data ../shared/data --pairs 40 --seed 0

draws pairs of photographs marked `train` that show one class, and answers four queries by each
example: the photograph that belongs to it, its gray copy, a brighter copy of the example, and
noise. It prints their mean confidence beside the share of the pixels that are right, and then, for
the photographs, how often pixels of a confidence are right. The reference is the same without
what is known of the query's strangeness.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vicl.evaluation.datasets import manifest
from vicl.evaluation.datasets.manifests import read_manifest
from vicl.evaluation.episodes import DatasetError
from vicl.models.analogies import Analogies
from vicl.prompt import Example, Prompt

Sure = Float[np.ndarray, " n"]

BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)
FAMILIARITY = "vicl.models.analogies.engine.familiarity"


def main(arguments: list[str] | None = None) -> int:
    """Print both tables; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="dataset folder")
    parser.add_argument("--pairs", type=int, default=40, help="pairs of photographs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.pairs < 1 or options.seed < 0:
        parser.error("expected --pairs of at least 1, --seed of at least 0")
    found: dict[str, list[tuple[Sure, Sure, Sure]]] = {}
    try:
        for name, query, prompt, truth in _queries(options.data, options.pairs, options.seed):
            found.setdefault(name, []).append(_measured(Prompt(prompt, query), truth))
    except DatasetError as error:
        print(f"reliability.py: {error}", file=sys.stderr)
        return 2
    table = Table(title=f"Mean confidence, {options.pairs} pairs")
    for heading in ("query", "confidence", "by the answer alone", "pixels right"):
        table.add_column(heading)
    for name, rows in found.items():
        shares = [np.mean([part.mean() for part in parts]) for parts in zip(*rows, strict=True)]
        table.add_row(name, *("" if np.isnan(share) else f"{share:.3f}" for share in shares))
    Console().print(table)
    sure, alone, right = (np.concatenate(p) for p in zip(*found["photograph"], strict=True))
    for title, values in (("confidence", sure), ("that of the answer alone", alone)):
        Console().print(_by_bins(title, values, right))
    return 0


def _queries(
    root: Path, pairs: int, seed: int
) -> Iterator[tuple[str, Tensor, tuple[Example, ...], Tensor | None]]:
    """Name, query, examples and, where it is known, the mask that is right."""
    sources = sorted({row["source"] for row in read_manifest(root) if row.get("use") == "train"})
    dataset = manifest(root, "segmentation", sources=sources)
    for episode in dataset.episodes(pairs, seed=seed):
        case = dataset.load(episode)
        examples, query, truth = case.prompt.examples, case.prompt.query, case.truth.image
        assert isinstance(query, Tensor)
        shown, drawn = examples[0].input, examples[0].output
        assert isinstance(shown, Tensor)
        assert isinstance(drawn, Tensor)
        generator = torch.Generator().manual_seed(seed)
        yield "photograph", query, examples, truth
        yield "gray copy", query.mean(0, keepdim=True).expand(3, -1, -1), examples, truth
        yield "example, brighter", (shown * 1.2).clamp(0, 1), examples, drawn
        yield "noise", torch.rand(query.shape, generator=generator), examples, None


def _measured(prompt: Prompt, truth: Tensor | None) -> tuple[Sure, Sure, Sure]:
    """Confidence, the same by the answer alone, and 1 where the pixel is right (NaN: unknown)."""
    answer = Analogies().answer([prompt])[0]
    with patch(FAMILIARITY, lambda _, query, seed: np.ones(query.shape[:2], np.float32)):
        alone = Analogies().answer([prompt])[0]
    assert answer.confidence is not None
    assert alone.confidence is not None
    sure, plain = (one.numpy().ravel() for one in (answer.confidence, alone.confidence))
    if truth is None:
        return sure, plain, np.full(sure.shape, np.nan, np.float32)
    right = (answer.image.mean(0) > 0.5) == (truth.mean(0) > 0.5)
    return sure, plain, right.numpy().ravel().astype(np.float32)


def _by_bins(title: str, values: Sure, right: Sure) -> Table:
    table = Table(title=f"Photographs, pixels by {title}")
    for heading in ("from", "share of pixels", "mean", "pixels right"):
        table.add_column(heading, justify="right")
    gap = 0.0
    for low, high in pairwise(BINS):
        inside = (values >= low) & (values < high)
        if not inside.any():
            continue
        share, mean, good = inside.mean(), values[inside].mean(), right[inside].mean()
        gap += share * abs(mean - good)
        table.add_row(f"{low:g}", f"{share:.3f}", f"{mean:.3f}", f"{good:.3f}")
    table.caption = f"mean distance of the two: {gap:.3f}"
    return table


if __name__ == "__main__":
    sys.exit(main())
