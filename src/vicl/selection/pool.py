"""What a pool is: images, each with what is marked in it, to choose examples from.

::

    images/a.jpg  masks/a.png     a folder: images/ (or inputs/) and, with the same names, masks/,
                                  labels/, annotations/ or targets/
    a.jpg  a.json                 a folder: images with a LabelMe, YOLO or VOC file beside each
    instances.json                COCO: images beside it, or in images/ there or one folder up
    list.csv                      columns image, annotation; paths from the list's own folder

An image without an annotation belongs to the pool too: it is never an example, but may be the one
to label next.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from vicl.exports.reading import ANNOTATION_SUFFIXES
from vicl.exports.shapes import Shapes
from vicl.files import display
from vicl.files.bounded import read_bounded
from vicl.files.faults import said
from vicl.files.plain_json import parse_json
from vicl.images import find_images
from vicl.prompt import ExampleLike, as_examples
from vicl.selection.entry import CocoPart as CocoPart
from vicl.selection.entry import Entry as Entry
from vicl.selection.entry import PoolError as PoolError
from vicl.selection.entry import Shown as Shown
from vicl.selection.entry import is_there, plain_id
from vicl.selection.entry import key_of as key_of
from vicl.selection.entry import own_file as own_file
from vicl.tasks.classes import Classes, ClassesLike

log = logging.getLogger(__name__)

_IMAGES: Final = ("images", "inputs")
_ANNOTATIONS: Final = ("masks", "labels", "annotations", "targets")
_COCO_LIMIT, _LIST_LIMIT = 1 << 29, 1 << 26
"""Bytes of a COCO file of a whole pool, and of a list."""
_COLUMNS: Final = ["image", "annotation"]


@dataclass(frozen=True, eq=False)
class Pool:
    """Images to choose examples from.

    Attributes:
        name: What messages call it.
        entries: In the order of their names, or as they were listed.
        asked: The classes of which each is to be shown; None where nobody said.
        source: The folder or file that it was opened from; None of pairs.
    """

    name: str
    entries: tuple[Entry, ...]
    asked: Classes | None = None
    source: Path | None = None

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"Pool({self.name!r}, {len(self)} images)"

    @cached_property
    def labelled(self) -> Pool:
        """Those that may be examples.

        Raises:
            PoolError: If there is none.
        """
        return self._only((e for e in self.entries if e.annotation is not None), "is labelled")

    @cached_property
    def readable(self) -> Pool:
        """The labelled ones of which can be read what they show; the others are logged.

        Raises:
            PoolError: If there is none.
        """

        def is_read(entry: Entry) -> bool:
            try:
                entry.shows  # noqa: B018 - looked at for its errors; it is kept
            except (ValueError, OSError) as error:
                log.warning("an annotation that cannot be read, and is never an example: %s", error)
                return False
            return True

        kept = (entry for entry in self.labelled.entries if is_read(entry))
        return self._only(kept, "has an annotation that can be read")

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes that are shown: in the files' order if they have one, else sorted.

        None where masks, or numbers, name none.
        """
        if not any(entry.is_annotated for entry in self.labelled.entries):
            return None
        named = [entry for entry in self.readable.entries if entry.is_annotated]
        if named and named[0].name is not None:
            return (named[0].name,)
        shown = {name for entry in named for name in entry.shows or ()}
        listed = next((found for e in named if (found := _listed(e)) is not None), ())
        ordered = [name for name in listed if name in shown]
        return (*ordered, *sorted(str(name) for name in shown - set(ordered))) or None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what its files are called, how large they are and when they were changed."""
        digest = hashlib.sha256()
        for entry in self.entries:
            for file in entry.files:
                status = file.stat() if is_there(file) else None
                digest.update(repr((os.fspath(file), entry.name)).encode())
                digest.update(repr(status and (status.st_size, status.st_mtime_ns)).encode())
        return digest.hexdigest()

    def showing(self, classes: ClassesLike) -> Pool:
        """Those that show one of the classes, as :meth:`vicl.tasks.classes.Classes.parse` has them.

        Of masks in colours nobody looks: they count as showing it.

        Raises:
            PoolError: If there is none.
        """
        wanted = Classes.parse(classes)
        kept = (entry for entry in self.readable.entries if entry.among(wanted))
        found = self._only(kept, f"shows {', '.join(wanted.names)}")
        return replace(found, asked=wanted)

    def as_one(self, name: str = "object") -> Pool:
        """All that show anything, whatever it is taken for one class.

        Raises:
            PoolError: If there is none.
        """
        kept = (replace(e, name=name) for e in self.readable.entries if e.shows != frozenset())
        return self._only(kept, "shows anything")

    def _only(self, entries: Iterable[Entry], what: str) -> Pool:
        kept = tuple(entries)
        if not kept:
            raise PoolError(f"{self.name}: none of its {len(self)} images {what}")
        return replace(self, entries=kept)


def open_pool(source: str | os.PathLike[str] | Iterable[ExampleLike]) -> Pool:
    """Open a pool; images and annotations are not read yet.

    Args:
        source: A folder, a COCO file or a list (see the top of this module), or (input, output)
            pairs.

    Raises:
        PoolError: If it is none of these, or broken.
    """
    if not isinstance(source, str | os.PathLike):
        pairs = as_examples(source)
        return Pool("the pool", tuple(Entry(pair.input, pair.output) for pair in pairs))
    path, name = Path(source), display(source)
    if path.is_dir():
        entries = _folder(path)
    elif path.suffix.lower() == ".json":
        entries = _coco(path)
    elif path.suffix.lower() == ".csv":
        entries = _list(path)
    else:
        there = "is of another kind" if path.exists() else "no such file or folder"
        raise PoolError(
            f"{name}: {there}; expected a pool: a folder of images with masks/ or annotations, a "
            "COCO file (.json), or a list (.csv with the columns image, annotation)"
        )
    if not entries:
        raise PoolError(f"{name}: holds no images; expected some, to choose examples from")
    return Pool(name, tuple(entries), source=path)


def _folder(root: Path) -> list[Entry]:
    """A folder's images, with what lies in a folder beside them or beside each."""
    images = next((root / name for name in _IMAGES if (root / name).is_dir()), root)
    beside = [root / name for name in _ANNOTATIONS if (root / name).is_dir()]
    if images != root and not beside:
        raise PoolError(
            f"{display(root)}: has {images.name}/ but none of {', '.join(_ANNOTATIONS)} with the "
            "annotations beside it; make one, or give the folder of images itself"
        )
    marked: dict[str, Path] = {}
    for folder in beside if images != root else [root]:
        for file in sorted(_annotations(folder, pictures=images != root)):
            key = _stem(file, folder)
            if key in marked:
                raise PoolError(
                    f"{display(file)}: {display(marked[key])} has the same name; keep one of them"
                )
            marked[key] = file
    owners: dict[str, Path] = {}
    entries = []
    for file in find_images(images):
        key = _stem(file, images)
        if key in marked and key in owners:
            raise PoolError(
                f"{display(file)}: {display(owners[key])} has the same name, and "
                f"{display(marked[key])} is of one of them; rename the other"
            )
        owners[key] = file
        entries.append(Entry(file, marked.get(key)))
    own = [entry for entry in entries if entry.file is not None and entry.file.parent == root]
    # Where there are files beside them, such a folder may be of something else.
    if images == root and beside and own and all(entry.annotation is None for entry in own):
        raise PoolError(
            f"{display(root)}: has {beside[0].name}/ but its images lie beside that; expected them "
            f"in {display(root / _IMAGES[0])}: move them there"
        )
    return entries


