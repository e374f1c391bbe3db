"""Pascal VOC files, read back as its development kit reads them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from vicl.exports import Annotation, voc, write_voc
from vicl.exports.voc import voc_shapes
from vicl.tasks.boxes import Box

SIDES = ("xmin", "ymin", "xmax", "ymax")


def boxes(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """Classes and boxes; `int` as most readers have it."""
    found = []
    for entry in ET.fromstring(text).iter("object"):
        sides = tuple(int(entry.findtext(f"bndbox/{side}") or "") for side in SIDES)
        found.append((str(entry.findtext("name")), sides))
    return found


def test_components_of_a_mask_have_boxes_counted_from_one() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[2:7, 3:11] = 1
    mask[:, 29] = 2
    mask[19, 0] = 1
    text = voc(Annotation("a.jpg", (20, 30), ("leaf & <stem>", "sky"), mask=mask))
    assert boxes(text) == [
        ("leaf & <stem>", (4, 3, 11, 7)),
        ("leaf & <stem>", (1, 20, 1, 20)),
        ("sky", (30, 1, 30, 20)),
    ]
    large = voc(Annotation("a.jpg", (20, 30), ("a", "b"), mask=mask), min_area=2)
    assert [label for label, _ in boxes(large)] == ["a", "b"]


def test_boxes_are_cut_to_the_image_and_whole() -> None:
    found = (Box((-0.5, 0, 30.4, 20)), Box((4.2, 4.4, 4.4, 4.6)), Box((29.6, 19.6, 30, 20)))
    text = voc(Annotation("a.jpg", (20, 30), ("a",), boxes=found))
    assert [box for _, box in boxes(text)] == [(1, 1, 30, 20), (5, 5, 5, 5), (30, 20, 30, 20)]


def test_the_image_is_named_with_its_size(tmp_path: Path) -> None:
    empty = np.zeros((20, 30), np.uint8)
    annotation = Annotation("sub/Blätter\x1b.jpg", (20, 30), ("a",), mask=empty)
    write_voc(tmp_path / "a.xml", annotation)
    root = ET.parse(tmp_path / "a.xml").getroot()
    assert root.findtext("folder") == "sub"
    assert root.findtext("filename") == r"Blätter\x1b.jpg"
    size = [root.findtext(f"size/{side}") for side in ("width", "height", "depth")]
    assert size == ["30", "20", "3"]
    assert root.find("object") is None


def test_the_reader_of_examples_gets_the_boxes_back(tmp_path: Path) -> None:
    given = (Box((0, 0, 30, 20), 1), Box((0, 19, 1, 20), 2), Box((7, 3, 12, 11), 1))
    written = Annotation("a.jpg", (20, 30), ("a", "b c"), boxes=given)
    write_voc(tmp_path / "a.xml", written)
    read = voc_shapes((tmp_path / "a.xml").read_bytes(), "a.xml", tmp_path / "a.jpg")
    assert [(shape.name, shape.box) for shape in read.shapes] == [
        (written.classes[box.label - 1], box.box) for box in given
    ]
    assert read.size == (20, 30)
