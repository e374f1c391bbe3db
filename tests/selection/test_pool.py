"""Pools: what lies in a folder, a COCO file or a list, and which classes it shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.selection.encoders import COLOURS, labelled, mask, plain

from vicl.exports.shapes import Shapes
from vicl.selection.pool import Pool, PoolError, open_pool


def names(pool: Pool) -> list[str]:
    return [entry.file.stem for entry in pool.entries]


def test_a_folder_with_images_and_masks(tmp_path: Path) -> None:
    pool = open_pool(labelled(tmp_path))
    plain(tmp_path / "images/new.png", (1, 2, 3))
    assert names(pool) == sorted(COLOURS)
    assert names(open_pool(tmp_path)) == sorted([*COLOURS, "new"])
    assert names(open_pool(tmp_path).labelled) == sorted(COLOURS)
    assert pool.classes is None
    assert pool.entries[0].example().output == tmp_path / "masks/blue.png"


def test_a_folder_with_a_file_beside_each_image(tmp_path: Path) -> None:
    for name in ("a", "b"):
        plain(tmp_path / f"{name}.png", (9, 9, 200))
    (tmp_path / "a.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    pool = open_pool(tmp_path)
    assert names(pool) == ["a", "b"]
    assert names(pool.labelled) == ["a"]


def test_the_folder_that_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cat", "bat", "rat"):
        plain(tmp_path / f"{name}.png", (9, 9, 200))
    (tmp_path / "cat.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    monkeypatch.chdir(tmp_path)
    for source in (".", "./", tmp_path):
        assert names(open_pool(source).labelled) == ["cat"]


def coco(root: Path) -> Path:
    for name in ("one", "two", "three"):
        plain(root / "images" / f"{name}.png", (200, 9, 9))
    box = {"iscrowd": 0, "segmentation": [[2, 2, 9, 2, 9, 9, 2, 9]], "bbox": [2, 2, 7, 7]}
    document = {
        "images": [
            {"id": i, "file_name": f"{name}.png", "height": 24, "width": 24}
            for i, name in enumerate(("one", "two", "three"))
        ],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 2, "area": 49, **box},
            {"id": 2, "image_id": 1, "category_id": 1, "area": 49, **box},
        ],
        "categories": [{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}],
    }
    file = root / "instances.json"
    file.write_text(json.dumps(document))
    return file


def test_a_coco_file_is_read_an_image_at_a_time(tmp_path: Path) -> None:
    pool = open_pool(coco(tmp_path))
    assert names(pool) == ["one", "two", "three"]
    assert pool.classes == ("cat", "dog")
    assert names(pool.showing("dog")) == ["one"]
    assert names(pool.showing(["dog", "cat"])) == ["one", "two"]
    with pytest.raises(PoolError, match="none of its 3 images shows horse"):
        pool.showing("horse")
    shapes = pool.entries[1].example().output
    assert isinstance(shapes, Shapes)
    assert [shape.name for shape in shapes.shapes] == ["cat"]


def test_damaged_annotations_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b", "c"):
        plain(tmp_path / f"{name}.png", (9, 9, 200))
        (tmp_path / f"{name}.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "a.txt").write_text("what\n")
    pool = open_pool(tmp_path)
    assert pool.classes == open_pool(tmp_path).classes
    assert names(pool.readable) == ["b", "c"]
    assert caplog.text.count("never an example") == 2  # once of each pool


def test_damage_in_a_coco_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = coco(tmp_path)
    document = json.loads(file.read_text())
    document["annotations"][0]["category_id"] = {}
    file.write_text(json.dumps(document))
    assert open_pool(file).classes == ("cat",)
    document["categories"][0]["id"] = []
    file.write_text(json.dumps(document))
    with pytest.raises(PoolError, match="has an annotation that can be read"):
        open_pool(file).classes  # noqa: B018
    assert "expected one for each" in caplog.text
    for name in ("/etc/one.png", "../one.png", "a/../../one.png"):
        document["images"][0]["file_name"] = name
        file.write_text(json.dumps(document))
        assert names(open_pool(file)) == ["two", "three"]
    document["images"][0]["file_name"] = "x" * 3000
    file.write_text(json.dumps(document))
    assert len(open_pool(file)) == 3
    assert open_pool(file).fingerprint


def test_images_and_masks_whose_pairs_nobody_can_tell(tmp_path: Path) -> None:
    mask(plain(tmp_path / "p/a.png", (1, 2, 3)).parent / "masks/a.png")
    with pytest.raises(PoolError, match=r"lie beside that; expected them in .*images"):
        open_pool(tmp_path / "p")
    (tmp_path / "p/a.txt").write_text("1 0.5 0.5 0.2 0.2\n")  # masks/ may be anything then
    assert names(open_pool(tmp_path / "p").labelled) == ["a"]
    root = labelled(tmp_path / "q")
    plain(root / "images/red.jpg", (1, 2, 3))
    with pytest.raises(PoolError, match=r"red\.png: .*red\.jpg has the same name"):
        open_pool(root)


def test_whatever_is_marked_is_taken_for_one_class(tmp_path: Path) -> None:
    pool = open_pool(coco(tmp_path)).as_one("thing")
    assert names(pool) == ["one", "two"]
    assert pool.classes == ("thing",)
    outputs = [entry.example().output for entry in pool.entries]
    assert {shape.name for shapes in outputs for shape in shapes.shapes} == {"thing"}


def test_masks_show_the_classes_of_their_values(tmp_path: Path) -> None:
    for name, value in (("a", 1), ("b", 2), ("c", 3)):
        plain(tmp_path / "images" / f"{name}.png", (9, 200, 9))
        mask(tmp_path / "masks" / f"{name}.png", value)
    pool = open_pool(tmp_path)
    assert names(pool.showing("dog=2,cat=3")) == ["b", "c"]
    assert names(pool.showing(["dog", "cat"])) == ["a", "b"]
    assert names(pool.showing("thing")) == ["a", "b", "c"]
    assert names(pool.showing("thing=#ff0000")) == ["a", "b", "c"]


def test_a_list_and_pairs(tmp_path: Path) -> None:
    labelled(tmp_path)
    file = tmp_path / "list.csv"
    file.write_text("image,annotation\nimages/red.png,masks/red.png\nimages/blue.png,\n")
    pool = open_pool(file)
    assert names(pool) == ["red", "blue"]
    assert names(pool.labelled) == ["red"]
    pairs = open_pool([(tmp_path / "images/red.png", tmp_path / "masks/red.png")])
    assert names(pairs) == ["red"]


def test_the_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    before = open_pool(labelled(tmp_path)).fingerprint
    assert open_pool(tmp_path).fingerprint == before
    mask(tmp_path / "masks/red.png", 7)
    assert open_pool(tmp_path).fingerprint != before


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("p.json", "{", "is no JSON"),
        ("p.json", "[]", "expected lists of images, annotations, categories"),
        ("p.json", '{"images": [3], "annotations": [], "categories": []}', "expected lists of"),
        ("p.json", '{"images": [{}], "annotations": [], "categories": []}', "no file_name"),
        ("p.json", "[" * 100_000, "is no JSON"),
        ("p.json", '{"images": [], "annotations": [], "categories": []}', "holds no images"),
        ("p.csv", "a,b\n", "expected the columns image,annotation"),
        ("p.csv", "image,annotation\na,b,c\n", "line 2"),
        ("p.csv", "", "empty"),
        ("p.txt", "x", "is of another kind"),
    ],
)
def test_what_is_no_pool_is_refused(tmp_path: Path, file: str, text: str, message: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(PoolError, match=message) as error:
        open_pool(tmp_path / file)
    assert file in str(error.value)


def test_a_folder_that_is_no_pool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PoolError, match="no such file or folder"):
        open_pool(tmp_path / "nowhere")
    with pytest.raises(PoolError, match="holds no images"):
        open_pool(tmp_path)
    plain(tmp_path / "images/a.png", (1, 1, 1))
    with pytest.raises(PoolError, match="has images/ but none of masks"):
        open_pool(tmp_path)
    mask(tmp_path / "masks/a.png")
    mask(tmp_path / "masks/a.bmp")
    with pytest.raises(PoolError, match="has the same name"):
        open_pool(tmp_path)