def _stem(file: Path, folder: Path) -> str:
    """A file's place in a folder without its ending."""
    start = len(os.fspath(folder)) if folder.parts else 0  # Path(".") / "a.jpg" is "a.jpg"
    return os.path.splitext(os.fspath(file)[start:].lstrip(os.sep))[0]  # noqa: PTH122


def _annotations(folder: Path, *, pictures: bool) -> list[Path]:
    """Files of annotations below a folder; `pictures`: masks too."""
    files = (p for p in folder.rglob("*") if p.suffix.lower() in ANNOTATION_SUFFIXES)
    listed = {"classes.txt", "data.txt"}  # of YOLO: names, not an image's objects
    plain = [file for file in files if file.is_file() and file.name not in listed]
    return [*plain, *(find_images(folder) if pictures else ())]


def _coco(path: Path) -> list[Entry]:
    name = display(path)
    try:
        document = parse_json(read_bounded(path, _COCO_LIMIT, PoolError))
    except ValueError as error:
        if isinstance(error, PoolError):
            raise
        raise PoolError(f"{name}: is no JSON, or is cut off ({said(error)})") from error
    parts = [document.get(k) if isinstance(document, dict) else None for k in _COCO]
    if not all(isinstance(part, list) and all(isinstance(e, dict) for e in part) for part in parts):
        raise PoolError(f"{name}: is no COCO file; expected lists of {', '.join(_COCO)}")
    images, annotations, categories = (part or [] for part in parts)
    by_image: defaultdict[Any, list[Any]] = defaultdict(list)
    for entry in annotations:
        by_image[plain_id(entry.get("image_id"))].append(entry)
    entries = []
    for record in images:
        part = {"images": [record], "annotations": by_image[plain_id(record.get("id"))]}
        file = _coco_image(path, record.get("file_name"))
        if file is None:
            continue
        entries.append(Entry(file, CocoPart(path, {**part, "categories": categories})))
    return entries


_COCO: Final = ("images", "annotations", "categories")


def _coco_image(path: Path, file_name: Any) -> Path | None:
    """Where an image of a COCO file is; where it is nowhere, where it was looked for first.

    None if that would be outside: such a record is left out, which is logged.
    """
    if not isinstance(file_name, str) or not file_name or "\0" in file_name:
        raise PoolError(f"{display(path)}: an image has no file_name; expected its file's name")
    if Path(file_name).is_absolute() or ".." in Path(file_name).parts:
        log.warning(
            "%s: left out: %s: expected a file_name below its own folder, neither absolute nor "
            "with ..; a list (.csv) may name any file",
            display(path),
            display(file_name),
        )
        return None
    places = [path.parent, path.parent / "images", path.parent.parent / "images"]
    return next((p / file_name for p in places if is_there(p / file_name)), places[0] / file_name)


def _list(path: Path) -> list[Entry]:
    try:
        text = read_bounded(path, _LIST_LIMIT, PoolError).decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PoolError(f"{display(path)}: is no list ({said(error)})") from error
    if not rows or [cell.strip() for cell in rows[0]] != _COLUMNS:
        raise PoolError(f"{display(path)}: got {rows[:1]}, expected the columns image,annotation")
    entries = []
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != 2 or not row[0].strip() or "\0" in "".join(row):
            raise PoolError(
                f"{display(path)}, line {number}: got {row}, expected an image and its annotation"
            )
        image, marked = (cell.strip() for cell in row)
        entries.append(Entry(path.parent / image, path.parent / marked if marked else None))
    return entries


def _listed(entry: Entry) -> tuple[str, ...] | None:
    """The classes that an annotation's own file lists, in its order; None if it is damaged."""
    try:
        found = entry.example().output
    except (ValueError, OSError):
        return None
    return found.names if isinstance(found, Shapes) and found.ordered else ()
