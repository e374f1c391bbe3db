"""Annotations of other tools, and vicl's own read back: equal pixel for pixel where promised."""

from __future__ import annotations

import base64
import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from vicl.exports import (
    Annotation,
    Box,
    CocoStyle,
    ExportError,
    Instances,
    coco_annotations,
    coco_dataset,
    coco_image_record,
    decode_rle,
    encode_rle,
    write_coco,
    write_labelme,
    write_yolo,
    write_yolo_classes,
)
from vicl.exports.reading import is_annotation_file, read_shapes
from vicl.exports.rle import rle_to_pixels
from vicl.exports.shapes import Painted, paint, parse_boxes

NAMES = ("leaf", "stem")
MASKS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.integers(0, 2),
    fill=st.nothing(),
)
STYLES: list[CocoStyle] = ["rle", "uncompressed_rle", "polygon"]


def read(
    path: Path, size: tuple[int, int], image: Path | None = None, names: tuple[str, ...] = NAMES
) -> Painted:
    return paint(read_shapes(path, image), size, names, limit_pixels=10**6)


def coco(path: Path, *annotations: Annotation, style: CocoStyle, instances: Instances) -> Path:
    records = [
        (
            coco_image_record(annotation, image_id=number),
            coco_annotations(
                annotation,
                image_id=number,
                first_id=1000 * number,
                style=style,
                instances=instances,
            ),
        )
        for number, annotation in enumerate(annotations, start=1)
    ]
    write_coco(path, coco_dataset(records, classes=NAMES))
    return path


@settings(max_examples=40)
@given(MASKS)
def test_what_is_written_reads_back_exactly(tmp_path: Path, mask: NDArray[np.uint8]) -> None:
    annotation = Annotation("a.png", mask.shape, NAMES, mask=mask)
    write_labelme(tmp_path / "a.json", annotation)
    write_yolo(tmp_path / "a.txt", annotation, style="segments")
    write_yolo_classes(tmp_path, NAMES)
    files = [tmp_path / "a.json", tmp_path / "a.txt"]
    for style in STYLES:
        for instances in ("components", "class"):
            path = tmp_path / f"{style}-{instances}.json"
            files.append(coco(path, annotation, style=style, instances=instances))
    for path in files:
        assert np.array_equal(read(path, mask.shape).labels, mask), path.name


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_pixels_of_run_lengths(mask: NDArray[np.bool_]) -> None:
    pixels = rle_to_pixels(encode_rle(mask))
    assert np.array_equal(pixels, np.flatnonzero(decode_rle(encode_rle(mask)).T))


def test_boxes_read_back(tmp_path: Path) -> None:
    boxes = (Box((3, 4, 20, 30), 1), Box((10, 5, 40, 15), 2))
    annotation = Annotation("a.png", (40, 50), NAMES, boxes=boxes)
    write_labelme(tmp_path / "a.json", annotation)
    write_yolo(tmp_path / "a.txt", annotation)
    write_yolo_classes(tmp_path, NAMES)
    coco(tmp_path / "coco.json", annotation, style="rle", instances="components")
    expected = np.zeros((40, 50), np.uint8)
    expected[4:30, 3:20] = 1
    expected[5:15, 10:40] = 2
    for name in ("a.json", "a.txt", "coco.json"):
        found = read(tmp_path / name, (40, 50))
        assert np.array_equal(found.labels, expected), name
        for got, want in zip(found.boxes, boxes, strict=True):
            assert got.label == want.label
            assert got.box == pytest.approx(want.box, abs=1e-3)


def labelme(path: Path, *shapes: dict[str, Any], **more: Any) -> Path:
    document = {"shapes": list(shapes), "imagePath": "a.png", "imageHeight": 20, "imageWidth": 30}
    path.write_text(json.dumps(document | more))
    return path


def shape(kind: str | None, points: Any, label: str = "leaf", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind} | more


def png(mask: NDArray[np.bool_]) -> str:
    data = io.BytesIO()
    Image.fromarray(mask).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def test_labelme_shapes(tmp_path: Path) -> None:
    square = [[2, 3], [8, 3], [8, 9], [2, 9]]
    filled = np.zeros((20, 30), np.uint8)
    filled[3:9, 2:8] = 1
    for one in (
        shape("polygon", square),
        shape(None, square),  # as the oldest files have it
        shape("rectangle", [[2, 3], [8, 9]]),
        shape("rectangle", [[8, 9], [2, 3]]),  # drawn from the other corner
        shape("rectangle", square),
        shape("rotation", square),
        shape("mask", [[2, 3], [7, 8]], mask=png(np.ones((6, 6), bool))),
    ):
        found = read(labelme(tmp_path / "a.json", one), (20, 30))
        assert np.array_equal(found.labels, filled), one
        assert [box.box for box in found.boxes] == [(2, 3, 8, 9)]
    circle = read(labelme(tmp_path / "a.json", shape("circle", [[15, 10], [15, 16]])), (20, 30))
    y, x = np.mgrid[:20, :30] + 0.5
    assert np.array_equal(circle.labels, np.hypot(x - 15, y - 10) < 6)


