"""What an annotation refuses, and how a mask falls into objects."""

from __future__ import annotations

import numpy as np
import pytest

from vicl.exports import Annotation, ExportError
from vicl.exports.annotation import clipped_boxes
from vicl.exports.regions import find_regions
from vicl.tasks.boxes import Box

MASK = np.array(
    [
        [0, 2, 0, 0, 1],
        [2, 0, 0, 1, 0],
        [0, 0, 0, 0, 0],
        [2, 2, 2, 0, 1],
    ],
    dtype=np.uint8,
)


def test_objects_come_by_class_and_then_in_reading_order() -> None:
    annotation = Annotation("a.png", (4, 5), ("leaf", "stem"), mask=MASK)
    found = [(r.label, len(r.pixels), r.box) for r in find_regions(annotation)]
    assert found == [
        (1, 2, (3, 0, 5, 2)),  # corners connect
        (1, 1, (4, 3, 5, 4)),
        (2, 2, (0, 0, 2, 2)),
        (2, 3, (0, 3, 3, 4)),
    ]


def test_one_object_a_class() -> None:
    annotation = Annotation("a.png", (4, 5), ("leaf", "stem"), mask=MASK)
    found = find_regions(annotation, instances="class", polygons=True)
    assert [(r.label, len(r.pixels), r.box, len(r.polygons)) for r in found] == [
        (1, 3, (3, 0, 5, 4), 2),
        (2, 5, (0, 0, 3, 4), 2),
    ]


def test_small_components_are_left_out() -> None:
    annotation = Annotation("a.png", (4, 5), ("leaf", "stem"), mask=MASK)
    found = find_regions(annotation, min_area=3, polygons=True)
    assert [(r.label, r.box) for r in found] == [(2, (0, 3, 3, 4))]
    assert found[0].polygons[0].tolist() == [[0, 3], [3, 3], [3, 4], [0, 4]]
    assert [r.box for r in find_regions(annotation, min_area=2, instances="class")] == [
        (3, 0, 5, 2),
        (0, 0, 3, 4),
    ]
    assert find_regions(annotation, min_area=9, instances="class", polygons=True) == []


def test_an_objects_score_is_its_mean_confidence() -> None:
    confidence = np.arange(20, dtype=np.float32).reshape(4, 5) / 20
    annotation = Annotation("a", (4, 5), ("leaf", "stem"), mask=MASK, confidence=confidence)
    scores = [region.score for region in find_regions(annotation)]
    assert scores == pytest.approx([(4 + 8) / 40, 19 / 20, (1 + 5) / 40, (15 + 16 + 17) / 60])


def test_boxes_are_cut_to_the_image_and_empty_ones_dropped() -> None:
    boxes = (Box((-1, 0.5, 2, 5)), Box((1, 1, 1, 3)), Box((5, 0, 6, 2)))
    annotation = Annotation("a", (4, 5), ("leaf",), boxes=boxes)
    assert clipped_boxes(annotation) == (Box((0, 0.5, 2, 4)),)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"file_name": ""}, "file_name"),
        ({"file_name": "a\udc80.png"}, "rename the image"),
        ({"size": (5, 4)}, r"\(height, width\) = \(5, 4\)"),
        ({"size": (0, 5), "mask": None}, r"'a': size"),
        ({"classes": ()}, "got 0 names"),
        ({"classes": ("leaf", "leaf")}, "leaf more than once"),
        ({"classes": ("leaf", "two\nlines")}, "one line"),
        ({"classes": ("leaf",)}, "got class 2, expected 0"),
        ({"classes": ("leaf",), "mask": np.full((4, 5), 255, np.uint8)}, "mask > 0"),
        ({"mask": None, "confidence": np.zeros((5, 4), np.float32)}, "confidence: got shape"),
        ({"confidence": np.full((4, 5), np.nan, np.float32)}, "NaN"),
        ({"boxes": (Box((0, 0, 1, 1), label=3),)}, "class 3, expected 1 to 2"),
        ({"boxes": (Box((0, 0, 7, 1)),)}, "outside the image"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], fault: str) -> None:
    fitting = {"file_name": "a", "size": (4, 5), "classes": ("leaf", "stem"), "mask": MASK}
    with pytest.raises(ExportError, match=fault):
        Annotation(**{**fitting, **change})  # type: ignore[arg-type]


def test_unknown_instances_are_refused() -> None:
    annotation = Annotation("a.png", (4, 5), ("leaf", "stem"), mask=MASK)
    with pytest.raises((ExportError, TypeError), match="instances"):
        find_regions(annotation, instances="pixels")  # type: ignore[arg-type]
