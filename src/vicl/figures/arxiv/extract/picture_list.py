"""The pictures of a published list, and which of them a run has not found."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from vicl.figures.arxiv.identifiers import PaperId
from vicl.files import FileError, display
from vicl.files.bounded import read_bounded

_MOST: Final = 1 << 28
"""Bytes of a list; the published ones have under 4 MiB."""

Row = tuple[PaperId, str]
"""A paper, and what the list calls a picture of it."""


@dataclass(frozen=True)
class PictureList:
    """A list of pictures.

    Attributes:
        rows: Each once, in the list's order.
    """

    rows: tuple[Row, ...]

    @classmethod
    def read(cls, path: Path) -> PictureList:
        """Read a list: CSV with the columns `paper_id` and `img_name`, and any others.

        Raises:
            FileError: If it is none, or an identifier in it is none.
        """
        name = display(path)
        try:
            text = read_bounded(path, _MOST).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FileError(f"{name}: is not UTF-8; save the list so") from error
        reader = csv.DictReader(io.StringIO(text))
        found: dict[Row, None] = {}
        try:
            if not {"paper_id", "img_name"} <= set(reader.fieldnames or ()):
                raise FileError(
                    f"{name}: has the columns {reader.fieldnames}, expected paper_id and img_name "
                    "among them"
                )
            for line in reader:
                paper, picture = line["paper_id"], line["img_name"]
                if not paper or not picture:
                    raise FileError(f"{name}, line {reader.line_num}: lacks a value; expected both")
                found[PaperId.parse(paper), picture] = None
        except (csv.Error, ValueError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{name}, line {reader.line_num}: {error}") from error
        if not found:
            raise FileError(f"{name}: has no rows; expected a paper and a picture in each")
        return cls(tuple(found))

    @cached_property
    def _names(self) -> dict[str, dict[int | None, frozenset[str]]]:
        """By number and version of the paper."""
        found: dict[str, dict[int | None, set[str]]] = {}
        for paper, picture in self.rows:
            found.setdefault(paper.number, {}).setdefault(paper.version, set()).add(picture)
        return {
            number: {version: frozenset(names) for version, names in versions.items()}
            for number, versions in found.items()
        }

    def names(self, paper: PaperId, *, newest: bool) -> frozenset[str]:
        """The pictures of a paper that are listed.

        Args:
            paper: A source's; one of whichever version serves rows of any.
            newest: It is the newest version whose source is there: rows that name no version mean
                it.
        """
        listed = self._names.get(paper.number, {})
        serves = {paper.version} | ({None} if newest else set())
        parts = [v for k, v in listed.items() if paper.version is None or k in serves]
        return frozenset[str]().union(*parts)

    def missing(
        self, found: Iterable[Row], lost: Mapping[Row, str], without: Mapping[str, str]
    ) -> dict[Row, str]:
        """Rows that are not found, and why.

        Args:
            found: Pictures that are there, of whichever versions.
            lost: Those of which it is known why they are not.
            without: By number, why a paper has no source.
        """
        known: dict[tuple[str, str], list[tuple[int | None, str]]] = {}
        for paper, picture in found:
            known.setdefault((paper.number, picture), []).append((paper.version, ""))
        for (paper, picture), why in lost.items():
            known.setdefault((paper.number, picture), []).append((paper.version, why))
        missing = {}
        for paper, picture in self.rows:
            reasons = [
                why
                for version, why in known.get((paper.number, picture), ())
                if None in (version, paper.version) or version == paper.version
            ]
            if "" not in reasons:
                default = without.get(paper.number, "no source")
                missing[paper, picture] = reasons[-1] if reasons else default
        return missing

    def digest(self) -> str:
        """SHA-256 of what is listed, in hex."""
        lines = "".join(f"{paper}\t{picture}\n" for paper, picture in sorted(self.rows, key=str))
        return hashlib.sha256(lines.encode()).hexdigest()


def missing_table(missing: Mapping[Row, str]) -> bytes:
    """Rows and reasons as CSV, as the published lists are written, with the column `reason`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", "paper_id", "img_name", "reason"])
    for number, ((paper, picture), why) in enumerate(missing.items()):
        writer.writerow([number, str(paper), picture, why])
    return text.getvalue().encode()
