"""Answers to files as they come: one file an answer, or one COCO file for all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from vicl.exports.annotation import ExportError
from vicl.exports.answers import Answer, Query, as_annotation
from vicl.exports.coco import CocoStyle
from vicl.exports.coco_writer import CocoWriter
from vicl.exports.labelme import write_labelme
from vicl.exports.masks import mask_png, write_label_map
from vicl.exports.yolo import write_yolo, write_yolo_classes
from vicl.images import save_image

FORMATS = ("png", "coco", "coco-polygons", "yolo", "yolo-boxes", "labelme")


@contextmanager
def open_writer(
    out: Path,
    queries: Sequence[Query],
    *,
    format: str = "png",
    classes: Sequence[str] = (),
    sources: Sequence[Path] = (),
    resume: bool = False,
    overwrite: bool = False,
) -> Iterator[Writer]:
    """Give a writer, which is finished when the block ends.

    Args:
        out: A file for one query, else a folder; for COCO a file in .json, or a folder.
        queries: All that may be written, also those that are there already.
        format: One of :data:`FORMATS`.
        classes: Names of class 1 and up; pictures have none, and are written as PNG only.
        sources: Files beside the queries that must not be overwritten.
        resume: COCO: go on with the file that is there.
        overwrite: COCO: replace it.

    Raises:
        ExportError: If two queries would be written to one file, or a query or a source be
            overwritten, or the answers do not go into the format.
    """
    if format not in FORMATS:
        raise ExportError(f"format: got {format!r}, expected one of {', '.join(FORMATS)}")
    if format != "png" and not classes:
        raise ExportError(
            f"format: {format} holds masks and boxes, but the task's answers are pictures (png)"
        )
    if not format.startswith("coco"):
        yield FileWriter(out, queries, format=format, classes=classes, sources=sources)
        return
    path = out if out.suffix == ".json" else out / "annotations.json"
    style: CocoStyle = "polygon" if format == "coco-polygons" else "rle"
    with CocoWriter(path, classes, resume=resume, overwrite=overwrite, style=style) as coco:
        yield CocoFile(coco)


class FileWriter:
    """One file an answer, or several with alternatives beside it; see :func:`open_writer`."""

    def __init__(
        self,
        out: Path,
        queries: Sequence[Query],
        *,
        format: str,
        classes: Sequence[str],
        sources: Sequence[Path],
    ) -> None:
        suffix = {"png": ".png", "labelme": ".json"}.get(format, ".txt")
        single = len(queries) == 1 and not out.is_dir() and bool(out.suffix)
        self.format, self.classes = format, tuple(classes)
        self.targets = {
            query.path: out if single else out / query.relative.with_suffix(suffix)
            for query in queries
        }
        self.sources = [*sources, *(query.path for query in queries)]
        self._check(queries)
        self.folder = out.parent if single else out
        self.started = False

    def _check(self, queries: Sequence[Query]) -> None:
        counts = Counter(self.targets.values())
        clash = [q for q in queries if counts[self.targets[q.path]] > 1]
        if clash:
            raise ExportError(
                f"{clash[0].path} and {clash[1].path} would both be written to "
                f"{self.targets[clash[0].path]}; rename one, or answer them apart"
            )
        own = {path.resolve() for path in self.sources}
        for target in self.targets.values():
            if target.resolve() in own:
                raise ExportError(f"{target} is one of the inputs; give another --output")

    def done(self, query: Query) -> bool:
        """Whether the query's output is there already."""
        return self.targets[query.path].exists()

    def write(self, query: Query, answer: Answer) -> Path:
        """Write an answer and its alternatives (`.2`, `.3`, ... before the suffix)."""
        target = self.targets[query.path]
        if not self.started:
            # What tells readers the classes' names, once the first answer is there.
            self.started = True
            if self.format in ("yolo", "yolo-boxes"):
                write_yolo_classes(self.folder, self.classes)
            elif self.format == "png" and len(self.classes) > 1:
                write_label_map(self.folder, self.classes)
        for number, alternative in enumerate(answer.alternatives, start=2):
            self._write(_beside(target, str(number)), query, alternative)
        self._write(target, query, answer)
        return target

    def beside(self, query: Query, word: str) -> Path:
        """Name a PNG file that goes with the query's output: `name.word.png`."""
        return _beside(self.targets[query.path].with_suffix(".png"), word)

    def _write(self, target: Path, query: Query, answer: Answer) -> None:
        if self.format == "png":
            if answer.mask is not None and target.suffix.lower() == ".png":
                mask_png(answer.mask, target, classes=self.classes, inputs=self.sources)
            else:
                save_image(answer.image, target, inputs=self.sources)
        elif self.format == "labelme":
            # LabelMe looks for the image from where the annotation is.
            image = os.path.relpath(query.path.resolve(), target.resolve().parent)
            write_labelme(target, as_annotation(Path(image).as_posix(), answer))
        else:
            outlines = self.format == "yolo" and answer.mask is not None
            found = as_annotation(query.relative.as_posix(), answer)
            write_yolo(target, found, style="segments" if outlines else "boxes")


class CocoFile:
    """One COCO file for all answers; finished ones survive a kill; see :func:`open_writer`."""

    def __init__(self, coco: CocoWriter) -> None:
        self.coco = coco

    def done(self, query: Query) -> bool:
        """Whether the query's output is there already."""
        return query.relative.as_posix() in self.coco.done

    def write(self, query: Query, answer: Answer) -> Path:
        """Append an answer; gives the file that holds it."""
        self.coco.add(as_annotation(query.relative.as_posix(), answer))
        return self.coco.path

    def beside(self, query: Query, word: str) -> Path:
        """Name a PNG file that goes with the query's output: `name.word.png`."""
        return _beside((self.coco.path.parent / query.relative).with_suffix(".png"), word)


Writer: TypeAlias = FileWriter | CocoFile
"""Writes answers as they come."""


def _beside(path: Path, word: str) -> Path:
    """`name.word.suffix` for `name.suffix`."""
    return path.with_name(f"{path.stem}.{word}{path.suffix}")
