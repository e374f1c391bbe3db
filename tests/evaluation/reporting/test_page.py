"""The page and the contact sheets of an evaluation."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from tests.evaluation.discs import Discs, Level

from vicl.evaluation.reporting.gallery import choose
from vicl.evaluation.reporting.report import write_report
from vicl.evaluation.running.engines import with_floors
from vicl.evaluation.running.runner import evaluate
from vicl.evaluation.scoring.scorers import scorer_for

VOID = {"meta", "img", "line", "circle"}


class Reader(HTMLParser):
    """Checks that elements close in order; keeps what loads something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "data")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    dataset = Discs(broken=(1,), name="discs <b>&")
    engine = Level(0.6, name="low <i>")
    engines = with_floors({engine.name: engine})
    scorer = scorer_for("segmentation")
    results = evaluate(engines, dataset, dataset.episodes(7), out, scorer=scorer)
    write_report(results, engines, dataset, out)
    return out


def test_the_page_needs_nothing_else(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    assert len(reader.loads) == 3
    for rank, source in zip(("best", "median", "worst"), reader.loads, strict=True):
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data) == (folder / f"sheet-{rank}.png").read_bytes()
    assert not re.search(r"https?://|@import|url\(|<script", page)


def test_the_page_says_all(folder: Path) -> None:
    page = (folder / "index.html").read_text()
    assert "discs &lt;b&gt;&amp;" in page
    assert "low &lt;i&gt;" in page
    assert "<b>" not in page
    assert "<i>" not in page
    for text in ("6 of 7 episodes scored, 1 failed", "Minus Copy", "By class", "ab" * 32, "q1.jpg"):
        assert text in page


def test_sheets_show_every_engine(folder: Path) -> None:
    with Image.open(folder / "sheet-best.png") as sheet:
        # Example, output, query, truth, three answers, each with room for 160 px.
        assert sheet.width > 7 * 160
        assert sheet.height > 3 * 100


def test_best_median_and_worst() -> None:
    values = [0.5, 0.1, 0.9, 0.3, 0.7]
    assert choose(values, higher_is_better=True, each=1) == {
        "best": [2],
        "median": [0],
        "worst": [1],
    }
    assert choose(values, higher_is_better=False, each=2) == {
        "best": [1, 3],
        "median": [3, 0],
        "worst": [4, 2],
    }
    few = choose([0.5, 0.5], higher_is_better=True)
    assert few == {rank: [0, 1] for rank in ("best", "median", "worst")}
