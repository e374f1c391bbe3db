"""Anybody's folder: `inputs/` and `targets/` with the same names, and perhaps a table of classes.

::

    inputs/a.jpg    inputs/b.jpg
    targets/a.png   targets/b.png
    classes.csv     name,class                  a,dog
                    name,class,value            a,dog,3         the dog has value 3 in the mask
                    name,class,x0,y0,x1,y1      a,dog,10,20,60,90   a box, needs no target

`name` is that of the file, with or without its ending.  A name may stand in several lines: an image
with several classes is asked about once for each; several boxes of one class go together.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from pathlib import Path

from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.datasets.reading import is_gray
from vicl.evaluation.datasets.voc import read_text
from vicl.evaluation.episodes import Bounds, DatasetError, Item
from vicl.files import display, reason
from vicl.images import IMAGE_SUFFIXES, find_images
from vicl.tasks import TaskName

INPUTS, TARGETS, TABLE = "inputs", "targets", "classes.csv"
SIDES = ("x0", "y0", "x1", "y1")
VOID = 255

_LIMIT = 2**26
"""Bytes of the table: a million boxes and more."""

Row = dict[str, str]


def folder(root: str | Path, task: TaskName, *, published: bool = False) -> ItemDataset:
    """Take episodes from a folder with `inputs/` and `targets/`.

    Each input (with a table: each pair of an input and a class) is asked about once; examples are
    others of the same class.  What a target is depends on the task:

    - "segmentation": a mask, by the table of :mod:`vicl.tasks.masks`, or with a `value` for the
      class; of masks with values 255 is void.
    - "detection": likewise (each component gets a box), where the table has no boxes.
    - "edges": an edge map, white on black.
    - "image": a picture of the input's size.
    - "colorization": the picture in colour; where there is no `targets/`, the input itself.
      Pictures without colour are left out.

    Args:
        root: The folder.
        task: What is asked for.
        published: Walk the list over and over, 1000 episodes; void pixels as background; of
            pictures to be colorized, gray ones too, the 111x111 pixels at the centre.

    Raises:
        DatasetError: If something is missing; it says what and where it was looked for.
    """
    base = Path(root)
    rows = _table(base / TABLE, task) if (base / TABLE).is_file() else None
    boxed = task == "detection" and rows is not None and all("x0" in row for row in rows)
    coloured = task == "colorization" and (base / TARGETS).is_dir()
    inputs = _by_stem(base, TARGETS if coloured else INPUTS)
    alone = boxed or task == "colorization"
    targets = None if alone else _by_stem(base, TARGETS)
    if rows is None:
        items = [Item(inputs[stem], _target(base, inputs, targets, stem)) for stem in inputs]
    else:
        items = _classes(base, rows, inputs, targets)
    if task == "colorization" and not published:
        items = [item for item in items if not is_gray(base, item.image)]
        if len(items) < 2:
            raise DatasetError(
                f"{display(base.absolute())}: of {len(inputs)} pictures {len(items)} have colour; "
                "expected at least 2"
            )
    return ItemDataset.of(
        base.resolve().name, task, base, items, published=published, stream=task, void=VOID
    )


def _by_stem(base: Path, part: str) -> dict[str, str]:
    """Images of a subfolder by their names without ending, sorted."""
    if not (base / part).is_dir():
        raise DatasetError(
            f"no folder {part}/ in {display(base.absolute())}; expected {INPUTS}/ and {TARGETS}/ "
            "with images of the same names"
        )
    found: dict[str, str] = {}
    for path in find_images(base / part):
        stem = path.relative_to(base / part).with_suffix("").as_posix()
        name = path.relative_to(base).as_posix()
        if stem in found:
            raise DatasetError(
                f"{display(base)}: {found[stem]} and {name} have the same name; keep one"
            )
        found[stem] = name
    if not found:
        raise DatasetError(f"no images in {display((base / part).absolute())}")
    return found


def _table(path: Path, task: TaskName) -> list[Row]:
    """Lines of the table, in their order."""
    text = io.StringIO(read_text(path, limit=_LIMIT), newline=None)
    try:
        lines = csv.DictReader(text, restval="", skipinitialspace=True)
        names, found = list(lines.fieldnames or []), list(lines)
    except csv.Error as error:
        raise DatasetError(
            f"{display(path)}: is no table of values with commas between them ({reason(error)})"
        ) from error
    allowed: list[tuple[str, ...]] = [("name", "class")]
    if task in ("segmentation", "detection"):
        allowed.append(("name", "class", "value"))
    if task == "detection":
        allowed.append(("name", "class", *SIDES))
    if sorted(names) not in [sorted(columns) for columns in allowed]:
        raise DatasetError(
            f"{display(path)}: got columns {', '.join(names) or 'none'}, expected for {task} "
            f"{' or '.join(','.join(columns) for columns in allowed)}"
        )
    rows = []
    for number, row in enumerate(found, start=2):
        if None in row or not row["name"].strip() or not row["class"].strip():
            raise DatasetError(
                f"{display(path)}, line {number}: expected {len(names)} values, with a name and a "
                "class"
            )
        rows.append({key: value.strip() for key, value in row.items()})
    return rows


def _classes(
    base: Path, rows: list[Row], inputs: dict[str, str], targets: dict[str, str] | None
) -> list[Item]:
    """An item for each pair of an image and a class in the table, sorted."""
    boxes: defaultdict[tuple[str, str, int | None], list[Bounds]] = defaultdict(list)
    for row in rows:
        name = row["name"]
        # Only the ending of an image: "im0.x" is no name of "im0".
        known = Path(name).suffix.lower() in IMAGE_SUFFIXES and name not in inputs
        stem = Path(name).with_suffix("").as_posix() if known else name
        if stem not in inputs:
            raise DatasetError(
                f"{display(base / TABLE)}: names {display(name)}, but there is no such image in "
                f"{display(base.absolute())}"
            )
        try:
            value = int(row["value"]) if row.get("value") else None
            found = boxes[stem, row["class"], value]
            if "x0" in row:
                x0, y0, x1, y1 = (float(row[side]) for side in SIDES)
                found.append((x0, y0, x1, y1))
        except ValueError as error:
            raise DatasetError(
                f"{display(base / TABLE)}: {display(name)}: expected numbers ({error})"
            ) from error
    return [
        Item(
            image=inputs[stem],
            target=_target(base, inputs, targets, stem),
            class_name=label,
            value=value,
            boxes=tuple(sorted(found)),
        )
        for (stem, label, value), found in sorted(boxes.items(), key=lambda pair: pair[0][:2])
    ]


def _target(
    base: Path, inputs: dict[str, str], targets: dict[str, str] | None, stem: str
) -> tuple[str, ...]:
    if targets is None:
        return ()
    if stem not in targets:
        raise DatasetError(
            f"{display(base / inputs[stem])}: has no target; expected an image {display(stem)}.png "
            f"(or .jpg, ...) in {display((base / TARGETS).absolute())}"
        )
    return (targets[stem],)
