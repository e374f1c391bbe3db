"""Packing figures: whole shards of the right figures, the same whatever happens, to train on."""

from __future__ import annotations

import hashlib
import io
import json
import math
import tarfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.figures.arxiv.extracts import texture, write_extract
from tests.figures.arxiv.test_duplicates import in_this_process

from vicl.figures.arxiv.dataset import duplicates, packing
from vicl.figures.arxiv.dataset.duplicates import dedup
from vicl.figures.arxiv.dataset.packing import INDEX, Packing, pack
from vicl.figures.arxiv.extracted import figures_of
from vicl.files import FileError
from vicl.images.tars import Member
from vicl.training.data.shards import Shards, read_shard
from vicl.training.data.sources import Lane
from vicl.training.recipe.data import ShardSource

PAPERS = [f"15{1 + n % 12:02d}.{n:05d}v1" for n in range(1, 31)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "run_each", in_this_process)
    monkeypatch.setattr(packing, "run_each", in_this_process)


@pytest.fixture
def extracted(tmp_path: Path) -> Path:
    pictures = {name: [texture(100 * i + k) for k in (1, 2)] for i, name in enumerate(PAPERS)}
    pictures["1612.00001v2"] = [texture(1)]
    write_extract(
        tmp_path / "figures",
        pictures,
        known={PAPERS[0]: {"licence": "http://creativecommons.org/licenses/by/4.0/"}},
        captions={f"images/{PAPERS[0]}/0002.png": "Inputs and “outputs”."},
    )
    return tmp_path / "figures"


def _members(shards: Path, split: str) -> list[tuple[Image.Image, dict[str, Any]]]:
    found: list[tuple[Image.Image, dict[str, Any]]] = []
    for path in sorted(shards.glob(f"{split}-*.tar")):
        with tarfile.open(path) as tar:
            members = [(m, tar.extractfile(m).read()) for m in tar.getmembers()]
        assert all((m.mtime, m.uid, m.uname, m.mode) == (0, 0, "", 0o644) for m, _ in members)
        for (picture, data), (said, text) in zip(members[::2], members[1::2], strict=True):
            key = f"{len(found):09d}"
            assert said.name == f"{key}.json"
            assert picture.name.partition(".")[0] == key
            found.append((Image.open(io.BytesIO(data)), json.loads(text)))
    return found


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_shards_hold_the_figures_and_what_is_known(extracted: Path, tmp_path: Path) -> None:
    dedup(extracted)
    packed = pack(extracted, tmp_path / "out", Packing(validation=0.3, figures=16))
    train, held_out = (_members(tmp_path / "out", split) for split in ("train", "validation"))
    assert packed.dropped == {"exact": 1}
    assert (len(train), len(held_out)) == tuple(packed.figures.values())
    assert len(train) + len(held_out) == 60
    papers = [{said["paper_id"] for _, said in part} for part in (train, held_out)]
    assert not papers[0] & papers[1]
    assert [len(part) for part in papers] == list(packed.papers.values())
    assert 3 <= len(papers[1]) <= 15
    for split, part in (("train", train), ("validation", held_out)):
        for picture, said in part:
            assert picture.tobytes() == Image.open(extracted / said["file"]).tobytes()
            assert said["size"] == [picture.height, picture.width]
            assert said["split"] == split
    said = {s["file"]: s for _, s in train + held_out}[f"images/{PAPERS[0]}/0002.png"]
    assert (said["version"], said["img_name"]) == (1, "figures_2.png")
    assert said["licence"] == "http://creativecommons.org/licenses/by/4.0/"
    assert (said["caption"], said["score"]) == ("Inputs and “outputs”.", None)
    # The two figures of a paper stand side by side no more often than chance has it.
    order = [said["paper_id"] for _, said in train]
    assert sum(a == b for a, b in pairwise(order)) < len(order) / 4


