from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vicl.evaluation.episodes import (
    DatasetError,
    Episode,
    edge_episodes,
    plants_episodes,
    read_listing,
    read_manifest,
    segmentation_episodes,
    to_cell,
    write_listing,
)

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"

needs_data = pytest.mark.skipif(
    not (DATA / "manifest.jsonl").is_file(), reason=f"the development set is not at {DATA}"
)


def _picture(root: Path, path: str, values: np.ndarray) -> str:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(root / path)
    return path


def _tree(root: Path, *, reverse: bool = False) -> Path:
    """A dataset of 5 frames of two sequences with a dog, 4 plants, and edges."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []

    def image(name: str, source: str, **more: Any) -> dict[str, Any]:
        photo = rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)
        row = {
            "id": name,
            "image": _picture(root, f"images/{source}/{name}.png", photo),
            "source": source,
            "annotations": {},
            **more,
        }
        rows.append(row)
        return row

    for index in range(5):
        row = image(f"v{index}", "video", sequence="ab"[index // 3])
        mask = np.zeros((8, 10), dtype=np.uint8)
        mask[:4, : index + 1] = 3  # 4 (index + 1) of 80 pixels: 5% to 25%
        mask[7, 9] = 9
        path = _picture(root, f"masks/video/v{index}.png", mask)
        classes = {
            "dog": {"value": 3, "fraction": 4 * (index + 1) / 80},
            "speck": {"value": 9, "fraction": 1 / 80},
        }
        row["annotations"]["mask"] = {"path": path, "kind": "semantic", "classes": classes}
    for index in range(4):
        row = image(f"p{index}", "cwfid")
        mask = np.zeros((8, 10), dtype=np.uint8)
        mask[index, :] = 1
        mask[index, 0] = 2
        path = _picture(root, f"masks/cwfid/p{index}.png", mask)
        row["annotations"]["mask"] = {"path": path, "kind": "semantic", "classes": {}}
    for index in range(6):
        row = image(f"e{index}", "bsds", subset="val" if index < 3 else "train")
        soft = np.full((8, 10), 51, dtype=np.uint8)
        row["annotations"]["edges"] = _picture(root, f"edges/bsds/e{index}.png", soft)
        if index < 3:
            row["annotations"]["edges_by_annotator"] = [
                _picture(root, f"edges/by/e{index}_{who}.png", np.eye(8, 10, who) > 0)
                for who in range(2)
            ]
    if reverse:
        rows.reverse()
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (root / "manifest.jsonl").write_text(text, encoding="utf-8")
    return root


def _key(episodes: list[Episode]) -> list[tuple[object, ...]]:
    return [(e.index, e.example_inputs, e.query, e.truth, e.class_name, e.value) for e in episodes]


def test_an_episode_does_not_depend_on_how_many_or_on_reading_order(tmp_path: Path) -> None:
    one, other = _tree(tmp_path / "a"), _tree(tmp_path / "b", reverse=True)
    for draw in (segmentation_episodes, edge_episodes):
        three = _key(draw(one, count=3, seed=7))
        assert three[:2] == _key(draw(one, count=2, seed=7))
        assert three == _key(draw(other, count=3, seed=7))
    assert _key(plants_episodes(one, seed=7)) == _key(plants_episodes(other, seed=7))
    many = segmentation_episodes(one, count=20, seed=7)
    assert _key(many) != _key(segmentation_episodes(one, count=20, seed=8))


def test_global_random_state_is_left_alone(tmp_path: Path) -> None:
    root = _tree(tmp_path)
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    torch_before = torch.get_rng_state()
    segmentation_episodes(root, count=2, seed=1)[0].load()
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(torch_before, torch.get_rng_state())


def test_segmentation_draws_two_different_images_of_a_class_that_qualifies(tmp_path: Path) -> None:
    episodes = segmentation_episodes(_tree(tmp_path), count=200, seed=0)
    assert {e.class_name for e in episodes} == {"dog"}  # "speck" is too small, plants have none
    pairs = {(e.example_inputs[0], e.query) for e in episodes}
    assert len(pairs) == 5 * 4  # every ordered pair of two different frames, none twice the same
    assert all(a != b for a, b in pairs)
    for e in episodes:
        same = (e.example_inputs[0] < "images/video/v3") == (e.query < "images/video/v3")
        assert e.extra["pair"] == ("within sequence" if same else "across sequences")


def test_loading_draws_the_class_white_on_black(tmp_path: Path) -> None:
    episode = segmentation_episodes(_tree(tmp_path), count=1, seed=0)[0]
    prompt, truth = episode.load()
    example = int(episode.example_inputs[0][-5])
    query = int(episode.query[-5])
    expected = torch.zeros(3, 8, 10)
    expected[:, :4, : example + 1] = 1
    assert torch.equal(prompt.examples[0].output, expected)
    assert truth.dtype == bool
    assert truth.shape == (8, 10)
    assert truth.sum() == 4 * (query + 1)  # value 9 is another class
    assert isinstance(prompt.query, torch.Tensor)
    stored = np.asarray(Image.open(tmp_path / episode.query), dtype=np.float32) / 255
    assert np.array_equal(prompt.query.permute(1, 2, 0).numpy(), stored)


def test_plants_ask_every_image_once_and_count_every_plant_pixel(tmp_path: Path) -> None:
    episodes = plants_episodes(_tree(tmp_path), seed=3)
    assert [e.query for e in episodes] == [f"images/cwfid/p{i}.png" for i in range(4)]
    assert all(e.query != e.example_inputs[0] for e in episodes)
    assert episodes[2].load()[1].sum() == 10  # values 1 and 2


def test_plants_can_draw_every_other_image_as_example(tmp_path: Path) -> None:
    root = _tree(tmp_path)
    seen = {plants_episodes(root, seed=s)[1].example_inputs[0] for s in range(40)}
    assert seen == {f"images/cwfid/p{i}.png" for i in (0, 2, 3)}


def test_edges_ask_val_images_once_with_all_annotators(tmp_path: Path) -> None:
    episodes = edge_episodes(_tree(tmp_path), count=3, seed=0)
    assert {e.query for e in episodes} == {f"images/bsds/e{i}.png" for i in range(3)}
    assert all(e.example_inputs[0][-5] in "345" for e in episodes)
    prompt, truth = episodes[0].load()
    assert truth.shape == (2, 8, 10)
    assert np.array_equal(truth[1], np.eye(8, 10, 1) > 0)
    assert torch.allclose(torch.as_tensor(prompt.examples[0].output), torch.full((3, 8, 10), 0.2))
    with pytest.raises(ValueError, match="at most 3"):
        edge_episodes(tmp_path, count=4, seed=0)


def test_a_listing_reads_back(tmp_path: Path) -> None:
    root = _tree(tmp_path)
    episodes = [
        *segmentation_episodes(root, count=3, seed=0),
        *plants_episodes(root),
        *edge_episodes(root, count=2),
    ]
    text = write_listing(episodes)
    assert text.count("\n") == len(episodes) == 9
    assert str(tmp_path) not in text
    assert read_listing(text, root) == episodes
    assert np.array_equal(read_listing(text, root)[0].load()[1], episodes[0].load()[1])
    with pytest.raises(DatasetError, match="line 1"):
        read_listing('{"index": 1}\n', root)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no manifest\.jsonl in .*nowhere \(no such folder\)"):
        read_manifest(tmp_path / "nowhere")
    (tmp_path / "manifest.jsonl").write_text('{"id": "a"}\n', encoding="utf-8")
    with pytest.raises(DatasetError, match="line 1: no image, source, annotations"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.jsonl").write_text("{\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 1: not JSON"):
        read_manifest(tmp_path)
    root = _tree(tmp_path / "tree")
    with pytest.raises(DatasetError, match=r"no class with at least 4 images .* sources moon"):
        segmentation_episodes(root, count=1, sources=("moon",))
    with pytest.raises(DatasetError, match="0 images of source 'moon'"):
        plants_episodes(root, source="moon")
    with pytest.raises(DatasetError, match="0 val images"):
        edge_episodes(root, count=1, source="moon")
    episode = segmentation_episodes(root, count=1)[0]
    (root / episode.truth[0]).unlink()
    with pytest.raises(DatasetError, match=r"no file .*incomplete"):
        episode.load()


def test_a_truth_of_another_size_is_refused(tmp_path: Path) -> None:
    episode = segmentation_episodes(_tree(tmp_path), count=1)[0]
    _picture(tmp_path, episode.truth[0], np.zeros((4, 4), dtype=np.uint8))
    with pytest.raises(DatasetError, match=r"got \(4, 4\)"):
        episode.load()


def test_the_cell_is_bicubic_cut_at_one_half() -> None:
    half = np.zeros((222, 222), dtype=bool)
    half[:, :112] = True  # 56 of 111 columns are white, after halving
    cell = to_cell(half)
    assert cell.shape == (111, 111)
    assert cell[:, :56].all()
    assert not cell[:, 56:].any()
    assert to_cell(np.ones((30, 200), dtype=bool)).all()
    assert not to_cell(np.zeros((30, 200), dtype=bool)).any()


@needs_data
def test_the_development_set_has_its_classes_and_loads() -> None:
    episodes = segmentation_episodes(DATA, count=300, seed=0)
    assert {e.extra["source"] for e in episodes} == {"ccp", "coco128", "cwfid", "davis"}
    assert len({(e.extra["source"], e.class_name) for e in episodes}) == 44
    assert "pair" not in next(e for e in episodes if e.extra["source"] == "ccp").extra
    prompt, truth = episodes[0].load()
    assert isinstance(prompt.query, torch.Tensor)
    assert truth.shape == prompt.query.shape[1:]
    assert 0.029 < truth.mean() < 0.601
    assert len(plants_episodes(DATA)) == 39
    edges = edge_episodes(DATA, count=100, seed=0)
    assert len({e.query for e in edges}) == 100
    assert edges[0].load()[1].shape[0] == len(edges[0].truth) >= 3
