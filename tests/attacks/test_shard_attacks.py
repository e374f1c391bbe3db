"""Hostile shards: images or one clear error each, no commands, no files, in bounded memory."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.training.shards import image_bytes, write_tar

from vicl.files import FileError
from vicl.images import ImageError
from vicl.images.tars import Member
from vicl.training.data.shards import Shards, read_shard
from vicl.training.data.sources import Lane
from vicl.training.recipe.data import RecipeError, ShardSource

SRC = Path(__file__).parents[2] / "src"
GOOD = image_bytes(7)


def outcome(path: Path) -> tuple[list[str], list[str]]:
    """Names of the images, and the errors, that a shard gives."""
    items = list(read_shard(str(path)))
    good = [item.name.rpartition(": ")[2] for item in items if isinstance(item, Member)]
    return good, [str(item) for item in items if isinstance(item, ImageError)]


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def block(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


@pytest.mark.parametrize(
    "url",
    [
        "pipe:touch {0}/hacked",
        "{{pipe:touch {0}/hacked,a.tar}}",
        " pipe:touch {0}/hacked",
        "\tpipe:touch {0}/hacked",
        "PIPE:touch {0}/hacked",
        "a.tar::pipe:touch {0}/hacked",
        "file:{0}/a.tar",
        "ftp://localhost/a.tar",
        "s3://bucket/a.tar",
        "hf://datasets/a/b.tar",
        "gs://bucket/a.tar",
        "-",
    ],
)
def test_urls_are_no_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_tar(tmp_path / "a.tar", {"a.png": GOOD})
    refused = "begins with http:// or https://|no such file"
    with pytest.raises((RecipeError, FileError, ValidationError), match=refused):
        Shards(ShardSource(urls=url.format(tmp_path)))
    # Not even where a recipe was never checked.
    unchecked = ShardSource.model_construct(urls=url.format(tmp_path), samples=None, weight=1.0)
    with pytest.raises((RecipeError, FileError), match=refused):
        Shards(unchecked)
    items = list(read_shard(url.format(tmp_path)))
    assert items
    assert all(isinstance(item, ImageError) for item in items)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_names_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = ["../../up.png", "/abs.png", "a\x1b[2J\n.png", "C:\\x.png", "-rf.png", ".png", "😀.png"]
    path = write_tar(tmp_path / "in" / "a.tar", dict.fromkeys(names, GOOD))
    good, errors = outcome(path)
    assert len(good) == len(names)
    assert errors == []
    assert all(name.isprintable() for name in good)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.tar", "in"]


def test_links_and_devices_are_no_images(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"{kind.decode()}.png")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        info = tarfile.TarInfo("good.png")
        info.size = len(GOOD)
        tar.addfile(info, io.BytesIO(GOOD))
    assert outcome(path) == (["good.png"], [])


def test_what_is_no_image_is_one_error(tmp_path: Path) -> None:
    pickled = b"cos\nsystem\n(S'touch hacked'\ntR."
    path = write_tar(tmp_path / "a.tar", {"a.pyd": pickled, "b.png": pickled, "c.png": GOOD})
    shards = Shards(ShardSource(urls=str(path)))
    items = list(shards.items(Lane(0, 1), 0, 0))
    assert len(items) == 2
    faults = []
    for item in items:
        try:
            shards.decode(item)
        except ImageError as error:
            faults.append(str(error))
    assert len(faults) == 1
    assert "a.tar: b.png: is not an image" in faults[0]


@pytest.mark.parametrize("kept", [0, 1, 300, 512, 600, 1024, 1100, 1500, 1536])
def test_truncated_shards(tmp_path: Path, kept: int) -> None:
    whole = write_tar(tmp_path / "a.tar", {"a.png": GOOD, "b.png": GOOD}).read_bytes()
    path = tmp_path / "b.tar"
    path.write_bytes(whole[:kept])
    good, errors = outcome(path)
    assert good == ["a.png", "b.png"][: len(good)]
    assert len(errors) == 1
    assert len(good) == (kept >= 512 + len(GOOD))
    path = tmp_path / "c.tar.gz"
    path.write_bytes(gzip.compress(whole, mtime=0)[: 20 + kept // 20])
    good, errors = outcome(path)
    assert len(errors) == 1
    assert "c.tar.gz" in errors[0]


def test_headers_that_claim_too_much(tmp_path: Path) -> None:
    huge = 1 << 40
    for first in (
        header("a.png", huge),
        header("pax", huge, tarfile.XHDTYPE),
        header("global", huge, tarfile.XGLTYPE),
        header("name", huge, tarfile.GNUTYPE_LONGNAME),
        header("sparse.png", huge, tarfile.GNUTYPE_SPARSE),
        header("sparse.png", huge, tarfile.DIRTYPE) + header("x", huge, tarfile.XHDTYPE),
        b"\xff" * 512,
    ):
        path = tmp_path / "a.tar"
        path.write_bytes(first + bytes(4096))
        good, errors = outcome(path)
        assert good == []
        assert errors
        assert all(len(error) < 500 for error in errors)


def test_images_that_are_too_large_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vicl.images.tars.MEMBER_LIMIT", 1 << 20)
    path = write_tar(tmp_path / "a.tar", {"a.png": bytes((1 << 20) + 1), "b.png": GOOD})
    good, errors = outcome(path)
    assert good == ["b.png"]
    assert "larger than 1 MiB" in errors[0]


def bomb(kind: str) -> bytes:
    """A gigabyte of tar that is a megabyte of gzip."""
    zeros = bytes(1 << 20)
    if kind == "image":
        start = header("a.png", 1 << 30)
    elif kind == "sparse":  # a file of a terabyte, of which nothing is stored
        entry = b"%011o\0%011o\0" % (1 << 30, 0)
        info = bytearray(header("a.png", 0, tarfile.GNUTYPE_SPARSE))
        info[386:410] = entry
        info[483:495] = b"%011o\0" % ((1 << 33) - 1)
        info[148:156] = b" " * 8
        info[148:156] = b"%06o\0 " % sum(info)
        return gzip.compress(bytes(info) + bytes(1024))
    else:
        start = header("x", 1 << 30, {"pax": tarfile.XHDTYPE, "name": b"L"}[kind])
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as zipped:
        zipped.write(start)
        for _ in range(1024):
            zipped.write(zeros)
    return stream.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "pax", "name", "sparse"])
def test_bombs_take_no_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(bomb(kind))
    code = (
        "import resource, sys; from vicl.training.data.shards import read_shard\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print([str(item) for item in read_shard(sys.argv[1])], file=sys.stderr)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "a.tar.gz" in done.stderr
    assert int(done.stdout) < 30_000  # KiB


@settings(max_examples=100)
@given(
    cut=st.integers(0, 4000),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=12),
)
def test_damaged_shards_end_as_images_or_errors(
    tmp_path: Path, cut: int, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(
        header("p", 30, tarfile.XHDTYPE)
        + block(b"30 path=a_long_name_here.png\n")
        + header("a.png", len(GOOD))
        + block(GOOD)
        + header("b.png", len(GOOD))
        + block(GOOD)
        + bytes(1024)
    )
    for place, value in flips:
        data[place % len(data)] = value
    path = tmp_path / "a.tar"
    path.write_bytes(data[: max(1, len(data) - cut)])
    for item in read_shard(str(path)):
        assert isinstance(item, Member | ImageError)
