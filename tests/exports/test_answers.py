"""Answers as annotations, rows and contact sheets."""

from __future__ import annotations

import json
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image
from tests.pictures import picture

import vicl
from vicl.engine import View
from vicl.exports.answers import Answer, AnswerSheet, Query, as_annotation, as_row
from vicl.images import open_image, save_image, to_pil
from vicl.prompt import Example
from vicl.tasks.boxes import Box

GREY = Image.new("RGB", (40, 30), (90, 90, 90))
LEAF = Query(Path("photos/sub/leaf.jpg"), PurePath("sub/leaf.jpg"))


def test_an_annotation_is_what_the_answer_says() -> None:
    mask = np.ones((30, 40), np.uint8)
    confidence = np.full((30, 40), 0.5, np.float32)
    box = Box((1.0, 2.0, 3.0, 4.0), 1)
    answer = Answer(GREY, mask=mask, classes=("leaf",), boxes=(box,), confidence=confidence)
    found = as_annotation("sub/leaf.jpg", answer)
    assert (found.file_name, found.size, found.classes) == ("sub/leaf.jpg", (30, 40), ("leaf",))
    assert found.mask is mask
    assert found.boxes == (box,)
    assert found.confidence is confidence


def test_a_row_of_a_mask() -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[:15] = 2
    answer = Answer(
        GREY,
        mask=mask,
        classes=("leaf", "stem"),
        likelihood=-3.5,
        confidence=np.full((30, 40), 0.25, np.float32),
        alternatives=(Answer(GREY),),
    )
    row = as_row(LEAF, answer, Path("out/leaf.png"))
    assert json.loads(json.dumps(row)) == {
        "query": "photos/sub/leaf.jpg",
        "output": "out/leaf.png",
        "size": [30, 40],
        "confidence": 0.25,
        "likelihood": -3.5,
        "area": {"leaf": 0.0, "stem": 0.5},
        "alternatives": 1,
    }


def test_a_row_of_several_views_says_which_example_helped() -> None:
    views = (View((0,), 1, -3.5, 0.75), View((1,), 1, None, 0.123456))
    told = [
        {"examples": [0], "arrangement": 1, "likelihood": -3.5, "agreement": 0.75},
        {"examples": [1], "arrangement": 1, "likelihood": None, "agreement": 0.1235},
    ]
    row = as_row(LEAF, Answer(GREY, views=(views,)), None)
    assert json.loads(json.dumps(row))["views"] == told
    classes = ("leaf", "stem")
    row = as_row(LEAF, Answer(GREY, classes=classes, views=(views, views[:1])), None)
    assert row["views"] == [
        {"class": "leaf", **told[0]},
        {"class": "leaf", **told[1]},
        {"class": "stem", **told[0]},
    ]


def test_a_row_of_boxes_and_one_of_a_picture() -> None:
    scores = np.zeros((1, 30, 40), np.float32)
    box = Box((1.0, 2.0, 3.0, 4.0), 1, 0.75)
    row = as_row(LEAF, Answer(GREY, scores=scores, classes=("cat",), boxes=(box,)), None)
    assert row["boxes"] == [{"class": "cat", "box": [1.0, 2.0, 3.0, 4.0], "score": 0.75}]
    nothing = as_row(LEAF, Answer(GREY, scores=scores, classes=("cat",)), None)
    assert nothing["boxes"] == []
    assert as_row(LEAF, Answer(GREY), None) == {"query": str(LEAF.path), "size": [30, 40]}


def test_a_sheet_shows_the_first_answers_and_holds_them_small(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    save_image(to_pil(picture(600, 900, seed=1)), path)
    examples = [Example(picture(20, 20, seed=2), picture(20, 20, seed=3))]
    sheet = AnswerSheet(examples, most=2)
    for _ in range(3):
        sheet.add(Query(path, PurePath("large.png")), Answer(to_pil(picture(600, 900, seed=4))))
    assert len(sheet.queries) == 2
    held = [image.shape for row in sheet._pictures for image in row]
    assert held == [(3, 20, 20)] * 2 + [(3, 341, 512)] * 4
    sheet.save(tmp_path / "sheet.png")
    assert open_image(tmp_path / "sheet.png").height > 3 * 100
    with pytest.raises(ValueError, match="input"):
        sheet.save(path)


def test_a_sheet_refuses_a_query_over_the_limit(tmp_path: Path) -> None:
    save_image(GREY, tmp_path / "q.png")
    sheet = AnswerSheet([], limit_pixels=100)
    with pytest.raises(vicl.ImageError, match="limit"):
        sheet.add(Query(tmp_path / "q.png", PurePath("q.png")), Answer(GREY))


def test_a_mask_is_drawn_in_the_memory_of_its_numbers() -> None:
    drawn = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    drawn.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    answer = Answer(drawn)
    assert answer.size == (1, 3)
    assert answer.image.mode == "RGB"
    assert np.asarray(answer.image).tolist() == [[[0, 0, 0], [255, 0, 0], [0, 0, 255]]]
    assert answer.image is answer.image
