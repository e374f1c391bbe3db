"""Duplicates among figures: copies are found, the earliest is kept, and others are left alone."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tests.figures.arxiv.extracts import texture, write_extract

from vicl.figures.arxiv.dataset import duplicates, hash_table
from vicl.figures.arxiv.dataset.duplicates import (
    DUPLICATES,
    HASHES,
    Hashed,
    dedup,
    find_duplicates,
    read_duplicates,
)
from vicl.figures.arxiv.dataset.hashing import Hashes, Look, hash_picture
from vicl.files import FileError


def in_this_process(
    work: Callable[[Any], Any], items: Iterable[Any], **_: object
) -> Iterator[tuple[Any, Any]]:
    """Stands in for processes, which take a while to start."""
    return ((item, work(item)) for item in items)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "run_each", in_this_process)
    monkeypatch.setattr(hash_table, "run_each", in_this_process)


def _rows(extracted: Path) -> dict[str, dict[str, Any]]:
    lines = (extracted / DUPLICATES).read_text().splitlines()
    return {row["file"]: row for row in map(json.loads, lines)}


def _jpeg(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=50)
    return Image.open(buffer).convert("RGB")


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": _jpeg,
    "half": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "twice": lambda picture: picture.resize((picture.width * 2, picture.height * 2)),
    "mirror": ImageOps.mirror,
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "border": lambda picture: ImageOps.expand(picture, 9, "white"),
    "uneven border": lambda picture: ImageOps.expand(picture, (2, 30, 12, 0), "black"),
}


def test_copies_are_left_out_and_others_are_not(tmp_path: Path) -> None:
    originals = [texture(number, (192, 128)) for number in range(40)]
    copies = [copy(originals[number]) for number, copy in enumerate(COPIES.values())]
    write_extract(tmp_path, {"1502.00001v1": originals, "2203.00002v1": copies})
    found = dedup(tmp_path)
    assert (found.figures, found.kept, found.counts) == (47, 40, {"copy": 7})
    for number, (name, row) in enumerate(zip(COPIES, _rows(tmp_path).values(), strict=True), 1):
        assert row["file"] == f"images/2203.00002v1/{number:04d}.png"
        assert row["of"] == f"images/1502.00001v1/{number:04d}.png"
        assert row["mirrored"] == (name == "mirror")
        assert row["agreement"] > 0.9, name


def test_the_earliest_paper_is_kept(tmp_path: Path) -> None:
    """By the months of identifiers, of which the old ones begin with 9."""
    order = ("hep-th/9901001", "cs/0112017", "0704.0001", "1501.00001v1", "1501.00001v2")
    write_extract(tmp_path, {name: [texture(1)] for name in order})
    dedup(tmp_path)
    rows = _rows(tmp_path)
    places = [name.replace("/", "") for name in order]
    assert list(rows) == [f"images/{place}/0001.png" for place in places[1:]]
    assert {(row["of"], row["verdict"]) for row in rows.values()} == {
        ("images/hep-th9901001/0001.png", "exact")
    }


def test_plain_figures_are_duplicates_only_of_their_pixels(tmp_path: Path) -> None:
    plain = [Image.new("RGB", (50, 40), (255, 255, 255 - number)) for number in range(5)]
    write_extract(tmp_path, {"1502.00001": plain, "1502.00002": [plain[3]]})
    found = dedup(tmp_path)
    assert (found.plain, found.counts) == (6, {"exact": 1})
    assert _rows(tmp_path)["images/1502.00002/0001.png"]["of"] == "images/1502.00001/0004.png"


def test_near_ones_are_told_of_and_kept_unless_that_is_asked(tmp_path: Path) -> None:
    whole = texture(1, (320, 240))
    cut = whole.crop((10, 2, 318, 230))
    write_extract(tmp_path, {"1502.00001": [whole], "1502.00002": [cut]})
    assert dedup(tmp_path).counts == {"near": 1}
    row = _rows(tmp_path)["images/1502.00002/0001.png"]
    assert row["verdict"] == "near"
    assert row["distance"] > 0
    assert 0.5 <= row["agreement"] < 0.9
    assert dedup(tmp_path, agreement=0.5).counts == {"copy": 1}


def test_what_is_near_an_excluded_picture_is_left_out(tmp_path: Path) -> None:
    whole = texture(1, (320, 240))
    evaluation = {"eval/1.png": hash_picture(whole), "eval/2.png": hash_picture(texture(2))}
    figures = [texture(2), whole.crop((10, 2, 318, 230)), texture(3), ImageOps.mirror(texture(2))]
    write_extract(tmp_path, {"1502.00001": figures, "1502.00002": [texture(2)]})
    found = dedup(tmp_path, evaluation)
    assert (found.kept, found.excluded, found.counts) == (1, 2, {"excluded": 4})
    said = [row["of"] for row in _rows(tmp_path).values()]
    assert said == ["eval/2.png", "eval/1.png", "eval/2.png", "eval/2.png"]


def test_a_figure_that_changed_or_is_damaged_is_left_out(tmp_path: Path) -> None:
    files = write_extract(tmp_path, {"1502.00001": [texture(number) for number in range(3)]})
    (tmp_path / files[0]).write_bytes((tmp_path / files[1]).read_bytes())
    (tmp_path / files[2]).unlink()
    assert dedup(tmp_path).counts == {"unreadable": 2}
    said = [row["of"] for row in _rows(tmp_path).values()]
    assert said[0] == f"{files[0]}: is not the file that was extracted"
    assert said[1].startswith(f"{files[2]}: no such file")


def test_a_run_that_was_cut_short_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = {"1502.00001": [texture(n % 7) for n in range(10)], "1502.00002": [texture(3)]}
    for name in ("whole", "cut"):
        write_extract(tmp_path / name, pictures)
    dedup(tmp_path / "whole")

    def stopped(work: Callable[[Any], Any], items: list[Any], **_: object) -> Iterator[Any]:
        yield from in_this_process(work, items[6:3:-1])
        raise KeyboardInterrupt

    monkeypatch.setattr(duplicates, "run_each", stopped)
    with pytest.raises(KeyboardInterrupt):
        dedup(tmp_path / "cut")
    assert not (tmp_path / "cut" / DUPLICATES).exists()
    with (tmp_path / "cut" / HASHES).open("ab") as stream:
        stream.write(b'{"file": "images/15')  # what a kill may leave
    hashed: list[str] = []

    def counting(work: Callable[[Any], Any], items: list[Any], **_: object) -> Iterator[Any]:
        hashed.extend(file for file, _ in items)
        return in_this_process(work, items)

    monkeypatch.setattr(duplicates, "run_each", counting)
    dedup(tmp_path / "cut")
    assert len(hashed) == 11 - 3
    for name in (HASHES, DUPLICATES, "dedup.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_verdicts_are_refused_of_other_figures(tmp_path: Path) -> None:
    write_extract(tmp_path, {"1502.00001": [texture(1), texture(1)]})
    assert read_duplicates(tmp_path) is None
    dedup(tmp_path)
    assert read_duplicates(tmp_path) == {"images/1502.00001/0002.png": "exact"}
    write_extract(tmp_path, {"1502.00001": [texture(1), texture(2)]})
    with pytest.raises(FileError, match=r"is not of the figures .*dedup` again"):
        read_duplicates(tmp_path)


def test_an_extract_without_figures_has_no_duplicates(tmp_path: Path) -> None:
    write_extract(tmp_path, {"1502.00001": []})
    found = dedup(tmp_path)
    assert (found.figures, found.kept, found.counts) == (0, 0, {})
    assert read_duplicates(tmp_path) == {}


def test_wrong_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"missing: has no figures\.jsonl"):
        dedup(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
    with pytest.raises(ValueError, match=r"agreement=0\.2"):
        dedup(tmp_path, agreement=0.2)
    (tmp_path / "figures.jsonl").write_text(
        '{"paper_id": "1502.00001", "version": 1, "file": "../../etc/passwd", "sha256": "", '
        '"width": 1, "height": 1}\n'
    )
    with pytest.raises(FileError, match="line 1: names a file outside"):
        dedup(tmp_path)


_DRAWN = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.lists(st.integers(0, 63), max_size=4)),
    max_size=40,
)


@settings(max_examples=25, deadline=None)
@given(_DRAWN, st.sampled_from([0.5, 0.9, 1.0]))
def test_every_duplicate_is_of_a_figure_that_is_kept(
    drawn: list[tuple[int, int, list[int]]], agreement: float
) -> None:
    """Whatever the hashes, and the same when figures come in several blocks."""
    figures = []
    for number, (family, pixels, bits) in enumerate(drawn):
        rng = np.random.default_rng(family)
        phash = int(rng.integers(1 << 63)) ^ sum(1 << bit for bit in set(bits))
        gradients = rng.integers(0, 256, 128, np.uint8)
        gradients[:pixels] = 0
        looks = (Look(phash, gradients.tobytes()),)
        figures.append(Hashed(f"{number:03d}", Hashes(f"{family}{pixels}{sorted(bits)}", looks)))
    found = find_duplicates(figures, {}, agreement=agreement)
    left_out = {duplicate.file for duplicate in found if duplicate.verdict != "near"}
    assert [duplicate.file for duplicate in found] == sorted({d.file for d in found})
    for duplicate in found:
        assert duplicate.of < duplicate.file
        assert duplicate.of not in left_out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", 7)
        assert find_duplicates(figures, {}, agreement=agreement) == found