def test_labelme_layers(tmp_path: Path) -> None:
    path = labelme(
        tmp_path / "a.json",
        shape("rectangle", [[0, 0], [20, 20]]),
        shape("rectangle", [[5, 5], [10, 10]], "stem"),
        shape("rectangle", [[6, 6], [8, 8]], "_background_"),
    )
    found = read(path, (20, 30))
    expected = np.zeros((20, 30), np.uint8)
    expected[:, :20], expected[5:10, 5:10], expected[6:8, 6:8] = 1, 2, 0
    assert np.array_equal(found.labels, expected)
    assert [box.label for box in found.boxes] == [1, 2]
    assert read_shapes(path).names == ("leaf", "stem")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (shape("linestrip", [[0, 0], [9, 9]]), "'linestrip' has no area, expected polygon"),
        (shape("point", [[0, 0]]), "'point' has no area"),
        (shape("spline", [[0, 0]]), "'spline' is not known"),
        (shape("polygon", [[0, 0], [9, 9]]), "got 2 points, expected three or more"),
        (shape("polygon", "abc"), "expected numbers"),
        (shape("polygon", [[0, 0], [9, "9"], [1, 2]]), "expected numbers"),
        (shape("polygon", [[0, 0], [9, 9, 1], [1, 2]]), "expected numbers"),
        (shape("polygon", [[0, 0, 0]] * 3), "expected pairs x, y"),
        (shape("rectangle", [[5, 5], [5, 9]]), "has no area"),
        (shape("circle", [[5, 5], [5, 5]]), "circle of radius 0"),
        (shape("rectangle", [[40, 5], [50, 9]]), "lies outside the image of 30x20"),
        (shape("mask", [[0, 0], [9, 9]]), "is a mask, but holds none"),
        (shape("mask", [[0, 0], [9, 9]], mask="%%"), "no PNG in base64"),
        (shape("mask", [[29, 0], [39, 9]], mask=png(np.ones((9, 9), bool))), "reaches out of"),
        (shape("polygon", [[0, 0]] * 3, label=""), "label: got '', expected a name"),
        ("leaf", "expected an object with label and points"),
    ],
)
def test_damaged_labelme_is_refused_by_name(tmp_path: Path, entry: Any, words: str) -> None:
    path = labelme(tmp_path / "a.json", entry)
    with pytest.raises(ExportError, match=rf"a\.json: shape 1.*{words}"):
        read(path, (20, 30))


def dataset(path: Path, *entries: dict[str, Any], names: tuple[str, ...] = ("a.png",)) -> Path:
    images = [
        {"id": n, "file_name": name, "height": 20, "width": 30} for n, name in enumerate(names)
    ]
    annotations = [
        {"id": n, "image_id": 0, "category_id": 7} | entry for n, entry in enumerate(entries)
    ]
    categories = [{"id": 9, "name": "leaf"}, {"id": 7, "name": "stem"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(document))
    return path


def test_coco_by_others(tmp_path: Path) -> None:
    """Several polygons are one object; a crowd is of the class, but no object; boxes are filled."""
    path = dataset(
        tmp_path / "a.json",
        {"segmentation": [[2, 3, 8, 3, 8, 9, 2, 9], [12, 3, 18, 3, 18, 9, 12, 9]]},
        {"category_id": 9, "bbox": [20, 10, 4, 5], "segmentation": []},
        {"iscrowd": 1, "segmentation": {"size": [20, 30], "counts": [590, 10]}},
        {"bbox": [0, 15, 3, 2]},
    )
    shapes = read_shapes(path)
    assert shapes.names == ("stem", "leaf")  # by the categories' numbers
    found = paint(shapes, (20, 30), NAMES, limit_pixels=600)
    expected = np.zeros((20, 30), np.uint8)
    expected[3:9, 2:8] = expected[3:9, 12:18] = expected[10:, 29] = expected[15:17, :3] = 2
    expected[10:15, 20:24] = 1
    assert np.array_equal(found.labels, expected)
    boxes = [(box.box, box.label) for box in found.boxes]
    assert boxes == [((2, 3, 18, 9), 2), ((20, 10, 24, 15), 1), ((0, 15, 3, 17), 2)]


@pytest.mark.parametrize(
    ("image", "number"),
    [
        ("/data/train/a.png", 0),
        ("/data/val/a.png", 1),
        ("/elsewhere/b.png", 2),
        ("/data/deep/c.png", 3),
        ("/anywhere/c.png", 3),
    ],
)
def test_the_image_is_found_by_its_path(tmp_path: Path, image: str, number: int) -> None:
    names = ("train/a.png", "val/a.png", "b.png", "deep\\c.png")
    path = dataset(tmp_path / "a.json", names=names)
    document = json.loads(path.read_text())
    document["annotations"] = [
        {"id": n, "image_id": n, "category_id": 9, "bbox": [n, 0, 1, 1]} for n in range(4)
    ]
    path.write_text(json.dumps(document))
    (box,) = read(path, (20, 30), Path(image)).boxes
    assert box.box[0] == number


def _one_coco(path: Path, **entry: Any) -> Path:
    """A file of one image 9 x 6 and one object, whose entry is changed."""
    whole = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 3]}
    document = {
        "images": [{"id": 1, "file_name": "a.png", "height": 6, "width": 9}],
        "annotations": [whole | {"segmentation": [[1, 1, 5, 1, 5, 4, 1, 4]]} | entry],
        "categories": [{"id": 1, "name": "leaf"}],
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    "entry",
    [
        {"segmentation": None},
        {"bbox": None},
        {"area": None, "score": None, "iscrowd": None},
        {"iscrowd": False},
    ],
)
def test_null_in_a_coco_file_is_what_is_missing(tmp_path: Path, entry: dict[str, Any]) -> None:
    found = read(_one_coco(tmp_path / "a.json", **entry), (6, 9))
    inside = np.zeros((6, 9), np.uint8)
    inside[1:4, 1:5] = 1
    assert np.array_equal(found.labels, inside)
    assert [box.box for box in found.boxes] == [(1, 1, 5, 4)]


