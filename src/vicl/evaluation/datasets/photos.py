"""Colorization over photographs: a flat folder, or ImageNet's, with a folder a class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from vicl.evaluation.datasets.items import PUBLISHED_COUNT, ItemDataset
from vicl.evaluation.datasets.reading import is_gray
from vicl.evaluation.episodes import DatasetError, Item
from vicl.files import display
from vicl.images import find_images

MOST = 2000
"""How many photographs are taken of a larger folder: as many as the paper's 1000 queries and 1000
examples."""


def photographs(
    root: str | Path, *, published: bool = False, sources: Sequence[str] | None = None
) -> ItemDataset:
    """Take episodes of colorization from a folder of photographs.

    Of more than :data:`MOST` photographs so many are taken, at random by a hash of their names;
    queries and examples come from these alone.  Photographs without colour are left out.

    Args:
        root: Searched with its folders.
        published: As in the paper: the first 1000 taken are queries, the others examples, gray
            ones among them; of each the 111x111 pixels at its centre are shown, not resized. Else
            each photograph is asked about once, and its largest square shown.
        sources: Use these folders of `root` alone, such as classes of ImageNet; by default all.

    Raises:
        DatasetError: If there are not at least two photographs with colour.

    Source: Bar et al. 2022, section 4.1.
    """
    folder = Path(root)
    for name in sources or ():
        if not (folder / name).is_dir():
            raise DatasetError(f"no folder {name!r} in {display(folder.absolute())}")
    # Names, not places in a listing: the choice is the same wherever the folder is.
    names = [path.relative_to(folder).as_posix() for path in find_images(folder)]
    if sources is not None:
        names = [name for name in names if name.split("/")[0] in sources]
    names.sort(key=lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest())
    chosen = [Item(name) for name in names[:MOST]]
    if not published:
        chosen = [item for item in chosen if not is_gray(folder, item.image)]
    if len(chosen) < 2:
        raise DatasetError(
            f"{display(folder.absolute())}: {len(names)} photographs"
            f"{'' if published else f', of which {len(chosen)} with colour'}; expected at least 2"
        )
    halves = published and len(chosen) > PUBLISHED_COUNT
    queries = chosen[:PUBLISHED_COUNT] if halves else chosen
    return ItemDataset.of(
        ", ".join([folder.resolve().name, *sorted(set(sources or ()))]),
        "colorization",
        folder,
        queries,
        chosen[PUBLISHED_COUNT:] if halves else chosen,
        published=published,
        stream="colorization",
        crop="square",
    )
