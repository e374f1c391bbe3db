"""Datasets in the layouts in which people have them; :func:`open_dataset` tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vicl.evaluation.datasets.bsds500 import bsds, bsds_places
from vicl.evaluation.datasets.folders import INPUTS, TARGETS, folder
from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.datasets.manifests import NAME, manifest
from vicl.evaluation.datasets.pascal import pascal_5i
from vicl.evaluation.datasets.photos import photographs
from vicl.evaluation.datasets.voc import IMAGES, LARGEST, voc_detection, voc_places
from vicl.evaluation.episodes import DatasetError
from vicl.files import display
from vicl.tasks import TaskName

__all__ = [
    "ItemDataset",
    "bsds",
    "folder",
    "manifest",
    "open_dataset",
    "pascal_5i",
    "photographs",
    "voc_detection",
]

FolderLayout = Literal["manifest", "folder", "Pascal-5i", "VOC 2012", "BSDS500", "photographs"]

_PAIRS = "inputs/ and targets/ with images of the same names, and perhaps classes.csv"
_LAYOUTS: dict[TaskName, dict[FolderLayout, str]] = {
    "segmentation": {
        "manifest": "manifest.jsonl with semantic masks",
        "folder": _PAIRS,
        "Pascal-5i": "VOC 2012: JPEGImages/ and SegmentationClassAug/ (or SegmentationClass/), "
        "here, in VOC2012/ or in VOCdevkit/VOC2012/",
    },
    "detection": {
        "manifest": "manifest.jsonl with boxes",
        "folder": f"{_PAIRS} (with boxes in it, targets/ is not needed)",
        "VOC 2012": "VOC 2012: JPEGImages/ and Annotations/, here, in VOC2012/ or in "
        "VOCdevkit/VOC2012/",
    },
    "colorization": {
        "manifest": "manifest.jsonl",
        "folder": "targets/ (or inputs/) with photographs",
        "photographs": "photographs, here or in folders of it (ImageNet's)",
    },
    "edges": {
        "manifest": "manifest.jsonl with edges",
        "folder": _PAIRS,
        "BSDS500": "BSDS500: images/ and groundTruth/, here, in data/, BSDS500/data/ or "
        "BSR/BSDS500/data/",
    },
    "image": {"folder": _PAIRS},
}
"""What is looked for, in this order."""


def open_dataset(
    task: TaskName,
    root: str | Path,
    *,
    layout: FolderLayout | None = None,
    fold: int | None = None,
    published: bool = False,
    sources: Sequence[str] | None = None,
    largest: float = LARGEST,
    examples: int = 1,
) -> ItemDataset:
    """Open a dataset of files in whichever layout it is.

    Args:
        task: What its episodes ask for.
        root: Its folder.
        layout: The one to take it for; None finds out.
        fold: Of Pascal-5i, 0 to 3.
        published: Draw and read as the published code does: 1000 episodes that walk the list over
            and over, void pixels as background, colorization on the centre of the photograph.
        sources: Parts to use: sources of a manifest, folders of photographs, or the one subset of
            BSDS500 that is asked about ("val", which is the default, or "test").
        largest: Detection: share of the image that a query's box may cover.
        examples: How many an episode is to have; queries with too few others of their class are
            left out.

    Raises:
        DatasetError: If no layout is recognised (it lists what was looked for and where), something
            is missing in the one that is, or an option has no meaning there.
    """
    base = Path(root)
    layout = layout or _recognised(task, base)
    sources = sources or None
    _check_options(task, layout, fold=fold, sources=sources, largest=largest)
    dataset: ItemDataset
    if layout == "manifest":
        dataset = manifest(base, task, sources=sources, published=published, largest=largest)
    elif layout == "folder":
        dataset = folder(base, task, published=published)
    elif layout == "Pascal-5i":
        if fold is None:
            raise DatasetError(f"{display(base.absolute())}: is Pascal-5i; say which fold, 0 to 3")
        dataset = pascal_5i(base, fold, published=published)
    elif layout == "VOC 2012":
        dataset = voc_detection(base, published=published, largest=largest)
    elif layout == "BSDS500":
        dataset = bsds(base, subset=sources[0] if sources else "val", published=published)
    else:
        dataset = photographs(base, published=published, sources=sources)
    return dataset.for_examples(examples)


def _recognised(task: TaskName, base: Path) -> FolderLayout:
    """What lies in a folder, by what is there alone; whether it is complete is seen later."""
    voc = any((place / IMAGES).is_dir() for place in voc_places(base))
    there = {
        "manifest": (base / NAME).is_file(),
        "folder": (base / INPUTS).is_dir() or (base / TARGETS).is_dir(),
        "Pascal-5i": voc,
        "VOC 2012": voc,
        "BSDS500": any((place / "groundTruth").is_dir() for place in bsds_places(base)),
        "photographs": base.is_dir(),
    }
    for layout in _LAYOUTS[task]:
        if there[layout]:
            return layout
    found = "has no such layout" if base.is_dir() else "no such folder"
    looked_for = "".join(f"\n- {text}" for text in _LAYOUTS[task].values())
    raise DatasetError(
        f"{display(base.absolute())}: {found}; for {task} these were looked for:{looked_for}"
    )


def _check_options(
    task: TaskName,
    layout: FolderLayout,
    *,
    fold: int | None,
    sources: Sequence[str] | None,
    largest: float,
) -> None:
    """Refuse what would be passed over."""
    if fold is not None and layout != "Pascal-5i":
        raise DatasetError(f"fold: got {fold}, but only Pascal-5i has folds; this is {layout}")
    if sources and layout not in ("manifest", "photographs", "BSDS500"):
        raise DatasetError(f"sources: got {', '.join(sources)}, but {layout} has no sources")
    if sources and len(sources) > 1 and layout == "BSDS500":
        raise DatasetError(f"sources: got {', '.join(sources)}, expected one of val and test")
    if largest != LARGEST and (task != "detection" or layout == "folder"):
        raise DatasetError(
            f"largest: got {largest}, but it has no meaning for {task} over a {layout}; it is for "
            "detection over VOC 2012 or a manifest"
        )