@pytest.mark.parametrize("paths", [[1, 1, 5, 1, 5, 4], [[[1, 1], [5, 1], [5, 4]]], "abc", 7])
def test_outlines_in_another_form_are_refused_in_words(tmp_path: Path, paths: Any) -> None:
    with pytest.raises(ExportError, match=r"annotation 1: segmentation: got .*expected run"):
        read(_one_coco(tmp_path / "a.json", segmentation=paths), (6, 9))


def test_an_image_that_is_not_found_or_twice(tmp_path: Path) -> None:
    path = dataset(tmp_path / "a.json", names=("train/a.png", "val/a.png"))
    with pytest.raises(ExportError, match=r"2 of its images may be .*\(train/a.png, val/a.png\)"):
        read_shapes(path, "a.png")
    with pytest.raises(ExportError, match=r"no image called z.png; its images are train/a.png"):
        read_shapes(path, "z.png")
    with pytest.raises(ExportError, match="2 images; give the example's input as a path"):
        read_shapes(path, np.zeros((20, 30), np.uint8))


def test_yolo_by_others(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "train" / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(
        b"\xef\xbb\xbf0 0.5 0.5 0.2 0.5\r\n\r\n1 0.5 0.5 0.2 0.1 0.93\r\n"
        b"1 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\r\n"
    )
    found = read(path, (20, 30), names=("0", "1"))  # nobody named them
    assert [(b.label, b.box) for b in found.boxes] == [
        (1, pytest.approx((12, 5, 18, 15))),
        (2, pytest.approx((12, 9, 18, 11))),
        (2, pytest.approx((3, 2, 6, 4))),
    ]
    assert found.labels[2:4, 3:6].all()
    (tmp_path / "data.yaml").write_text("path: x\nnames:\n  0: leaf\n  1: 'stem, old'\n")
    assert read_shapes(path).names == ("leaf", "stem, old")
    (tmp_path / "labels" / "data.yaml").write_text("nc: 2\nnames: [leaf, stem]\n")
    assert read_shapes(path).names == NAMES
    (path.parent / "classes.txt").write_bytes(b"Leaf\r\nStem\r\n")
    assert read_shapes(path).names == ("Leaf", "Stem")  # the nearest


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("leaf 0.5 0.5 0.2 0.5", "'leaf 0.5 .* is no object"),
        ("0 0.5 0.5", "has 3 numbers"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2 0.1", "has 8 numbers"),
        ("-1 0.5 0.5 0.2 0.5", "the class -1"),
        ("0 12 5 18 15", "expected shares of the image from 0 to 1; divide x"),
        ("0 0.5 0.5 0 0.5", "has no area"),
        ("0 nan 0.5 0.1 0.5", "NaN or infinity"),
        ("0 1e308 1e308 1e308 1e308", "NaN or infinity|shares"),
        ("5 0.5 0.5 0.2 0.5", "has class 5, but only 2 classes are named"),
    ],
)
def test_damaged_yolo_is_refused_by_line(tmp_path: Path, line: str, words: str) -> None:
    write_yolo_classes(tmp_path, NAMES)
    (tmp_path / "a.txt").write_text(f"0 0.5 0.5 0.2 0.5\n{line}\n")
    with pytest.raises(ExportError, match=rf"a\.txt: (line 2: .*)?({words})"):
        read_shapes(tmp_path / "a.txt")


