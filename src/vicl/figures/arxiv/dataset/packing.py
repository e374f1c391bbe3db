"""Figures of an extract as WebDataset shards, to be trained on.

Which figures stand in which shard follows from the figures alone: training and validation are
parted by paper, by a hash of its identifier, and the figures of each stand in an order that looks
random, so that those of a paper do not come together.  A shard appears whole or not at all, and is
the same whatever the number of processes, so a run that was cut short goes on by shard.
"""

from __future__ import annotations

import hashlib
import json
import math
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from vicl.figures.arxiv.alone import alone
from vicl.figures.arxiv.dataset.duplicates import Verdict, read_duplicates
from vicl.figures.arxiv.extracted import (
    SCORES,
    FigureRow,
    figures_at,
    figures_of,
    papers_in,
    scores_of,
)
from vicl.figures.arxiv.workers import Bounds, Died, Each, run_each
from vicl.figures.settings import check_own, check_settings
from vicl.figures.shards import SHARD_FIGURES, Encoding, add_member
from vicl.files import (
    FileError,
    display,
    hash_file,
    open_atomic,
    reason,
    remove_leftovers,
    write_atomic,
)
from vicl.files.bounded import read_bounded
from vicl.files.journal import json_line
from vicl.files.unit_hash import unit_hash
from vicl.images import encode_image, open_bytes
from vicl.images.tars import MEMBER_LIMIT

INDEX: Final = "index.json"
"""Of the shards: how many figures, and the SHA-256 of each."""

Split = Literal["train", "validation"]

SPLITS: Final[tuple[Split, ...]] = ("train", "validation")

_SETTINGS: Final = "pack.json"

_OF_FIGURE: Final = ("img_name", "kind", "members", "caption", "label")
_OF_PAPER: Final = ("title", "categories", "published", "licence")

_BOUNDS: Final = Bounds(seconds=3600, memory=4 << 30, file=1 << 40)


