from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.datasets.trees import manifest_tree, text

from vicl.evaluation.datasets import manifest
from vicl.evaluation.datasets.manifests import read_manifest
from vicl.evaluation.episodes import DatasetError
from vicl.tasks import TaskName

TASKS: tuple[TaskName, ...] = ("segmentation", "detection", "colorization", "edges")


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("published", [False, True])
def test_content_does_not_depend_on_the_order_of_the_manifest(
    tmp_path: Path, task: TaskName, published: bool
) -> None:
    one = manifest(manifest_tree(tmp_path / "a"), task, published=published)
    backwards = manifest_tree(tmp_path / "b", reverse=True)
    other = manifest(backwards, task, published=published)
    assert one.fingerprint == other.fingerprint
    drawn, same = ([(e.examples, e.query) for e in d.episodes(3, seed=7)] for d in (one, other))
    assert drawn == same


def test_segmentation_draws_a_class_that_qualifies_and_two_of_its_images(tmp_path: Path) -> None:
    dataset = manifest(manifest_tree(tmp_path), "segmentation")
    episodes = dataset.episodes(200)
    assert {e.class_name for e in episodes} == {"dog"}  # "speck" is too small
    pairs = {(e.examples[0].image, e.query.image) for e in episodes}
    assert len(pairs) == 5 * 4
    assert all(a != b for a, b in pairs)
    for episode in episodes:
        same = episode.examples[0].group == episode.query.group
        pair = "within a group" if same else "across groups"
        assert episode.labels == {"source": "video", "pair": pair}
    case = dataset.load(episodes[0])
    columns = int(episodes[0].query.image[-5]) + 1
    expected = torch.zeros(3, 8, 10)
    expected[:, :4, :columns] = 1
    assert torch.equal(case.truth.image, expected)
    assert case.truth.void is None


def test_the_formula_of_the_development_set(tmp_path: Path) -> None:
    # Written down in the set's README, worked out again: CRC-32 of "segmentation", seed, index;
    # a class; two different images by their ids, the example first.
    episodes = manifest(manifest_tree(tmp_path), "segmentation").episodes(20, seed=5)
    for index, episode in enumerate(episodes):
        rng = np.random.default_rng([0x0BC2A2F5, 5, index])
        assert int(rng.integers(1)) == 0
        example, query = rng.choice(5, size=2, replace=False)
        assert episode.examples[0].image == f"images/video/v{example}.png"
        assert episode.query.image == f"images/video/v{query}.png"


def test_detection_asks_about_small_objects(tmp_path: Path) -> None:
    root = manifest_tree(tmp_path)
    dataset = manifest(root, "detection")
    # 6, 12 and 12 of 80 pixels (the third box ends at the border); two shirts in the last.
    assert [i.image[-6:-4] for i in dataset.queries] == ["s0", "s1", "s2"]
    small = manifest(root, "detection", largest=0.1)
    assert [i.image[-6:-4] for i in small.queries] == ["s0"]
    assert len(small.pool) == 3
    case = small.load(small.episodes()[0])
    assert case.truth.boxes == ((1.0, 2.0, 3.0, 5.0),)
    assert case.truth.image[0].sum() == 6


def test_colorization_leaves_gray_pictures_out(tmp_path: Path) -> None:
    dataset = manifest(manifest_tree(tmp_path), "colorization")
    episodes = dataset.episodes()
    assert len(episodes) == 15
    assert len({e.query for e in episodes}) == 15
    seen = {i.image for s in range(40) for e in dataset.episodes(seed=s) for i in e.examples}
    assert seen == {item.image for item in dataset.queries}  # of the chosen set, and all of it
    assert "images/shop/g0.png" not in seen
    only = manifest(tmp_path, "colorization", sources=("video",))
    assert {i.source for i in (*only.queries, *only.pool)} == {"video"}
    assert only.name.endswith(", video")


def test_edges_ask_val_images_with_all_annotators_and_show_train_images(tmp_path: Path) -> None:
    dataset = manifest(manifest_tree(tmp_path), "edges")
    episodes = dataset.episodes()
    assert {e.query.image for e in episodes} == {f"images/bsds/e{i}.png" for i in range(3)}
    assert {i.image[-5] for i in dataset.pool} == set("345")
    case = dataset.load(episodes[0])
    assert case.truth.annotators is not None
    assert case.truth.annotators.shape == (2, 8, 10)
    assert np.array_equal(case.truth.annotators[1], np.eye(8, 10, 1) > 0)
    shown = torch.as_tensor(case.prompt.examples[0].output)
    assert torch.allclose(shown, torch.full((3, 8, 10), 0.2))


