"""YOLO labels, parsed back and filled as Ultralytics fills them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from vicl.exports import (
    Annotation,
    ExportError,
    write_yolo,
    write_yolo_classes,
    yolo_boxes,
    yolo_segments,
)
from vicl.tasks.boxes import Box

MASKS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.integers(0, 2),
    fill=st.nothing(),
)


def parse(text: str) -> list[tuple[int, NDArray[np.float32]]]:
    """Read a label file: (class from 0, numbers), in float32 as trainers hold them."""
    rows = [line.split(" ") for line in text.splitlines()]
    return [(int(row[0]), np.array(row[1:], dtype=np.float32)) for row in rows]


def test_boxes_by_hand() -> None:
    annotation = Annotation("a", (10, 20), ("a", "b"), boxes=(Box((5, 2, 10, 4), label=2),))
    assert yolo_boxes(annotation) == "1 0.375000 0.300000 0.250000 0.200000\n"


@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_boxes_come_back(height: int, width: int, data: st.DataObject) -> None:
    x = sorted(data.draw(st.tuples(*[st.floats(0, width)] * 2)))
    y = sorted(data.draw(st.tuples(*[st.floats(0, height)] * 2)))
    annotation = Annotation("a", (height, width), ("a",), boxes=(Box((x[0], y[0], x[1], y[1])),))
    found = parse(yolo_boxes(annotation))
    if x[0] == x[1] or y[0] == y[1]:
        assert found == []
        return
    ((label, (cx, cy, w, h)),) = found
    assert label == 0
    got = [(cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height]
    assert got == pytest.approx([x[0], y[0], x[1], y[1]], abs=0.05)


@given(MASKS)
def test_boxes_of_a_mask_are_those_of_its_components(mask: NDArray[np.uint8]) -> None:
    expected = []
    for label in (1, 2):
        for rows, columns in ndimage.find_objects(ndimage.label(mask == label, np.ones((3, 3)))[0]):
            expected.append((label - 1, columns.start, rows.start, columns.stop, rows.stop))
    scale = np.array([mask.shape[1], mask.shape[0]])
    got = []
    for label, numbers in parse(yolo_boxes(Annotation("a", mask.shape, ("a", "b"), mask=mask))):
        centre, half = numbers[:2] * scale, numbers[2:] * scale / 2
        got.append((label, *np.round(centre - half, 3), *np.round(centre + half, 3)))
    assert got == expected


@given(MASKS)
def test_segments_filled_again_are_the_mask(mask: NDArray[np.uint8]) -> None:
    # As Ultralytics does it: times the size, cut to integers, filled with the outline drawn.
    height, width = mask.shape
    picture = Image.new("L", (width, height))
    text = yolo_segments(Annotation("a", (height, width), ("a", "b"), mask=mask))
    for label, numbers in parse(text):
        points = (numbers.reshape(-1, 2) * [width, height]).astype(int)
        layer = Image.new("1", (width, height))
        ImageDraw.Draw(layer).polygon([(x, y) for x, y in points.tolist()], outline=1, fill=1)
        picture.paste(label + 1, mask=layer)
    assert np.array_equal(np.asarray(picture), mask)


@pytest.mark.parametrize("size", [(1999, 37), (41, 5003)])
def test_rounding_on_large_images_moves_no_pixel(size: tuple[int, int]) -> None:
    mask = (np.random.default_rng(0).random(size) < 0.004).astype(np.uint8)
    text = yolo_segments(Annotation("a", size, ("a",), mask=mask))
    filled = np.zeros(size, dtype=np.uint8)
    for _, numbers in parse(text):
        points = (numbers.reshape(-1, 2) * [size[1], size[0]]).astype(int)
        x0, y0 = points.min(axis=0)
        w, h = points.max(axis=0) - (x0, y0) + 1
        layer = Image.new("L", (int(w), int(h)))
        corners = [(x - x0, y - y0) for x, y in points.tolist()]
        ImageDraw.Draw(layer).polygon(corners, outline=1, fill=1)
        filled[y0 : y0 + h, x0 : x0 + w] |= np.asarray(layer)
    assert np.array_equal(filled, mask)


def test_segments_of_boxes_are_rectangles() -> None:
    annotation = Annotation("a", (10, 20), ("a",), boxes=(Box((5, 2, 10, 4)), Box((1, 1, 1, 1))))
    assert yolo_segments(annotation) == (
        "0 0.250000 0.200000 0.500000 0.200000 0.500000 0.400000 0.250000 0.400000\n"
    )


def test_files(tmp_path: Path) -> None:
    annotation = Annotation("a b.jpg", (4, 4), ("a",), mask=np.eye(4, dtype=np.uint8))
    write_yolo(tmp_path / "a b.txt", annotation, style="segments")
    assert (tmp_path / "a b.txt").read_text() == yolo_segments(annotation)
    write_yolo(tmp_path / "none.txt", Annotation("b", (4, 4), ("a",)))
    assert (tmp_path / "none.txt").read_bytes() == b""
    with pytest.raises((ExportError, TypeError), match="style"):
        write_yolo(tmp_path / "a.txt", annotation, style="masks")  # type: ignore[arg-type]


def test_class_names_are_quoted(tmp_path: Path) -> None:
    names = ["leaf", 'a "b": c # d', "no", "Blüte 花", "back\\slash", "- 1"]
    write_yolo_classes(tmp_path, names)
    assert (tmp_path / "classes.txt").read_text(encoding="utf-8").splitlines() == names
    lines = (tmp_path / "data.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["nc: 6", "names:"]
    keys, values = zip(*(line.strip().split(": ", 1) for line in lines[2:]), strict=True)
    assert keys == ("0", "1", "2", "3", "4", "5")
    assert [json.loads(value) for value in values] == names  # JSON strings are YAML's
