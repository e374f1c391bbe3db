"""An image of a pool with what is marked in it, read when somebody asks."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import EllipsisType
from typing import Any

import numpy as np

from vicl.exports.coco_reader import coco_shapes
from vicl.exports.reading import is_annotation_file, read_shapes
from vicl.exports.shapes import Shapes
from vicl.exports.yolo import listed_names
from vicl.files import FileError, display, hash_file
from vicl.images import ImageLike, open_image
from vicl.prompt import Example
from vicl.tasks.classes import VOID, Classes

Shown = frozenset[str | int] | None
"""What an annotation shows: names, or the values of a mask; None where nobody can say cheaply."""


class PoolError(FileError):
    """A pool that cannot be used; the message names the file, the fault and the remedy."""


@dataclass(frozen=True, eq=False)
class CocoPart:
    """What a COCO file says of one image, not looked into yet.

    Attributes:
        file: The COCO file.
        document: The same with one image.
    """

    file: Path
    document: Mapping[str, Any]

    @property
    def names(self) -> frozenset[str | int]:
        """The classes of its objects.

        Raises:
            PoolError: If an id is damaged.
        """
        names = {plain_id(c.get("id")): c.get("name") for c in self.document["categories"]}
        keys = [plain_id(entry.get("category_id")) for entry in self.document["annotations"]]
        if None in names or None in keys:
            raise PoolError(
                f"{display(self.file)}: a category, or an object's category_id, has no id that is "
                "a whole number; expected one for each"
            )
        found = (names.get(key) for key in keys)
        return frozenset(name for name in found if isinstance(name, str))

    @property
    def digest(self) -> str:
        """SHA-256 of what is said, of the categories but those of its objects."""
        own = [entry.get("category_id") for entry in self.document["annotations"]]
        used = [entry for entry in self.document["categories"] if entry.get("id") in own]
        said = json.dumps({**self.document, "categories": used}, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()

    def shapes(self) -> Shapes:
        """Its objects, checked.

        Raises:
            vicl.exports.ExportError: If one is damaged.
        """
        return coco_shapes(self.document, display(self.file), None)


@dataclass(frozen=True, eq=False)
class Entry:
    """An image of a pool.

    Attributes:
        image: Its file; in a pool made of values any image.
        annotation: What is marked: a mask's or another tool's file, a part of a COCO file, or
            whatever an example's output may be. None: it is not labelled.
        name: The class that everything marked is taken for; None: the annotation's own.
        noted: What it shows, as an index noted it; ... where none did.
        hashes: SHA-256 of the image's file and of the annotation's, likewise; None: not known.
    """

    image: ImageLike
    annotation: Any
    name: str | None = None
    noted: Shown | EllipsisType = ...
    hashes: tuple[str | None, str | None] = (None, None)

    @property
    def file(self) -> Path | None:
        """The image's file, where it is one."""
        return _as_path(self.image)

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from."""
        marked = self.annotation
        marked = marked.file if isinstance(marked, CocoPart) else marked
        both = (_as_path(self.image), _as_path(marked))
        return tuple(file for file in both if file is not None)

    @property
    def is_annotated(self) -> bool:
        """Whether it is marked by objects that another tool's file names, and not by a picture."""
        marked = self.annotation
        return isinstance(marked, CocoPart | Shapes) or is_annotation_file(marked)

    @cached_property
    def digest(self) -> str | None:
        """SHA-256 of what is in its files, however they are called; None of values in memory.

        What an index noted is not read again; a file that is not there counts as empty.
        """
        marked, image, (known, known_marks) = self.annotation, self.file, self.hashes
        if image is None:
            return None
        if isinstance(marked, CocoPart):
            marks = marked.digest
        elif marked is None:
            marks = ""
        elif isinstance(marked, str | os.PathLike):
            marks = known_marks or _hash(Path(marked))
            if is_annotation_file(marked) and Path(marked).suffix == ".txt":
                marks += repr(listed_names(Path(marked)))  # YOLO's stand in a file beside it
        else:
            return None
        both = repr((known or _hash(image), marks, self.name))
        return hashlib.sha256(both.encode()).hexdigest()

    @cached_property
    def shows(self) -> Shown:
        """The classes that it shows.

        Raises:
            ValueError: If its annotation cannot be read.
        """
        marked = self.annotation
        if not isinstance(self.noted, EllipsisType):
            return self.noted
        if isinstance(marked, CocoPart):
            return marked.names
        if isinstance(marked, Shapes):
            return _names(marked)
        if is_annotation_file(marked):
            found = read_shapes(marked, self.image)
            # Numbers stand for classes that are named elsewhere.
            return None if found.numbered else _names(found)
        return _values(marked) if isinstance(marked, str | os.PathLike) else None

    def among(self, classes: Classes) -> frozenset[int]:
        """Which of some classes it shows, by their places; all where nobody can say.

        Raises:
            ValueError: If its annotation cannot be read.
        """
        shown, every = self.shows, frozenset(range(len(classes)))
        named = any(isinstance(one, str) for one in shown or ())
        if shown is None or (classes.colours and not named):
            return every
        if len(classes) == 1 and not classes.values and not named:
            return every if shown else frozenset()  # any value of such a mask is the class
        keys = classes.keys if classes.values else range(1, len(classes) + 1)
        each = zip(classes.names, keys, strict=True)
        return frozenset(at for at, pair in enumerate(each) if not shown.isdisjoint(pair))

    def example(self) -> Example:
        """It as an example.

        Raises:
            ValueError: If it is not labelled, or its annotation cannot be read.
        """
        marked = self.annotation
        if marked is None:
            raise PoolError(f"{self.image}: is not labelled, and so no example")
        if isinstance(marked, CocoPart):
            marked = marked.shapes()
        elif is_annotation_file(marked):
            marked = read_shapes(marked, self.image)
        if self.name is not None and isinstance(marked, Shapes):
            shapes = tuple(
                s if s.name is None else replace(s, name=self.name) for s in marked.shapes
            )
            marked = replace(marked, shapes=shapes, names=(self.name,), numbered=False)
        return Example(self.image, marked)


def own_file(image: ImageLike) -> str | None:
    """By which name an image's file is told from others; None for what is no file."""
    return os.path.realpath(image) if isinstance(image, str | os.PathLike) else None


def key_of(image: ImageLike) -> str | int:
    """By what an image is told from others: its file, or which value it is."""
    own = own_file(image)
    return id(image) if own is None else own


def _as_path(value: Any) -> Path | None:
    if isinstance(value, Path):  # most are, and to make one anew takes a while
        return value
    return Path(value) if isinstance(value, str | os.PathLike) else None


def _names(shapes: Shapes) -> frozenset[str | int]:
    return frozenset(shape.name for shape in shapes.shapes if shape.name is not None)


def _values(mask: str | os.PathLike[str]) -> Shown:
    """The values of a mask that has values; None of one in colours."""
    image = open_image(mask)
    if image.mode not in ("1", "L", "P"):
        return None
    counts = np.bincount(np.asarray(image).astype(np.uint8).ravel(), minlength=VOID + 1)
    return frozenset(int(value) for value in np.flatnonzero(counts) if value)


def plain_id(key: Any) -> Any:
    """An id as COCO has them, which a mapping takes; None for anything else."""
    return key if isinstance(key, int | str) else None


def _hash(file: Path) -> str:
    return hash_file(file) if is_there(file) else ""


def is_there(file: Path) -> bool:
    """Whether a file is there: none is whose name no file system takes."""
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False
