"""Keypoints from files of strangers, and what is asked as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vicl.files import FileError
from vicl.generators.people import read_keypoints
from vicl.generators.scene import Scene
from vicl.generators.sketch import sketch

POINTS: list[list[float] | None] = [[float(at), 2.0 * at] for at in range(17)]
POINTS[4] = None
COCO = [number for at in range(17) for number in (at, 2 * at, 0 if at == 4 else 1 + at % 2)]


def write(folder: Path, said: Any) -> Path:
    path = folder / "people.json"
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    return path


def test_points_and_cocos_numbers_are_the_same_people(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"image_id": 1, "keypoints": COCO},
        {"image_id": 2, "bbox": [1, 2, 3, 4]},
    ]
    found = [
        read_keypoints(write(tmp_path, said))
        for said in ([POINTS], [COCO], {"annotations": rows, "images": []})
    ]
    for people in found:
        assert people.shape == (1, 17, 2)
        assert people.dtype == np.float32
        assert np.array_equal(people, found[0], equal_nan=True)
    assert np.isnan(found[0][0, 4]).all()
    assert np.isnan(found[0]).sum() == 2
    assert found[0][0, 7].tolist() == [7, 14]


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("[" * 100_000, "is no JSON"),
        ("nonsense", "is no JSON"),
        (7, "got no list of people"),
        ([], "got 0 people, expected 1 to 8"),
        ([POINTS] * 9, "got 9 people, expected 1 to 8"),
        ({"annotations": [7, {"bbox": []}]}, "got 0 people"),
        ([POINTS, POINTS[:16]], "person 2 is none, expected 17 points"),
        ([[None] * 17], "person 1 is none"),
        ([[*POINTS[:16], ["1", 2]]], "person 1 is none"),
        ([[*POINTS[:16], [1e9, 2]]], "person 1 is none"),
        ([[*POINTS[:16], [1, 2, 7]]], "person 1 is none"),
        ("[[" + "[1, NaN], " * 16 + "[1, 2]]]", "person 1 is none"),
        (
            {"annotations": [{"image_id": at, "keypoints": COCO} for at in range(2)]},
            "has people of 2 images",
        ),
    ],
)
def test_what_is_no_people_is_told(tmp_path: Path, said: Any, fault: str) -> None:
    with pytest.raises(FileError, match=fault):
        read_keypoints(write(tmp_path, said))


def test_a_sketch_shows_what_is_asked() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(100, 255, (60, 80, 3), dtype=np.uint8)
    person = np.array([*POINTS[:4], [np.nan, np.nan], *POINTS[5:]], np.float32) + 5
    plain = np.asarray(sketch(Scene("a"), (60, 80)))
    assert plain.shape == (60, 80, 3)
    assert (plain == 244).all()
    boxes: dict[str, Any] = {"boxes": [(10, 10, 70, 50)], "size": (60, 80)}
    named = np.asarray(sketch(Scene("a", phrases=["a dog"], **boxes)))
    changed = (named != 244).any(2)
    assert changed[10:50, 10:70].any()
    assert not changed[:10].any()
    assert not changed[50:].any()
    other = np.asarray(sketch(Scene("a", phrases=["a cow"], **boxes)))
    assert not np.array_equal(other, named)
    like = np.asarray(sketch(Scene("a", references=[photo], **boxes)))
    assert np.abs(like[20:40, 20:60].astype(int) - 244).mean() > 20
    people = np.asarray(sketch(Scene("a", keypoints=[person], size=(60, 80))))
    assert (people[19, 12] != 244).any()
    holed = np.asarray(sketch(Scene("a", image=photo, boxes=[(0, 0, 40, 60)], phrases=["b"])))
    assert np.array_equal(holed[:, 41:], photo[:, 41:])
    assert not np.array_equal(holed[30:, 5:35], photo[30:, 5:35])
    mapped = np.asarray(sketch(Scene("a", maps={"edges": photo})))
    assert np.array_equal(mapped, photo)
