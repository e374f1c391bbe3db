"""A project: a plain folder of readable files, each written whole or not at all.

| file | holds |
|---|---|
| `project.json` | folder, task, engine, settings, classes, revision |
| `images.json` | which images there are: id to name, size, fault |
| `score.json` | the expected score and how it moved |
| `uploads/` | images that were dropped into the page |
| `images/ID/strokes.jsonl` | an edit a line (:mod:`vicl.server.edits`), old marks as a picture |
| `images/ID/marks.png` | the index mask of these; for readers, rebuilt from them |
| `images/ID/output.png` | the output picture, where the task is from image to image |
| `images/ID/answer.png`, `confidence.png`, `answer.json` | the last answer |
| `images/ID/status.json` | accepted, skipped, ...; whether it is an example |
"""

from __future__ import annotations

import fcntl
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from PIL import Image
from pydantic import BaseModel, ValidationError

from vicl.files import FileError, display, reason, remove_leftovers, write_atomic
from vicl.files.bounded import read_bounded
from vicl.files.faults import said
from vicl.images import ImageError, find_images, size_in_header
from vicl.server.edits import ImageEdits, Told
from vicl.server.marks import png as png
from vicl.server.names import image_id, is_text, plainly, safe_name
from vicl.server.problems import Refusal
from vicl.server.records import VERSION, ImageEntry, ImagesFile, ProjectFile, ScoreFile, StatusFile
from vicl.server.schemas import AnswerFacts

_JSON_LIMIT: Final = 1 << 26
_EDITS_KEPT: Final = 8
"""So many images' marks are held in memory."""

_M = TypeVar("_M", bound=BaseModel)


