"""VOC 2012 as it is published: where its files are, and detection of single objects.

::

    VOCdevkit/VOC2012/
        JPEGImages/2007_000032.jpg
        Annotations/2007_000032.xml
        ImageSets/Main/val.txt            names, one a line
        ImageSets/Segmentation/val.txt    likewise
        SegmentationClass/2007_000033.png
        SegmentationClassAug/2007_000033.png   with SBD's masks, as many papers use them
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.datasets.reading import locate
from vicl.evaluation.episodes import DatasetError, Item
from vicl.files import FileError, display, open_plain, reason

_LIMIT = 2**20
"""Bytes of a file of text; the largest of VOC 2012 have some 100 kB."""

IMAGES = "JPEGImages"

LARGEST = 0.2
"""Detection: the largest share of the image that a query's box covers, in the published code."""


def voc_folder(root: str | Path, *parts: str) -> Path:
    """Find VOC 2012 in a folder: the folder itself, VOC2012 or VOCdevkit/VOC2012 in it.

    Args:
        root: What a person calls the dataset's folder.
        parts: Folders that are needed beside the images; "A|B" is either.

    Raises:
        DatasetError: If it is in none of them, or a part is missing; it names all that was tried.
    """
    tried = voc_places(root)
    folder = next((place for place in tried if (place / IMAGES).is_dir()), None)
    if folder is None:
        raise DatasetError(
            f"no {IMAGES}/ in {', '.join(display(place.absolute()) for place in tried)}; expected "
            f"VOC 2012 as it is published, with {', '.join((IMAGES, *parts))}"
        )
    missing = [part for part in parts if not any((folder / n).is_dir() for n in part.split("|"))]
    if missing:
        raise DatasetError(
            f"{display(folder.absolute())}: has {IMAGES}/, but no {' and no '.join(missing)}; "
            "expected VOC 2012 as it is published (VOCtrainval_11-May-2012.tar)"
        )
    return folder


def voc_places(root: str | Path) -> list[Path]:
    """Where VOC 2012 may be, in this order."""
    return [Path(root, *step) for step in ((), ("VOC2012",), ("VOCdevkit", "VOC2012"))]


def voc_detection(
    root: str | Path, *, published: bool = False, largest: float = LARGEST
) -> ItemDataset:
    """Take episodes of single-object detection from VOC 2012.

    Items are the images of `ImageSets/Main/val.txt` (of all annotations, where there is no such
    list) with exactly one annotated object, of any difficulty, whose box covers under `largest`.
    Examples are other such images of the same class.

    Args:
        root: Of VOC 2012; see :func:`voc_folder`.
        published: Walk the list over and over, 1000 episodes. The pairs of the published code are
            fixed lists, which these are not.
        largest: Share of the image that a box may cover: 0.2 in the published code, 0.5 in the
            paper's text.

    Raises:
        DatasetError: If something is missing or broken, or no image has one such object.

    Source: Bar et al. 2022, section 4.1; boxes as its code draws them: 1 taken from xmin and ymin.
    """
    folder = voc_folder(root, "Annotations")
    if not 0 < largest <= 1:
        raise DatasetError(f"largest: got {largest}, expected a share of the image, in (0, 1]")
    listed = folder / "ImageSets" / "Main" / "val.txt"
    if listed.is_file():
        names = sorted({line.split()[0] for line in read_lines(listed)})
    else:
        names = sorted(path.stem for path in (folder / "Annotations").glob("*.xml"))
    found = [_single(folder, name, largest) for name in names]
    items = [item for item in found if item is not None]
    if not items:
        raise DatasetError(
            f"{display(folder)}: none of {len(names)} annotations has exactly one object that "
            f"covers under {largest:.0%}"
        )
    name = "VOC 2012 detection"
    return ItemDataset.of(
        f"{name}, under {largest:.0%}", "detection", folder, items, published=published, stream=name
    )


def read_lines(path: Path) -> list[str]:
    """Read the lines of a list of names that are not blank.

    Raises:
        DatasetError: If it cannot be read as UTF-8.
    """
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def read_text(path: Path, *, limit: int = _LIMIT) -> str:
    """Read a file of text.

    Args:
        path: The file.
        limit: How many bytes it may have.

    Raises:
        DatasetError: If it cannot be read, has more than that, or is not UTF-8.
    """
    try:
        with open_plain(path) as stream:
            data = stream.read(limit + 1)
        text = data.decode("utf-8-sig")
    except (FileError, OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{display(path)}: cannot be read as UTF-8 text ({reason(error)})"
        ) from error
    if len(data) > limit:
        raise DatasetError(
            f"{display(path)}: has more than {limit / 2**20:.0f} MiB; expected a smaller file of "
            "text"
        )
    return text


def _single(folder: Path, name: str, largest: float) -> Item | None:
    """The image's one object; None if there are more, or it is too large."""
    path = locate(folder, f"Annotations/{name}.xml")
    text = read_text(path)
    # Entities could refer to themselves or to other files, and VOC has none.
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DatasetError(f"{display(path)}: defines a document type, which VOC does not; left")
    try:
        tree = ET.fromstring(text)
        objects = tree.findall("object")
        if len(objects) != 1:
            return None
        label = _text(objects[0], "name")
        xmin, ymin, xmax, ymax = (
            float(_text(objects[0], f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        width, height = (float(_text(tree, f"size/{side}")) for side in ("width", "height"))
    except (ET.ParseError, ValueError) as error:
        raise DatasetError(
            f"{display(path)}: is not an annotation of VOC ({reason(error)})"
        ) from error
    # VOC counts pixels from 1, and xmax is the last inside.
    box = (xmin - 1, ymin - 1, xmax, ymax)
    if (box[2] - box[0]) * (box[3] - box[1]) >= largest * width * height:
        return None
    return Item(image=f"{IMAGES}/{name}.jpg", class_name=label, boxes=(box,))


def _text(element: ET.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"no {path}")
    return text.strip()