def test_the_index_tells_of_each_shard(extracted: Path, tmp_path: Path) -> None:
    packed = pack(extracted, tmp_path / "out", Packing(figures=16))
    index = json.loads((tmp_path / "out" / INDEX).read_text())
    assert index["figures"] == packed.figures
    assert sum(index["figures"].values()) == 61
    assert not index["deduplicated"]
    listed = [shard for shards in index["shards"].values() for shard in shards]
    assert {shard["file"] for shard in listed} == {p.name for p in (tmp_path / "out").glob("*.tar")}
    for shard in listed:
        data = (tmp_path / "out" / shard["file"]).read_bytes()
        assert (shard["bytes"], shard["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert shard["figures"] <= 16


def test_shards_are_bounded_by_bytes(extracted: Path, tmp_path: Path) -> None:
    pack(extracted, tmp_path / "out", Packing(bytes=1 << 16))
    paths = list((tmp_path / "out").glob("*.tar"))
    assert len(paths) > 5
    for path in paths:
        with tarfile.open(path) as tar:
            sizes = [m.size for m in tar.getmembers() if m.name.endswith("png")]
        assert sum(sizes) <= 1 << 16


def test_a_threshold_leaves_out_what_scores_lower(extracted: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"has no scores\.jsonl"):
        pack(extracted, tmp_path / "out", Packing(threshold=0.5))
    names = [f"images/{name}/0001.png" for name in PAPERS]
    scores = {name: n / len(names) for n, name in enumerate(names)}
    hashes = {figure.file: figure.sha256 for figure in figures_of(extracted)}
    rows = [{"file": name, "sha256": hashes[name], "score": s} for name, s in scores.items()]
    rows.append({"file": names[0], "sha256": "0" * 64, "score": 1.0})  # of the file as it was
    (extracted / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    packed = pack(extracted, tmp_path / "out", Packing(threshold=0.5))
    assert packed.dropped == {"below the threshold": 15, "without a score": 31}
    said = _members(tmp_path / "out", "train") + _members(tmp_path / "out", "validation")
    assert {s["file"]: s["score"] for _, s in said} == {k: v for k, v in scores.items() if v >= 0.5}
    with pytest.raises(FileError, match="no figure is left"):
        pack(extracted, tmp_path / "none", Packing(threshold=1.5))
    with pytest.raises(ValueError, match="threshold: got nan"):
        Packing(threshold=math.nan)


def test_shards_of_others_are_not_taken_for_ones_own(extracted: Path, tmp_path: Path) -> None:
    strange = tmp_path / "out/validation-000000.tar"
    strange.parent.mkdir()
    strange.write_bytes(b"not ours")
    with pytest.raises(FileError, match=r"holds validation-000000\.tar and no pack\.json"):
        pack(extracted, strange.parent)
    assert strange.read_bytes() == b"not ours"


def test_a_run_that_was_cut_short_is_gone_on_with(
    extracted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = Packing(figures=10, encoding="jpg")
    pack(extracted, tmp_path / "whole", how)

    def stopped(work: Callable[[Any], Any], items: Iterator[Any], **_: object) -> Iterator[Any]:
        shards = list(items)
        yield from in_this_process(work, shards[3:1:-1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(packing, "run_each", stopped)
        with pytest.raises(KeyboardInterrupt):
            pack(extracted, tmp_path / "cut", how)
    assert len(list((tmp_path / "cut").glob("*.tar"))) == 2
    assert not (tmp_path / "cut" / INDEX).exists()
    pack(extracted, tmp_path / "cut", how)
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")
    pictures = _members(tmp_path / "cut", "train")
    assert {picture.format for picture, _ in pictures} == {"JPEG"}


def test_other_figures_or_settings_are_refused(extracted: Path, tmp_path: Path) -> None:
    pack(extracted, tmp_path / "out")
    with pytest.raises(FileError, match="holds figures of other settings"):
        pack(extracted, tmp_path / "out", Packing(validation=0.5))
    write_extract(extracted, {"1502.00001": [texture(5)]})
    with pytest.raises(FileError, match="holds figures of other settings"):
        pack(extracted, tmp_path / "out")


def test_a_figure_that_changed_ends_packing(extracted: Path, tmp_path: Path) -> None:
    file = extracted / "images" / PAPERS[3] / "0001.png"
    file.write_bytes((file.parent / "0002.png").read_bytes())
    with pytest.raises(FileError, match=r"0001\.png: is not the file that was extracted"):
        pack(extracted, tmp_path / "out")
    assert not (tmp_path / "out" / INDEX).exists()
    file.unlink()
    with pytest.raises(FileError, match=r"0001\.png: is not there"):
        pack(extracted, tmp_path / "other")


def test_versions_of_a_paper_are_never_parted(tmp_path: Path) -> None:
    names = [f"1502.{n:05d}v{version}" for n in range(1, 21) for version in (1, 2)]
    pictures = {name: [texture(number)] for number, name in enumerate(names)}
    write_extract(tmp_path / "figures", pictures)
    packed = pack(tmp_path / "figures", tmp_path / "out", Packing(validation=0.4))
    assert {s: 2 * n for s, n in packed.papers.items()} == packed.figures
    assert packed.papers["validation"] > 0


def test_training_reads_the_shards(extracted: Path, tmp_path: Path) -> None:
    packed = pack(extracted, tmp_path / "out", Packing(figures=16))
    given = packed.source("train", tmp_path / "out")
    source = Shards(ShardSource(**given))
    members = list(source.items(Lane(0, 1), 0, 0))
    assert all(isinstance(member, Member) for member in members)
    assert len(members) == source.count == packed.figures["train"]
    assert {source.decode(member).image.size for member in members} == {(96, 64)}
    single = list(read_shard(str(tmp_path / "out" / "validation-000000.tar")))
    assert len(single) == packed.figures["validation"]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"validation": 1.0}, "less than 1"),
        ({"figures": 0}, "figures=0"),
        ({"bytes": 0}, "bytes=0"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Packing(**values)