class Project:
    """What is on the disk, and the little of it that is held.

    Args:
        place: The project's folder; made when something is first written.
        folder: Of photographs; None: as the project says.

    Raises:
        FileError: If a file of it cannot be read, another vicl has it open, or the folder of
            photographs is not there.
    """

    def __init__(self, place: Path, folder: Path | None = None) -> None:
        self.place, self.lock = place.absolute(), threading.RLock()
        self.file = self._read("project.json", ProjectFile) or ProjectFile()
        if self.file.version > VERSION:
            raise FileError(f"{display(place)}: was made by a newer vicl; upgrade vicl")
        self.folder = self._folder(folder)
        self._lock_file = self._only_one()
        known = self._read("images.json", ImagesFile) or ImagesFile()
        # What was broken may be mended: it is looked at anew.
        self.images = {i: entry for i, entry in known.images.items() if entry.broken is None}
        self._scores: ScoreFile | None = None
        self._status: dict[str, StatusFile] = {}
        self._facts: dict[str, AnswerFacts | None] = {}
        self._edits: OrderedDict[str, ImageEdits] = OrderedDict()
        self._revisions: dict[str, int] = {}
        self._kinds: dict[str, tuple[int, Told]] = {}
        self.rescan()
        if folder is not None and self.file.folder != self._relative(self.folder):
            self.file.folder = self._relative(self.folder)
            with suppress(FileError):  # a folder that is only looked at
                self._write("project.json", self.file)

    def close(self) -> None:
        """Close the logs, and let another vicl open it."""
        with self.lock:
            for edits in self._edits.values():
                edits.close()
            if self._lock_file is not None:
                self._lock_file.close()

    def _folder(self, given: Path | None) -> Path | None:
        if given is not None:
            found = given.absolute()
        elif self.file.folder is not None:
            found = (self.place / self.file.folder).resolve()
        else:
            return None
        if not found.is_dir():
            raise FileError(
                f"{display(found)}: is no folder; say where the photographs are now: "
                "vicl app FOLDER --project DIR"
            )
        return found

    def _relative(self, folder: Path | None) -> str | None:
        if folder is None:
            return None
        with suppress(ValueError):
            return os.path.relpath(folder, self.place)
        return str(folder)

    def _only_one(self) -> io.BufferedRandom | None:
        """Hold the project; a folder that cannot be written is only looked at."""
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            for folder in (self.place, self.place / "uploads", *self.place.glob("images/*")):
                remove_leftovers(folder)
            stream = (self.place / ".lock").open("a+b")
        except OSError:
            return None
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.close()
            raise FileError(
                f"{display(self.place)}: is open in another vicl app; use that one, or end it"
            ) from error
        except OSError:  # file systems without locks
            pass
        return stream

    def _read(self, name: str, kind: type[_M]) -> _M | None:
        path = self.place / name
        if not path.is_file():
            return None
        try:
            return kind.model_validate_json(read_bounded(path, _JSON_LIMIT, FileError))
        except ValidationError as error:
            raise FileError(f"{display(path)}: is damaged: {said(error)}") from error

    def _write(self, name: str, value: BaseModel) -> None:
        write_atomic(
            self.place / name, (value.model_dump_json(indent=1, by_alias=True) + "\n").encode()
        )

    # --- the project as a whole

    def change(self, **changes: Any) -> None:
        """Change what `project.json` holds."""
        with self.lock:
            file = self.file.model_copy(
                update={**changes, "revision": self.file.revision + 1, "version": VERSION}
            )
            self._write("project.json", file)
            self.file = file

    def scores(self) -> ScoreFile:
        """The expected score and those before."""
        with self.lock:
            if self._scores is None:
                self._scores = self._read("score.json", ScoreFile) or ScoreFile()
            return self._scores

    def keep_scores(self, scores: ScoreFile) -> None:
        """Keep the expected score."""
        with self.lock:
            self._scores = scores
            self._write("score.json", scores)

    def class_ids(self) -> tuple[int, ...]:
        """Ids of the classes, in the order of their numbers from 1."""
        return tuple(one.id for one in self.file.classes)

    # --- images

    def rescan(self) -> None:
        """Look again which images there are; what was known of unchanged files stays."""
        with self.lock:
            if self.folder is not None and not self.folder.is_dir():
                return  # it may come back: a disk that was taken out
            found: dict[str, ImageEntry] = {}
            for path, name, uploaded in self._files():
                entry = self._entry(path, name, uploaded)
                found[image_id(name, uploaded=uploaded)] = entry
            if found != self.images:
                self.images = found
                with suppress(FileError):  # a folder that is only looked at
                    self._write("images.json", ImagesFile(images=found))

    def _files(self) -> Iterator[tuple[Path, str, bool]]:
        if self.folder is not None:
            for path in find_images(self.folder):
                if not path.is_relative_to(self.place):
                    yield path, path.relative_to(self.folder).as_posix(), False
        uploads = self.place / "uploads"
        if uploads.is_dir():
            for path in find_images(uploads):
                yield path, path.relative_to(uploads).as_posix(), True

    def _entry(self, path: Path, name: str, uploaded: bool) -> ImageEntry:
        if not is_text(name):
            shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            why = f"{shown}: its name is no text in UTF-8; rename the file"
            return ImageEntry(name=shown, uploaded=uploaded, broken=why)
        try:
            about = path.stat()
        except OSError as error:
            return ImageEntry(name=name, uploaded=uploaded, broken=f"{name}: {reason(error)}")
        known = self.images.get(image_id(name, uploaded=uploaded))
        if known is not None and known.stamp == about.st_mtime_ns and known.bytes == about.st_size:
            return known
        entry = ImageEntry(
            name=name, uploaded=uploaded, bytes=about.st_size, stamp=about.st_mtime_ns
        )
        try:
            entry.height, entry.width = size_in_header(path)
        except ImageError as error:
            entry.broken = plainly(error, path, name)
        return entry

    def entry(self, image: str) -> ImageEntry:
        """An image by its id.

        Raises:
            Refusal: If there is none.
        """
        if image not in self.images:
            raise Refusal(404, f"There is no image {image[:40]!r} in this project.")
        return self.images[image]

    def whole(self, image: str) -> ImageEntry:
        """An image that can be used.

        Raises:
            Refusal: If there is none, or it is broken.
        """
        entry = self.entry(image)
        if entry.broken is not None:
            raise Refusal(409, entry.broken)
        return entry

    def break_(self, image: str, error: Exception) -> None:
        """Note that an image turned out to be broken; one that is gone may come back."""
        with self.lock:
            entry = self.entry(image)
            if not self.path(image).is_file():
                return
            entry.broken = plainly(error, self.path(image), entry.name)
            with suppress(FileError):
                self._write("images.json", ImagesFile(images=self.images))

    def path(self, image: str) -> Path:
        """The file of an image: of those that were found, never one that a request names."""
        entry = self.entry(image)
        base = self.place / "uploads" if entry.uploaded else self.folder
        assert base is not None
        return base / entry.name

    def size(self, image: str) -> tuple[int, int]:
        """(height, width) of an image."""
        entry = self.entry(image)
        return entry.height, entry.width

    def add_upload(self, name: str, data: bytes) -> str:
        """Keep a file that was sent, under a safe name; gives its id.

        Raises:
            ImageError: If it is no image.
            FileError: If it cannot be written.
        """
        safe = safe_name(name)
        with self.lock:
            target = self.place / "uploads" / safe
            number = 1
            while target.exists() and target.read_bytes() != data:
                number += 1
                target = target.with_name(f"{Path(safe).stem}-{number}{Path(safe).suffix}")
            if not target.exists():
                write_atomic(target, data)
            self.rescan()
        return image_id(target.name, uploaded=True)

    # --- of one image

    def file_of(self, image: str, name: str) -> Path:
        """A file of an image's own folder."""
        self.entry(image)
        return self.place / "images" / image / name

    def edits(self, image: str) -> ImageEdits:
        """The edits of an image; those of the last few images are held.

        Raises:
            Refusal: If there is no such image, or it or its log is broken.
        """
        with self.lock:
            self.whole(image)
            held = self._edits.pop(image, None)
            if held is not None and held.size != self.size(image):  # the file is another by now
                held.close()
                held = None
            if held is None:
                try:
                    held = ImageEdits(self.file_of(image, "strokes.jsonl"), self.size(image))
                except FileError as error:  # the other images go on
                    self.break_(image, error)
                    raise Refusal(409, str(error)) from error
            self._edits[image] = held
            while len(self._edits) > _EDITS_KEPT:
                other, dropped = self._edits.popitem(last=False)
                self._revisions[other] = dropped.revision
                dropped.close()
            return held

    def edit_revision(self, image: str) -> int:
        """How many edits of an image there are; its marks are not drawn again for it."""
        with self.lock:
            held = self._edits.get(image)
            if held is None and image in self._revisions:
                return self._revisions[image]
            if held is None and not self.file_of(image, "strokes.jsonl").is_file():
                return 0
            return self.edits(image).revision

    def _told(self, image: str) -> Told:
        """Which kinds of things the edits of an image tell; a log is not read twice for it."""
        with self.lock:
            try:
                revision = self.edit_revision(image)
                if revision == 0:
                    return Told(False, False, False)
                if image not in self._kinds or self._kinds[image][0] != revision:
                    self._kinds[image] = revision, self.edits(image).told()
                return self._kinds[image][1]
            except Refusal:  # by a log that is damaged, as the image's entry says now
                return Told(False, False, False)

    def is_marked(self, image: str) -> bool:
        """Whether any pixel is marked, or for detection any box."""
        told = self._told(image)
        return told.boxes if self.file.task == "detection" else told.marks

    def is_hinted(self, image: str) -> bool:
        """Whether hints of colour answer the image: there are some, and that is the task."""
        return self.file.task == "colorization" and self._told(image).hints

    def has_output(self, image: str) -> bool:
        """Whether there is an output picture."""
        return self.file_of(image, "output.png").is_file()

    def status(self, image: str) -> StatusFile:
        """Status of an image."""
        with self.lock:
            self.entry(image)
            if image not in self._status:
                read = self._read(f"images/{image}/status.json", StatusFile)
                self._status[image] = read or StatusFile()
            return self._status[image]

    def set_status(self, image: str, **changes: Any) -> StatusFile:
        """Change an image's status."""
        with self.lock:
            now = self.status(image)
            changed = now.model_copy(update={**changes, "revision": now.revision + 1})
            self._write(f"images/{image}/status.json", changed)
            self._status[image] = changed
            return changed

    def keep_output(self, image: str, picture: bytes | None) -> None:
        """Keep an output picture, or take it away."""
        path = self.file_of(image, "output.png")
        if picture is not None:
            write_atomic(path, picture)
        else:
            path.unlink(missing_ok=True)

    def save_marks(self, image: str, revision: int) -> None:
        """Write the marks as a picture, for readers, if they are still of a revision."""
        with self.lock:
            if self.edit_revision(image) != revision:
                return
            marks = self.edits(image).marks.copy()
        write_atomic(self.file_of(image, "marks.png"), png(Image.fromarray(marks)))

    def facts(self, image: str) -> AnswerFacts | None:
        """What is told of the last answer."""
        with self.lock:
            if image not in self._facts:
                self._facts[image] = self._read(f"images/{image}/answer.json", AnswerFacts)
            return self._facts[image]

    def drop_answer(self, image: str) -> None:
        """Take the last answer away."""
        with self.lock:
            for name in ("answer.json", "answer.png", "confidence.png"):
                self.file_of(image, name).unlink(missing_ok=True)
            self._facts[image] = None

    def keep_answer(
        self, image: str, facts: AnswerFacts, picture: bytes, confidence: bytes | None
    ) -> None:
        """Keep an answer; its facts come last, so that they are never of another picture."""
        with self.lock:
            write_atomic(self.file_of(image, "answer.png"), picture)
            other = self.file_of(image, "confidence.png")
            if confidence is not None:
                write_atomic(other, confidence)
            else:
                other.unlink(missing_ok=True)
            self._write(f"images/{image}/answer.json", facts)
            self._facts[image] = facts


@contextmanager
def opened_project(place: Path, folder: Path | None) -> Iterator[Project]:
    """Open a project, and close it when the block ends."""
    project = Project(place, folder)
    try:
        yield project
    finally:
        project.close()
