"""How well do people agree on edges? Each annotator scored against the others of the same image.

    python benchmarks/human_edges.py --data ../shared/data

reads BSDS500, in its own layout or as a folder with a manifest.jsonl, and prints the F-measure of
one person's map against all others', with the bootstrap 95% interval over images. This is the
ceiling that the benchmark's figures are read against; published for the original maps: 0.80
(Arbelaez et al. 2011). Counts are summed over persons and images before they are divided.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from rich.console import Console

from vicl.evaluation.datasets import open_dataset
from vicl.evaluation.episodes import DatasetError
from vicl.metrics import bootstrap_statistic
from vicl.metrics.edges import EdgeCounts, edge_counts, edge_f, resampled_f

CUT = (0.5,)
"""The only threshold: a person's map is hard."""
PUBLISHED = 0.80


def main() -> int:
    """Score people; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="dataset folder")
    parser.add_argument("--images", type=int, help="how many validation images  [default: all]")
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    began, people, counts = time.perf_counter(), 0, []
    try:
        dataset = open_dataset("edges", options.data)
        for episode in dataset.episodes(options.images):
            drawn = dataset.load(episode).truth.annotators
            if drawn is not None and len(drawn) > 1:
                counts.append(agreement(drawn))
                people += len(drawn)
    except (DatasetError, ValueError) as error:
        Console(stderr=True, soft_wrap=True).print(f"human_edges.py: {error}", markup=False)
        return 2
    score = edge_f(counts).ods
    interval = bootstrap_statistic(partial(resampled_f, counts), len(counts))
    console.print(f"{dataset.name}: {len(counts)} images, {people} maps")
    console.print(f"F {interval}, published {PUBLISHED:.2f}")
    console.print(f"precision {score.precision:.3f}, recall {score.recall:.3f}")
    console.print(f"{time.perf_counter() - began:.0f} s")
    return 0


def agreement(drawn: Bool[np.ndarray, "a h w"]) -> EdgeCounts:
    """Count, over all annotators of an image, how each one's map fits the others'."""
    each = [
        edge_counts(one.astype(np.float64), np.delete(drawn, index, axis=0), thresholds=CUT)
        for index, one in enumerate(drawn)
    ]
    sums = {
        name: np.sum([getattr(one, name) for one in each], axis=0)
        for name in ("matched_pred", "total_pred", "matched_truth", "total_truth")
    }
    return EdgeCounts(each[0].thresholds, **sums)


if __name__ == "__main__":
    sys.exit(main())