def test_an_empty_label_file_has_no_objects(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert read_shapes(tmp_path / "a.txt").shapes == ()


def voc(path: Path, *boxes: tuple[str, str, str, str], size: str = "", extra: str = "") -> Path:
    sides = ("xmin", "ymin", "xmax", "ymax")
    objects = "".join(
        f"<object><name>leaf</name><part><name>tip</name><bndbox/></part><bndbox>"
        f"{''.join(f'<{s}>{v}</{s}>' for s, v in zip(sides, box, strict=True))}</bndbox></object>"
        for box in boxes
    )
    path.write_text(f"<annotation><filename>a.png</filename>{size}{objects}{extra}</annotation>")
    return path


def test_voc_counts_pixels_from_one(tmp_path: Path) -> None:
    found = read(voc(tmp_path / "a.xml", ("1", "1", "30", "20")), (20, 30))
    assert [box.box for box in found.boxes] == [(0, 0, 30, 20)]
    assert found.labels.all()
    for box in (("0", "2", "30", "20"), ("3.5", "2", "30", "20")):
        found = read(voc(tmp_path / "a.xml", box), (20, 30))
        assert [b.box for b in found.boxes] == [tuple(map(float, box))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<svg/>", "its root is <svg>, expected Pascal VOC"),
        ("<annotation><object/></annotation>", "has no <name>"),
        ("<annotation><object><name>a</name></object></annotation>", "has no <bndbox>"),
        ("<annotation><object>", "is no XML, or is cut off"),
        ("not xml", "is no XML"),
    ],
)
def test_damaged_voc_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(ExportError, match=rf"a\.xml: .*{words}"):
        read_shapes(tmp_path / "a.xml")
    with pytest.raises(ExportError, match="expected a number in each of xmin"):
        read_shapes(voc(tmp_path / "b.xml", ("1", "one", "3", "4")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON from line 1, column 2 on, or is cut off"),
        ("[" * 100_000, "has too many sections inside one another"),
        ("[1, 2]", "holds a JSON list, expected"),
        ('{"_via_img_metadata": {}}', "neither LabelMe's .* nor COCO's .*; it has _via_img_meta"),
        ("{}", "it has nothing"),
        ('{"images": 3, "annotations": []}', "is no COCO instances file"),
    ],
)
def test_foreign_json_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ExportError, match=rf"a\.json: .*{words}"):
        read_shapes(tmp_path / "a.json")


def test_sizes_that_differ(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = labelme(tmp_path / "a.json", shape("rectangle", [[2, 4], [10, 12]]))
    with caplog.at_level(logging.WARNING, logger="vicl"):
        found = read(path, (10, 15))
    assert "was drawn on an image of 30x20 pixels" in caplog.text
    assert [box.box for box in found.boxes] == [(1, 2, 5, 6)]
    assert found.labels.shape == (20, 30)
    with pytest.raises(ExportError, match=r"sides are swapped, so .* before its EXIF orientation"):
        read(path, (30, 20))
    with pytest.raises(ExportError, match="do not show the same frame"):
        read(path, (20, 90))


def test_an_annotation_of_another_image_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = labelme(tmp_path / "x.json", shape("rectangle", [[2, 4], [10, 12]]))
    read_shapes(path, "photos/A.jpg")
    assert not caplog.records
    read_shapes(path, "photos/b.png")
    assert "says that it is of a.png, but is given for photos/b.png" in caplog.text


def test_boxes_as_they_are_typed() -> None:
    shapes = parse_boxes(["cat=1,2,3,4", "a=b=5,6,7.5,8"], "--box")
    assert [(s.name, s.box) for s in shapes.shapes] == [
        ("cat", (1, 2, 3, 4)),
        ("a=b", (5, 6, 7.5, 8)),
    ]
    assert parse_boxes(["1,2,3,4"], "--box").numbered
    for text in ("1,2,3", "a=1,2,3,x", "", "1 2 3 4", "3,2,1,4", "1,2,nan,4", "1,2,3,4,5"):
        with pytest.raises(ExportError, match="--box"):
            parse_boxes([text], "--box")
    with pytest.raises(ExportError, match="with a name and without"):
        parse_boxes(["1,2,3,4", "cat=1,2,3,4"], "--box")


def test_which_outputs_are_files_of_annotations() -> None:
    assert all(map(is_annotation_file, ("a.json", Path("b.TXT"), "c.Xml")))
    assert not any(map(is_annotation_file, ("a.png", "json", 3, [(1, 2, 3, 4)])))
