"""The figures of one paper."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from tests.figures.arxiv.papers import (
    TAIL,
    TEX,
    as_file,
    header,
    member,
    paper,
    pdf,
    photograph,
    source,
    squeezed,
)

from vicl.figures.arxiv.extract.limits import Limits
from vicl.figures.arxiv.extract.paper import Extracted, Wishes, extract_paper
from vicl.files import hash_file

PNG = as_file(photograph(1))


@pytest.fixture
def extracted(tmp_path: Path):  # type: ignore[no-untyped-def]
    def called(data: bytes, wanted: frozenset[str] | None = None, **wishes: object) -> Extracted:
        path = tmp_path / "2209.00001.gz"
        path.write_bytes(data)
        return extract_paper(path, Wishes(**wishes), wanted)

    return called


def test_a_paper(extracted, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    found = extracted(source(paper()))
    assert (found.status, found.reason) == ("done", "")
    assert found.sha256 == hash_file(tmp_path / "2209.00001.gz")
    said = ("An input and its output.", "fig:pair")
    assert [
        (one.img_name, one.kind, one.members, one.caption, one.label) for one in found.figures
    ] == [
        ("figs_input.jpg", "raster", ("figs/input.jpg",), *said),
        ("figs_output.png", "raster", ("figs/output.png",), *said),
        ("plot.pdf", "pdf", ("plot.pdf",), "A plot.", ""),
        ("assembled_001.png", "assembled", ("figs/input.jpg", "figs/output.png"), *said),
    ]
    assert found.dropped == {"name": 1, "several pages": 1}
    for one in found.figures:
        image = Image.open(io.BytesIO(one.png))
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (one.width, one.height))
    grid = Image.open(io.BytesIO(found.figures[3].png))
    assert grid.size[0] > 2 * 96 - 2


def test_all_names_where_they_are_wished_for(extracted) -> None:  # type: ignore[no-untyped-def]
    found = extracted(source(paper()), keep_unpublished=True)
    assert "figs_architecture.png" in [one.img_name for one in found.figures]
    assert found.dropped == {"several pages": 1}


def test_exactly_what_is_listed(extracted) -> None:  # type: ignore[no-untyped-def]
    rows = {"figs_input.jpg", "figs_architecture.png", "supplement.pdf", "gone.png"}
    found = extracted(source(paper()), frozenset(rows))
    assert [one.img_name for one in found.figures] == ["figs_input.jpg", "figs_architecture.png"]
    assert found.lost == {"gone.png": "not in the source", "supplement.pdf": "several pages"}
    assert found.dropped == {"not listed": 2, "several pages": 1}
    assert extracted(pdf(), frozenset(["a.png"])).lost == {"a.png": "pdf-only"}
    assert extracted(b"rubbish\0", frozenset(["a.png"])).lost == {"a.png": "failed"}


def test_of_a_path_that_comes_again_the_last_one_counts(extracted) -> None:  # type: ignore[no-untyped-def]
    small = as_file(photograph(2, (9, 9)))
    first = [("a.png", PNG), ("b.png", PNG), ("c.png", PNG), ("./main.tex", b"old")]
    again = [("a.png", small), ("b.png", b"no"), ("c.png", b"\x1f\x8b"), ("main.tex", TEX.encode())]
    files = [*first, *again]
    found = extracted(source(files))
    assert [(one.img_name, one.width) for one in found.figures] == [("a.png", 9)]
    assert found.dropped["replaced in the archive"] == 3
    links = squeezed(member(b"a.png", PNG) + header(b"a.png", 0, b"2", link=b"/etc/passwd") + TAIL)
    assert extracted(links).dropped == {"link": 1, "replaced in the archive": 1}


def test_two_paths_of_one_name_both_stay(extracted) -> None:  # type: ignore[no-untyped-def]
    found = extracted(source({"a/b.png": PNG, "a_b.png": PNG}))
    assert [one.img_name for one in found.figures] == ["a_b.png"] * 2
    assert [one.members for one in found.figures] == [("a/b.png",), ("a_b.png",)]


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (pdf(pages=8), "pdf-only", "is the paper as PDF"),
        (squeezed(b"rubbish\0"), "failed", "not a tar or TeX"),
        (squeezed(TEX.encode()), "done", ""),
    ],
)
def test_other_sources(data: bytes, status: str, words: str, extracted) -> None:  # type: ignore[no-untyped-def]
    found = extracted(data)
    assert found.status == status
    assert words in found.reason
    assert found.figures == ()


def test_limits(extracted) -> None:  # type: ignore[no-untyped-def]
    found = extracted(source({"a.png": PNG, "b.png": PNG}), limits=Limits(written=len(PNG)))
    assert (found.status, found.figures) == ("failed", ())
    assert found.reason == f"its figures take over {len(PNG)} bytes"
    found = extracted(source(paper()), limits=Limits(texts=100))
    assert [one.kind for one in found.figures] == ["raster", "raster", "pdf"]
    assert found.dropped["grids not assembled: too much text"] == 1
    with pytest.raises(ValueError, match="members: got 0, expected at least 1"):
        Limits(members=0)


def test_a_source_that_is_gone(tmp_path: Path) -> None:
    found = extract_paper(tmp_path / "gone.gz", Wishes())
    assert (found.status, found.sha256) == ("failed", None)
    assert "no such file" in found.reason
