"""Figures on the disk: the same bytes, gone on with, and read by training."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vicl.figures.shards
from vicl.figures.shards import encode, write_figures
from vicl.figures.synthetic.generator import SyntheticFigures
from vicl.files import FileError
from vicl.images import open_image
from vicl.images.tars import Member
from vicl.training.data.shards import read_shard

SOURCE = SyntheticFigures(size=32, patch_size=4, seed=3)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vicl.figures.shards, "SHARD_FIGURES", 3)


def test_shards_hold_the_figures(tmp_path: Path) -> None:
    told: list[int] = []
    paths = write_figures(SOURCE, tmp_path, 7, encoding="png", progress=told.append)
    assert [path.name for path in paths] == [f"figures-{n:06d}.tar" for n in range(3)]
    assert told == [3, 3, 1]
    numbers = []
    for path in paths:
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                assert (member.mtime, member.uid, member.uname) == (0, 0, "")
                name, _, ending = member.name.partition(".")
                data = tar.extractfile(member).read()
                if ending == "json":
                    assert json.loads(data) == SOURCE.figure(int(name)).metadata()
                else:
                    numbers.append(int(name))
                    image = np.asarray(Image.open(io.BytesIO(data)))
                    assert np.array_equal(image, SOURCE.figure(int(name)).image)
    assert numbers == list(range(7))


def test_training_reads_them(tmp_path: Path) -> None:
    (path,) = write_figures(SOURCE, tmp_path, 3, encoding="png")
    members = list(read_shard(str(path)))
    assert all(isinstance(member, Member) for member in members)
    assert len(members) == 3


def test_same_bytes_and_going_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_figures(SOURCE, tmp_path / "a", 7)
    second = write_figures(SOURCE, tmp_path / "b", 7)
    contents = [path.read_bytes() for path in first]
    assert [path.read_bytes() for path in second] == contents
    first[1].unlink()
    drawn: list[int] = []
    real = SyntheticFigures.figure

    def counted(self: SyntheticFigures, index: int) -> object:
        drawn.append(index)
        return real(self, index)

    monkeypatch.setattr(SyntheticFigures, "figure", counted)
    write_figures(SOURCE, tmp_path / "a", 7)
    assert drawn == [3, 4, 5]
    assert [path.read_bytes() for path in first] == contents


def test_a_folder_of_files(tmp_path: Path) -> None:
    assert write_figures(SOURCE, tmp_path, 4, form="folder") == [tmp_path]
    assert len(list(tmp_path.glob("*.jpg"))) == 4
    figure = SOURCE.figure(2)
    image = np.asarray(open_image(tmp_path / "000000002.jpg"))
    assert np.abs(image.astype(int) - figure.image).mean() < 6
    assert json.loads((tmp_path / "000000002.json").read_text()) == figure.metadata()
    (tmp_path / "000000003.json").unlink()
    (tmp_path / "000000003.jpg").write_bytes(b"half")
    write_figures(SOURCE, tmp_path, 4, form="folder")
    assert open_image(tmp_path / "000000003.jpg").size == (32, 32)


def test_nothing_is_left_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vicl.figures.shards, "encode", broken)
    with pytest.raises(FileError, match="No space left"):
        write_figures(SOURCE, tmp_path, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_other_settings_are_refused(tmp_path: Path) -> None:
    write_figures(SOURCE, tmp_path, 3)
    other = SyntheticFigures(size=32, patch_size=4, seed=4)
    with pytest.raises(FileError, match="other settings"):
        write_figures(other, tmp_path, 3)
    with pytest.raises(FileError, match="other settings"):
        write_figures(SOURCE, tmp_path, 3, encoding="png")
    (tmp_path / "figures.json").write_text("{")
    with pytest.raises(FileError, match="is not JSON"):
        write_figures(SOURCE, tmp_path, 3)
    with pytest.raises(ValueError, match="count=0"):
        write_figures(SOURCE, tmp_path / "x", 0)


def test_encodings() -> None:
    figure = SOURCE.figure(0)
    assert encode(figure, "jpg")[:2] == b"\xff\xd8"
    assert encode(figure, "png")[1:4] == b"PNG"


@pytest.mark.slow
def test_processes_write_the_same(tmp_path: Path) -> None:
    alone = write_figures(SOURCE, tmp_path / "a", 4)
    shared = write_figures(SOURCE, tmp_path / "b", 4, workers=2)
    assert [path.name for path in alone] == [path.name for path in shared]
    assert [path.read_bytes() for path in alone] == [path.read_bytes() for path in shared]
