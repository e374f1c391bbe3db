"""Writers: which file an answer goes to, and which are refused."""

from __future__ import annotations

import json
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from vicl.exports import ExportError
from vicl.exports.answers import Answer, Query
from vicl.exports.writers import FORMATS, open_writer
from vicl.images import open_image, save_image

GREY = Image.new("RGB", (40, 30), (90, 90, 90))


def query(folder: Path, name: str) -> Query:
    save_image(GREY, folder / name)
    return Query(folder / name, PurePath(name))


def leaf() -> Answer:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 5:30] = 1
    return Answer(GREY, mask=mask, classes=("leaf",))


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_writes_where_it_says(tmp_path: Path, format: str) -> None:
    asked = [query(tmp_path, name) for name in ("a.png", "sub/b.jpg")]
    with open_writer(tmp_path / "out", asked, format=format, classes=("leaf",)) as writer:
        assert not any(writer.done(one) for one in asked)
        written = [writer.write(one, leaf()) for one in asked]
        assert all(writer.done(one) for one in asked)
        beside = writer.beside(asked[1], "canvas")
    assert beside == tmp_path / "out" / "sub" / "b.canvas.png"
    assert all(path.is_file() for path in written)
    assert len(set(written)) == (1 if format.startswith("coco") else 2)


def test_alternatives_stand_beside(tmp_path: Path) -> None:
    asked = query(tmp_path, "a.png")
    answer = Answer(GREY, alternatives=(Answer(GREY), Answer(GREY)))
    with open_writer(tmp_path / "answer.png", [asked]) as writer:
        assert writer.write(asked, answer) == tmp_path / "answer.png"
    for name in ("answer.png", "answer.2.png", "answer.3.png"):
        assert open_image(tmp_path / name).size == (40, 30)


@pytest.mark.parametrize(
    ("format", "out", "says"),
    [
        ("jpeg2000", "out", "expected one of png, coco"),
        ("yolo", "out", "pictures"),
        ("png", ".", "one of the inputs"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, format: str, out: str, says: str
) -> None:
    asked = query(tmp_path, "a.png")
    before = asked.path.read_bytes()
    with (
        pytest.raises(ExportError, match=says),
        open_writer(tmp_path / out, [asked], format=format),
    ):
        pass
    assert asked.path.read_bytes() == before


def test_two_queries_for_one_file_and_a_source_are_refused(tmp_path: Path) -> None:
    asked = [query(tmp_path, name) for name in ("a.png", "a.jpg")]
    with pytest.raises(ExportError, match=r"both be written"), open_writer(tmp_path / "o", asked):
        pass
    example = tmp_path / "example.png"
    with (
        pytest.raises(ExportError, match=r"example\.png is one of the inputs"),
        open_writer(example, asked[:1], sources=[example]),
    ):
        pass


def test_coco_stays_as_it_was_where_the_block_fails(tmp_path: Path) -> None:
    asked = [query(tmp_path, name) for name in ("a.png", "b.png")]
    out = tmp_path / "all.json"

    def write(only: Query, *, resume: bool) -> None:
        with open_writer(out, asked, format="coco", classes=("leaf",), resume=resume) as writer:
            writer.write(only, leaf())
            if only is asked[0]:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(asked[0], resume=False)
    assert not out.exists()
    write(asked[1], resume=True)
    dataset = json.loads(out.read_text())
    assert [image["file_name"] for image in dataset["images"]] == ["a.png", "b.png"]
