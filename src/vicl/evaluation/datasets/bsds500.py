"""BSDS500 as it is published: `BSDS500/data/{images,groundTruth}/{train,val,test}`.

Source: Arbelaez, Maire, Fowlkes, Malik, "Contour detection and hierarchical image segmentation",
TPAMI 2011.
"""

from __future__ import annotations

from pathlib import Path

from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.episodes import DatasetError, Item
from vicl.files import display


def bsds(root: str | Path, *, subset: str = "val", published: bool = False) -> ItemDataset:
    """Take episodes of edge detection from BSDS500.

    Queries are the images of a subset, with every annotator's boundaries; examples those of
    "train", drawn as the mean over annotators.

    Args:
        root: Of BSDS500: `data`, or up to two folders above it.
        subset: What is asked about: "val" (100 images) or "test" (200).
        published: Walk the subset in order, over and over, 1000 episodes.

    Raises:
        DatasetError: If something is missing; it says what and where it was looked for.
    """
    if subset not in ("val", "test"):
        raise DatasetError(f"subset: got {subset!r}, expected 'val' or 'test'")
    folder = bsds_folder(root)
    queries, pool = _items(folder, subset), _items(folder, "train")
    name = f"BSDS500, {subset}"
    return ItemDataset.of(name, "edges", folder, queries, pool, published=published)


def bsds_folder(root: str | Path) -> Path:
    """Find the folder that holds `images` and `groundTruth`.

    Raises:
        DatasetError: If it is none of those tried.
    """
    tried = bsds_places(root)
    for folder in tried:
        if (folder / "groundTruth").is_dir() and (folder / "images").is_dir():
            return folder
    raise DatasetError(
        "no images/ and groundTruth/ in "
        f"{', '.join(display(folder.absolute()) for folder in tried)}; expected BSDS500 as it is "
        "published (BSR_bsds500.tgz)"
    )


def bsds_places(root: str | Path) -> list[Path]:
    """Where `images` and `groundTruth` may be, in this order."""
    steps = ((), ("data",), ("BSDS500", "data"), ("BSR", "BSDS500", "data"))
    return [Path(root, *step) for step in steps]


def _items(folder: Path, subset: str) -> tuple[Item, ...]:
    names = sorted(path.stem for path in (folder / "groundTruth" / subset).glob("*.mat"))
    if not names:
        raise DatasetError(
            f"no .mat files in {display((folder / 'groundTruth' / subset).absolute())}; expected "
            "BSDS500 as it is published"
        )
    return tuple(
        Item(f"images/{subset}/{name}.jpg", (f"groundTruth/{subset}/{name}.mat",)) for name in names
    )
