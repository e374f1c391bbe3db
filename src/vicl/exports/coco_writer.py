"""Writing a COCO file image by image, so that a kill loses at most the image being written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NotRequired, TypeVar

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from vicl.exports.annotation import Annotation, ExportError, check_classes
from vicl.exports.coco import (
    CocoAnnotation,
    CocoDataset,
    CocoImage,
    CocoStyle,
    coco_annotations,
    coco_dataset,
    coco_image_record,
    read_coco,
    write_coco,
)
from vicl.exports.record import MadeBy, check_same_maker
from vicl.exports.regions import Instances
from vicl.files import FileError, display
from vicl.files.faults import said
from vicl.files.journal import Journal


class _Header(TypedDict):
    """First line of a partial file; `keep` says whether a final file's images belong to it."""

    vicl_coco_partial: int
    classes: list[str]
    keep: bool
    made_by: NotRequired[dict[str, Any]]


class _Record(TypedDict):
    """Every further line: one finished image."""

    image: CocoImage
    annotations: list[CocoAnnotation]


_Line = TypeVar("_Line", _Header, _Record)

_VERSION = 1
_MADE_BY = "vicl"
_DIGEST = "sha256"
_HEADER = TypeAdapter(_Header)
_RECORD = TypeAdapter(_Record)


