"""Episodes of pictures that the head of `matching` did not learn from.

    vicl evaluate segmentation --data ../shared/data --episodes 200 --list-episodes listing.jsonl
    python benchmarks/held_out.py detection --data ../shared/data --leave-out listing.jsonl \
        --episodes 200 --output held-out.jsonl
    vicl evaluate detection --data ../shared/data --replay held-out.jsonl --model matching

The first command lists what the training left out (`data.leave_out` of the recipe `matching-head`).
The second draws episodes, example and query, of all other pictures that it did not learn from
either: of sources that the recipe does not name, and of the share that it holds out.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from vicl.evaluation.datasets import manifest
from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.episodes import DatasetError, Item, write_listing
from vicl.files import FileError, write_atomic
from vicl.training.matching.pictures import listed
from vicl.training.recipe.files import load_any
from vicl.training.recipe.head import HeadRecipe


def main(arguments: list[str] | None = None) -> int:
    """Write a listing for `vicl evaluate --replay`; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=("segmentation", "detection"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="dataset folder")
    add_leave_out(parser)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="the listing")
    given = parser.parse_args(arguments)
    try:
        dataset = unseen(manifest(given.data, given.task), given.leave_out)
        episodes = dataset.episodes(given.episodes, seed=given.seed)
        write_atomic(given.output, write_listing(episodes).encode())
    except (DatasetError, FileError) as error:
        print(f"held_out.py: {error}", file=sys.stderr)
        return 2
    print(f"{len(dataset.queries)} queries of pictures that were not learned from", end=": ")
    print(", ".join(f"{n} of {name}" for name, n in sources(dataset.queries)))
    asked = [episode.query for episode in episodes]
    print(f"{len(asked)} asked", end=": ")
    print(", ".join(f"{n} of {name}" for name, n in sources(asked)))
    return 0


def add_leave_out(parser: argparse.ArgumentParser) -> None:
    """Add the listings that the training left out."""
    parser.add_argument(
        "--leave-out",
        type=Path,
        nargs="+",
        required=True,
        help="listings of episodes that the training left out, as data.leave_out named them",
    )


def unseen(dataset: ItemDataset, leave_out: Sequence[Path]) -> ItemDataset:
    """The part of a dataset that the recipe `matching-head` does not learn from.

    Args:
        dataset: Over a folder with a manifest.
        leave_out: The recipe's `data.leave_out`.

    Raises:
        DatasetError: If no query with an example is left.
        RecipeError: If a listing cannot be read.
    """
    recipe = load_any("matching-head")
    assert isinstance(recipe, HeadRecipe)
    source = recipe.data.photographs[0].model_copy(update={"path": str(dataset.root)})
    named = {"photographs": (source,), "leave_out": tuple(map(str, leave_out))}
    (rows,) = listed(recipe.data.model_copy(update=named), held_out=False)
    learned = {one.row["image"] for one in rows}
    queries, pool = (
        tuple(item for item in items if item.image not in learned)
        for items in (dataset.queries, dataset.pool)
    )
    return replace(dataset, queries=queries, pool=pool).for_examples(1)


def sources(items: Iterable[Item]) -> list[tuple[str, int]]:
    """How many there are of each source."""
    return sorted(Counter(item.source for item in items).items())


if __name__ == "__main__":
    sys.exit(main())
