"""Images with classes: layouts, splits, shots, and what is wrong with a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tuning.toys import squares

from vicl.tuning.data import draw_shots, hold_out, open_data, open_split
from vicl.tuning.layouts import DataError, read_layout


def test_folders_by_class(tmp_path: Path) -> None:
    """Classes are the folders' names, sorted; a validation split is made by class, seeded."""
    squares(tmp_path, {"train": 10, "test": 2})
    data = open_data(tmp_path, seed=3)
    assert data.classes == ("blue", "green", "red")
    assert [len(s) for s in (data.train, data.val, data.test)] == [24, 6, 6]
    assert [sum(i.label == k for i in data.val) for k in range(3)] == [2, 2, 2]
    assert not set(data.train) & set(data.val)
    assert open_data(tmp_path, seed=3).val == data.val != open_data(tmp_path, seed=4).val
    assert "6 of the training images" in data.notes[0]


def test_a_val_split_that_is_there_is_taken(tmp_path: Path) -> None:
    squares(tmp_path, {"train": 3, "val": 1, "test": 1})
    data = open_data(tmp_path)
    assert (len(data.train), len(data.val), data.notes) == (9, 3, ())


def test_shots_are_drawn_by_class_and_nested(tmp_path: Path) -> None:
    squares(tmp_path, {"train": 12, "val": 6, "test": 1})
    two, four = open_data(tmp_path, shots=2), open_data(tmp_path, shots=4)
    assert (len(two.train), len(two.val)) == (6, 6)
    assert set(two.train) < set(four.train)
    assert len(open_data(tmp_path, shots=8).val) == 12  # four of each at most
    with pytest.raises(ValueError, match="shots: got 0"):
        draw_shots(two.train, 0, seed=0)


def test_a_class_of_one_image_keeps_it_to_learn_from(tmp_path: Path) -> None:
    squares(tmp_path, {"train": 1, "test": 1})
    train, val = hold_out(open_data(tmp_path).train, seed=0)
    assert (len(train), val) == (3, ())


def vtab(root: Path) -> Path:
    squares(root / "images", {"all": 6})
    lines = [f"images/all/{n}/{k:02}.png {label}" for k in range(6) for label, n in LABELS]
    for name, part in (
        ("train800", slice(0, 9)),
        ("val200", slice(9, 12)),
        ("train800val200", slice(0, 12)),
        ("test", slice(12, 18)),
    ):
        (root / f"{name}.txt").write_text("\n".join(lines[part]) + "\n")
    return root


LABELS = ((2, "red"), (0, "green"), (10, "blue"))


def test_vtab_lists(tmp_path: Path) -> None:
    """Labels are numbers, in their own order, and have names where a list of names is there."""
    data = open_data(vtab(tmp_path))
    assert data.classes == ("0", "2", "10")
    assert [len(s) for s in (data.train, data.val, data.test)] == [9, 3, 6]
    assert all(("red" in str(i.path)) == (i.label == 1) for i in data.train)
    (tmp_path / "classes.txt").write_text("\n".join(f"name {k}" for k in range(11)))
    assert open_data(tmp_path).classes == ("name 0", "name 2", "name 10")
    (tmp_path / "classes.txt").write_text("only\n")
    with pytest.raises(DataError, match=r"classes.txt: has 1 names, expected at least 11"):
        open_data(tmp_path)
    for name in ("classes", "train800"):
        (tmp_path / f"{name}.txt").unlink()
    assert len(read_layout(tmp_path).splits["train"]) == 12


def test_fgvc_files(tmp_path: Path) -> None:
    """Images may lie in a folder that the files do not name; val is made where it is not there."""
    squares(tmp_path / "images", {"a": 5})
    for split, numbers in (("train", range(4)), ("test", range(4, 5))):
        pairs = {f"a/{name}/{k:02}.png": label for k in numbers for label, name in LABELS}
        (tmp_path / f"{split}.json").write_text(json.dumps(pairs))
    data = open_data(tmp_path)
    assert data.classes == ("0", "2", "10")
    assert (len(data.train), len(data.val), len(data.test)) == (9, 3, 3)
    assert all(item.path.is_file() for item in data.test)
    (tmp_path / "classes.txt").write_text("g\nr\nb\n")
    assert open_data(tmp_path).classes == ("g", "r", "b")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train800.txt", "../../etc/passwd 1\n", "outside of its folder"),
        ("train800.txt", "/etc/passwd 1\n", "outside of its folder"),
        ("train800.txt", "a.png one\n", "line 1: got 'a.png one'"),
        ("train800.txt", "a.png\n", "expected an image and a label"),
        ("train.json", "[1]", "expected an object of images"),
        ("train.json", '{"a.png": [1]}', "expected an object of images"),
        ("train.json", "{", "no JSON from line 1"),
        ("train.json", "[" * 100_000, "train.json"),
    ],
)
def test_broken_lists_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        open_data(tmp_path)


def test_what_is_wrong_with_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        open_data(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no images with classes"):
        open_data(tmp_path)
    one = squares(tmp_path / "one", {"train": 2, "test": 1}, classes=["red"])
    with pytest.raises(DataError, match=r"one: has one class only \(red\)"):
        open_data(one)
    none = squares(tmp_path / "none", {"train": 2})
    with pytest.raises(DataError, match="no images to test on"):
        open_data(none)
    lacking = squares(tmp_path / "lacking", {"train": 2})
    squares(lacking, {"test": 1}, classes=["red", "blue"])
    with pytest.raises(DataError, match="class green is missing from test"):
        open_data(lacking)
    more = squares(tmp_path / "more", {"train": 2}, classes=["red", "blue"])
    squares(more, {"test": 1})
    with pytest.raises(DataError, match="class green is missing from train"):
        open_data(more)
    empty = squares(tmp_path / "empty", {"train": 2, "test": 1})
    (empty / "train" / "pink").mkdir()
    with pytest.raises(DataError, match="no images of pink"):
        open_data(empty)


def test_one_split_is_opened_to_be_scored(tmp_path: Path) -> None:
    squares(tmp_path, {"test": 2})
    classes, items = open_split(tmp_path)
    assert (classes, len(items)) == (("blue", "green", "red"), 6)
    with pytest.raises(DataError, match="no images in a split val; there is test"):
        open_split(tmp_path, "val")
