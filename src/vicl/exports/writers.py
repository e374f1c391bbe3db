"""Answers to files as they come: one file an answer, or one COCO file for all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from vicl.exports.annotation import ExportError
from vicl.exports.answers import Answer, Query, as_annotation
from vicl.exports.coco import CocoStyle
from vicl.exports.coco_writer import CocoWriter
from vicl.exports.companions import check_companions, write_companions
from vicl.exports.labelme import write_labelme
from vicl.exports.masks import LABEL_MAP, Values, json_bytes, label_map, named_image
from vicl.exports.places import distinct_names, file_names, is_file, suffix_of
from vicl.exports.voc_writing import write_voc
from vicl.exports.yolo import write_yolo, yolo_class_files
from vicl.images import save_image
from vicl.tasks.masks import Classes

FORMATS = ("png", "coco", "coco-polygons", "yolo", "yolo-boxes", "labelme", "voc")

OUTLINED = ("coco-polygons", "yolo", "labelme")
"""Formats with outlines of masks, which may save points."""


_NO_PALETTE = (".webp", ".gif")
"""Pictures that keep no palette, or not its order: values are written as gray."""


@contextmanager
def open_writer(
    out: str | os.PathLike[str],
    queries: Sequence[Query],
    *,
    format: str = "png",
    classes: Classes | Sequence[str] = (),
    values: Values = "named",
    sources: Sequence[Path] = (),
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
        sources: Files beside the queries that must not be overwritten.
        resume: COCO: go on with the file that is there.
        overwrite: COCO: replace it.
        tolerance: Of :data:`OUTLINED`: pixels by which an outline may be off to save points.
        min_area: Of all but PNG: components of a mask of fewer pixels are left out.

    Raises:
        ExportError: If two queries would be written to one file, or a query, a source or a
            person's own file be overwritten, or the answers do not go into the format or the file.
    """
    if format not in FORMATS:
        raise ExportError(f"format: got {format!r}, expected one of {', '.join(FORMATS)}")
    objects = Objects(tolerance, min_area)
    marks = classes if isinstance(classes, Classes) or not classes else Classes.parse(list(classes))
    if format != "png" and not isinstance(marks, Classes):
        raise ExportError(
            f"format: {format} holds masks and boxes, but the task's answers are pictures (png)"
        )
    masks = isinstance(marks, Classes)
    single = is_file(out, queries, format, masks=masks)
    if not format.startswith("coco"):
        known = marks if isinstance(marks, Classes) else None
        yield FileWriter(
            Path(out),
            queries,
            format=format,
            marks=known,
            values=values,
            sources=sources,
            single=single,
            objects=objects,
        )
        return
    path = Path(out) if single else Path(out) / "annotations.json"
    names = distinct_names(queries)
    style: CocoStyle = "polygon" if format == "coco-polygons" else "rle"
    named = marks.names if isinstance(marks, Classes) else ()
    with CocoWriter(
        path,
        named,
        resume=resume,
        overwrite=overwrite,
        style=style,
        **asdict(objects),
    ) as coco:
        yield CocoFile(coco, names)


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
        note: What the numbers in a mask mean, where no file beside it says so; else "".
    """

    def __init__(
        self,
        out: Path,
        queries: Sequence[Query],
        *,
        format: str,
        marks: Classes | None,
        values: Values,
        sources: Sequence[Path],
        single: bool,
        objects: Objects = Objects(),
    ) -> None:
        self.format, self.marks, self.values = format, marks, values
        self.objects = objects
        self.names = distinct_names(queries)
        files = file_names(self.names, suffix_of(format))
        self.targets = {query: out if single else out / name for query, name in files.items()}
        self.sources = [*sources, *(query.path for query in queries)]
        self._check_targets()
        folder = out.parent if single else out
        self.companions = {folder / name: data for name, data in self._companions().items()}
        self.note = ""
        # Beside strangers nothing is put that was not named: one answer's file may go anywhere.
        if single and self.companions and _holds_others(folder, {out, *self.companions}):
            if format == "png" and marks is not None:
                meaning = label_map(marks, values=values)
                self.note = ", ".join(f"{value} {name}" for value, name in meaning.items())
            self.companions = {}
        self._check_companions()

    def _companions(self) -> dict[str, bytes]:
        """Files that tell readers the classes' names, by name; none where nobody named any."""
        if self.marks is None:
            return {}
        if self.format in ("yolo", "yolo-boxes"):
            return yolo_class_files(self.marks.names)
        if self.format == "png" and self.marks != Classes.parse(None):
            return {LABEL_MAP: json_bytes(label_map(self.marks, values=self.values))}
        return {}

    def _in_colours(self) -> bool:
        """Whether colours, and not values, say which class a pixel is of."""
        if self.marks is None or self.values != "named":
            return False
        return all(isinstance(key, tuple) for key in self.marks.keys)

    def _check_targets(self) -> None:
        own = {path.resolve() for path in self.sources}
        for target in self.targets.values():
            if target.resolve() in own:
                raise ExportError(f"{target} is one of the inputs; give another --output")

    def _check_companions(self) -> None:
        clash = self.companions.keys() & set(self.targets.values())
        if clash:
            target = min(clash)
            query = next(query.path for query, file in self.targets.items() if file == target)
            raise ExportError(
                f"{query}: its answer would be {target}, which is to say what the classes are; "
                "rename the image, or answer it apart"
            )
        check_companions(self.companions)

    def done(self, query: Query) -> bool:
        """Whether the query's output is there already."""
        return self.targets[query].exists()

    def write(self, query: Query, answer: Answer) -> Path:
        """Write an answer and its alternatives (`.2`, `.3`, ... before the suffix)."""
        target = self.targets[query]
        write_companions(self.companions)
        self.companions = {}
        for number, alternative in enumerate(answer.alternatives, start=2):
            self._write(_beside(target, str(number)), query, alternative)
        self._write(target, query, answer)
        return target

    def beside(self, query: Query, word: str) -> Path:
        """Name a PNG file that goes with the query's output: `name.word.png`."""
        return _beside(self.targets[query].with_suffix(".png"), word)

    def _write(self, target: Path, query: Query, answer: Answer) -> None:
        if self.format == "png":
            picture = answer.image
            if answer.mask is not None and self.marks is not None:
                picture = named_image(answer.mask, self.marks, values=self.values)
                if target.suffix.lower() in _NO_PALETTE and not self._in_colours():
                    picture = Image.fromarray(np.asarray(picture))
            save_image(picture, target, inputs=self.sources)
        elif self.format == "labelme":
            # LabelMe looks for the image from where the annotation is.
            image = os.path.relpath(query.path.resolve(), target.resolve().parent)
            found = as_annotation(Path(image).as_posix(), answer)
            write_labelme(target, found, **asdict(self.objects))
        elif self.format == "voc":
            found = as_annotation(self.names[query].as_posix(), answer)
            write_voc(target, found, min_area=self.objects.min_area)
        else:
            outlines = self.format == "yolo" and answer.mask is not None
            found = as_annotation(self.names[query].as_posix(), answer)
            style: Literal["boxes", "segments"] = "segments" if outlines else "boxes"
            write_yolo(target, found, style=style, **asdict(self.objects))


class CocoFile:
    """One COCO file for all answers; finished ones survive a kill; see :func:`open_writer`."""

    note = ""

    def __init__(self, coco: CocoWriter, names: Mapping[Query, PurePath]) -> None:
        self.coco, self.names = coco, names

    def done(self, query: Query) -> bool:
        """Whether the query's output is there already."""
        return self.names[query].as_posix() in self.coco.done

    def write(self, query: Query, answer: Answer) -> Path:
        """Append an answer; gives the file that holds it."""
        self.coco.add(as_annotation(self.names[query].as_posix(), answer))
        return self.coco.path

    def beside(self, query: Query, word: str) -> Path:
        """Name a PNG file that goes with the query's output: `name.word.png`."""
        return _beside((self.coco.path.parent / self.names[query]).with_suffix(".png"), word)


Writer: TypeAlias = FileWriter | CocoFile
"""Writes answers as they come."""


def _holds_others(folder: Path, own: set[Path]) -> bool:
    """Whether a folder holds anything but these files."""
    return folder.is_dir() and any(path not in own for path in folder.iterdir())


def _beside(path: Path, word: str) -> Path:
    """`name.word.suffix` for `name.suffix`."""
    return path.with_name(f"{path.stem}.{word}{path.suffix}")
