from __future__ import annotations

from pathlib import Path

import pytest
from tests.evaluation.datasets.trees import photo, text, voc_xml

from vicl.evaluation.datasets import voc_detection
from vicl.evaluation.episodes import DatasetError

OBJECTS: dict[str, list[tuple[str, tuple[float, ...]]]] = {
    # The share is (xmax - xmin + 1)(ymax - ymin + 1) of 20 x 30 pixels, both ends inside.
    "a": [("dog", (1, 1, 10, 11))],  # 110: 18.3%
    "b": [("dog", (3, 2, 12, 12.0))],  # 110
    "c": [("dog", (1, 1, 10, 12))],  # 120: 20% exactly
    "d": [("dog", (2, 2, 21, 16))],  # 300: 50% exactly
    "e": [("dog", (1, 1, 4, 4)), ("cat", (9, 9, 12, 12))],  # two objects
    "f": [("cat", (5, 5, 6, 6))],
    "g": [("cat", (7, 5, 8, 6))],
    "h": [("dog", (1, 1, 4, 4))],  # not in val.txt
    "i": [],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    for index, (name, objects) in enumerate(OBJECTS.items()):
        photo(folder, f"JPEGImages/{name}.jpg", index, (20, 30))
        text(folder, f"Annotations/{name}.xml", voc_xml(objects, (20, 30)))
    text(folder, "ImageSets/Main/val.txt", "\n".join(sorted(set(OBJECTS) - {"h"})) + "\n")
    return tmp_path


def _names(root: Path, largest: float) -> str:
    return "".join(q.image[-5] for q in voc_detection(root, largest=largest).queries)


def test_single_objects_under_the_largest_share(root: Path) -> None:
    assert _names(root, 0.2) == "abfg"
    assert _names(root, 0.5) == "abcfg"
    assert _names(root, 0.51) == "abcdfg"
    (root / "VOCdevkit/VOC2012/ImageSets/Main/val.txt").unlink()
    assert _names(root, 0.2) == "abfgh"  # all annotations, where there is no list


def test_boxes_lose_one_from_xmin_and_ymin(root: Path) -> None:
    dataset = voc_detection(root)
    case = dataset.load(next(e for e in dataset.episodes() if e.query.image.endswith("b.jpg")))
    assert case.truth.boxes == ((2.0, 1.0, 12.0, 12.0),)
    drawn = case.truth.image[0]
    assert drawn.shape == (20, 30)
    assert drawn.sum() == 110
    assert drawn[1:12, 2:12].all()


def test_examples_share_the_class(root: Path) -> None:
    dataset = voc_detection(root)
    episodes = dataset.episodes(seed=1)
    assert len({e.query for e in episodes}) == len(episodes) == 4
    assert {(e.examples[0].image[-5], e.query.image[-5]) for e in episodes} == {
        *(("a", "b"), ("b", "a"), ("f", "g"), ("g", "f"))
    }
    published = voc_detection(root, published=True)
    assert [e.query.image[-5] for e in published.episodes(6)] == list("abfgab")


def test_what_is_broken_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="largest: got 20"):
        voc_detection(root, largest=20.0)
    with pytest.raises(DatasetError, match="none of 8 annotations has exactly one object"):
        voc_detection(root, largest=0.001)
    path = root / "VOCdevkit/VOC2012/Annotations/a.xml"
    good = path.read_text()
    for content in ("<annotation>", good.replace("<name>dog</name>", ""), "<a/>"):
        path.write_text(content.replace("<a/>", good.replace(">1<", ">x<")))
        with pytest.raises(DatasetError, match=r"a\.xml: is not an annotation of VOC"):
            voc_detection(root)
    path.write_bytes(good.encode("utf-16"))
    with pytest.raises(DatasetError, match=r"a\.xml: cannot be read as UTF-8"):
        voc_detection(root)
    path.unlink()
    with pytest.raises(DatasetError, match=r"no file .*/Annotations/a\.xml"):
        voc_detection(root)
    outside = tmp_path / "outside.xml"
    outside.write_text(good)
    listed = root / "VOCdevkit/VOC2012/ImageSets/Main/val.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text("../../../../outside\n")
    with pytest.raises(DatasetError, match="leads out of the dataset's folder"):
        voc_detection(root)
