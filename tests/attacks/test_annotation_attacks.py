"""Hostile annotation files: each is read or one clear error, in memory bounded by the file."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.attacks.test_image_attacks import gif, png

from vicl.exports import ExportError
from vicl.exports.reading import read_shapes
from vicl.exports.shapes import Shape, Shapes, paint

SIZE = (20, 30)


def attempt(path: Path) -> str:
    """What is said of a file; "" if it is read and painted."""
    try:
        shapes = read_shapes(path, "a.png")
        paint(shapes, SIZE, shapes.names or ("a",), limit_pixels=10_000)
    except ExportError as error:
        said = str(error)
        assert path.name in said
        assert said.isprintable()
        assert len(said) < 1000
        return said
    return ""


def written(path: Path, content: Any) -> Path:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(data)
    return path


def labelme(*points: Any, kind: str = "polygon", **more: Any) -> dict[str, Any]:
    shape = {"label": "a", "shape_type": kind, "points": list(points)} | more
    return {"shapes": [shape], "imageHeight": 20, "imageWidth": 30}


def coco(entry: dict[str, Any], **image: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30} | image],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1} | entry],
        "categories": [{"id": 1, "name": "a"}],
    }


JSON: dict[str, Any] = {
    "nested lists": b"[" * 1_000_000,
    "nested shapes": b'{"shapes":' * 200_000,
    "a long number": b'{"shapes": [' + b"9" * 100_000 + b"]}",
    "not text": b"\xff\xfe\x00\xd8\x00",
    "nulls": b"\0" * 1000,
    "shapes are a number": {"shapes": 3},
    "sizes are words": labelme([0, 0], [9, 9], [0, 9]) | {"imageHeight": "many"},
    "sizes are huge": labelme([0, 0], [9, 9], [0, 9]) | {"imageHeight": 10**30, "imageWidth": 1},
    "size of another shape": labelme([0, 0], [9, 9], [0, 9]) | {"imageHeight": 2**30},
    "nan": b'{"shapes": [{"label": "a", "points": [[NaN, 0], [9, 9], [0, 9]]}]}',
    "infinity": b'{"shapes": [{"label": "a", "points": [[1e999, 0], [9, 9], [0, 9]]}]}',
    "far out": labelme([0, 0], [1e308, 1e308], [0, 9]),
    "far out below": labelme([0, 0], [-1e308, 9], [0, 9]),
    "whole numbers beyond floats": labelme([0, 0], [10**400, 9], [0, 9]),
    "rectangle far out": labelme([0, 0], [1e308, 1e308], kind="rectangle"),
    "circle far out": labelme([0, 0], [1e308, 1e308], kind="circle"),
    "circle of 1e7": labelme([0, 0], [1e7, 0], kind="circle"),
    "a type that is a list": labelme([0, 0], [9, 9], kind=["polygon"]),  # type: ignore[arg-type]
    "ragged points": labelme([0], [1, 2], [3, 4, 5]),
    "points in points": labelme([[0, 0], [9, 9]], [[0, 0], [9, 9]], [[0, 0], [9, 9]]),
    "mask far out": labelme([1e300, 0], [1e300, 9], kind="mask", mask="AAAA"),
    "mask is a GIF of a bomb": labelme(
        [0, 0], [9, 9], kind="mask", mask=base64.b64encode(gif(60_000, 60_000)).decode()
    ),
    "mask is a bomb": labelme(
        [0, 0], [9, 9], kind="mask", mask=base64.b64encode(png(60_000, 60_000)).decode()
    ),
    "control characters": labelme([0, 0], label="\x1b[31m\n" * 100, kind="\x1b[2J"),
    "control characters in a good shape": labelme([0, 0], [9, 9], [0, 9], label="\x1b[31m"),
    "control characters as a key": {"\x1b[31m": 1},
    "control characters as a category": coco({"bbox": [1, 1, 2, 2]})
    | {"categories": [{"id": 1, "name": "\x1b[31m\n"}]},
    "run lengths too long": coco({"segmentation": {"size": [20, 30], "counts": [0, 10**12]}}),
    "run lengths beyond 64 bits": coco({"segmentation": {"size": [20, 30], "counts": [10**30]}}),
    "run lengths below zero": coco({"segmentation": {"size": [20, 30], "counts": [700, -100]}}),
    "run lengths of a bomb": coco(
        {"segmentation": {"size": [10**6, 10**6], "counts": [0, 10**12]}},
        height=10**6,
        width=10**6,
    ),
    "run lengths as odd text": coco({"segmentation": {"size": [20, 30], "counts": "zzzz\x01"}}),
    "run lengths without size": coco({"segmentation": {"size": [], "counts": []}}),
    "a box below zero": coco({"bbox": [5, 5, -3, 4]}),
    "a box far out": coco({"bbox": [1e308, 1e308, 1e308, 1e308]}),
    "a box of three": coco({"bbox": [1, 2, 3]}),
    "a box of NaN": b'{"images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}], '
    b'"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [NaN, 0, 1, 1]}], '
    b'"categories": [{"id": 1, "name": "a"}]}',
    "no region": coco({}),
    "no size": coco({"bbox": [1, 1, 2, 2]}, height=0),
    "a size below zero": coco({"bbox": [1, 1, 2, 2]}, height=-20, width=-30),
    "faults without number": {
        "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30}],
        "annotations": [{"image_id": 1}] * 90_000,
        "categories": [],
    },
    "a polygon of words": coco({"segmentation": [["a"] * 500_000]}),
    "run lengths of words": coco({"segmentation": {"size": [20, 30], "counts": ["a"] * 500_000}}),
    "images without number": {"images": [{}] * 500_000, "annotations": [], "categories": []},
    "another's category": coco({"category_id": 5, "bbox": [1, 1, 2, 2]}),
    "half a polygon": coco({"segmentation": [[1, 1, 2]]}),
    "an empty name": coco({"bbox": [1, 1, 2, 2]}) | {"categories": [{"id": 1, "name": " "}]},
}


@pytest.mark.parametrize("name", JSON)
def test_hostile_json(tmp_path: Path, name: str) -> None:
    assert attempt(written(tmp_path / "bad.json", JSON[name]))


BOMB = "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "lol">' for n in range(10)
)
XML = {
    "a billion laughs": f"<!DOCTYPE a [{BOMB}]><annotation>&l9;</annotation>".encode(),
    "the same in UTF-16": f"<!DOCTYPE a [{BOMB}]><annotation>&l9;</annotation>".encode("utf-16"),
    "a file of the system": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<annotation><filename>&x;</filename></annotation>",
    "an outer document type": b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><annotation/>',
    "an unknown entity": b"<annotation>&x;</annotation>",
    "an unknown encoding": b'<?xml version="1.0" encoding="no-such"?><annotation/>',
    "deep": b"<annotation>" + b"<a>" * 500_000,
    "NaN": b"<annotation><object><name>a</name><bndbox><xmin>nan</xmin><ymin>1</ymin>"
    b"<xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>",
    "far out": b"<annotation><object><name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
    b"<xmax>1e308</xmax><ymax>1e308</ymax></bndbox></object></annotation>",
    "reversed": b"<annotation><object><name>a</name><bndbox><xmin>9</xmin><ymin>9</ymin>"
    b"<xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>",
    "not text": bytes(range(256)),
}


@pytest.mark.parametrize("name", XML)
def test_hostile_xml(tmp_path: Path, name: str) -> None:
    said = attempt(written(tmp_path / "bad.xml", XML[name]))
    assert said
    if "laughs" in name or "UTF-16" in name or "system" in name or "outer" in name:
        assert "document type or entities" in said


def test_sizes_of_xml_are_only_said(tmp_path: Path) -> None:
    text = "<annotation><size><width>9{0}</width><height>9</height></size></annotation>"
    for digits in ("", "9" * 5000):
        attempt(written(tmp_path / "bad.xml", text.format(digits).encode()))


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe0\0", b"0 " + b"9" * 10_000 + b" 1 1 1", b"9" * 6000 + b" 1 1 1 1", b"0 1" * 5],
)
def test_hostile_labels(tmp_path: Path, data: bytes) -> None:
    assert attempt(written(tmp_path / "bad.txt", data))


@pytest.mark.parametrize(
    "data",
    [
        b"names: &a [*a]",
        b"names: !!python/object/apply:os.system ['true']",
        b"names: {5: a}",
        b"names: {a: b}",
        b"names: [[[[",
        b"names: []",
        b'names: ["\\e[31m"]',
        b"[" * 100_000,
    ],
)
def test_hostile_names_of_classes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "data.yaml").write_bytes(data)
    path = written(tmp_path / "a.txt", b"0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(ExportError, match=r"data\.yaml: names no classes"):
        read_shapes(path)


@pytest.mark.parametrize(
    ("suffix", "size"), [("json", 1 << 25), ("txt", 1 << 24), ("xml", 1 << 22)]
)
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, suffix: str, size: int) -> None:
    path = tmp_path / f"huge.{suffix}"
    with path.open("wb") as stream:
        stream.truncate(size + 1)  # sparse: takes no disk
    assert f"larger than {size >> 20} MiB and was not read" in attempt(path)


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    assert "is a folder" in attempt(tmp_path / "folder.json")
    assert "no such file" in attempt(tmp_path / "none.xml")


def test_shapes_that_would_take_hours(tmp_path: Path) -> None:
    """A few bytes each, but each covers the image, or zigzags through all of its rows."""
    size = (2000, 2000)
    zigzag = np.stack([np.arange(6e5) % 2000, np.arange(6e5) % 2 * 2000], axis=1)
    many = tuple(Shape("a", "a", box=(0.0, 0.0, 2000.0, 2000.0)) for _ in range(1000))
    for shapes in (many, (Shape("a", "a", (zigzag,)),)):
        with pytest.raises(ExportError, match="overlap too much, or have too many points"):
            paint(Shapes("f", shapes, ("a",)), size, ("a",), limit_pixels=10**7)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.fixed_dictionaries({"label": VALUES, "points": VALUES, "shape_type": VALUES}), VALUES)
def test_any_values_in_a_shape(tmp_path: Path, shape: Any, height: Any) -> None:
    document = {"shapes": [shape], "imageHeight": height, "imageWidth": 30, "imagePath": height}
    attempt(written(tmp_path / "bad.json", document))
    attempt(written(tmp_path / "bad.json", coco({"bbox": shape["points"], "iscrowd": height})))
    attempt(written(tmp_path / "bad.json", coco({"segmentation": shape["points"]}, height=height)))


@given(st.binary(max_size=60))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    for suffix in ("json", "txt", "xml"):
        if data or suffix != "txt":
            attempt(written(tmp_path / f"bad.{suffix}", data))
