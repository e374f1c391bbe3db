"""How quickly is an example found among 100,000, and how much better is one that is alike?

    python benchmarks/selection.py --rows 100000 --threads 2
    python benchmarks/selection.py --data ../shared/data --source ccp --episodes 40 --seed 0

The first searches an index of random unit vectors that is mapped from its file, a query at a time,
as `vicl predict --pool` does; the reference path sorts NumPy's cosines. The encoding of the query
is not counted. The second answers photographs by examples of their class: drawn at random, or
nearest by the encoder, among so many photographs of the source. Copy of the nearest is the floor.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from measuring import compared
from vicl.engine import InContextModel
from vicl.evaluation.datasets import manifest
from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.episodes import DatasetError, Episode, Item
from vicl.files.machine import processor
from vicl.images import to_tensor
from vicl.loading import load_encoder, load_model
from vicl.metrics import iou
from vicl.selection.index import Index, encode_pool
from vicl.selection.pool import Entry, Pool
from vicl.selection.selectors import Nearest

CHANNELS = 1280
"""Of EfficientNet-Lite."""


def main(arguments: list[str] | None = None) -> int:
    """Print the table that was asked for; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, help="dataset folder: measure answers instead")
    parser.add_argument("--source", default="ccp")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--examples", type=int, default=1, help="of each answer")
    parser.add_argument("--images", type=int, default=200, help="in the pool, drawn by the seed")
    parser.add_argument("--encoder", default="efficientnet-lite2")
    parser.add_argument("--model", default="matching")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    if given.data is None:
        Console().print(_search(given.rows, given.channels, given.queries))
        return 0
    try:
        Console().print(_answers(given))
    except DatasetError as error:
        print(f"selection.py: {error}", file=sys.stderr)
        return 2
    return 0


class _Drawn(Index):
    """An index whose queries are vectors, drawn one after another."""

    def encode(self, query: object) -> Tensor:
        return torch.nn.functional.normalize(
            torch.randn(self.features.shape[1], generator=_GENERATOR), dim=0
        )


_GENERATOR = torch.Generator().manual_seed(0)


def _search(rows: int, channels: int, queries: int) -> Table:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "features.npy"
        drawn = torch.randn(rows, channels, generator=_GENERATOR)
        np.save(file, torch.nn.functional.normalize(drawn, dim=1).numpy())
        del drawn
        features = torch.from_numpy(np.load(file, mmap_mode="c"))
        pool = Pool("random", tuple(Entry(f"{row}.png", f"{row}-mask.png") for row in range(rows)))
        index, plain = _Drawn(pool, features, load_encoder("handmade")), features.numpy()

        def nearest() -> None:
            next(iter(Nearest(index, 3).ranked("query")))

        def reference() -> None:
            np.argsort(-(plain @ index.encode("query").numpy()), kind="stable")[:3].tolist()

        seconds = {"mapped, exact": _seconds(nearest, queries)}
        seconds["NumPy, all sorted"] = _seconds(reference, queries)
    base = float(np.median(seconds["NumPy, all sorted"]))
    table = Table(title=f"{rows:,} x {channels}: ms a query; {processor(torch.device('cpu'))}")
    for heading in ("", "median", "least", "most", "of the reference"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, runs in seconds.items():
        shown = (float(np.median(runs)), min(runs), max(runs))
        told = f"{shown[0] / base:.2f}"
        table.add_row(name, *(f"{1000 * value:.1f}" for value in shown), told)
    return table


def _seconds(run: Callable[[], None], times: int) -> list[float]:
    run()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return found


def _answers(given: argparse.Namespace) -> Table:
    dataset = manifest(given.data, "segmentation", sources=[given.source])
    images = sorted({item.image for item in dataset.pool})
    drawn = np.random.default_rng(given.seed).permutation(len(images))[: given.images]
    kept = {images[place] for place in drawn}
    dataset = replace(
        dataset,
        pool=tuple(item for item in dataset.pool if item.image in kept),
        queries=tuple(item for item in dataset.queries if item.image in kept),
    ).for_examples(given.examples)
    entries = tuple(Entry(dataset.root / name, name) for name in sorted(kept))
    index = encode_pool(Pool(given.source, entries), load_encoder(given.encoder))
    model, copy = load_model(given.model), load_model("copy")
    assert isinstance(model, InContextModel)
    assert isinstance(copy, InContextModel)
    names = ("random", "nearest", "nearest, copied")
    found: dict[str, list[float]] = {name: [] for name in names}
    for episode in dataset.episodes(given.episodes, seed=given.seed, examples=given.examples):
        peers = [i for i in dataset.pool if i.class_name == episode.query.class_name]
        shown = _like(index, episode.query, peers, dataset, given.examples)
        like = replace(episode, examples=shown)
        asked = ((model, episode), (model, like), (copy, like))
        for values, (engine, one) in zip(found.values(), asked, strict=True):
            values.append(_iou(engine, dataset, one))
    title = f"IoU, {given.source}, {len(kept)} photographs, {model.name}, {given.encoder}"
    return compared(title, found, "random")


def _like(
    index: Index, query: Item, items: Sequence[Item], dataset: ItemDataset, examples: int
) -> tuple[Item, ...]:
    """The items of a class whose images are nearest."""
    by_image = {item.image: item for item in items if item.image != query.image}
    entries = tuple(e for e in index.pool.entries if e.annotation in by_image)
    nearest = Nearest(index.only(replace(index.pool, entries=entries)), examples)
    ranked = (str(entry.annotation) for entry in nearest.ranked(dataset.root / query.image))
    return tuple(by_image[name] for name in islice(ranked, examples))


def _iou(model: InContextModel, dataset: ItemDataset, episode: Episode) -> float:
    case = dataset.load(episode)
    answer = model.answer([case.prompt])[0].image
    right = to_tensor(case.truth.image)
    return iou(answer.mean(dim=0).numpy() > 0.5, right.mean(dim=0).numpy() > 0.5)


if __name__ == "__main__":
    sys.exit(main())
