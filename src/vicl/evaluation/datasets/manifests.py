"""The layout of the development set: a folder with a `manifest.jsonl`, one image a line.

::

    {"id": "...", "image": "images/s/a.jpg", "source": "s", "width": 384, "height": 256,
     "subset": "val", "sequence": "...", "gray": true,
     "annotations": {"mask": {"path": "masks/s/a.png", "kind": "semantic",
                              "classes": {"dog": {"value": 3, "fraction": 0.12}}},
                     "edges": "edges/s/a.png", "edges_by_annotator": ["...", "..."],
                     "boxes": [{"class": "dog", "box": [10, 20, 60, 90]}]}}

A mask is a single-channel picture of class values (0 = background); an edge map a gray picture
whose brightness is the share of annotators who drew the edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.datasets.voc import LARGEST
from vicl.evaluation.episodes import Bounds, DatasetError, Item
from vicl.files import display, reason
from vicl.files.plain_json import parse_json
from vicl.tasks import TaskName

NAME = "manifest.jsonl"

FRACTION = (0.03, 0.6)
"""Least and greatest share of an image that a class fills, to be drawn for segmentation."""

MIN_IMAGES = 4
"""A class with fewer such images is not drawn for segmentation."""

Row = Mapping[str, Any]


def manifest(
    root: str | Path,
    task: TaskName,
    *,
    sources: Sequence[str] | None = None,
    published: bool = False,
    largest: float = LARGEST,
) -> ItemDataset:
    """Take episodes from a folder with a manifest.

    - "segmentation": classes are pairs (source, name) with at least four images in which the class
      fills 3% to 60%; per episode one is drawn uniformly, then different such images.
    - "detection": queries are images with one box of a class, which covers under `largest`;
      examples those with one box of the same class and source, of any size.
    - "colorization": all images that are not marked `gray`, whole.
    - "edges": queries are those of subset "val" with one map per annotator; examples those of
      subset "train", with the mean over annotators.

    Args:
        root: The folder.
        task: One of those.
        sources: Use these alone; by default all.
        published: Walk the queries in the order of their ids, as the published code does; of
            photographs to be colorized the 111x111 pixels at the centre.
        largest: Share of the image that a query's box may cover.

    Raises:
        DatasetError: If the folder cannot be read, or has nothing for that task.
    """
    folder = Path(root)
    if task not in _FINDERS:
        raise DatasetError(
            f"{folder / NAME}: a manifest has no episodes of {task!r}, only of "
            f"{', '.join(_FINDERS)}; for other pictures make a folder with inputs/ and targets/"
        )
    (find, wanted), rows = _FINDERS[task], read_manifest(folder)
    known = {str(row["source"]) for row in rows}
    if unknown := sorted(set(sources or ()) - known):
        raise DatasetError(
            f"{folder / NAME}: no images of source {', '.join(unknown)}; it has "
            f"{', '.join(sorted(known))}"
        )
    try:
        chosen = [row for row in rows if sources is None or row["source"] in sources]
        queries, pool = find(chosen, largest)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DatasetError(
            f"{folder / NAME}: annotations are not as expected ({type(error).__name__}: {error}); "
            "see the layout in vicl.evaluation.datasets.manifests"
        ) from error
    if not queries or not pool:
        raise DatasetError(
            f"{folder / NAME}: {len(queries)} queries and {len(pool)} examples for {task}, in "
            f"{'any source' if sources is None else 'sources ' + ', '.join(sources)}; expected "
            f"some of each: {wanted}"
        )
    return ItemDataset.of(
        ", ".join([folder.resolve().name, *sorted(set(sources or ()))]),
        task,
        folder,
        queries,
        pool,
        published=published,
        # Not the name, so that a number can be repeated where the folder has another.
        stream=task,
        drawing="classes" if task == "segmentation" else "queries",
    )


def read_manifest(root: str | Path) -> list[dict[str, Any]]:
    """Read a dataset's list of images.

    Args:
        root: Folder with a `manifest.jsonl`.

    Returns:
        One mapping an image, sorted by id.

    Raises:
        DatasetError: If there is no manifest, or a line of it is not an image.
    """
    path = Path(root) / NAME
    if not path.is_file():
        raise DatasetError(
            f"no {NAME} in {display(Path(root).absolute())}"
            f"{'' if Path(root).is_dir() else ' (no such folder)'}; expected a dataset folder "
            f"with {NAME} beside images/, masks/ and edges/"
        )
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{display(path)}: cannot be read as UTF-8 text ({reason(error)})"
        ) from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise DatasetError(
                f"{display(path)}, line {number}: not JSON ({reason(error)})"
            ) from error
        wanted = {"id": str, "image": str, "source": str, "annotations": dict}
        got = row if isinstance(row, dict) else {}
        missing = [name for name, kind in wanted.items() if not isinstance(got.get(name), kind)]
        if missing:
            raise DatasetError(f"{display(path)}, line {number}: no {', '.join(missing)}")
        rows.append(got)
    # Sorted, so that an episode does not depend on the order in which images were listed.
    return sorted(rows, key=lambda row: str(row["id"]))


Found = tuple[list[Item], list[Item]]
"""Queries and pool."""


def _segmentation(rows: Sequence[Row], _: float) -> Found:
    items = [item for row in rows for item in _masks(row)]
    images = Counter((item.source, item.class_name) for item in items)
    kept = [item for item in items if images[item.source, item.class_name] >= MIN_IMAGES]
    return kept, kept


def _masks(row: Row) -> Iterator[Item]:
    mask = row["annotations"].get("mask") or {}
    if mask.get("kind") != "semantic":
        return
    for name, found in mask["classes"].items():
        if FRACTION[0] <= found["fraction"] <= FRACTION[1]:
            yield _item(row, (mask["path"],), class_name=name, value=int(found["value"]))


def _detection(rows: Sequence[Row], largest: float) -> Found:
    queries, pool = [], []
    for row in rows:
        boxes = row["annotations"].get("boxes", ())
        often = Counter(found["class"] for found in boxes)
        for found in boxes:
            if often[found["class"]] > 1:
                continue
            x0, y0, x1, y1 = map(float, found["box"])
            item = _item(row, (), class_name=found["class"], boxes=((x0, y0, x1, y1),))
            pool.append(item)
            if (x1 - x0) * (y1 - y0) < largest * row["width"] * row["height"]:
                queries.append(item)
    return queries, pool


def _colorization(rows: Sequence[Row], _: float) -> Found:
    items = [_item(row, ()) for row in rows if not row.get("gray")]
    return items, items


def _edges(rows: Sequence[Row], _: float) -> Found:
    queries, pool = [], []
    for row in rows:
        by_annotator = row["annotations"].get("edges_by_annotator")
        mean = row["annotations"].get("edges")
        if row.get("subset") == "val" and by_annotator:
            queries.append(_item(row, tuple(by_annotator)))
        if row.get("subset") == "train" and mean:
            pool.append(_item(row, (mean,)))
    return queries, pool


def _item(
    row: Row,
    target: tuple[str, ...],
    *,
    class_name: str = "",
    value: int | None = None,
    boxes: tuple[Bounds, ...] = (),
) -> Item:
    if not all(isinstance(name, str) for name in (*target, class_name)):
        raise TypeError(f"{row['id']}: got {target!r} and {class_name!r}, expected names")
    return Item(
        image=row["image"],
        target=target,
        class_name=class_name,
        value=value,
        boxes=boxes,
        group=str(row.get("sequence", "")),
        source=row["source"],
    )


_FINDERS: dict[TaskName, tuple[Callable[[Sequence[Row], float], Found], str]] = {
    "segmentation": (
        _segmentation,
        f"semantic masks, with a class in at least {MIN_IMAGES} images that it fills to "
        f"{FRACTION[0]:.0%} to {FRACTION[1]:.0%}",
    ),
    "detection": (_detection, "`boxes`, under the largest share"),
    "colorization": (_colorization, "images that are not marked gray"),
    "edges": (_edges, '`edges_by_annotator` with subset "val", and `edges` with subset "train"'),
}
"""What finds a task's queries and pool, and what it looks for."""
