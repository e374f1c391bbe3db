"""How much better is an example that is like the query, and how much do several help?

    vicl evaluate segmentation --data ../shared/data --episodes 200 --list-episodes listing.jsonl
    python benchmarks/pools.py --data ../shared/data --leave-out listing.jsonl --classes dress

Photographs that the head of `matching` did not learn from (see held_out.py) are shared out among
folds by the seed. Those of a fold are answered with examples chosen from the other folds, among
those of the class that is asked for. Each is asked about once, for one of its classes, drawn by
the seed. Copy, of the same examples, is the floor. IoU is that at the query's own size.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from rich.console import Console

from held_out import add_leave_out, unseen
from measuring import compared
from vicl.engine import InContextModel
from vicl.evaluation.datasets import manifest
from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.datasets.reading import draw
from vicl.evaluation.episodes import DatasetError
from vicl.evaluation.running.engines import as_engine
from vicl.evaluation.scoring.measures import marked
from vicl.files import FileError
from vicl.files.journal import Journal
from vicl.images import to_tensor
from vicl.loading import load_encoder, load_model
from vicl.metrics import iou
from vicl.models.floors import Copy
from vicl.prompt import Example, Prompt
from vicl.selection.fixed import best_of, diverse
from vicl.selection.index import Index, encode_pool
from vicl.selection.learned import fit, measure, project
from vicl.selection.pool import Entry, Pool
from vicl.selection.selectors import Nearest, Random, Selector, choose


@dataclass(frozen=True, eq=False)
class Fold:
    """The photographs of a class that those of one fold are answered by.

    Attributes:
        index: Of them.
        engine: What answers.
        seed: Of what is drawn.
    """

    index: Index
    engine: InContextModel
    seed: int

    @property
    def pool(self) -> Pool:
        """The photographs."""
        return self.index.pool

    @cached_property
    def places(self) -> Index:
        """The index by all places."""
        return encode_pool(self.pool, self.index.encoder, looking="places")

    @cached_property
    def learned(self) -> Index:
        """The index with a head that learned on it by the defaults of `vicl index --learn`."""
        with tempfile.TemporaryDirectory() as folder:
            lessons = measure(self.index, self.score, Path(folder), made_by={}, seed=self.seed)
        return project(self.index, fit(self.index.features, lessons, seed=self.seed), "")

    def score(self, examples: Sequence[Example], truth: Example) -> float:
        """IoU of an answer to one of them by others."""
        return score(self.engine, examples, truth)


CLASSES: Final = ("blouse", "coat", "dress", "jeans", "pants", "skirt")
"""Garments of which 30 photographs or more were not learned from."""

SELECTORS: Final[Mapping[str, Callable[[Fold, int], Selector]]] = {
    "random": lambda fold, count: Random(fold.pool, count, seed=fold.seed),
    "nearest": lambda fold, count: Nearest(fold.index, count),
    "nearest-places": lambda fold, count: Nearest(fold.places, count),
    "learned": lambda fold, count: Nearest(fold.learned, count),
    "best-of": lambda fold, count: best_of(fold.pool, fold.score, count, seed=fold.seed),
    "diverse": lambda fold, count: diverse(fold.index, count, seed=fold.seed),
}


def main(arguments: list[str] | None = None) -> int:
    """Print a table for each number of examples; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="dataset folder")
    add_leave_out(parser)
    parser.add_argument("--source", default="ccp")
    parser.add_argument("--classes", nargs="+", default=list(CLASSES))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--select", nargs="+", choices=SELECTORS, default=["random", "nearest"])
    parser.add_argument("--examples", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--encoder", default="efficientnet-lite2")
    parser.add_argument("--model", default="matching")
    parser.add_argument("--less", nargs="+", help='what is compared with, as "nearest, 1"')
    parser.add_argument("--queries", type=int, help="so many of the photographs; by default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="JSON lines: what each photograph scored")
    given = parser.parse_args(arguments)
    ways = [f"{name}, {count}" for count in given.examples for name in given.select]
    if strange := sorted({*(given.less or ())} - {*ways}):
        parser.error(f"--less: got {', '.join(map(repr, strange))}, expected one of {ways}")
    if given.folds < 2 or (given.queries is not None and given.queries < 1):
        parser.error("expected --folds of at least 2, --queries of at least 1")
    if given.output is not None and given.output.exists():
        parser.error(f"--output: {given.output} is there already; give another name, or remove it")
    torch.set_num_threads(1)
    lines = []
    try:
        with ExitStack() as kept:
            journal = None if given.output is None else Journal(given.output, resume=False)
            if journal is not None:
                kept.callback(journal.close)
            for line in measured(given):
                lines.append(line)
                if journal is not None:
                    journal.append(line)
                print(f"photograph {len(lines)}", end="\r", file=sys.stderr)
    except (DatasetError, FileError) as error:
        print(f"pools.py: {error}", file=sys.stderr)
        return 2
    found = {name: [line["iou"][name] for line in lines] for name in lines[0]["iou"]}
    title = f"IoU; {', '.join(given.classes)}; {given.model}, {given.encoder}"
    for base in given.less or [f"{given.select[0]}, {count}" for count in given.examples]:
        Console(width=120).print(compared(title, found, base))
    return 0


def measured(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What each photograph scored, by how its examples were chosen and how many."""
    dataset = unseen(manifest(given.data, "segmentation", sources=[given.source]), given.leave_out)
    entries = entries_of(dataset, given.classes)
    rng = np.random.default_rng(given.seed)
    images = sorted({image for of in entries.values() for image in of})
    folds = dict(zip(images, rng.permutation(len(images)) % given.folds, strict=True))
    asked = {
        image: str(rng.choice([n for n in entries if image in entries[n]])) for image in images
    }
    queries = set(rng.permutation(images)[: given.queries])
    engine = as_engine(load_model(given.model, device="cpu"), "segmentation")
    encoder = load_encoder(given.encoder, device="cpu")
    for name, of in entries.items():
        index = encode_pool(Pool(name, tuple(of.values())), encoder)
        for fold in range(given.folds):
            mine = [i for i in of if i in queries and asked[i] == name and folds[i] == fold]
            if not mine:
                continue
            pool = Pool(name, tuple(entry for i, entry in of.items() if folds[i] != fold))
            chosen = selectors(Fold(index.only(pool), engine, given.seed), given)
            for image in mine:
                values = answered(chosen, engine, of[image])
                yield {"image": image, "class": name, "fold": fold, "iou": values}


def entries_of(dataset: ItemDataset, classes: Sequence[str]) -> dict[str, dict[str, Entry]]:
    """The photographs of each class, by the names of their files.

    Raises:
        DatasetError: If there is none of a class.
    """
    found: dict[str, dict[str, Entry]] = {name: {} for name in classes}
    for item in sorted(dataset.pool, key=lambda item: item.image):
        if item.class_name in found:
            shown = draw(dataset.root, item, "segmentation", void=None, crop=None)
            found[item.class_name][item.image] = Entry(shown.image, shown.output)
    if none := sorted(name for name, of in found.items() if not of):
        raise DatasetError(
            f"{dataset.root}: has no photograph of {', '.join(none)} that was not learned from; "
            "give other --classes"
        )
    return found


def selectors(fold: Fold, given: argparse.Namespace) -> dict[str, Selector]:
    """What chooses from a pool, in all ways that are asked for."""
    return {
        f"{name}, {count}": SELECTORS[name](fold, count)
        for count in given.examples
        for name in given.select
    }


def answered(
    selectors: Mapping[str, Selector], engine: InContextModel, truth: Entry
) -> dict[str, float]:
    """IoU of a photograph by what each selector chooses for it, and of Copy by the same."""
    found = {}
    for name, selector in selectors.items():
        examples = choose(selector, truth.image)
        found[name] = score(engine, examples, truth.example())
        found[f"{name}, copied"] = score(Copy(), examples, truth.example())
    return found


def score(engine: InContextModel, examples: Sequence[Example], truth: Example) -> float:
    """IoU of the answer to a photograph by examples."""
    answer = engine.answer([Prompt(examples, truth.input)])[0]
    return iou(marked(answer.image), marked(to_tensor(truth.output)))


if __name__ == "__main__":
    sys.exit(main())
