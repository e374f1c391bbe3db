"""The page of an extract: right counts, nothing from elsewhere, and nothing in it that runs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from tests.figures.arxiv.extracts import texture, write_extract
from tests.figures.arxiv.test_duplicates import in_this_process

from vicl.figures.arxiv.dataset import duplicates, packing
from vicl.figures.arxiv.dataset.duplicates import dedup
from vicl.figures.arxiv.dataset.packing import Packing, pack
from vicl.figures.arxiv.dataset.stats import collect
from vicl.figures.arxiv.dataset.stats_page import draw_page
from vicl.figures.arxiv.extracted import figures_of
from vicl.files import FileError

HOSTILE = "</figcaption><script>alert(1)</script><img src=x onerror=alert(2)> \"'&"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def extracted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(duplicates, "run_each", in_this_process)
    monkeypatch.setattr(packing, "run_each", in_this_process)
    folder = tmp_path / "figures"
    write_extract(
        folder,
        {
            "cs/9901001": [texture(1, (60, 40))],
            "1502.00001v1": [texture(2, (300, 200)), texture(3, (200, 900))],
            "2203.00001v2": [ImageOps.mirror(texture(2, (300, 200))), Image.new("RGB", (50, 50))],
        },
        known={
            "1502.00001v1": {"published": "2015-02-01", "dropped": {"name": 2, "PDF pages": 1}},
            "2203.00001v2": {"categories": [HOSTILE], "licence": HOSTILE, "dropped": {"name": 1}},
        },
        captions={"images/2203.00001v2/0001.png": HOSTILE},
    )
    return folder


def test_what_is_counted(extracted: Path, tmp_path: Path) -> None:
    dedup(extracted)
    pack(extracted, tmp_path / "shards", Packing(validation=0.0))
    harvest = tmp_path / "harvest"
    harvest.mkdir()
    rows = [("2201.00001", "withdrawn", None), ("1502.00001", "kept", "a.gz")]
    (harvest / "papers.jsonl").write_text(
        "".join(json.dumps({"paper_id": i, "status": s, "file": f}) + "\n" for i, s, f in rows)
    )
    found = collect(extracted, harvest=harvest, shards=tmp_path / "shards")
    assert (found.papers, found.figures, found.captioned) == (3, 5, 1)
    assert found.by["papers by year"] == {"1999": 1, "2015": 1, "2022": 1}
    assert found.by["figures by year"] == {"1999": 1, "2015": 2, "2022": 2}
    assert found.by["figures by category"] == {"cs.CV": 3, HOSTILE: 2}
    assert found.by["figures by licence"] == {"not known": 3, HOSTILE: 2}
    sides = {"up to 64": 2, "up to 512": 2, "up to 1024": 1}
    assert found.by["figures by longest side"] == sides
    assert list(found.by["figures by longest side"]) == list(sides)
    assert found.by["figures by shape"] == {"wide": 3, "square": 1, "tall": 1}
    assert found.left_out == {
        "harvest": {"withdrawn": 1},
        "extract": {"name": 3, "PDF pages": 1},
        "dedup": {"copy": 1},
        "pack": {"copy": 1},
    }
    pair = [sample.file for sample in found.sheets["Left out as copies, each after what is kept"]]
    assert pair == ["images/1502.00001v1/0001.png", "images/2203.00001v2/0001.png"]


def test_scores_are_shown_in_fifths(extracted: Path) -> None:
    files = [f"images/1502.00001v1/000{n}.png" for n in (1, 2)]
    hashes = {figure.file: figure.sha256 for figure in figures_of(extracted)}
    pairs = zip(files, (0.1, 1.0), strict=True)
    scores = [{"file": file, "sha256": hashes[file], "score": score} for file, score in pairs]
    (extracted / "scores.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in scores))
    found = collect(extracted)
    assert found.by["figures by score"] == {"0.1 to 0.2": 1, "0.9 to 1.0": 1}
    assert [s.file for s in found.sheets["Scores 0.0 to 0.2"]] == files[:1]
    assert [s.file for s in found.sheets["Scores 0.8 to 1.0"]] == files[1:]


def test_the_page_holds_everything_and_runs_nothing(extracted: Path) -> None:
    dedup(extracted)
    (extracted / "images/1502.00001v1/0002.png").write_bytes(b"no picture")
    page = draw_page(collect(extracted), extracted)
    tags = _Tags()
    tags.feed(page)
    names = {tag for tag, _ in tags.tags}
    assert not names & {"script", "link", "iframe", "object", "a", "form"}
    assert sum(tag == "img" for tag, _ in tags.tags) == 4 + 2  # the random ones, and a pair
    for _, attributes in tags.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:image/jpeg;base64,").startswith("data:image/jpeg")
    assert not re.search(r"url\(|@import|https?://", page)
    assert sum(HOSTILE in text for text in tags.text) >= 3
    assert "cannot be read" in tags.text


def test_a_seed_draws_the_same(extracted: Path) -> None:
    def drawn(seed: int, samples: int) -> list[str]:
        sheets = collect(extracted, samples=samples, seed=seed).sheets
        return [sample.file for sample in sheets.get("Random figures", ())]

    assert drawn(0, 2) == drawn(0, 2)
    assert len({tuple(drawn(seed, 2)) for seed in range(8)}) > 1
    assert len(drawn(0, 2)) == 2
    assert drawn(0, 0) == []
    assert len(drawn(0, 48)) == 5


def test_what_is_no_folder_of_shards_is_refused(extracted: Path, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(FileError, match="is no index of shards"):
        collect(extracted, shards=tmp_path)