def test_without_a_count_each_pair_comes_once(tmp_path: Path) -> None:
    found = manifest(manifest_tree(tmp_path), "segmentation")
    episodes = found.episodes()
    assert len({e.query for e in episodes}) == len(episodes) == len(found.queries)


def test_published_colorization_shows_the_centre(tmp_path: Path) -> None:
    found = manifest(manifest_tree(tmp_path), "colorization", published=True)
    assert found.load(found.episodes(1)[0]).truth.image.shape == (3, 111, 111)


@pytest.mark.parametrize("change", ['"path": 5', '"value": Infinity'])
def test_odd_annotations_are_named(tmp_path: Path, change: str) -> None:
    path = manifest_tree(tmp_path) / "manifest.jsonl"
    name = change.split(":")[0]
    text = re.sub(rf'{name}: ("[^"]*"|\d+)', change, path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    with pytest.raises(DatasetError, match="annotations are not as expected"):
        manifest(tmp_path, "segmentation")


def test_as_published_the_queries_are_walked(tmp_path: Path) -> None:
    dataset = manifest(manifest_tree(tmp_path), "segmentation", published=True)
    images = [e.query.image[-5] for e in dataset.episodes(7)]
    assert images == list("0123401")
    assert dataset.name.endswith(", published")
    assert len(dataset.episodes()) == 1000


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no manifest\.jsonl in .*nowhere \(no such folder\)"):
        read_manifest(tmp_path / "nowhere")
    lines = {
        '{"id": "a"}\n': "line 1: no image, source, annotations",
        "\n{\n": "line 2: not JSON",
        "[]\n": "line 1: no id, image, source, annotations",
        '{"id": "a", "image": 3, "source": "s", "annotations": {}}': "line 1: no image",
    }
    for content, match in lines.items():
        text(tmp_path, "manifest.jsonl", content)
        with pytest.raises(DatasetError, match=match):
            read_manifest(tmp_path)
    (tmp_path / "manifest.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match="cannot be read as UTF-8"):
        read_manifest(tmp_path)
    row = '{"id": "a", "image": "a", "source": "s", "annotations": {"boxes": [{"class": "x"}]}}'
    text(tmp_path, "manifest.jsonl", row)
    with pytest.raises(DatasetError, match=r"annotations are not as expected \(KeyError: 'box'\)"):
        manifest(tmp_path, "detection")
    root = manifest_tree(tmp_path / "tree")
    with pytest.raises(DatasetError, match="no images of source moon; it has bsds, shop, video"):
        manifest(root, "segmentation", sources=("moon",))
    with pytest.raises(DatasetError, match=r"0 queries and 0 examples for segmentation.* 4 images"):
        manifest(root, "segmentation", sources=("shop",))
    with pytest.raises(DatasetError, match="0 queries and 0 examples for edges"):
        manifest(root, "edges", sources=("shop", "video"))
    with pytest.raises(DatasetError, match="no episodes of 'image'"):
        manifest(root, "image")


def test_the_development_set(shared: Path) -> None:
    root = shared / "data"
    dataset = manifest(root, "segmentation")
    assert {q.source for q in dataset.queries} == {"ccp", "coco128", "cwfid", "davis"}
    assert len({(q.source, q.class_name) for q in dataset.queries}) == 44
    case = dataset.load(dataset.episodes(1)[0])
    assert 0.029 < case.truth.image.mean() < 0.601
    assert Counter(i.source for i in manifest(root, "edges").queries) == {"bsds": 100}
    edges = manifest(root, "edges")
    lines = edges.load(edges.episodes(1)[0]).truth.annotators
    assert lines is not None
    assert len(lines) >= 3
    assert len(manifest(root, "colorization").queries) == 2197 - 3
    detection = manifest(root, "detection")
    case = detection.load(detection.episodes(1)[0])
    assert 0 < case.truth.image.mean() < 0.2
    assert len(case.truth.boxes) == 1
