from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.datasets.trees import (
    bsds_tree,
    manifest_tree,
    pascal_tree,
    photo,
    picture,
    text,
    voc_xml,
)

from vicl.evaluation.datasets import open_dataset
from vicl.evaluation.episodes import Dataset, DatasetError
from vicl.tasks import TaskName


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trees")
    manifest_tree(root / "manifest")
    pascal_tree(root / "voc", {name: np.full((64, 64), 1) for name in "ab"})
    for name in "ab":
        xml = voc_xml([("dog", (1, 1, 9, 9))], (64, 64))
        text(root, f"voc/Annotations/{name}.xml", xml)
    bsds_tree(root / "bsds", {"train": 2, "val": 2, "test": 2})
    for index in range(3):
        photo(root, f"folder/inputs/{index}.png", index)
        picture(root, f"folder/targets/{index}.png", np.eye(8, 10, dtype=np.uint8))
        photo(root, f"photos/n/{index}.png", index)
    return root


@pytest.mark.parametrize(
    ("task", "layout", "options", "name", "queries"),
    [
        ("segmentation", "manifest", {}, "manifest", 5),
        ("segmentation", "voc", {"fold": 0}, "Pascal-5i, fold 0", 2),
        ("segmentation", "voc", {"fold": 0, "published": True}, "Pascal-5i, fold 0, published", 2),
        ("segmentation", "folder", {}, "folder", 3),
        ("detection", "manifest", {"largest": 0.1, "sources": ["shop"]}, "manifest, shop", 1),
        ("detection", "voc", {"largest": 0.5}, "VOC 2012 detection, under 50%", 2),
        ("detection", "folder", {}, "folder", 3),
        ("colorization", "manifest", {}, "manifest", 15),
        ("colorization", "photos", {"sources": ["n"]}, "photos, n", 3),
        ("colorization", "folder", {"published": True}, "folder, published", 3),
        ("edges", "manifest", {"examples": 3}, "manifest", 3),
        ("edges", "bsds", {}, "BSDS500, val", 2),
        ("edges", "bsds", {"sources": ["test"]}, "BSDS500, test", 2),
        ("edges", "folder", {}, "folder", 3),
        ("image", "folder", {}, "folder", 3),
    ],
)
def test_layouts_are_told_apart(
    trees: Path, task: TaskName, layout: str, options: dict[str, Any], name: str, queries: int
) -> None:
    dataset = open_dataset(task, trees / layout, **options)
    assert isinstance(dataset, Dataset)
    assert (dataset.task, dataset.name, len(dataset.queries)) == (task, name, queries)
    case = dataset.load(dataset.episodes(1, examples=options.get("examples", 1))[0])
    assert case.truth.image.shape[1:] == case.prompt.query.shape[1:]  # type: ignore[union-attr]


def test_an_error_lists_what_was_looked_for_and_where(trees: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        open_dataset("segmentation", trees / "photos")
    message = str(caught.value)
    for part in (str(trees / "photos"), "manifest.jsonl", "targets/", "SegmentationClassAug/"):
        assert part in message
    with pytest.raises(DatasetError, match=r"(?s)nowhere: no such folder; .*\n- BSDS500"):
        open_dataset("edges", trees / "nowhere")
    # Another layout than the folder's is not taken for it.
    with pytest.raises(DatasetError, match="JPEGImages"):
        open_dataset("segmentation", trees / "folder", layout="Pascal-5i", fold=0)


@pytest.mark.parametrize(
    ("task", "layout", "options", "match"),
    [
        ("segmentation", "voc", {}, "say which fold"),
        ("segmentation", "manifest", {"fold": 0}, "only Pascal-5i has folds; this is manifest"),
        ("segmentation", "folder", {"sources": ["a"]}, "folder has no sources"),
        ("segmentation", "manifest", {"largest": 0.5}, "no meaning for segmentation"),
        ("edges", "bsds", {"sources": ["val", "test"]}, "one of val and test"),
        ("edges", "bsds", {"sources": ["train"]}, "subset: got 'train'"),
        ("segmentation", "manifest", {"examples": 5}, "has 5 other image"),
    ],
)
def test_an_option_without_meaning_is_refused(
    trees: Path, task: TaskName, layout: str, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(DatasetError, match=match):
        open_dataset(task, trees / layout, **options)
