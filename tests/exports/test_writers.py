"""Writers: which file an answer goes to, and which are refused."""

from __future__ import annotations

import json
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from vicl.exports import ExportError
from vicl.exports.answers import Answer, Query
from vicl.exports.writers import FORMATS, open_writer
from vicl.images import open_image, save_image
from vicl.tasks.masks import Classes, read_labels

GREY = Image.new("RGB", (40, 30), (90, 90, 90))


def query(folder: Path, name: str) -> Query:
    save_image(GREY, folder / name)
    return Query(folder / name, PurePath(name))


def leaf() -> Answer:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 5:30] = 1
    return Answer(GREY, mask=mask, classes=("leaf",))


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_writes_where_it_says(tmp_path: Path, format: str) -> None:
    asked = [query(tmp_path, name) for name in ("a.png", "sub/b.jpg")]
    with open_writer(tmp_path / "out", asked, format=format, classes=("leaf",)) as writer:
        assert not any(writer.done(one) for one in asked)
        written = [writer.write(one, leaf()) for one in asked]
        assert all(writer.done(one) for one in asked)
        beside = writer.beside(asked[1], "canvas")
    assert beside == tmp_path / "out" / "sub" / "b.canvas.png"
    assert all(path.is_file() for path in written)
    assert len(set(written)) == (1 if format.startswith("coco") else 2)


def test_alternatives_stand_beside(tmp_path: Path) -> None:
    asked = query(tmp_path, "a.png")
    answer = Answer(GREY, alternatives=(Answer(GREY), Answer(GREY)))
    with open_writer(tmp_path / "answer.png", [asked]) as writer:
        assert writer.write(asked, answer) == tmp_path / "answer.png"
    for name in ("answer.png", "answer.2.png", "answer.3.png"):
        assert open_image(tmp_path / name).size == (40, 30)


