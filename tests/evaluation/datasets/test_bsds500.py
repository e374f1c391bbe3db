from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from tests.evaluation.datasets.trees import bsds_tree

from vicl.evaluation.datasets import bsds
from vicl.evaluation.datasets.matlab import read_boundaries
from vicl.evaluation.episodes import DatasetError


@pytest.mark.parametrize("above", ["", "data", "BSDS500/data", "BSR/BSDS500/data"])
def test_queries_have_every_annotator_and_examples_are_of_train(tmp_path: Path, above: str) -> None:
    bsds_tree(tmp_path / above, {"train": 3, "val": 2, "test": 2})
    dataset = bsds(tmp_path)
    episodes = dataset.episodes()
    assert {e.query.image for e in episodes} == {f"images/val/val{i}.jpg" for i in range(2)}
    shown = {e.examples[0].image for s in range(20) for e in dataset.episodes(seed=s)}
    assert shown == {f"images/train/train{i}.jpg" for i in range(3)}
    case = dataset.load(next(e for e in episodes if "val1" in e.query.image))
    lines = np.stack([np.eye(8, 10, who, dtype=bool) for who in range(2)])
    assert case.truth.annotators is not None
    assert np.array_equal(case.truth.annotators, lines)
    assert np.array_equal(case.truth.image[0].numpy(), lines.mean(axis=0).astype(np.float32))
    assert {q.image[7:11] for q in bsds(tmp_path, subset="test").queries} == {"test"}
    published = bsds(tmp_path, published=True)
    assert [e.query.image[-5] for e in published.episodes(3)] == list("010")


def test_the_order_of_bytes_and_packing_make_no_difference(tmp_path: Path) -> None:
    maps = [np.eye(5, 6, k, dtype=np.uint8) for k in range(3)]
    cells = np.empty((1, 3), dtype=object)
    for index, lines in enumerate(maps):
        cells[0, index] = {"Boundaries": lines}
    for packed in (False, True):
        savemat(tmp_path / "a.mat", {"groundTruth": cells}, do_compression=packed)
        read = read_boundaries(tmp_path / "a.mat")
        assert [lines.dtype for lines in read] == [np.dtype(bool)] * 3
        assert np.array_equal(np.stack(read), np.stack(maps) > 0)


def test_what_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no images/ and groundTruth/ in .*BSR/BSDS500/data"):
        bsds(tmp_path)
    bsds_tree(tmp_path, {"val": 1})
    with pytest.raises(DatasetError, match=r"no \.mat files in .*groundTruth/train"):
        bsds(tmp_path)
    with pytest.raises(DatasetError, match="subset: got 'train'"):
        bsds(tmp_path, subset="train")
    path = tmp_path / "groundTruth/val/val0.mat"
    whole = path.read_bytes()
    cases = {
        whole[: len(whole) // 2]: "is damaged|cannot be read",
        b"MATLAB 7.3" + whole[10:]: "not a .mat file of version 5",
        b"\x89PNG": "not a .mat file of version 5",
        whole[:130] + bytes(len(whole) - 130): "cannot be read|damaged",
    }
    for content, match in cases.items():
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=rf"val0\.mat: .*({match})"):
            read_boundaries(path)
    savemat(path, {"other": np.eye(2)})
    with pytest.raises(DatasetError, match=r"cannot be read .'groundTruth'"):
        read_boundaries(path)
    savemat(path, {"groundTruth": np.empty((0, 0), dtype=object)})
    with pytest.raises(DatasetError, match="0 annotators"):
        read_boundaries(path)
