from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.datasets.trees import pascal_tree, text

from vicl.evaluation.datasets import pascal_5i
from vicl.evaluation.datasets.pascal import CLASSES
from vicl.evaluation.episodes import DatasetError

SIZE = (64, 70)


def _mask(*parts: tuple[int, int]) -> np.ndarray:
    """Bands of whole rows: (value, how many pixels), beginning at the top."""
    values = np.zeros(SIZE[0] * SIZE[1], dtype=np.uint8)
    start = 0
    for value, count in parts:
        values[start : start + count] = value
        start += count
    return values.reshape(SIZE)


MASKS = {
    "2007_000001": _mask((3, 2048), (255, 100)),
    "2007_000002": _mask((3, 2100), (2, 2047), (255, 64)),
    "2007_000003": _mask((3, 2047), (9, 2300)),
    "2007_000004": _mask((1, 2048), (3, 2048)),
    "2007_000005": _mask((1, 4000)),
    "2007_000006": _mask((10, 4000)),
    "2007_000007": _mask((9, 4000)),
}


def test_there_are_twenty_classes_of_five_a_fold() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == 20
    assert [CLASSES[5 * fold] for fold in range(4)] == [
        "aeroplane",
        "bus",
        "diningtable",
        "pottedplant",
    ]


@pytest.mark.parametrize("above", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_pairs_are_derived_from_masks(tmp_path: Path, above: str) -> None:
    pascal_tree(tmp_path / above, MASKS)
    dataset = pascal_5i(tmp_path, 0)
    # Class 2 and the bird of image 3 have a pixel too few.
    assert [(q.image[-5], q.class_name) for q in dataset.queries] == [
        ("1", "bird"),
        ("2", "bird"),
        ("4", "aeroplane"),
        ("4", "bird"),
        ("5", "aeroplane"),
    ]
    # Class 10 has one image, and so no example.
    assert [(q.image[-5], q.class_name) for q in pascal_5i(tmp_path, 1).queries] == [
        ("3", "chair"),
        ("7", "chair"),
    ]
    episodes = dataset.episodes(seed=2)
    assert {e.query for e in episodes} == set(dataset.queries)
    assert len(episodes) == 5
    for episode in episodes:
        assert episode.examples[0].class_name == episode.class_name
        assert episode.examples[0].image != episode.query.image


def test_void_pixels_are_left_out_by_default_and_background_as_published(tmp_path: Path) -> None:
    pascal_tree(tmp_path, MASKS)
    dataset, published = pascal_5i(tmp_path, 0), pascal_5i(tmp_path, 0, published=True)
    for each in (dataset, published):
        episode = next(e for e in each.episodes(5) if e.query.image.endswith("1.jpg"))
        case = each.load(episode)
        values = MASKS["2007_000001"]
        assert np.array_equal(case.truth.image[0].numpy() > 0.5, values == 3)
        if each is published:
            assert case.truth.void is None
        else:
            assert case.truth.void is not None
            assert np.array_equal(case.truth.void, values == 255)
    # The band is white in neither's examples.
    assert torch.equal(
        torch.unique(torch.as_tensor(case.prompt.examples[0].output)), torch.tensor([0.0, 1.0])
    )
    assert dataset.name == "Pascal-5i, fold 0"
    assert published.name == "Pascal-5i, fold 0, published"
    assert len(published.episodes()) == 1000


@pytest.mark.parametrize(
    "place",
    [
        "VOCdevkit/VOC2012/splits/val",
        "splits/pascal/val",
        "VOCdevkit/data/splits/pascal/val",
        "evaluate/splits/pascal/val",
    ],
)
def test_the_usual_lists_are_used_where_they_are(tmp_path: Path, place: str) -> None:
    pascal_tree(tmp_path / "VOCdevkit/VOC2012", MASKS)
    text(tmp_path, f"{place}/fold0.txt", "2007_000003__03\n2007_000001__03\n2007_000002__03\n")
    published = pascal_5i(tmp_path, 0, published=True)
    order = [e.query.image[-5] for e in published.episodes(5)]
    assert order == list("31231")  # as listed, over and over
    assert {e.query.image[-5] for e in pascal_5i(tmp_path, 0).episodes()} == set("123")
    assert len(pascal_5i(tmp_path, 1).queries) == 2  # without a list: derived


def test_masks_without_sbd_are_the_second_choice(tmp_path: Path) -> None:
    pascal_tree(tmp_path, MASKS, folder="SegmentationClass")
    assert pascal_5i(tmp_path, 0).queries[0].target == ("SegmentationClass/2007_000001.png",)
    pascal_tree(tmp_path, MASKS)
    assert pascal_5i(tmp_path, 0).queries[0].target == ("SegmentationClassAug/2007_000001.png",)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no JPEGImages/ in .*VOC2012, .*VOCdevkit/VOC2012"):
        pascal_5i(tmp_path, 0)
    with pytest.raises(DatasetError, match="fold: got 4"):
        pascal_5i(tmp_path, 4)
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(DatasetError, match=r"no SegmentationClassAug\|SegmentationClass"):
        pascal_5i(tmp_path, 0)
    (tmp_path / "SegmentationClass").mkdir()
    with pytest.raises(DatasetError, match=r"neither a list .*splits/pascal/val.*nor .*val\.txt"):
        pascal_5i(tmp_path, 0)
    for line in ("2007_000001", "2007_000001__06", "../x__01", "a__00"):
        text(tmp_path, "splits/val/fold0.txt", f"{line}\n")
        with pytest.raises(DatasetError, match=r"fold0\.txt: got .* of classes 1 to 5"):
            pascal_5i(tmp_path, 0)
    (tmp_path / "splits/val/fold0.txt").unlink()
    pascal_tree(tmp_path, {"a": _mask((7, 4000))}, folder="SegmentationClass")
    with pytest.raises(DatasetError, match="none of the masks of 1 validation images"):
        pascal_5i(tmp_path, 0)
    (tmp_path / "SegmentationClass/a.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"a\.png"):
        pascal_5i(tmp_path, 0)
