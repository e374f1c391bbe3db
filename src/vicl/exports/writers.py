"""Answers to files as they come: one file an answer, or one COCO file for all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from vicl.exports.annotation import ExportError
from vicl.exports.answers import Answer, Query, as_annotation
from vicl.exports.coco import CocoStyle
from vicl.exports.coco_writer import CocoWriter
from vicl.exports.companions import check_companions, write_companions
from vicl.exports.labelme import write_labelme
from vicl.exports.masks import (
    LABEL_MAP,
    Values,
    answer_picture,
    is_flat,
    json_bytes,
    label_map,
)
from vicl.exports.places import check_places, distinct_names, file_names, is_file, suffix_of
from vicl.exports.record import FolderRecord, MadeBy, check_same_query, digest_of
from vicl.exports.voc import write_voc
from vicl.exports.yolo import write_yolo, yolo_class_files
from vicl.files import display, remove_leftovers
from vicl.images import save_image
from vicl.tasks.classes import key_text
from vicl.tasks.masks import Classes

FORMATS = ("png", "coco", "coco-polygons", "yolo", "yolo-boxes", "labelme", "voc")

OUTLINED = ("coco-polygons", "yolo", "labelme")
"""Formats with outlines of masks, which may save points."""


_NO_PALETTE = (".webp", ".gif")
"""Pictures that keep no palette, or not its order: values are written as gray."""

_DEEP = (".png", ".tif", ".tiff")
"""Pictures that hold gray of 16 bits."""


@contextmanager
def open_writer(
    out: str | os.PathLike[str],
    queries: Sequence[Query],
    *,
    format: str = "png",
    classes: Classes | Sequence[str] = (),
    values: Values = "named",
    masks: bool = True,
    samples: int = 1,
    beside: Sequence[str] = (),
    sources: Sequence[Path] = (),
    others: Sequence[Path] = (),
    made_by: MadeBy | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tolerance: float = 0.0,
    min_area: int = 1,
) -> Iterator[Writer]:
    """Give a writer, which is finished when the block ends.

    Args:
        out: A file or a folder: see :func:`vicl.exports.places.is_file`.
        queries: All that may be written, also those that are there already.
        format: One of :data:`FORMATS`.
        classes: Names of class 1 and up, or what marks them too; pictures have none, and are
            written as PNG only.
        values: Masks as pictures: whether classes are written as they were named.
        masks: Whether the answers have masks: pictures of boxes hold no values of classes.
        samples: How many answers each query may have; those after the first are alternatives.
        beside: Words of the pictures that will stand beside each answer, such as "canvas".
        sources: Files beside the queries that must not be overwritten.
        others: Further files that the caller is to write.
        made_by: What makes the answers, to be kept in a folder or a COCO file, and compared on
            resuming; None keeps no record.
        resume: Go on with what is there, if it is of the same making and the same pictures.
        overwrite: Replace it.
        tolerance: Of :data:`OUTLINED`: pixels by which an outline may be off to save points.
        min_area: Of all but PNG: components of a mask of fewer pixels are left out.

    Raises:
        ExportError: If two things would be written to one file, or a query, a source or a
            person's own file be overwritten, the answers do not go into the format or the file, or
            what is there is of another making.
    """
    if format not in FORMATS:
        raise ExportError(f"format: got {format!r}, expected one of {', '.join(FORMATS)}")
    objects = Objects(tolerance, min_area)
    known = None
    if classes:
        known = classes if isinstance(classes, Classes) else Classes.parse(list(classes))
    if format != "png" and known is None:
        raise ExportError(
            f"format: {format} holds masks and boxes, but the task's answers are pictures (png)"
        )
    single = is_file(out, queries, format, masks=known is not None)
    if single and format == "png" and known is not None and values == "named":
        _check_depth(Path(out), known)
    if made_by is not None:
        valued = format == "png" and known is not None
        how = {} if format == "png" else asdict(objects)
        made_by = {**made_by, "format": format, **({"values": values} if valued else how)}
    if known is not None and format.startswith("coco"):
        if samples > 1:
            raise ExportError(f"samples: got {samples}, but a COCO file holds one answer a query")
        path = Path(out) if single else Path(out) / "annotations.json"
        style: CocoStyle = "polygon" if format == "coco-polygons" else "rle"
        coco = CocoWriter(
            path,
            known.names,
            resume=resume,
            overwrite=overwrite,
            style=style,
            made_by=made_by,
            **asdict(objects),
        )
        record = None if made_by is None else FolderRecord(path.parent, {})
        opened: AbstractContextManager[Writer] = _coco_file(coco, queries, record)
    else:
        record = None if single or made_by is None else FolderRecord(Path(out), made_by)
        file_writer = FileWriter(
            Path(out),
            queries,
            format,
            known,
            values,
            objects,
            masks=masks,
            single=single,
            record=record,
        )
        opened = closing(file_writer)
    with opened as writer:
        outputs = {
            query: [*writer.files(query, samples), *(writer.beside(query, word) for word in beside)]
            for query in queries
        }
        check_places(
            outputs,
            inputs=sources,
            companions=writer.companions,
            others=[*others, *writer.shared],
        )
        check_companions(writer.companions)
        if not overwrite:
            _refuse_what_stands(writer, outputs, resume=resume)
        if resume:
            writer.check_resumed()
        yield writer


def _refuse_what_stands(
    writer: Writer, outputs: Mapping[Query, Sequence[Path]], *, resume: bool
) -> None:
    """Refuse to replace files beside answers that are not there; `done` tells of the others.

    On resuming those are replaced that the record knows: a stopped run left them.
    """
    for query, files in outputs.items():
        for file in files:
            if file.exists() and not writer.done(query):
                if resume and writer.record is not None and writer.record.knows(file):
                    continue
                raise ExportError(
                    f"{display(file)}: is there already; write to another place, or replace it by "
                    "overwrite=True (command line: --overwrite)"
                )


def _check_depth(out: Path, marks: Classes) -> None:
    """Refuse values that a kind of picture has no room for."""
    highest = max(marks.values, default=0)
    if highest > 255 and out.suffix.lower() not in _DEEP:
        raise ExportError(
            f"{display(out)}: {out.suffix} holds values up to 255, but a class is marked by "
            f"{highest}; give a name in .png or .tif, or values='1..n' (command line: --values "
            "1..n)"
        )


@dataclass(frozen=True)
class Objects:
    """How the objects of a mask are written; see :func:`open_writer`."""

    tolerance: float = 0.0
    min_area: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < float("inf"):
            raise ExportError(f"tolerance: got {self.tolerance}, expected pixels from 0 on")
        if self.min_area < 1:
            raise ExportError(f"min_area: got {self.min_area}, expected at least 1 pixel")


class FileWriter:
    """One file an answer, or several with alternatives beside it; see :func:`open_writer`.

    Attributes:
        targets: The file of each query's answer.
        shared: None: each file is of one query.
        companions: Files that say what the classes are, and what they hold.
        notes: What should be said before any work: what the numbers in a mask mean, where no file
            beside it says so; outputs of which nothing says what made them.
    """

    def __init__(
        self,
        out: Path,
        queries: Sequence[Query],
        format: str,
        marks: Classes | None,
        values: Values,
        objects: Objects,
        *,
        masks: bool,
        single: bool,
        record: FolderRecord | None,
    ) -> None:
        self.format, self.marks, self.values, self.record = format, marks, values, record
        self.objects, self._valued = objects, masks and format == "png" and marks is not None
        self.names = distinct_names(queries)
        self.shared: tuple[Path, ...] = ()
        files = file_names(self.names, suffix_of(format))
        self.targets = {query: out if single else out / name for query, name in files.items()}
        folder = out.parent if single else out
        self._coloured = single and out.suffix.lower() in _NO_PALETTE and self._in_colours()
        self.companions = {folder / name: data for name, data in self._companions().items()}
        self.notes: list[str] = self._meaning() if self._coloured else []
        # Beside strangers nothing is put that was not named: one answer's file may go anywhere.
        if single and self.companions and _holds_others(folder, {out, *self.companions}):
            self.notes += self._meaning()
            self.companions = {}

    def _companions(self) -> dict[str, bytes]:
        """Files that tell readers the classes' names, by name; none where nobody named any."""
        if self.marks is None:
            return {}
        if self.format in ("yolo", "yolo-boxes"):
            return yolo_class_files(self.marks.names)
        if self._valued and not self._coloured and self.marks != Classes.parse(None):
            return {LABEL_MAP: json_bytes(label_map(self.marks, values=self.values))}
        return {}

    def _meaning(self) -> list[str]:
        """What the numbers in an answer's file mean, in a line; none where it has no numbers."""
        if self.marks is None:
            return []
        if self._coloured:
            named = zip(self.marks.colours, self.marks.names, strict=True)
            return [f"the mask's colours: {', '.join(f'{key_text(k)} {n}' for k, n in named)}"]
        if self.format == "png":
            meaning = label_map(self.marks, values=self.values)
            return ["the mask's values: " + ", ".join(f"{k} {name}" for k, name in meaning.items())]
        return ["its classes: " + ", ".join(f"{k} {n}" for k, n in enumerate(self.marks.names))]

    def _in_colours(self) -> bool:
        """Whether colours, and not values, say which class a pixel is of."""
        if self.marks is None or self.values != "named":
            return False
        return all(isinstance(key, tuple) for key in self.marks.keys)

    def files(self, query: Query, samples: int) -> list[Path]:
        """The files of a query's answer and of its alternatives, `samples` in all."""
        target = self.targets[query]
        return [target, *(_beside(target, str(n)) for n in range(2, samples + 1))]

    def check_resumed(self) -> None:
        """Check that what is there is of the same making, and answers the same pictures.

        What a kill left of files that were being written is removed.

        Raises:
            ExportError: Else.
        """
        for folder in {target.parent for target in self.targets.values()}:
            remove_leftovers(folder)
        if self.record is None:
            unknown = sum(target.exists() for target in self.targets.values())
        else:
            unknown = self.record.check({file: one.path for one, file in self.targets.items()})
        self.notes += _unrecorded(unknown)

    def close(self) -> None:
        """Close the record of the answers."""
        if self.record is not None:
            self.record.close()

    def done(self, query: Query) -> bool:
        """Whether the query's output is there already."""
        return self.targets[query].exists()

    def write(self, query: Query, answer: Answer) -> Path:
        """Write an answer and its alternatives (`.2`, `.3`, ... before the suffix)."""
        target, *further = self.files(query, len(answer.alternatives) + 1)
        write_companions(self.companions)
        self.companions = {}
        for file, alternative in zip(further, answer.alternatives, strict=True):
            self._write(file, query, alternative)
        self._write(target, query, answer)
        return target

    def beside(self, query: Query, word: str) -> Path:
        """Name a PNG file that goes with the query's output: `name.word.png`."""
        return _beside(self.targets[query].with_suffix(".png"), word)

    def save_beside(self, query: Query, word: str, picture: Image.Image) -> None:
        """Write a picture that goes with the query's output."""
        _save_beside(self.beside(query, word), query, picture, self.record)

    def _write(self, target: Path, query: Query, answer: Answer) -> None:
        noting = nullcontext() if self.record is None else self.record.noting(target, query.path)
        with noting:
            if self.format == "png":
                picture = self._picture(target, answer)
                flat = is_flat(answer, picture)
                save_image(picture, target, inputs=[query.path], flat=flat)
            else:
                self._annotate(target, query, answer)

    def _annotate(self, target: Path, query: Query, answer: Answer) -> None:
        found = as_annotation(self.names[query].as_posix(), answer)
        if self.format == "labelme":
            # LabelMe looks for the image from where the annotation is.
            image = os.path.relpath(query.path.resolve(), target.resolve().parent)
            found = as_annotation(Path(image).as_posix(), answer)
            write_labelme(target, found, **asdict(self.objects))
        elif self.format == "voc":
            write_voc(target, found, min_area=self.objects.min_area)
        else:
            outlines = self.format == "yolo" and answer.mask is not None
            style: Literal["boxes", "segments"] = "segments" if outlines else "boxes"
            write_yolo(target, found, style=style, **asdict(self.objects))

    def _picture(self, target: Path, answer: Answer) -> Image.Image:
        picture = answer_picture(answer, self.marks, values=self.values)
        if answer.mask is None or self.marks is None:
            return picture
        if target.suffix.lower() in _NO_PALETTE and not self._in_colours():
            return Image.fromarray(np.asarray(picture))
        return picture


