"""Where `vicl predict` writes: one file an answer, or one COCO file for all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import click

from vicl.cli.inputs import Query

if TYPE_CHECKING:
    from vicl.exports import Annotation
    from vicl.prompting.answer import Answer

FORMATS = ("png", "coco", "coco-polygons", "yolo", "yolo-boxes", "labelme")


@runtime_checkable
class Writer(Protocol):
    """Writes answers as they come."""

    def done(self, query: Query) -> bool:
        """Whether the query's output is there already."""
        ...

    def write(self, query: Query, answer: Answer) -> Path:
        """Write an answer; gives the file that holds it."""
        ...


class FileWriter:
    """One file an answer, or several with alternatives and canvas beside it."""

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
        counts = Counter(self.targets.values())
        clash = [q for q in queries if counts[self.targets[q.path]] > 1]
        if clash:
            raise click.UsageError(
                f"{clash[0].path} and {clash[1].path} would both be written to "
                f"{self.targets[clash[0].path]}; rename one, or answer them apart"
            )
        self.sources = [*sources, *(query.path for query in queries)]
        own = {path.resolve() for path in self.sources}
        for target in self.targets.values():
            if target.resolve() in own:
                raise click.UsageError(f"{target} is one of the inputs; give another --output")
        self.folder = out.parent if single else out
        self.started = False

    def done(self, query: Query) -> bool:
        """Whether the query's output is there already."""
        return self.targets[query.path].exists()

    def write(self, query: Query, answer: Answer) -> Path:
        """Write an answer and its alternatives (`.2`, `.3`, ... before the suffix)."""
        target = self.targets[query.path]
        if not self.started:
            self._start()
        for number, alternative in enumerate(answer.alternatives, start=2):
            self._write(beside(target, str(number)), query, alternative)
        self._write(target, query, answer)
        return target

    def _start(self) -> None:
        """Write what tells readers the classes' names, once the first answer is there."""
        from vicl import exports

        self.started = True
        if self.format in ("yolo", "yolo-boxes"):
            exports.write_yolo_classes(self.folder, self.classes)
        elif self.format == "png" and len(self.classes) > 1:
            exports.write_label_map(self.folder, self.classes)

    def _write(self, target: Path, query: Query, answer: Answer) -> None:
        from vicl import exports
        from vicl.images import save_image

        if self.format == "png":
            if answer.mask is not None and target.suffix.lower() == ".png":
                exports.mask_png(answer.mask, target, classes=self.classes, inputs=self.sources)
            else:
                save_image(answer.image, target, inputs=self.sources)
            return
        if self.format == "labelme":
            # LabelMe looks for the image from where the annotation is.
            image = os.path.relpath(query.path.resolve(), target.resolve().parent)
            exports.write_labelme(target, as_annotation(Path(image).as_posix(), answer))
            return
        outlines = self.format == "yolo" and answer.mask is not None
        exports.write_yolo(
            target,
            as_annotation(query.relative.as_posix(), answer),
            style="segments" if outlines else "boxes",
        )


class CocoFile:
    """One COCO file for all answers; finished ones survive a kill."""

    def __init__(
        self,
        out: Path,
        *,
        polygons: bool,
        classes: Sequence[str],
        resume: bool,
        overwrite: bool,
        stack: ExitStack,
    ) -> None:
        from vicl.exports import CocoWriter

        self.path = out if out.suffix == ".json" else out / "annotations.json"
        self.writer = stack.enter_context(
            CocoWriter(
                self.path,
                tuple(classes),
                resume=resume,
                overwrite=overwrite,
                style="polygon" if polygons else "rle",
            )
        )

    def done(self, query: Query) -> bool:
        """Whether the file holds the query's annotations already."""
        return query.relative.as_posix() in self.writer.done

    def write(self, query: Query, answer: Answer) -> Path:
        """Append an answer."""
        self.writer.add(as_annotation(query.relative.as_posix(), answer))
        return self.path


def as_annotation(file_name: str, answer: Answer) -> Annotation:
    """An answer as the exports take it."""
    from vicl.exports import Annotation

    return Annotation(
        file_name,
        (answer.image.height, answer.image.width),
        answer.classes,
        mask=answer.mask,
        boxes=answer.boxes,
        confidence=answer.confidence,
    )


def beside(path: Path, word: str) -> Path:
    """`name.word.suffix` for `name.suffix`."""
    return path.with_name(f"{path.stem}.{word}{path.suffix}")
