"""What made the answers of a folder or a COCO file, so that no others are mixed into them.

A folder keeps a hidden file of JSON lines, a COCO file a key in its `info` and one in each image.
Images are known by the SHA-256 of their files: a name says little, a place changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from vicl.exports.annotation import ExportError
from vicl.files import FileError, display, hash_file, reason
from vicl.files.journal import Journal

RECORD: Final = ".vicl-outputs"
"""Name of the record in a folder of answers."""

MadeBy: TypeAlias = Mapping[str, Any]
"""What answers depend on beside the query, as JSON: task, model, examples, settings, ..."""

_LIMIT: Final = 1 << 30
_REMEDY: Final = (
    "give what made them, write to another place, or replace them by overwrite=True (command line: "
    "--overwrite)"
)

_DAMAGED: Final = "remove it, and outputs are known by their names only"


@final
class _Maker(TypedDict):
    """A line that says once what made the files of the lines with its `id`."""

    made_by: dict[str, Any]
    id: str


@final
class _File(TypedDict):
    """A line for a file of an answer: its place in the folder, its query's SHA-256, its maker."""

    file: str
    query: str
    by: str


_LINE: Final[TypeAdapter[_Maker | _File]] = TypeAdapter(_Maker | _File)


def differences(was: MadeBy, now: MadeBy) -> list[str]:
    """Which entries differ, in words: ``["examples", "settings (seed, tile)"]``."""
    found = []
    for name in sorted(was.keys() | now.keys()):
        first, second = was.get(name), now.get(name)
        if first == second:
            continue
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            found.append(f"{display(name)[:40]} ({', '.join(differences(first, second))})")
        else:
            found.append(display(name)[:40])  # the file may be a stranger's
    return found


def check_same_maker(place: Path, was: MadeBy, now: MadeBy) -> None:
    """Refuse to go on with answers that something else made.

    Raises:
        ExportError: Which entries differ.
    """
    differing = differences(was, now)
    if differing:
        raise ExportError(
            f"{display(place)}: has answers that were made with other {', '.join(differing)}; "
            f"{_REMEDY}"
        )


def check_same_query(place: Path, name: str, query: Path, digest: str) -> None:
    """Refuse to skip a query because another picture's answer has its name.

    A query that cannot be read is left to who opens it.

    Args:
        place: The file or folder of answers.
        name: What the query is called there.
        query: The query's file.
        digest: SHA-256 of the file that was answered under the name.

    Raises:
        ExportError: If the query's file is another.
    """
    if digest_of(query) not in (digest, ""):
        raise ExportError(
            f"{display(query)}: {display(place)} has an answer called {name}, but to another "
            "picture, or the picture has changed since; give both by a folder above them, write "
            "to another place, or replace it by overwrite=True (command line: --overwrite)"
        )


def digest_of(query: Path) -> str:
    """SHA-256 of a query's file, in hex; "" where it cannot be read."""
    try:
        status = query.stat()
        return _hash(query, status.st_mtime_ns, status.st_size, status.st_ino)
    except (FileError, OSError):
        return ""


@lru_cache(maxsize=1)  # frames of one file come one after another
def _hash(query: Path, *_: int) -> str:
    return hash_file(query)


class FolderRecord:
    """The record of a folder of answers; one that is not there is begun with the first file.

    A line goes before a new file and after one that is replaced. A kill between the two leaves a
    file to be written, or one that is known by its old maker; never one that is known wrongly.

    Args:
        folder: Where the answers are.
        made_by: What makes those to come.

    Raises:
        ExportError: If the record cannot be read, or is not one.
    """

    def __init__(self, folder: Path, made_by: MadeBy) -> None:
        self.folder, self.made_by = folder, json.loads(json.dumps(made_by))
        text = json.dumps(self.made_by, sort_keys=True)
        self._id = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._makers: dict[str, dict[str, Any]] = {}
        self._files: dict[str, tuple[str, str]] = {}
        for line in _read(folder / RECORD):
            if "made_by" in line:
                self._makers[line["id"]] = line["made_by"]
            else:
                self._files[line["file"]] = (line["query"], line["by"])
        self._journal: Journal | None = None

    def check(self, targets: Mapping[Path, Path]) -> int:
        """Check that going on mixes nothing.

        Args:
            targets: The files of the answers, of one suffix, and the queries' own.

        Returns:
            How many of the files are there without a record of what made them.

        Raises:
            ExportError: If something else made answers of that suffix which are in the folder, or
                a file is the answer to another picture.
        """
        for suffix in {target.suffix for target in targets}:
            for file, (query, by) in self._files.items():
                other = query and by != self._id and file.endswith(suffix)
                if other and (self.folder / file).exists():
                    check_same_maker(self.folder, self._makers.get(by, {}), self.made_by)
        unknown = 0
        for target, asked in targets.items():
            if not target.exists():
                continue
            name = self._name(target)
            if name not in self._files:
                unknown += 1
            else:
                check_same_query(self.folder, name, asked, self._files[name][0])
        return unknown

    @contextmanager
    def noting(self, target: Path, query: Path | None) -> Iterator[None]:
        """Note a file of the answer to a query, which is written inside; see the class.

        None notes a file that is no answer, but no picture of the user's either.
        """
        replaced = target.exists()
        if not replaced:
            self._note(target, query)
        yield
        if replaced:
            self._note(target, query)

    def knows(self, target: Path) -> bool:
        """Whether a file is noted, as written or about to be."""
        return self._name(target) in self._files

    def close(self) -> None:
        """Close the record's file."""
        if self._journal is not None:
            self._journal.close()

    def _name(self, target: Path) -> str:
        return target.relative_to(self.folder).as_posix()

    def _note(self, target: Path, query: Path | None) -> None:
        name, entry = self._name(target), ("" if query is None else digest_of(query), self._id)
        if self._files.get(name) == entry:
            return
        if self._journal is None:
            self._journal = Journal(self.folder / RECORD, resume=True)
        if self._id not in self._makers:
            self._journal.append({"made_by": self.made_by, "id": self._id})
            self._makers[self._id] = self.made_by
        self._journal.append({"file": name, "query": entry[0], "by": entry[1]})
        self._files[name] = entry


def recorded(folder: Path) -> set[Path]:
    """The files in a folder that vicl wrote, by its record; none where it has no record.

    Raises:
        ExportError: If the record cannot be read, or is not one.
    """
    return {folder / line["file"] for line in _read(folder / RECORD) if "file" in line}


def _read(path: Path) -> Iterator[_Maker | _File]:
    """The whole lines of a record; what a kill left of a last one is no line yet."""
    name = display(path)
    try:
        if not path.is_file():
            return
        if path.stat().st_size > _LIMIT:
            raise ExportError(f"{name}: is larger than {_LIMIT >> 20} MiB; {_DAMAGED}")
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ExportError(f"{name}: cannot be read ({reason(error)}); {_DAMAGED}") from error
    for number, line in enumerate(lines[:-1], start=1):
        try:
            yield _LINE.validate_json(line)
        except ValidationError as error:
            if number == len(lines) - 1:  # after a power cut a file may end in zeros
                return
            raise ExportError(
                f"{name}: line {number} is not as vicl writes it; {_DAMAGED}"
            ) from error
