"""COCO records and files, read by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from vicl.exports import (
    Annotation,
    CocoStyle,
    ExportError,
    Instances,
    coco_annotations,
    coco_dataset,
    coco_image_record,
    read_coco,
    write_coco,
)
from vicl.tasks.boxes import Box

# pycocotools 2.0.11 has not followed NumPy 2 in this.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLASSES = ("leaf", "stem")
MASKS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.integers(0, 2),
    fill=st.nothing(),
)
STYLES = st.sampled_from(["rle", "uncompressed_rle", "polygon"])


def load(path: Path) -> Any:
    """Read a file with pycocotools, without its chatter."""
    reader = pytest.importorskip("pycocotools.coco")
    with contextlib.redirect_stdout(io.StringIO()):
        return reader.COCO(str(path))


@given(MASKS, STYLES, st.sampled_from(["components", "class"]))
def test_area_box_and_region_are_those_of_pycocotools(
    mask: NDArray[np.uint8], style: CocoStyle, instances: Instances
) -> None:
    reference = pytest.importorskip("pycocotools.mask")
    annotation = Annotation("a.png", mask.shape, CLASSES, mask=mask)
    entries = coco_annotations(annotation, image_id=7, first_id=3, style=style, instances=instances)
    assert [entry["id"] for entry in entries] == list(range(3, 3 + len(entries)))
    drawn = np.zeros_like(mask)
    for entry in entries:
        assert (entry["image_id"], entry["iscrowd"]) == (7, 0)
        assert "score" not in entry
        rle = entry["segmentation"]
        if style != "rle":
            rle = reference.frPyObjects(rle, *mask.shape)
        if style == "polygon":
            rle = reference.merge(rle)
        region = reference.decode(rle) == 1
        assert not drawn[region].any()
        drawn[region] = entry["category_id"]
        assert entry["area"] == reference.area(rle) == region.sum()
        assert entry["bbox"] == reference.toBbox(rle).tolist()
    assert np.array_equal(drawn, mask)
    if instances == "class":
        assert len(entries) == len(np.unique(mask[mask > 0]))


def test_boxes_become_x_y_width_height() -> None:
    boxes = (Box((1.5, 2, 4, 6), label=2, score=0.25), Box((3, 3, 3, 5)))
    annotation = Annotation("a", (6, 8), CLASSES, boxes=boxes)
    (entry,) = coco_annotations(annotation, image_id=1, first_id=1)
    assert entry["bbox"] == [1.5, 2.0, 2.5, 4.0]
    assert (entry["area"], entry["category_id"], entry["score"]) == (10.0, 2, 0.25)
    assert entry["segmentation"] == []


def test_a_mask_goes_before_boxes_and_gives_scores() -> None:
    mask = np.array([[1, 0, 2]], dtype=np.uint8)
    confidence = np.array([[0.5, 0.1, 0.75]], dtype=np.float32)
    annotation = Annotation(
        "a", (1, 3), CLASSES, mask=mask, boxes=(Box((0, 0, 3, 1)),), confidence=confidence
    )
    entries = coco_annotations(annotation, image_id=1, first_id=1)
    assert [(entry["category_id"], entry["score"]) for entry in entries] == [(1, 0.5), (2, 0.75)]


@pytest.mark.parametrize("style", ["rle", "uncompressed_rle", "polygon"])
def test_a_file_is_read_by_pycocotools(tmp_path: Path, style: CocoStyle) -> None:
    rng = np.random.default_rng(0)
    names = ["a b.png", 'Grüne "Blätter".jpg', "花/1.png", "empty.png"]
    masks = [rng.integers(0, 3, (9, 11)).astype(np.uint8) for _ in names[:3]]
    masks.append(np.zeros((9, 11), dtype=np.uint8))
    records, first = [], 1
    for number, (name, mask) in enumerate(zip(names, masks, strict=True), start=1):
        annotation = Annotation(name, (9, 11), CLASSES, mask=mask)
        entries = coco_annotations(annotation, image_id=number, first_id=first, style=style)
        records.append((coco_image_record(annotation, image_id=number), entries))
        first += len(entries)
    path = tmp_path / "a.json"
    write_coco(path, coco_dataset(records, classes=CLASSES, info={"description": "Blätter"}))
    found = load(path)
    assert [image["file_name"] for image in found.loadImgs(found.getImgIds())] == names
    assert {c["id"]: c["name"] for c in found.loadCats(found.getCatIds())} == {
        1: "leaf",
        2: "stem",
    }
    for number, mask in enumerate(masks, start=1):
        drawn = np.zeros_like(mask)
        for entry in found.loadAnns(found.getAnnIds(imgIds=number)):
            drawn[found.annToMask(entry) == 1] = entry["category_id"]
        assert np.array_equal(drawn, mask)
    dataset = read_coco(path)
    assert dataset == json.loads(path.read_text())
    assert dataset["info"] == {"description": "Blätter"}


def test_a_perfect_answer_scores_one_in_cocos_evaluation(tmp_path: Path) -> None:
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    mask = np.zeros((40, 50), dtype=np.uint8)
    mask[3:20, 5:25], mask[25:35, 30:48], mask[8:12, 10:14] = 1, 2, 0
    annotation = Annotation(
        "a", (40, 50), CLASSES, mask=mask, confidence=np.full((40, 50), 0.5, np.float32)
    )
    entries = coco_annotations(annotation, image_id=1, first_id=1, style="polygon")
    record = coco_image_record(annotation, image_id=1)
    write_coco(tmp_path / "a.json", coco_dataset([(record, entries)], classes=CLASSES))
    truth = load(tmp_path / "a.json")
    answers = coco_annotations(annotation, image_id=1, first_id=1)
    with contextlib.redirect_stdout(io.StringIO()):
        run = evaluation.COCOeval(truth, truth.loadRes(answers), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    assert run.stats[0] == pytest.approx(1.0)


def test_other_tools_keys_are_kept(tmp_path: Path) -> None:
    document = {
        "images": [{"id": 5, "file_name": "a", "height": 2, "width": 2, "flickr_url": "u"}],
        "annotations": [
            {"id": 9, "image_id": 5, "category_id": 3, "bbox": [0, 0, 1, 1], "keypoints": [1]}
        ],
        "categories": [{"id": 3, "name": "leaf", "skeleton": []}],
        "type": "instances",
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    assert read_coco(path) == document


IMAGE = {"id": 1, "file_name": "a", "height": 2, "width": 3}
ENTRY = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}


def _file(**changes: object) -> str:
    whole = {"images": [IMAGE], "annotations": [ENTRY], "categories": [{"id": 1, "name": "leaf"}]}
    return json.dumps({**whole, **changes})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no COCO instances file: is no JSON"),
        ("[]", r"got \[\], expected a section of keys"),
        ('{"images": []}', "annotations: is missing"),
        (_file(images=[{**IMAGE, "height": "2"}]), r"images\.0\.height: .* whole number"),
        (_file(images=[IMAGE, IMAGE]), "2 entries share 1 ids"),
        (_file(annotations=[{**ENTRY, "image_id": 2}]), "image_id 2 is not among"),
        (_file(annotations=[{**ENTRY, "category_id": 0}]), "category_id 0 is not among"),
        (_file(annotations=[{**ENTRY, "bbox": [0, 0, 1]}]), "bbox has 3 numbers"),
        (
            _file(annotations=[{**ENTRY, "segmentation": {"size": [3, 2], "counts": "6"}}]),
            r"size \[3, 2\], expected that of its image, \[2, 3\]",
        ),
    ],
)
def test_what_is_no_coco_file_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "Blätter.json"
    path.write_text(text)
    with pytest.raises(ExportError, match=fault) as caught:
        read_coco(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"a\.json: cannot be read"):
        read_coco(tmp_path / "a.json")
