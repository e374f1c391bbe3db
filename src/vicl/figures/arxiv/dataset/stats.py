"""What is in an extract: counts of its papers and figures, and of what each stage left out."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vicl.figures.arxiv.dataset.duplicates import DUPLICATES, read_duplicates
from vicl.figures.arxiv.dataset.packing import INDEX
from vicl.figures.arxiv.extracted import FigureRow, figures_of, papers_in, scores_of
from vicl.figures.arxiv.identifiers import PaperId
from vicl.figures.arxiv.papers import PAPERS, read_papers
from vicl.files import FileError, display
from vicl.files.bounded import read_bounded
from vicl.files.journal import complete_lines
from vicl.files.plain_json import parse_json

Counts = dict[str, int]

UNKNOWN: Final = "not known"

_SIDES: Final = (64, 128, 256, 512, 768, 1024)
_SHAPES: Final = ((0.5, "tall"), (0.8, "upright"), (1.25, "square"), (2.0, "wide"))
_MOST: Final = 1 << 28
"""Bytes of an index of shards that are read."""


@dataclass(frozen=True)
class Sample:
    """A figure on a contact sheet.

    Attributes:
        file: Below the extract's folder.
        note: What is said of it.
        caption: In its paper.
    """

    file: str
    note: str
    caption: str = ""


@dataclass(frozen=True)
class Stats:
    """What is in an extract.

    Attributes:
        papers: How many.
        figures: How many.
        captioned: Figures that have a caption.
        by: Counts by what they count, in words.
        left_out: By stage, what it left out and why; one that was not run is missing.
        sheets: Figures by what they are samples of.
    """

    papers: int
    figures: int
    captioned: int
    by: dict[str, Counts]
    left_out: dict[str, Counts]
    sheets: dict[str, list[Sample]] = field(repr=False)

    def numbers(self) -> dict[str, Any]:
        """All but the sheets, as JSON."""
        return {
            "papers": self.papers,
            "figures": self.figures,
            "captioned": self.captioned,
            "by": self.by,
            "left_out": self.left_out,
        }


def collect(
    extracted: Path,
    *,
    harvest: Path | None = None,
    shards: Path | None = None,
    samples: int = 48,
    seed: int = 0,
) -> Stats:
    """Count what is in an extract.

    Args:
        extracted: Its folder.
        harvest: The folder of its harvest, whose papers without a source are counted, too.
        shards: The folder of shards that were packed of it.
        samples: Figures on a contact sheet; 0 for none.
        seed: Of the draw.

    Raises:
        FileError: If the extract, or what was made of it, cannot be read.
    """
    papers, scores = papers_in(extracted), scores_of(extracted)
    counters: dict[str, Counter[str]] = {}
    left_out: dict[str, Counter[str]] = {}
    if harvest is not None:
        known = read_papers(harvest / PAPERS).values()
        left_out["harvest"] = Counter(paper.status for paper in known if not paper.file)
    left_out["extract"] = Counter()
    for paper, row in papers.items():
        _count(counters, "papers", _of_paper(paper, row), status=str(row.get("status")))
        left_out["extract"].update(row.get("dropped") or {})
    draw = _Draw(samples, seed)
    captioned = 0
    for figure in figures_of(extracted):
        score = None if scores is None else scores.get((figure.file, figure.sha256))
        facts = _of_paper(figure.paper, papers.get(figure.paper, {})) | _of_figure(figure)
        _count(counters, "figures", facts, **({} if score is None else {"score": _tenth(score)}))
        caption = str(figure.row.get("caption") or "")
        captioned += bool(caption)
        note = f"{figure.paper}, {figure.row.get('kind')}"
        sample = Sample(figure.file, note if score is None else f"{note}, {score:.3f}", caption)
        draw.offer("Random figures", [sample])
        if score is not None:
            draw.offer(f"Scores {_fifth(score)}", [sample])
    verdicts = read_duplicates(extracted)
    if verdicts is not None:
        left_out["dedup"] = Counter(verdict for verdict in verdicts.values() if verdict != "near")
        counters["figures by likeness to another one"] = Counter(verdicts.values())
        _offer_pairs(draw, extracted)
    if shards is not None:
        left_out["pack"] = Counter(_left_out_by_pack(shards))
    return Stats(
        papers=len(papers),
        figures=counters["figures by kind"].total() if "figures by kind" in counters else 0,
        captioned=captioned,
        by={name: _in_order(name, counts) for name, counts in counters.items()},
        left_out={stage: _in_order(stage, counts) for stage, counts in left_out.items()},
        sheets=draw.sheets(),
    )


def _of_paper(paper: PaperId, row: Mapping[str, Any]) -> dict[str, str]:
    year, month = paper.folder[:2], row.get("published")
    century = "19" if year >= "91" else "20"
    return {
        "year": str(month)[:4] if month else f"{century}{year}",
        "category": str(next(iter(row.get("categories") or ()), UNKNOWN)),
        "licence": str(row.get("licence") or UNKNOWN),
    }


def _of_figure(figure: FigureRow) -> dict[str, str]:
    longest = max(figure.width, figure.height)
    side = next((f"up to {side}" for side in _SIDES if longest <= side), f"over {_SIDES[-1]}")
    shape = figure.width / max(figure.height, 1)
    return {
        "kind": str(figure.row.get("kind")),
        "longest side": side,
        "shape": next((name for most, name in _SHAPES if shape <= most), "broad"),
    }


def _count(
    counters: dict[str, Counter[str]], what: str, facts: Mapping[str, str], **more: str
) -> None:
    for name, value in {**facts, **more}.items():
        counters.setdefault(f"{what} by {name}", Counter())[value] += 1


def _in_order(name: str, counts: Counter[str]) -> Counts:
    """Numbers by their size, and all else by how many there are."""
    if name.endswith((" year", " score")):
        return dict(sorted(counts.items()))
    if name.endswith(" side"):
        return dict(sorted(counts.items(), key=lambda item: (len(item[0]), item[0])))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _tenth(score: float) -> str:
    low = min(max(int(score * 10), 0), 9)
    return f"{low / 10:.1f} to {(low + 1) / 10:.1f}"


def _fifth(score: float) -> str:
    low = min(max(int(score * 5), 0), 4)
    return f"{low / 5:.1f} to {(low + 1) / 5:.1f}"


def _offer_pairs(draw: _Draw, extracted: Path) -> None:
    """Offer duplicates, each after the figure that it is like."""
    names = {"copy": "Left out as copies, each after what is kept", "near": "Kept, though near"}
    for line in complete_lines(extracted / DUPLICATES):
        row = parse_json(line)
        if row["verdict"] in names:
            far = f"{row['distance']} bits, agreement {row['agreement']:.2f}"
            said = f"{far}, mirrored" if row["mirrored"] else far
            pair = [Sample(row["of"], row["of"]), Sample(row["file"], f"{row['file']}: {said}")]
            draw.offer(names[row["verdict"]], pair)


def _left_out_by_pack(shards: Path) -> Counts:
    path = shards / INDEX
    text = read_bounded(path, _MOST)
    try:
        return {str(k): int(v) for k, v in parse_json(text)["dropped"].items()}
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise FileError(f"{display(path)}: is no index of shards; give a folder of pack") from error


class _Draw:
    """A random draw for each of several sheets: the same for a seed, whatever the order."""

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self._drawn: dict[str, list[tuple[int, str, list[Sample]]]] = {}

    def offer(self, sheet: str, samples: list[Sample]) -> None:
        """Put some figures, which are shown side by side, among those of which some are drawn."""
        name = samples[-1].file
        digest = hashlib.sha256(f"{self._seed} {name}".encode()).digest()
        drawn = self._drawn.setdefault(sheet, [])
        entry = (-int.from_bytes(digest[:8], "big"), name, samples)
        if len(drawn) < self._count // len(samples):
            heapq.heappush(drawn, entry)
        elif drawn:
            heapq.heappushpop(drawn, entry)

    def sheets(self) -> dict[str, list[Sample]]:
        """What was drawn."""
        found = {name: _flat(part for *_, part in sorted(d)) for name, d in self._drawn.items()}
        return {name: found[name] for name in sorted(found) if found[name]}


def _flat(parts: Iterable[list[Sample]]) -> list[Sample]:
    return [sample for part in parts for sample in part]
