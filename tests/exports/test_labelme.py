"""LabelMe's JSON, drawn again as LabelMe draws it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vicl.exports import Annotation, labelme, write_labelme
from vicl.tasks.boxes import Box

MASKS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.integers(0, 2),
    fill=st.nothing(),
)


@given(MASKS)
def test_polygons_drawn_again_are_the_mask(mask: NDArray[np.uint8]) -> None:
    size = mask.shape
    document = labelme(Annotation("a.png", size, ("leaf", "stem"), mask=mask))
    drawn = Image.new("L", (document["imageWidth"], document["imageHeight"]))
    for shape in document["shapes"]:
        assert shape["shape_type"] == "polygon"
        layer = Image.new("1", drawn.size)
        points = [(x, y) for x, y in shape["points"]]
        ImageDraw.Draw(layer).polygon(points, outline=1, fill=1)
        drawn.paste(("leaf", "stem").index(shape["label"]) + 1, mask=layer)
    assert np.array_equal(np.asarray(drawn), mask)


def test_the_file_has_what_the_editor_reads(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[2, 3] = 1
    boxes = (Box((1.5, 2, 4, 6), label=2),)
    name = 'Grüne "Blätter" 1.jpg'
    annotation = Annotation(name, (6, 8), ("leaf", "stem"), mask=mask, boxes=boxes)
    write_labelme(tmp_path / "a.json", annotation)
    document = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert document["version"].split(".")[0] == "5"
    assert document["imageData"] is None
    assert document["imagePath"] == name
    assert (document["imageHeight"], document["imageWidth"]) == (6, 8)
    polygon, rectangle = document["shapes"]
    assert (polygon["label"], polygon["shape_type"]) == ("leaf", "polygon")
    assert np.allclose(polygon["points"], [[3, 2], [4, 2], [4, 3], [3, 3]], atol=0.06)
    assert (rectangle["label"], rectangle["shape_type"]) == ("stem", "rectangle")
    assert rectangle["points"] == [[1.5, 2.0], [4.0, 6.0]]
    assert {"group_id", "flags"} <= set(polygon)


def test_an_empty_image_is_listed(tmp_path: Path) -> None:
    write_labelme(tmp_path / "a.json", Annotation("a.png", (3, 4), ("leaf",)))
    assert json.loads((tmp_path / "a.json").read_text())["shapes"] == []
