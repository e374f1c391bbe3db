from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.datasets.trees import photo, picture, text

from vicl.engine import Filled
from vicl.evaluation.datasets import folder
from vicl.evaluation.episodes import DatasetError
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.tasks import TaskName


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four photographs; masks with values 1 to 4 in the row of that number, and void at the end."""
    for index in range(4):
        photo(tmp_path, f"inputs/{'abcd'[index]}.jpg", index)
        mask = np.zeros((8, 10), dtype=np.uint8)
        mask[1:5] = np.arange(1, 5)[:, None]
        mask[7] = 255
        picture(tmp_path, f"targets/{'abcd'[index]}.png", mask)
    return tmp_path


def _binary(root: Path) -> None:
    for name in "abcd":
        mask = np.zeros((8, 10), dtype=np.uint8)
        mask[2:4, 3:7] = 255
        picture(root, f"targets/{name}.png", mask)


def test_pairs_of_one_name_without_a_table(root: Path) -> None:
    _binary(root)
    dataset = folder(root, "segmentation")
    episodes = dataset.episodes()
    assert {e.query.image for e in episodes} == {f"inputs/{n}.jpg" for n in "abcd"}
    assert episodes[0].query.target == (f"targets/{episodes[0].query.image[7]}.png",)
    case = dataset.load(episodes[0])
    assert case.truth.image[0].sum() == 8
    assert case.truth.void is None


def test_a_table_gives_classes_and_values(root: Path) -> None:
    text(root, "classes.csv", "name,class,value\nb.jpg,dog,2\na,dog,2\na,cat,4\nc,cat,4\n")
    dataset = folder(root, "segmentation")
    pairs = [(q.image[7], q.class_name, q.value) for q in dataset.queries]
    assert pairs == [("a", "cat", 4), ("a", "dog", 2), ("b", "dog", 2), ("c", "cat", 4)]
    for episode in dataset.episodes():
        assert episode.examples[0].class_name == episode.class_name
        case = dataset.load(episode)
        row = 2 if episode.class_name == "dog" else 4
        expected = torch.zeros(3, 8, 10)
        expected[:, row] = 1
        assert torch.equal(case.truth.image, expected)
        assert case.truth.void is not None
        assert case.truth.void[7].all()
        assert case.truth.void.sum() == 10
    published = folder(root, "segmentation", published=True)
    assert published.load(published.episodes(1)[0]).truth.void is None


def test_reading_order_makes_no_difference(root: Path) -> None:
    lines = ["b,dog", "a,dog", "c,cat", "d,cat"]
    text(root, "classes.csv", "\n".join(["name,class", *lines]))
    one = folder(root, "image")
    text(root, "classes.csv", "\n".join(["class,name"] + [f"cat,{n}" for n in "dc"]))
    assert len(folder(root, "image").queries) == 2  # columns in any order
    text(root, "classes.csv", "\r\n".join(["name, class", *lines[::-1]]))
    assert folder(root, "image").fingerprint == one.fingerprint
    assert folder(root, "image").episodes(seed=1) == one.episodes(seed=1)


def test_detection_takes_boxes_from_the_table_or_from_masks(root: Path) -> None:
    _binary(root)
    dataset = folder(root, "detection")
    assert dataset.load(dataset.episodes(1)[0]).truth.boxes == ((3.0, 2.0, 7.0, 4.0),)
    rows = [f"{n},dog,{i},1,{i + 2},4.0" for i, n in enumerate("aabc")]
    text(root, "classes.csv", "\n".join(["name,class,x0,y0,x1,y1", *rows]))
    for path in (root / "targets").iterdir():
        path.unlink()
    (root / "targets").rmdir()  # not needed then
    boxed = folder(root, "detection")
    assert [len(q.boxes) for q in boxed.queries] == [2, 1, 1]
    case = boxed.load(next(e for e in boxed.episodes() if e.query.image == "inputs/b.jpg"))
    assert case.truth.boxes == ((2.0, 1.0, 4.0, 4.0),)
    assert case.truth.image[0].sum() == 6


def test_pictures_edges_and_colours(root: Path) -> None:
    _binary(root)
    image = folder(root, "image")
    assert image.load(image.episodes(1)[0]).truth.image.sum() == 3 * 8
    edges = folder(root, "edges")
    lines = edges.load(edges.episodes(1)[0]).truth.annotators
    assert lines is not None
    assert lines.sum() == 8
    with pytest.raises(DatasetError, match="of 4 pictures 0 have colour"):
        folder(root, "colorization")  # masks are no photographs
    for seed, path in enumerate(sorted((root / "targets").iterdir())):
        photo(root, f"targets/{path.name}", seed)
    assert {q.image[:7] for q in folder(root, "colorization").queries} == {"targets"}
    for path in (root / "targets").iterdir():
        path.unlink()
    (root / "targets").rmdir()
    colours = folder(root, "colorization")
    assert {q.image[:7] for q in colours.queries} == {"inputs/"}
    case = colours.load(colours.episodes(1)[0])
    assert case.truth.image.shape == (3, 8, 10)  # whole, not cut
    published = folder(root, "colorization", published=True)
    assert published.load(published.episodes(1)[0]).truth.image.shape == (3, 111, 111)


def test_tables_as_programs_write_them(root: Path) -> None:
    _binary(root)
    stems = sorted(path.stem for path in (root / "inputs").iterdir())
    lines = ["name,class", *(f"{stem}.png,dog" for stem in stems)]
    for ending in ("\r", "\r\n", "\n"):
        (root / "classes.csv").write_bytes(ending.join(lines).encode())
        assert len(folder(root, "segmentation").queries) == len(stems)
    (root / "classes.csv").write_text(f"name,class\n{stems[0]},{'x' * 200_000}\n")
    with pytest.raises(DatasetError, match=r"classes\.csv: is no table"):
        folder(root, "segmentation")
    (root / "classes.csv").write_text(f"name,class\n{stems[0]}.x,dog\n")
    with pytest.raises(DatasetError, match=r"names .*\.x, but there is no such image"):
        folder(root, "segmentation")


def test_a_right_box_scores_one_whatever_its_edges(root: Path) -> None:
    """Boxes between pixels, and boxes that reach out of the image, are scored as drawn."""
    stems = sorted(path.stem for path in (root / "inputs").iterdir())[:2]
    sides = ("1.4,1.4,5.6,4.6", "6,2,16,20")
    rows = [f"{stem},dog,{box}" for stem, box in zip(stems, sides, strict=True)]
    (root / "classes.csv").write_text("\n".join(["name,class,x0,y0,x1,y1", *rows]))
    found = folder(root, "detection")
    episodes = found.episodes()
    assert len(episodes) > 1
    for episode in episodes:
        case = found.load(episode)
        score = scorer_for("detection").score(case, Filled(case.truth.image))
        assert score.values == {"box_iou_cell": 1.0, "box_iou": 1.0}


def test_a_name_that_cannot_be_listed_is_refused(root: Path) -> None:
    _binary(root)
    for part in ("inputs", "targets"):
        photo(root, f"{part}/ok.png", 9)
        try:
            (root / part / "ok.png").rename(root / part / os.fsdecode(b"o\xff.png"))
        except OSError:
            pytest.skip("this file system takes names in UTF-8 alone")
    with pytest.raises(DatasetError, match="cannot be written as UTF-8"):
        folder(root, "image")


@pytest.mark.parametrize(
    ("table", "task", "match"),
    [
        ("file,class\na,dog\n", "segmentation", "got columns file, class, expected for seg"),
        ("", "segmentation", "empty file"),
        ("name,class,value\na,dog,1\n", "image", "expected for image name,class$"),
        ("name,class,x0,y0,x1,y1\na,dog,1,2,3,4\n", "segmentation", "name,class or name,class,val"),
        ("name,class\nz,dog\n", "segmentation", r"classes\.csv: names z, but there is no such"),
        ("name,class\na\n", "segmentation", "line 2: expected 2 values"),
        ("name,class\na,dog,3\n", "segmentation", "line 2: expected 2 values"),
        ("name,class,value\na,dog,x\n", "segmentation", "a: expected numbers"),
        ("name,class,x0,y0,x1,y1\na,dog,1,2,3,x\n", "detection", "a: expected numbers"),
    ],
)
def test_a_table_that_is_not_one_is_refused(
    root: Path, table: str, task: TaskName, match: str
) -> None:
    text(root, "classes.csv", table)
    with pytest.raises(DatasetError, match=match):
        folder(root, task)


def test_what_is_missing_is_named(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(DatasetError, match="no folder inputs/ in"):
        folder(tmp_path_factory.mktemp("empty"), "image")
    (root / "targets/c.png").unlink()
    with pytest.raises(DatasetError, match=r"inputs/c\.jpg: has no target; expected an image c\.p"):
        folder(root, "image")
    photo(root, "inputs/a.png", 0)
    with pytest.raises(DatasetError, match=r"inputs/a\.jpg and inputs/a\.png have the same name"):
        folder(root, "image")
    text(root, "classes.csv", "name,class\na,dog\nb,cat\n")
    (root / "inputs/a.png").unlink()
    with pytest.raises(DatasetError, match="none of 2 queries has 1 other image"):
        folder(root, "image")
