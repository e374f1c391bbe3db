"""Pascal-5i: few-shot segmentation on VOC 2012, five classes a fold.

Source: Shaban, Bansal, Liu, Essa, Boots, "One-shot learning for semantic segmentation", BMVC 2017;
as Bar et al. 2022, section 4.1, evaluate on it.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.datasets.reading import locate, read_values
from vicl.evaluation.datasets.voc import IMAGES, read_lines, voc_folder
from vicl.evaluation.episodes import DatasetError, Item, is_inside
from vicl.files import display

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle"),
    *("bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person"),
    *("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""Values 1 to 20 of VOC's masks; fold i holds the five from 5i on."""

VOID = 255
"""The boundary band that nobody labelled."""

LEAST_PIXELS = 2 * 32 * 32
"""Where pairs are derived from masks, a class with fewer pixels is not in the image.  The usual
lists leave small objects out; this is the rule of the code for PFENet (Tian et al., TPAMI 2020)."""

MASKS = ("SegmentationClassAug", "SegmentationClass")

SPLITS = ("splits/pascal/val", "splits/val", "data/splits/pascal/val", "evaluate/splits/pascal/val")
"""Where the lists `fold{i}.txt` may be: in VOC's folder, that given, or one of two above VOC's."""


def pascal_5i(root: str | Path, fold: int, *, published: bool = False) -> ItemDataset:
    """Take episodes from a fold of Pascal-5i.

    Queries are the fold's validation pairs of an image and a class in it.  Examples are, as in the
    published code, other *validation* pairs of that class.  The pairs come from a list
    `fold{i}.txt` in the usual form (`2007_000033__01`, class 1 to 20), if there is one in
    :data:`SPLITS`; else from the masks of `ImageSets/Segmentation/val.txt`, without classes under
    :data:`LEAST_PIXELS`.

    Args:
        root: Of VOC 2012: VOCdevkit, its parent, or VOC2012, with JPEGImages and
            SegmentationClassAug (else SegmentationClass).
        fold: 0 to 3.
        published: 1000 episodes that walk the list over and over, and void pixels as background;
            else each pair is asked once and void pixels are left out of the score.

    Raises:
        DatasetError: If something is missing; it says what and where it was looked for.
    """
    if fold not in range(4):
        raise DatasetError(f"fold: got {fold}, expected 0, 1, 2 or 3")
    folder = voc_folder(root, "|".join(MASKS))
    masks = next(name for name in MASKS if (folder / name).is_dir())
    listed = _split_list(Path(root), folder, fold)
    pairs = _derived(folder, masks, fold) if listed is None else _listed(listed, fold)
    items = [
        Item(f"{IMAGES}/{name}.jpg", (f"{masks}/{name}.png",), CLASSES[value - 1], value)
        for name, value in pairs
    ]
    name = f"Pascal-5i, fold {fold}"
    return ItemDataset.of(name, "segmentation", folder, items, published=published, void=VOID)


def _split_list(root: Path, folder: Path, fold: int) -> Path | None:
    whole = folder.resolve()
    bases = dict.fromkeys((folder, root, whole.parent, whole.parent.parent))
    places = [base / split / f"fold{fold}.txt" for base in bases for split in SPLITS]
    return next((place for place in places if place.is_file()), None)


def _listed(path: Path, fold: int) -> list[tuple[str, int]]:
    """Pairs of a list, in its order."""
    pairs = []
    for line in read_lines(path):
        found = re.fullmatch(r"(.+)__(\d{1,2})", line)
        if not found or not is_inside(found[1]) or (int(found[2]) - 1) // 5 != fold:
            raise DatasetError(
                f"{display(path)}: got {display(line)!r}, expected lines such as "
                f"'2007_000033__{5 * fold + 1:02}', of classes {5 * fold + 1} to {5 * fold + 5}"
            )
        pairs.append((found[1], int(found[2])))
    return pairs


def _derived(folder: Path, masks: str, fold: int) -> list[tuple[str, int]]:
    """Pairs that the masks of the validation images show, sorted."""
    names = sorted({line.split()[0] for line in read_lines(_val_list(folder))})
    pairs = []
    for name in names:
        values = read_values(locate(folder, f"{masks}/{name}.png"))
        pixels = np.bincount(values.ravel(), minlength=len(CLASSES) + 1)
        wanted = range(5 * fold + 1, 5 * fold + 6)
        pairs += [(name, value) for value in wanted if pixels[value] >= LEAST_PIXELS]
    if not pairs:
        raise DatasetError(
            f"{display(folder / masks)}: none of the masks of {len(names)} validation images shows "
            f"a class of fold {fold} on {LEAST_PIXELS} pixels or more"
        )
    return pairs


def _val_list(folder: Path) -> Path:
    path = folder / "ImageSets" / "Segmentation" / "val.txt"
    if not path.is_file():
        raise DatasetError(
            f"no pairs of Pascal-5i: neither a list fold{{0..3}}.txt (looked for as "
            f"{', '.join(SPLITS)}, in {display(folder.absolute())} and above) nor {display(path)}"
        )
    return path
