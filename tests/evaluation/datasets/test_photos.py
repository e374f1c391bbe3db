from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.datasets.trees import photo, picture

from vicl.evaluation.datasets import photographs, photos
from vicl.evaluation.episodes import DatasetError


def _tree(root: Path) -> Path:
    """ImageNet's: three folders with ten photographs each, the last of each gray."""
    for number in range(3):
        for index in range(10):
            name = f"n{number}/ILSVRC2012_val_{10 * number + index:08}.png"
            if index == 9:
                picture(root, name, np.full((8, 10, 3), 100, dtype=np.uint8))
            else:
                photo(root, name, 10 * number + index)
    return root


def test_gray_photographs_are_left_out_and_each_other_is_asked_once(tmp_path: Path) -> None:
    dataset = photographs(_tree(tmp_path))
    assert len(dataset.queries) == 27
    assert not any(item.image.endswith("9.png") for item in (*dataset.queries, *dataset.pool))
    assert set(Counter(e.query for e in dataset.episodes()).values()) == {1}
    case = dataset.load(dataset.episodes(1)[0])
    assert case.truth.image.shape == (3, 8, 8)
    gray = torch.as_tensor(case.prompt.query)
    assert torch.equal(gray[0], gray[1])
    assert not torch.equal(case.truth.image[0], case.truth.image[1])


def test_queries_and_examples_come_from_the_chosen_set_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The published code drew examples by their place in the whole listing: nearly all of them
    # were outside the chosen set, and from the first folders alone.
    _tree(tmp_path)
    monkeypatch.setattr(photos, "MOST", 8)
    monkeypatch.setattr(photos, "PUBLISHED_COUNT", 5)
    dataset = photographs(tmp_path, published=True)
    assert (len(dataset.queries), len(dataset.pool)) == (5, 3)
    assert not set(dataset.queries) & set(dataset.pool)
    drawn = [e for seed in range(20) for e in dataset.episodes(10, seed=seed)]
    assert {e.query for e in drawn} == set(dataset.queries)
    assert {e.examples[0] for e in drawn} == set(dataset.pool)
    folders = {item.image[:2] for item in (*dataset.queries, *dataset.pool)}
    assert folders == {"n0", "n1", "n2"}  # wherever in the listing they are
    assert photographs(tmp_path, published=True).fingerprint == dataset.fingerprint
    ours = photographs(tmp_path)
    assert set(ours.queries) == set(ours.pool)
    assert len(ours.queries) <= 8


def test_as_published_the_middle_is_shown_unresized(tmp_path: Path) -> None:
    for index in range(2):
        photo(tmp_path, f"{index}.png", index, (121, 150))
    dataset = photographs(tmp_path, published=True)
    episode = dataset.episodes(1)[0]
    image = dataset.load(episode).truth.image
    stored = np.random.default_rng(int(episode.query.image[0]))
    whole = stored.integers(0, 256, (121, 150, 3), dtype=np.uint8).transpose(2, 0, 1)
    assert np.array_equal(image.mul(255).round().numpy(), whole[:, 5:116, 20:131])


def test_sources_are_folders(tmp_path: Path) -> None:
    dataset = photographs(_tree(tmp_path), sources=("n1",))
    assert {item.image[:2] for item in (*dataset.queries, *dataset.pool)} == {"n1"}
    assert len(dataset.queries) == 9
    with pytest.raises(DatasetError, match="no folder 'moon'"):
        photographs(tmp_path, sources=("moon",))


def test_too_few_photographs_are_an_error(tmp_path: Path) -> None:
    picture(tmp_path, "a.png", np.full((8, 10), 100, dtype=np.uint8))
    photo(tmp_path, "b.png", 0)
    with pytest.raises(DatasetError, match="2 photographs, of which 1 with colour"):
        photographs(tmp_path)


def test_a_broken_photograph_costs_its_episode_alone(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        photo(tmp_path, f"{name}.png", seed)
    (tmp_path / "c.png").write_bytes(b"no picture")
    (tmp_path / "elsewhere").mkdir()
    found = photographs(tmp_path)
    episodes = {e.query.image: e for e in found.episodes()}
    assert sorted(episodes) == ["a.png", "b.png", "c.png"]
    with pytest.raises(DatasetError, match=r"c\.png"):
        found.load(episodes["c.png"])
