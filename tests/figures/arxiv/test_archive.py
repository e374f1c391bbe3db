"""Sources read member by member, whatever stands in them."""

from __future__ import annotations

import contextlib
import gzip
import io
import posixpath
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.figures.arxiv.papers import (
    TAIL,
    TEX,
    as_file,
    eps,
    header,
    member,
    pdf,
    photograph,
    source,
    squeezed,
    tar,
)

from vicl.figures.arxiv.extract.archive import ONLY_FILE, Member, PdfOnlyError, SourceError, members
from vicl.figures.arxiv.extract.limits import Limits


@pytest.fixture
def read(tmp_path: Path):  # type: ignore[no-untyped-def]
    def called(data: bytes, **limits: int) -> list[Member]:
        path = tmp_path / "2209.00001.gz"
        path.write_bytes(data)
        return list(members(path, Limits(**limits)))

    return called


def test_the_forms_of_a_source(read) -> None:  # type: ignore[no-untyped-def]
    files = {"main.tex": b"text", "figs/a b.png": b"picture", "empty": b""}
    expected = [Member(path, data) for path, data in files.items()]
    assert read(source(files)) == expected
    assert read(tar(files)) == expected
    assert read(squeezed(TEX.encode())) == [Member(ONLY_FILE, TEX.encode())]
    assert read(tar({})) == []
    assert read(squeezed(tar(files)) + bytes(700)) == expected  # filled up, as tapes are


@pytest.mark.parametrize("data", [pdf(), squeezed(pdf()), squeezed(eps())])
def test_a_paper_itself_is_no_source(data: bytes, read) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PdfOnlyError, match=r"2209\.00001\.gz: is the paper as P"):
        read(data)


def test_names_stay_inside_and_the_rest_is_told(read) -> None:  # type: ignore[no-untyped-def]
    parts = [
        member(b"./figs//a.png", b"1"),
        member(b"../../x.png", b"2"),
        member(b"/etc/passwd", b"3"),
        member(b"figs/../../y", b"4"),
        member(b"caf\xe9.png", b"5"),
        member("café.tex".encode(), b"6"),
        header(b"l.png", 0, b"2", link=b"/etc/passwd"),
        header(b"h.png", 9999, b"1", link=b"a.png"),  # a link has no data, whatever it says
        header(b"d", 0, b"3"),
        header(b"folder/", 0, b"5"),
        header(b"old-folder/", 0, b"\0"),
        member(b"odd", b"7", b"Q"),
        member(b"last", b"8"),
    ]
    found = read(squeezed(b"".join(parts) + TAIL))
    assert [tuple(one) for one in found] == [
        ("figs/a.png", b"1", ""),
        ("", None, "path outside"),
        ("", None, "path outside"),
        ("", None, "path outside"),
        ("café.png", b"5", ""),
        ("café.tex", b"6", ""),
        ("l.png", None, "link"),
        ("h.png", None, "link"),
        ("d", None, "device"),
        ("odd", None, "other kind of member"),
        ("last", b"8", ""),
    ]


def test_sparse_members_are_passed_over_in_all_their_forms(read) -> None:  # type: ignore[no-untyped-def]
    claimed = header(b"bomb.png", 512, b"S", rest=b"ustar  \0".ljust(225, b"\0") + b"\1")
    assert claimed[482] == 1
    old = claimed + (b"\0" * 504 + b"\1").ljust(512, b"\0") + bytes(512) + b"x" * 512
    records = b"22 GNU.sparse.major=1\n" + b"35 GNU.sparse.realsize=99999999999\n"
    new = member(b"pax", records, b"x") + member(b"bomb2.png", b"y")
    found = read(old + new + member(b"after", b"z") + TAIL)
    assert [(one.path, one.fault) for one in found] == [
        ("bomb.png", "sparse"),
        ("bomb2.png", "sparse"),
        ("after", ""),
    ]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (squeezed(b""), "empty"),
        (squeezed(squeezed(b"nested")), "something else"),
        (squeezed(b"PK\3\4" + bytes(600)), "zip"),
        (b"\x1f\x8b" + b"rubbish" * 100, "damaged"),
        (source({"a": as_file(photograph(1))})[:-3000], "cut short"),
        (member(b"a", b"x" * 600)[:-200], "cut short"),
        (member(b"a", b"x") + b"rubbish" * 100, "header in its tar is damaged"),
        (header(b"a", 1 << 32) + b"x", "cut short"),
        (header(b"a", b"\xff" * 12) + TAIL, "has no size"),
        (header(b"a", b"-0000000001\0") + TAIL, "has no size"),
        (header(b"a", 1 << 32, b"L") + TAIL, "a header in its tar has 4294967296 bytes"),
        (member(b"a", b"12 size=abc\n", b"x") + header(b"a", 0) + TAIL, "gives no size"),
        (member(b"a", b"x" * 70_000, b"x") + TAIL, "a header in its tar has 70000 bytes"),
    ],
)
def test_what_is_broken_is_told(data: bytes, words: str, read) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SourceError, match=words) as caught:
        read(data)
    assert str(caught.value).startswith("2209.00001.gz: ")


def test_limits(read) -> None:  # type: ignore[no-untyped-def]
    bomb = squeezed(tar({"zeros": bytes(1 << 20)}))
    assert len(bomb) < 10_000
    with pytest.raises(SourceError, match="unpacks to over 100000 bytes"):
        read(bomb, unpacked=100_000)
    with pytest.raises(SourceError, match="over the limit of 100"):
        read(bomb, source=100)
    many = source([(str(number), b"") for number in range(40)])
    assert len(read(many, members=40)) == 40
    with pytest.raises(SourceError, match="holds over 39 members"):
        read(many, members=39)
    with pytest.raises(SourceError, match="its one file has over 600 bytes"):
        read(squeezed(b"x" * 601), member=600)
    found = read(source({"large": bytes(601), "small": b"s"}), member=600)
    assert found == [Member("large", None, "too many bytes"), Member("small", b"s")]


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
archived = st.lists(st.tuples(names, st.binary(max_size=1100)), max_size=6)


@settings(max_examples=15)
@given(archived, st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_what_tarfile_writes_is_read_back(tmp_path: Path, files, format: int) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "source"
    path.write_bytes(tar(files, format=format))
    found = list(members(path, Limits()))
    with tarfile.open(path) as archive:
        regular = [info for info in archive.getmembers() if info.isreg()]
        read = [(info.name, archive.extractfile(info).read()) for info in regular]
    expected = []
    for name, data in read:
        clean = posixpath.normpath(name)
        outside = name.startswith("/") or clean.split("/")[0] == ".." or clean == "."
        expected.append(Member("", None, "path outside") if outside else Member(clean, data))
    assert found == expected


@settings(max_examples=20)
@given(archived, st.data())
def test_damage_ends_in_an_error_or_in_members(tmp_path: Path, files, data) -> None:  # type: ignore[no-untyped-def]
    whole = bytearray(tar(files))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.integers(1, len(whole))) :]
    packed = io.BytesIO()
    if data.draw(st.booleans()):
        with gzip.GzipFile(fileobj=packed, mode="w", mtime=0) as stream:
            stream.write(whole)
        whole = bytearray(packed.getvalue()[: data.draw(st.integers(1, packed.tell()))])
    path = tmp_path / "source"
    path.write_bytes(whole)
    with contextlib.suppress(SourceError):
        for one in members(path, Limits(unpacked=1 << 20)):
            assert not one.path.startswith(("/", "../"))
            assert (one.data is None) == bool(one.fault)