@dataclass(frozen=True)
class Packing:
    """How figures are packed.

    Attributes:
        threshold: Figures of a lower score are left out; None keeps all, scored or not.
        validation: Share of the papers whose figures are held out.
        encoding: Of the images: PNG as they were extracted, or JPEG.
        figures: Most of them in a shard.
        bytes: Most bytes of images in a shard, as they were extracted; a figure that alone has
            more stands alone.
    """

    threshold: float | None = None
    validation: float = 0.1
    encoding: Encoding = "png"
    figures: int = SHARD_FIGURES
    bytes: int = 1 << 28

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: If a value is out of its range.
        """
        if self.threshold is not None and not math.isfinite(self.threshold):
            raise ValueError(f"threshold: got {self.threshold}, expected a number")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation: got {self.validation}, expected 0 to less than 1")
        if min(self.figures, self.bytes) < 1:
            raise ValueError(
                f"got figures={self.figures}, bytes={self.bytes}; expected at least 1 of each"
            )


@dataclass(frozen=True)
class Shard:
    """A shard that is to be written.

    Attributes:
        name: Of its file.
        first: Number of its first figure in the split.
        rows: What is said of each figure, in order.
    """

    name: str
    first: int
    rows: tuple[dict[str, Any], ...] = field(repr=False)


@dataclass(frozen=True)
class Packed:
    """What was packed.

    Attributes:
        figures: By split.
        papers: By split.
        dropped: Figures that were left out, by reason.
        deduplicated: Whether duplicates were looked for.
        shards: By split: file, figures, bytes and SHA-256 of each.
    """

    figures: dict[Split, int]
    papers: dict[Split, int]
    dropped: dict[str, int]
    deduplicated: bool
    shards: dict[Split, list[dict[str, Any]]]

    def source(self, split: Split, out: Path) -> dict[str, Any] | None:
        """What a recipe says to read a split; None where it is empty.

        Args:
            split: Which.
            out: The folder of the shards.
        """
        names = [shard["file"] for shard in self.shards[split]]
        if not names:
            return None
        several = f"{split}-{{000000..{len(names) - 1:06d}}}.tar"
        urls = str(out / (names[0] if len(names) == 1 else several))
        return {"kind": "shards", "urls": urls, "samples": self.figures[split]}


class _Chosen(NamedTuple):
    """A figure that is packed, in the order of the shards."""

    shuffled: bytes
    at: int
    bytes: int
    paper: str


def pack(
    extracted: Path,
    out: Path,
    packing: Packing | None = None,
    *,
    workers: int = 1,
    each: Each | None = None,
    total: Callable[[int], Callable[[int], None]] = lambda count: lambda more: None,
) -> Packed:
    """Pack the figures of an extract that are neither duplicates nor below the threshold.

    A script that calls it needs the usual `if __name__ == "__main__":`.

    Args:
        extracted: The folder of an extract.
        out: A folder for the shards; made where it is missing.
        packing: How; None for the defaults.
        workers: Processes.
        each: Works on the shards; None: processes of this machine.
        total: Told how many figures there are to pack; gives what is told how many more are packed.

    Raises:
        ValueError: If `workers` is not positive.
        FileError: If something cannot be read or written, a threshold is given without scores, no
            figure is left, or the folder holds shards of other figures or settings.
    """
    if workers < 1:
        raise ValueError(f"workers: got {workers}, expected at least 1")
    plan = _Plan(extracted, packing or Packing())
    with alone(out):
        remove_leftovers(out)
        check_own([f.name for split in SPLITS for f in out.glob(f"{split}-*.tar")], out / _SETTINGS)
        check_settings(plan.settings(), out / _SETTINGS)
        advance = total(sum(plan.counts(len).values()))
        done: dict[str, dict[str, Any]] = {}
        work = partial(write_shard, extracted, out, plan.packing.encoding)
        for shard, said in (each or run_each)(work, plan.shards(), workers=workers, bounds=_BOUNDS):
            if isinstance(said, Died):
                raise FileError(f"{display(out / shard.name)}: cannot be packed ({said.how})")
            done[shard.name] = said
            advance(len(shard.rows))
        packed = Packed(
            figures=plan.counts(len),
            papers=plan.counts(lambda chosen: len({figure.paper for figure in chosen})),
            dropped=dict(sorted(plan.dropped.items())),
            deduplicated=plan.deduplicated,
            shards={s: [done[n] for n in sorted(done) if n.startswith(s)] for s in SPLITS},
        )
        index = {"format": 1, **asdict(packed), "settings": asdict(plan.packing)}
        write_atomic(out / INDEX, (json.dumps(index, indent=1) + "\n").encode())
    return packed


class _Plan:
    """Which figures of an extract stand in which shard.

    Attributes:
        packing: How they are packed.
        dropped: Figures that are left out, by reason.
        deduplicated: Whether duplicates were looked for.
    """

    def __init__(self, extracted: Path, packing: Packing) -> None:
        self.packing, self._extracted = packing, extracted
        self.dropped: Counter[str] = Counter()
        self._papers, self._scores = papers_in(extracted), scores_of(extracted)
        if packing.threshold is not None and self._scores is None:
            raise FileError(
                f"{display(extracted)}: has no {SCORES}, with which a threshold goes; run "
                "`vicl figures filter` first, or leave the threshold out"
            )
        verdicts = read_duplicates(extracted)
        self.deduplicated = verdicts is not None
        self._chosen: dict[Split, list[_Chosen]] = {split: [] for split in SPLITS}
        for figure in figures_of(extracted):
            why = self._unwanted(figure, verdicts or {})
            if why:
                self.dropped[why] += 1
                continue
            held_out = unit_hash(figure.paper.number) < packing.validation
            chosen = self._chosen["validation" if held_out else "train"]
            size = _size(extracted / figure.file)
            shuffled = hashlib.sha256(figure.file.encode()).digest()[:8]
            chosen.append(_Chosen(shuffled, figure.at, size, figure.paper.number))
        for chosen in self._chosen.values():
            chosen.sort()
        if not any(self._chosen.values()):
            left_out = ", ".join(f"{why} {count}" for why, count in self.dropped.items())
            raise FileError(f"{display(extracted)}: no figure is left to pack ({left_out or 0})")

    def _unwanted(self, figure: FigureRow, verdicts: Mapping[str, Verdict]) -> str:
        """Why a figure is left out; "" where it is not."""
        verdict = verdicts.get(figure.file, "near")
        if verdict != "near":
            return verdict
        if self.packing.threshold is None or self._scores is None:
            return ""
        score = self._scores.get((figure.file, figure.sha256))
        if score is None:
            return "without a score"
        return "below the threshold" * (score < self.packing.threshold)

    def counts(self, count: Callable[[list[_Chosen]], int]) -> dict[Split, int]:
        """Something of each split."""
        return {split: count(chosen) for split, chosen in self._chosen.items()}

    def settings(self) -> dict[str, Any]:
        """What the shards depend on, with a hash of all that is said of their figures."""
        digest = hashlib.sha256()
        for shard in self.shards():
            digest.update(f"{shard.name}\n".encode())
            for row in shard.rows:
                digest.update(json_line(row))
        return {**asdict(self.packing), "figures_sha256": digest.hexdigest()}

    def shards(self) -> Iterator[Shard]:
        """The shards, in order."""
        for split, chosen in self._chosen.items():
            first = 0
            for number, part in enumerate(_parts(chosen, self.packing)):
                rows = figures_at(self._extracted, (figure.at for figure in part))
                said = tuple(self._said(figure, split) for figure in rows)
                yield Shard(f"{split}-{number:06d}.tar", first, said)
                first += len(part)

    def _said(self, figure: FigureRow, split: Split) -> dict[str, Any]:
        """The JSON that stands beside a figure."""
        paper = self._papers.get(figure.paper, {})
        return {
            "paper_id": figure.paper.number,
            "version": figure.paper.version,
            **{key: figure.row.get(key) for key in _OF_FIGURE},
            **{key: paper.get(key) for key in _OF_PAPER},
            "file": figure.file,
            "sha256": figure.sha256,
            "size": [figure.height, figure.width],
            "score": (self._scores or {}).get((figure.file, figure.sha256)),
            "split": split,
        }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise FileError(f"{display(path)}: is not there ({reason(error)}); extract anew") from error


def _parts(chosen: Sequence[_Chosen], packing: Packing) -> Iterator[list[_Chosen]]:
    """Figures as they are shared out to shards."""
    part: list[_Chosen] = []
    size = 0
    for figure in chosen:
        if part and (len(part) == packing.figures or size + figure.bytes > packing.bytes):
            yield part
            part, size = [], 0
        part.append(figure)
        size += figure.bytes
    if part:
        yield part


def write_shard(extracted: Path, out: Path, encoding: Encoding, shard: Shard) -> dict[str, Any]:
    """Write a shard, if it is not there.

    Args:
        extracted: The folder of the extract.
        out: The folder of the shards.
        encoding: Of the images.
        shard: Which.

    Returns:
        Its file, how many figures it has, its bytes and its SHA-256.

    Raises:
        FileError: If a figure is not there as it was extracted, or the shard cannot be written.
    """
    path = out / shard.name
    if not path.exists():
        with open_atomic(path) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
            for number, row in enumerate(shard.rows, shard.first):
                # The key of a member ends at its first dot.
                add_member(tar, f"{number:09d}.{encoding}", _image(extracted, encoding, row))
                add_member(tar, f"{number:09d}.json", json.dumps(row).encode())
    size = path.stat().st_size
    figures = len(shard.rows)
    return {"file": shard.name, "figures": figures, "bytes": size, "sha256": hash_file(path)}


def _image(extracted: Path, encoding: Encoding, row: Mapping[str, Any]) -> bytes:
    """The file of a figure as it is packed."""
    path = extracted / row["file"]
    data = read_bounded(path, MEMBER_LIMIT)
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        raise FileError(f"{display(path)}: is not the file that was extracted; extract anew")
    if encoding == "png":
        return data
    return encode_image(open_bytes(data, display(path)), ".jpg")