@pytest.mark.parametrize(
    ("format", "out", "says"),
    [
        ("jpeg2000", "out", "expected one of png, coco"),
        ("yolo", "out", "pictures"),
        ("png", ".", "one of the inputs"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, format: str, out: str, says: str
) -> None:
    asked = query(tmp_path, "a.png")
    before = asked.path.read_bytes()
    with (
        pytest.raises(ExportError, match=says),
        open_writer(tmp_path / out, [asked], format=format),
    ):
        pass
    assert asked.path.read_bytes() == before


def test_a_source_is_refused(tmp_path: Path) -> None:
    asked = [query(tmp_path, name) for name in ("a.png", "a.jpg")]
    example = tmp_path / "example.png"
    with (
        pytest.raises(ExportError, match=r"example\.png is one of the inputs"),
        open_writer(example, asked[:1], sources=[example]),
    ):
        pass


def test_coco_stays_as_it_was_where_the_block_fails(tmp_path: Path) -> None:
    asked = [query(tmp_path, name) for name in ("a.png", "b.png")]
    out = tmp_path / "all.json"

    def write(only: Query, *, resume: bool) -> None:
        with open_writer(out, asked, format="coco", classes=("leaf",), resume=resume) as writer:
            writer.write(only, leaf())
            if only is asked[0]:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(asked[0], resume=False)
    assert not out.exists()
    write(asked[1], resume=True)
    dataset = json.loads(out.read_text())
    assert [image["file_name"] for image in dataset["images"]] == ["a.png", "b.png"]


CROPS = Classes.parse("crop=7,weed=11")
RED = Classes.parse("crop=#c82828,weed=#28c828")


def crops() -> Answer:
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 5:30] = 1
    mask[22:28, 10:35] = 2
    return Answer(GREY, mask=mask, classes=("crop", "weed"))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"])
@pytest.mark.parametrize("marks", [CROPS, RED, Classes.parse("crop,weed")])
def test_what_was_named_comes_back_and_is_read_again(
    tmp_path: Path, marks: Classes, suffix: str
) -> None:
    out, asked, answer = tmp_path / f"o/mask{suffix}", query(tmp_path, "a.png"), crops()
    with open_writer(out, [asked], classes=marks) as writer:
        writer.write(asked, answer)
        notes = writer.notes
    assert answer.mask is not None
    assert np.array_equal(read_labels(out, marks).labels, answer.mask)
    picture = open_image(out)
    if marks is CROPS:
        assert set(np.unique(np.asarray(picture)).tolist()) == {0, 7, 11}
    if marks is RED:
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
        assert colours.tolist() == [[0, 0, 0], [40, 200, 40], [200, 40, 40]]
    if marks is RED and suffix in (".gif", ".webp"):
        # These keep colours, and no numbers that a file could tell the meaning of.
        assert [path.name for path in (tmp_path / "o").iterdir()] == [out.name]
        assert notes == ["the mask's colours: #c82828 crop, #28c828 weed"]
        return
    assert notes == []
    meaning = json.loads((tmp_path / "o/labels.json").read_text())
    values = ("7", "11") if marks is CROPS else ("1", "2")
    assert meaning == {"0": "background", values[0]: "crop", values[1]: "weed"}


def test_one_named_value_and_one_above_a_byte(tmp_path: Path) -> None:
    asked = query(tmp_path, "a.png")
    for marks, top, mode in (("person=15", 15, "P"), ("person=1000", 1000, "I;16")):
        out = tmp_path / str(top) / "m.png"
        with open_writer(out, [asked], classes=Classes.parse(marks)) as writer:
            writer.write(asked, leaf())
        picture = open_image(out)
        assert picture.mode == mode
        assert set(np.unique(np.asarray(picture)).tolist()) == {0, top}
        assert json.loads((out.parent / "labels.json").read_text())[str(top)] == "person"


def test_values_may_be_counted_instead(tmp_path: Path) -> None:
    asked = query(tmp_path, "a.png")
    with open_writer(tmp_path / "o", [asked], classes=CROPS, values="1..n") as writer:
        written = writer.write(asked, crops())
    assert set(np.unique(np.asarray(open_image(written))).tolist()) == {0, 1, 2}
    assert json.loads((tmp_path / "o/labels.json").read_text())["2"] == "weed"


@pytest.mark.parametrize(
    ("format", "name"), [("yolo", "data.yaml"), ("yolo", "classes.txt"), ("png", "labels.json")]
)
def test_a_persons_own_file_is_kept_and_told_before_any_work(
    tmp_path: Path, format: str, name: str
) -> None:
    asked = query(tmp_path, "a.png")
    out = tmp_path / "labels"
    out.mkdir()
    (out / name).write_text("path: mine\n")
    with (
        pytest.raises(ExportError, match=rf"{name}: is there already"),
        open_writer(out, [asked], format=format, classes=CROPS),
    ):
        pass
    assert (out / name).read_text() == "path: mine\n"


def test_other_class_names_are_refused_under_old_labels(tmp_path: Path) -> None:
    asked = query(tmp_path, "a.png")
    with open_writer(tmp_path / "o", [asked], format="yolo", classes=("leaf",)) as writer:
        writer.write(asked, leaf())
    with (
        pytest.raises(ExportError, match="says something else"),
        open_writer(tmp_path / "o", [asked], format="yolo", classes=("stem",), resume=True),
    ):
        pass
    with open_writer(tmp_path / "o", [asked], format="yolo", classes=("leaf",)) as writer:
        assert writer.done(asked)


def test_an_image_called_as_a_companion_is_refused(tmp_path: Path) -> None:
    asked = [query(tmp_path, name) for name in ("classes.png", "b.png")]
    with (
        pytest.raises(ExportError, match=r"classes\.png: its answer would be .*classes\.txt"),
        open_writer(tmp_path / "o", asked, format="yolo", classes=("leaf",)),
    ):
        pass


def test_one_file_beside_strangers_comes_alone(tmp_path: Path) -> None:
    asked = query(tmp_path, "a.png")
    (tmp_path / "data.yaml").write_text("mine\n")
    for format, name in (("yolo", "one.txt"), ("png", "one.png")):
        with open_writer(tmp_path / name, [asked], format=format, classes=CROPS) as writer:
            writer.write(asked, crops())
            meant = "the mask's values: 0 background, 7" if format == "png" else "its classes: 0"
            assert [note.startswith(f"{meant} crop") for note in writer.notes] == [True]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a.png", "data.yaml", "one.png", "one.txt"]
    assert (tmp_path / "data.yaml").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("out", "format", "count", "says"),
    [
        ("out.png", "png", 2, "one file, for 2 queries"),
        ("b.png", "labelme", 1, r"not \.png files, but \.json"),
        ("b.json", "yolo", 1, r"not \.json files, but \.txt"),
        ("x.png", "coco", 1, r"not \.png files, but \.json"),
        ("m.jpg", "png", 1, "JPEG blurs"),
        ("m.txt", "png", 1, r"not \.txt files, but \.png"),
        ("there.png/", "png", 1, "is a file, and ends with a slash"),
        ("there.png", "png", 2, "one file, for 2 queries"),
    ],
)
def test_out_that_contradicts_itself_is_refused(
    tmp_path: Path, out: str, format: str, count: int, says: str
) -> None:
    asked = [query(tmp_path, name) for name in ("1.png", "2.png")[:count]]
    save_image(GREY, tmp_path / "there.png")
    before = sorted(tmp_path.rglob("*"))
    with (
        pytest.raises(ExportError, match=says),
        open_writer(f"{tmp_path}/{out}", asked, format=format, classes=("leaf",)),
    ):
        pass
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("out", ["masks", "masks.v2", "masks.png/", "masks.v2/"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_folder_is_one_whatever_the_count(tmp_path: Path, out: str, count: int) -> None:
    asked = [query(tmp_path, name) for name in ("1.png", "2.png")[:count]]
    with open_writer(f"{tmp_path}/{out}", asked, classes=("leaf",)) as writer:
        written = [writer.write(one, leaf()) for one in asked]
    assert [path.parent for path in written] == [tmp_path / out.rstrip("/")] * count


@pytest.mark.parametrize("format", ["png", "yolo", "labelme", "coco"])
def test_one_name_in_two_folders_is_told_apart(tmp_path: Path, format: str) -> None:
    asked = [Query(query(tmp_path, f"p/{n}/1.png").path, PurePath("1.png")) for n in "ab"]
    with open_writer(tmp_path / "o", asked, format=format, classes=("leaf",)) as writer:
        written = [writer.write(one, leaf()) for one in asked]
    if format == "coco":
        images = json.loads(written[0].read_text())["images"]
        assert [image["file_name"] for image in images] == ["a/1.png", "b/1.png"]
    else:
        assert [path.parent.name for path in written] == ["a", "b"]


def test_alternatives_and_pictures_beside_are_guarded(tmp_path: Path) -> None:
    asked = query(tmp_path, "a.png")
    for name, options in (("a.2.png", {"samples": 2}), ("a.canvas.png", {"beside": ["canvas"]})):
        mine = tmp_path / "o" / name
        mine.parent.mkdir(exist_ok=True)
        mine.write_bytes(b"mine")
        with (
            pytest.raises(ExportError, match=rf"{name}: is there already"),
            open_writer(tmp_path / "o", [asked], **options),  # type: ignore[arg-type]
        ):
            pass
        assert mine.read_bytes() == b"mine"
        with open_writer(tmp_path / "o", [asked], overwrite=True, **options):  # type: ignore[arg-type]
            pass
        mine.unlink()


@pytest.mark.parametrize(
    ("names", "options", "says"),
    [
        (("a.png", "a.2.png"), {"samples": 2}, r"a\.2\.png: .*which .*a\.png is to get too"),
        (("a.png", "a.canvas.jpg"), {"beside": ["canvas"]}, "is to get too"),
        (("a.png", "a.jpg", "a.jpg.png"), {}, "is to get too"),
        (("a.png",), {"others": [Path("o/a.png")]}, "asked for beside the answers"),
        (("labels.png",), {"format": "labelme", "others": [Path("o/labels.json")]}, "asked for"),
        (("a.png",), {"others": [Path("a.png")]}, "is one of the inputs"),
        (("a.png",), {"others": [Path("e.png")], "sources": [Path("e.png")]}, "one of the inputs"),
        (("a.png",), {"others": [Path("s.png"), Path("s.png")]}, "asked for twice"),
        (("a.png",), {"format": "coco", "others": [Path("o/annotations.json")]}, "for twice"),
        (("a.png",), {"format": "coco", "sources": [Path("o/annotations.json")]}, "of the inputs"),
    ],
)
def test_two_things_of_one_place_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: tuple[str, ...],
    options: dict[str, object],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = [query(Path(), name) for name in names]
    with (
        pytest.raises(ExportError, match=says),
        open_writer("o", asked, classes=("leaf",), **options),  # type: ignore[arg-type]
    ):
        pass
    assert not Path("o").exists() or list(Path("o").iterdir()) == []


@pytest.mark.parametrize("how", [{"overwrite": True}, {"resume": True}])
def test_a_coco_file_that_an_example_was_read_from_is_kept(
    tmp_path: Path, how: dict[str, bool]
) -> None:
    """Neither is it replaced, nor are answers added to it."""
    asked, mine = query(tmp_path, "a.png"), tmp_path / "mine.json"
    with open_writer(mine, [query(tmp_path, "e.png")], format="coco", classes=("leaf",)) as writer:
        writer.write(next(iter(writer.names)), leaf())
    before = mine.read_bytes()
    with (
        pytest.raises(ExportError, match=r"mine\.json: is one of the inputs"),
        open_writer(mine, [asked], format="coco", classes=("leaf",), sources=[mine], **how),  # type: ignore[arg-type]
    ):
        pass
    assert mine.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "e.png", "mine.json"]


def test_going_on_keeps_a_strangers_picture_beside_an_answer(tmp_path: Path) -> None:
    """What a stopped run left there is written again."""
    asked, made = query(tmp_path, "a.png"), {"task": "segmentation"}
    options = {"classes": ("leaf",), "made_by": made, "beside": ["overlay"]}
    mine = tmp_path / "o" / "a.overlay.png"
    save_image(GREY, mine)
    for out in (tmp_path / "o", tmp_path / "o" / "a.png", tmp_path / "o" / "c.json"):
        kind = "coco" if out.suffix == ".json" else "png"
        with (
            pytest.raises(ExportError, match=r"a\.overlay\.png: is there already"),
            open_writer(out, [asked], format=kind, resume=True, **options),  # type: ignore[arg-type]
        ):
            pass
    mine.unlink()
    with open_writer(tmp_path / "o", [asked], **options) as writer:  # type: ignore[arg-type]
        writer.save_beside(asked, "overlay", GREY)  # and then it is killed
    with open_writer(tmp_path / "o", [asked], resume=True, **options) as writer:  # type: ignore[arg-type]
        writer.save_beside(asked, "overlay", GREY)
        writer.write(asked, leaf())


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".gif"])
def test_values_that_a_picture_cannot_hold_are_refused_before_any_work(
    tmp_path: Path, suffix: str
) -> None:
    asked, marks = [query(tmp_path, "a.png")], Classes.parse("leaf=700")
    with (
        pytest.raises(ExportError, match="holds values up to 255, but a class is marked by 700"),
        open_writer(tmp_path / f"b{suffix}", asked, classes=marks),
    ):
        pass
    with open_writer(tmp_path / f"b{suffix}", asked, classes=marks, values="1..n") as writer:
        writer.write(asked[0], leaf())
    read = read_labels(str(tmp_path / f"b{suffix}"), Classes.parse("leaf=1"))
    assert np.array_equal(read.labels, leaf().mask)


def test_pictures_of_boxes_come_without_a_list_of_values(tmp_path: Path) -> None:
    """All boxes are white in them, whatever their class."""
    asked, marks = query(tmp_path, "a.png"), Classes.parse("leaf=3,stem=4")
    (tmp_path / "c.txt").touch()
    for out in (tmp_path / "o", tmp_path / "b.png"):
        with open_writer(out, [asked], classes=marks, masks=False) as writer:
            assert (writer.companions, writer.notes) == ({}, [])
            writer.write(asked, Answer(GREY, classes=("leaf", "stem")))
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["a.png"]


def test_a_coco_file_holds_no_alternatives(tmp_path: Path) -> None:
    asked = query(tmp_path, "a.png")
    with (
        pytest.raises(ExportError, match="samples: got 2"),
        open_writer(tmp_path / "o", [asked], format="coco", classes=("leaf",), samples=2),
    ):
        pass