class CocoWriter:
    """Write a COCO file as answers come; stopping and resuming gives the same file.

    Each finished image is at once one line of ``<path>.partial.jsonl``. :meth:`close` puts `path`
    together in one step and removes the partial file. Leaving the ``with`` block by an exception
    keeps the partial file (if it holds an image) for a later ``resume=True``, and leaves `path` as
    it was.

    One writer at a time may work on a path.

    Args:
        path: The file to write.
        classes: Names of class 1 and up.
        resume: Go on after the images that `path` and the partial file have already.
        overwrite: Start anew. An existing `path` stays until :meth:`close` replaces it.
        style: See :func:`vicl.exports.coco.coco_annotations`.
        instances: The same.
        min_area: The same.
        tolerance: The same.
        info: Free text about the dataset; on resuming, that of the existing file stays.
        made_by: What makes the answers; kept in `info` as "vicl", and compared on resuming.

    Raises:
        ExportError: If there is earlier work and neither `resume` nor `overwrite` is given, if it
            is of other classes or another making, or if it cannot be read.
        FileError: If it cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        classes: Sequence[str],
        *,
        resume: bool = False,
        overwrite: bool = False,
        style: CocoStyle = "rle",
        instances: Instances = "components",
        min_area: int = 1,
        tolerance: float = 0.0,
        info: Mapping[str, Any] | None = None,
        made_by: MadeBy | None = None,
    ) -> None:
        if resume and overwrite:
            raise ExportError("resume and overwrite: got both, expected at most one")
        self.path = Path(path)
        self.partial = self.path.with_name(self.path.name + ".partial.jsonl")
        self.classes = check_classes(classes)
        options = {"instances": instances, "min_area": min_area, "tolerance": tolerance}
        self._options: dict[str, Any] = {"style": style, **options}
        self.made_by = made_by
        self._info = info if made_by is None else {**(info or {}), _MADE_BY: made_by}
        if not (resume or overwrite):
            self._refuse_earlier_work()
        self._kept: CocoDataset | None = None
        self._done: dict[str, str | None] = {}
        self._last_image = self._last_annotation = self._added = 0
        self._journal = Journal(self.partial, resume=resume)
        try:
            self._take_up(keep=resume and self.path.exists())
        except BaseException:
            self._stop()
            raise

    def __repr__(self) -> str:
        return f"CocoWriter({display(self.path)!r}, {list(self.classes)}, {len(self._done)} images)"

    @property
    def done(self) -> Set[str]:
        """File names of the images that are written already."""
        return self._done.keys()

    @property
    def digests(self) -> Mapping[str, str | None]:
        """For each of :attr:`done`, the SHA-256 of the image's file; None where nobody noted it."""
        return self._done

    def add(self, annotation: Annotation, *, digest: str | None = None) -> None:
        """Append one image, with or without objects; when this returns, a kill cannot lose it.

        Args:
            annotation: What was found.
            digest: SHA-256 of the image's file, in hex, to be kept as the image's "sha256".

        Raises:
            ExportError: If the image is there already, or its classes are others.
            FileError: If the disk is full or fails.
        """
        if annotation.classes != self.classes:
            raise ExportError(
                f"{annotation.file_name!r}: classes: got {list(annotation.classes)}, expected "
                f"those of {display(self.path)}: {list(self.classes)}"
            )
        if annotation.file_name in self._done:
            raise ExportError(
                f"{annotation.file_name!r}: is in {display(self.path)} already; skip the names "
                "in `done`, and tell images of the same name apart by their folders"
            )
        number = self._last_image + 1
        image = coco_image_record(annotation, image_id=number)
        if digest:
            image[_DIGEST] = digest  # type: ignore[literal-required]  # images are open to more keys
        record: _Record = {
            "image": image,
            "annotations": coco_annotations(
                annotation, image_id=number, first_id=self._last_annotation + 1, **self._options
            ),
        }
        self._journal.append(record)
        self._count(record)

    def close(self) -> None:
        """Write `path` in one step and remove the partial file. A second call does nothing.

        Raises:
            FileError: If `path` cannot be written; the partial file stays.
        """
        if self._journal.closed:
            return
        self._journal.close()
        if self._kept is None or self._added:
            try:
                write_coco(self.path, self._assemble())
            except FileError as error:
                raise FileError(
                    f"{error}; the {self._added} new answers are kept in "
                    f"{display(self.partial)}: then go on by resume=True (command line: "
                    "--skip-existing)"
                ) from error
        self.partial.unlink()

    def __enter__(self) -> CocoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self._stop()

    def _stop(self) -> None:
        """Leave the partial file for a later run, if it holds any image."""
        empty = not self._journal.lines[1:] and not self._added
        self._journal.close()
        if empty:
            self.partial.unlink()

    def _refuse_earlier_work(self) -> None:
        try:
            unfinished = self.partial.read_bytes().count(b"\n") > 1  # the first is the header
        except OSError:  # it is not there, or opening it will say what is wrong
            unfinished = False
        if self.path.exists():
            found, what = self.path, "exists"
        elif unfinished:
            found, what = self.partial, "holds unfinished work"
        else:
            return
        raise ExportError(
            f"{display(found)}: {what}; go on after its images by resume=True (command line: "
            "--skip-existing), or start anew by overwrite=True (command line: --overwrite)"
        )

    def _take_up(self, *, keep: bool) -> None:
        """Read what earlier runs left.

        Args:
            keep: Whether the images of `path` belong to the result; a partial file that was begun
                without them overrules it.
        """
        lines = self._journal.lines
        if lines:
            header = self._parse(_HEADER.validate_json, lines[0], 1)
            if header["vicl_coco_partial"] != _VERSION:
                raise ExportError(
                    f"{display(self.partial)}: has version {header['vicl_coco_partial']}, "
                    f"expected {_VERSION}; finish it with the vicl that wrote it"
                )
            self._check_same(self.partial, header["classes"], header.get("made_by"))
            keep = keep and header["keep"]
        if keep:
            self._keep(read_coco(self.path))
        for number, line in enumerate(lines[1:], start=2):
            self._count(self._parse(_RECORD.validate_json, line, number))
        if not lines:
            begun = {"vicl_coco_partial": _VERSION, "classes": list(self.classes), "keep": keep}
            made_by = {} if self.made_by is None else {"made_by": dict(self.made_by)}
            self._journal.append(begun | made_by)

    def _keep(self, dataset: CocoDataset) -> None:
        """Take the images of an existing file into the result."""
        categories = sorted(dataset["categories"], key=lambda category: category["id"])
        names = [category["name"] for category in categories]
        self._check_same(self.path, names, dataset.get("info", {}).get(_MADE_BY))
        if [category["id"] for category in categories] != list(range(1, len(categories) + 1)):
            raise ExportError(
                f"{display(self.path)}: has categories not numbered 1 to {len(categories)}, so "
                "that new annotations would not fit; write to another file"
            )
        self._kept = dataset
        self._done |= {image["file_name"]: _digest(image) for image in dataset["images"]}
        self._last_image = max((image["id"] for image in dataset["images"]), default=0)
        self._last_annotation = max((entry["id"] for entry in dataset["annotations"]), default=0)

    def _check_same(self, path: Path, classes: list[str], made_by: object) -> None:
        if tuple(classes) != self.classes:
            raise ExportError(
                f"{display(path)}: has the classes {classes}, got {list(self.classes)}; give the "
                "same classes in the same order, or write to another file"
            )
        # Without a record there is nothing to compare: an older file, or another tool's.
        if self.made_by is not None and isinstance(made_by, dict):
            check_same_maker(path, made_by, self.made_by)

    def _parse(self, parse: Callable[[bytes], _Line], line: bytes, number: int) -> _Line:
        try:
            return parse(line)
        except ValidationError as error:
            raise ExportError(
                f"{display(self.partial)}: line {number} is damaged ({said(error)}); remove that "
                "line and go on, or start anew by overwrite=True (command line: --overwrite)"
            ) from error

    def _count(self, record: _Record) -> None:
        """Note a record; one that `path` has too (a kill between the two steps of close) is old."""
        if record["image"]["file_name"] in self._done:
            return
        self._done[record["image"]["file_name"]] = _digest(record["image"])
        self._added += 1
        self._last_image = max(self._last_image, record["image"]["id"])
        numbers = (entry["id"] for entry in record["annotations"])
        self._last_annotation = max(self._last_annotation, *numbers, 0)

    def _assemble(self) -> CocoDataset:
        known = {image["file_name"] for image in self._kept["images"]} if self._kept else set()
        records = []
        for number, line in enumerate(self._journal.read()[1:], start=2):
            record = self._parse(_RECORD.validate_json, line, number)
            if record["image"]["file_name"] not in known:
                records.append((record["image"], record["annotations"]))
        new = coco_dataset(records, classes=self.classes, info=self._info)
        if self._kept is None:
            return new
        return {
            **self._kept,
            "images": [*self._kept["images"], *new["images"]],
            "annotations": [*self._kept["annotations"], *new["annotations"]],
        }


def _digest(image: CocoImage) -> str | None:
    found = image.get(_DIGEST)
    return found if isinstance(found, str) else None
