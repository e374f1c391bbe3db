"""Labels of figures, by hand: CSV with the columns `image,label,paper_id`."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vicl.files import FileError, display, write_atomic
from vicl.files.bounded import read_bounded

_MOST: Final = 1 << 26
"""Bytes of a table of labels."""

_WORDS: Final = {"yes": True, "y": True, "1": True, "no": False, "n": False, "0": False}


@dataclass(frozen=True)
class Label:
    """What somebody said of a figure.

    Attributes:
        image: Its file.
        wanted: Whether it is a grid with at least one natural image.
        paper: The paper that it is of; "" where nobody knows.
    """

    image: Path
    wanted: bool
    paper: str = ""


def read_labels(path: Path) -> list[Label]:
    """Read a table of labels, in its order; of an image that is there twice the last label.

    Args:
        path: Images in it are named from its own folder, or in full.

    Raises:
        FileError: If it is none, or a label is neither yes nor no.
    """
    name = display(path)
    text = read_bounded(path, _MOST).decode("utf-8-sig", "surrogateescape")  # names may be anything
    reader = csv.DictReader(io.StringIO(text))
    found: dict[Path, Label] = {}
    try:
        if not {"image", "label"} <= set(reader.fieldnames or ()):
            raise FileError(
                f"{name}: has the columns {reader.fieldnames}, expected image and label, and "
                "paper_id if it is known"
            )
        for line in reader:
            said, image = str(line["label"] or "").strip().lower(), line["image"]
            if said not in _WORDS or not image:
                raise FileError(
                    f"{name}, line {reader.line_num}: got {image!r:.80}, {said!r:.20}; expected "
                    "an image, and yes or no"
                )
            file = path.parent / image
            found.pop(file, None)
            found[file] = Label(file, _WORDS[said], (line.get("paper_id") or "").strip())
    except csv.Error as error:
        raise FileError(f"{name}, line {reader.line_num}: is no CSV ({error})") from error
    return list(found.values())


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """Write a table of labels, whole or not at all; images are named from its own folder.

    Raises:
        FileError: If it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "label", "paper_id"])
    here = path.resolve().parent
    for label in labels:
        image = Path(os.path.relpath(label.image.resolve(), here)).as_posix()
        writer.writerow([image, "yes" if label.wanted else "no", label.paper])
    write_atomic(path, text.getvalue().encode("utf-8", "surrogateescape"))