@contextmanager
def _coco_file(
    coco: CocoWriter, queries: Sequence[Query], record: FolderRecord | None
) -> Iterator[CocoFile]:
    with coco, nullcontext() if record is None else closing(record):
        yield CocoFile(coco, queries, record)


class CocoFile:
    """One COCO file for all answers; finished ones survive a kill; see :func:`open_writer`.

    Attributes:
        companions: None: the file itself names the classes.
        shared: The file, and the one that is finished answers until it is there.
        notes: What should be said before any work: images of which nothing says what made them.
    """

    def __init__(
        self, coco: CocoWriter, queries: Sequence[Query], record: FolderRecord | None
    ) -> None:
        self.coco, self.names, self.record = coco, distinct_names(queries), record
        self._pictures = file_names(self.names, ".png")
        self.companions: dict[Path, bytes] = {}
        self.shared = (coco.path, coco.partial)
        self.notes: list[str] = []

    def files(self, query: Query, samples: int) -> list[Path]:
        """None of a query's own: one file holds all."""
        return []

    def check_resumed(self) -> None:
        """Check that images which are there already are those of the queries.

        What a kill left of files that were being written is removed.

        Raises:
            ExportError: Else.
        """
        remove_leftovers(self.coco.path.parent)
        unknown = 0
        for query, name in self.names.items():
            if self.done(query):
                digest = self.coco.digests[name.as_posix()]
                unknown += digest is None
                if digest is not None:
                    check_same_query(self.coco.path, name.as_posix(), query.path, digest)
        self.notes += _unrecorded(unknown)

    def done(self, query: Query) -> bool:
        """Whether the query's output is there already."""
        return self.names[query].as_posix() in self.coco.done

    def write(self, query: Query, answer: Answer) -> Path:
        """Append an answer; gives the file that holds it."""
        found = as_annotation(self.names[query].as_posix(), answer)
        recorded = self.coco.made_by is not None
        self.coco.add(found, digest=digest_of(query.path) if recorded else None)
        return self.coco.path

    def beside(self, query: Query, word: str) -> Path:
        """Name a PNG file that goes with the query's output: `name.word.png`."""
        return _beside(self.coco.path.parent / self._pictures[query], word)

    def save_beside(self, query: Query, word: str, picture: Image.Image) -> None:
        """Write a picture that goes with the query's output."""
        _save_beside(self.beside(query, word), query, picture, self.record)


Writer: TypeAlias = FileWriter | CocoFile
"""Writes answers as they come."""


def _save_beside(
    file: Path, query: Query, picture: Image.Image, record: FolderRecord | None
) -> None:
    with nullcontext() if record is None else record.noting(file, None):
        save_image(picture, file, inputs=[query.path])


def _unrecorded(count: int) -> list[str]:
    if count == 0:
        return []
    return [f"{count} outputs have no record of what made them: they are skipped by their names"]


def _holds_others(folder: Path, own: set[Path]) -> bool:
    """Whether a folder holds anything but these files."""
    return folder.is_dir() and any(path not in own for path in folder.iterdir())


def _beside(path: Path, word: str) -> Path:
    """`name.word.suffix` for `name.suffix`."""
    return path.with_name(f"{path.stem}.{word}{path.suffix}")
