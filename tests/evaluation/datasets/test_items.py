from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.datasets.trees import photo, picture

from vicl.evaluation.datasets.items import Drawing, ItemDataset
from vicl.evaluation.episodes import DatasetError, Episode, Item


def _items(**counts: int) -> tuple[Item, ...]:
    return tuple(
        Item(f"{name}{index}.png", (f"m{name}{index}.png",), name, 1)
        for name, count in counts.items()
        for index in range(count)
    )


def _dataset(
    items: tuple[Item, ...], drawing: Drawing = "queries", root: Path = Path()
) -> ItemDataset:
    return ItemDataset("toy", "segmentation", root, items, items, drawing, stream="toy")


def _content(episodes: list[Episode]) -> list[tuple[tuple[Item, ...], Item]]:
    return [(episode.examples, episode.query) for episode in episodes]


DRAWINGS: tuple[Drawing, ...] = ("queries", "classes", "published")


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_an_episode_does_not_depend_on_how_many_or_on_reading_order(drawing: Drawing) -> None:
    items = _items(dog=6, cat=7)
    dataset = _dataset(items, drawing)
    all_ten = dataset.episodes(10, seed=3)
    assert dataset.episodes(4, seed=3) == all_ten[:4]
    assert [episode.index for episode in all_ten] == list(range(10))
    assert dataset.episodes(10, seed=4) != all_ten
    # What the published code gets wrong: the same seed, files read in reverse order.
    backwards = replace(dataset, pool=items[::-1])
    if drawing != "published":  # which walks a list in its order
        backwards = replace(backwards, queries=items[::-1])
    assert backwards.episodes(10, seed=3) == all_ten
    assert backwards.fingerprint == dataset.fingerprint


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_the_first_examples_are_the_same_however_many(drawing: Drawing) -> None:
    dataset = _dataset(_items(dog=6, cat=7), drawing)
    five = dataset.episodes(8, seed=1, examples=5)
    for count in (1, 2, 4):
        fewer = dataset.episodes(8, seed=1, examples=count)
        assert [e.query for e in fewer] == [e.query for e in five]
        assert [e.examples for e in fewer] == [e.examples[:count] for e in five]


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_examples_are_other_images_of_the_query_s_class_and_every_one_can_come(
    drawing: Drawing,
) -> None:
    dataset = _dataset(_items(dog=4, cat=5), drawing)
    seen = set()
    for seed in range(60):
        for episode in dataset.episodes(9, seed=seed, examples=2):
            images = [item.image for item in (*episode.examples, episode.query)]
            assert len(set(images)) == 3
            assert {item.class_name for item in episode.examples} == {episode.class_name}
            seen |= {(item.image, episode.query.image) for item in episode.examples}
    assert len(seen) == 4 * 3 + 5 * 4  # every ordered pair within a class


def test_an_image_with_two_classes_is_no_example_for_itself() -> None:
    items = (Item("a.png", ("m",), "", 1), Item("a.png", ("m",), "", 2), Item("b.png", ("m",)))
    for seed in range(20):
        for episode in _dataset(items).episodes(seed=seed):
            assert {item.image for item in episode.examples} != {episode.query.image}


def test_by_default_each_pair_counts_once() -> None:
    items = _items(dog=6, cat=7)
    episodes = _dataset(items).episodes(seed=5)
    assert Counter(episode.query for episode in episodes) == Counter(items)
    assert [e.query for e in episodes] != list(items)  # in an order drawn from the seed
    with pytest.raises(DatasetError, match="count: got 14, expected at most 13"):
        _dataset(items).episodes(14)


def test_as_published_the_list_is_walked_over_and_over() -> None:
    items = _items(dog=6, cat=7)[::-1]
    episodes = _dataset(items, "published").episodes()
    assert len(episodes) == 1000
    assert [e.query for e in episodes] == [items[index % 13] for index in range(1000)]
    # In fold 0 of Pascal-5i this is why 308 images count three times and 38 twice.
    fold = _dataset(_items(dog=346), "published").episodes()
    assert Counter(Counter(e.query for e in fold).values()) == {3: 308, 2: 38}


def test_classes_are_drawn_uniformly_whatever_their_size() -> None:
    dataset = _dataset(_items(dog=40, cat=4), "classes")
    drawn = Counter(e.class_name for e in dataset.episodes(1000, seed=0))
    assert 420 < drawn["cat"] < 580  # 500 expected, deviation 16
    assert len(dataset.episodes()) == 44


def test_a_source_s_class_is_its_own() -> None:
    items = tuple(
        replace(item, source=source, image=f"{source}/{item.image}")
        for source in ("a", "b")
        for item in _items(dog=3)
    )
    for drawing in DRAWINGS:
        for episode in _dataset(items, drawing).episodes(6):
            assert {item.source for item in episode.examples} == {episode.query.source}


def test_nothing_reads_or_changes_global_randomness() -> None:
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # type: ignore[index]  # noqa: NPY002
    for drawing in DRAWINGS:
        dataset = _dataset(_items(dog=6), drawing)
        first = dataset.episodes(5, seed=1)
        assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002
        assert torch.equal(torch_before, torch.get_rng_state())
        np.random.seed(4)  # noqa: NPY002
        assert dataset.episodes(5, seed=1) == first
        np.random.seed(3)  # noqa: NPY002


def test_too_few_examples_are_an_error_or_left_out() -> None:
    dataset = _dataset(_items(dog=6, cat=2))
    with pytest.raises(DatasetError, match=r"for cat0.png there are 1 other images of 'cat'"):
        dataset.episodes(1, examples=2)
    left = dataset.for_examples(2)
    assert {item.class_name for item in left.queries} == {"dog"}
    assert len(left.episodes(examples=5)) == 6
    assert left.fingerprint != dataset.fingerprint
    by_class = _dataset(_items(dog=6, cat=2), "classes").for_examples(2)
    assert {e.class_name for e in by_class.episodes(30, examples=2)} == {"dog"}
    with pytest.raises(DatasetError, match="none of 8 queries has 6 other"):
        dataset.for_examples(6)
    for wrong in ({"examples": 0}, {"seed": -1}):
        with pytest.raises(DatasetError, match="expected at least one example"):
            dataset.episodes(1, **wrong)  # type: ignore[arg-type]


def test_the_fingerprint_is_of_the_content_not_the_place() -> None:
    dataset = _dataset(_items(dog=6))
    same = replace(dataset, name="other", root=Path("elsewhere"))
    assert same.fingerprint == dataset.fingerprint
    assert len(dataset.fingerprint) == 64
    changed = (
        replace(dataset, void=255),
        replace(dataset, drawing="classes"),
        replace(dataset, pool=dataset.pool[1:]),
        replace(dataset, queries=(replace(dataset.queries[0], value=2), *dataset.queries[1:])),
    )
    assert len({dataset.fingerprint, *(other.fingerprint for other in changed)}) == 5


def test_loading_gives_examples_query_and_truth_in_their_places(tmp_path: Path) -> None:
    items = _items(dog=3)
    for index, item in enumerate(items):
        photo(tmp_path, item.image, index)
        mask = np.zeros((8, 10), dtype=np.uint8)
        mask[index] = 1
        picture(tmp_path, item.target[0], mask)
    dataset = _dataset(items, root=tmp_path)
    episode = dataset.episodes(1, examples=2)[0]
    case = dataset.load(episode)
    for item, image, output in (
        *(
            (i, e.input, e.output)
            for i, e in zip(episode.examples, case.prompt.examples, strict=True)
        ),
        (episode.query, case.prompt.query, case.truth.image),
    ):
        row = items.index(item)
        expected = torch.zeros(3, 8, 10)
        expected[:, row] = 1
        assert torch.equal(torch.as_tensor(output), expected)
        stored = np.random.default_rng(row).integers(0, 256, (8, 10, 3), dtype=np.uint8)
        assert np.array_equal(
            torch.as_tensor(image).mul(255).round().numpy(), stored.transpose(2, 0, 1)
        )
    with pytest.raises(DatasetError, match="episode 0 of toy: got an episode of edges"):
        dataset.load(replace(episode, task="edges"))
    (tmp_path / episode.query.target[0]).unlink()
    with pytest.raises(
        DatasetError, match=rf"episode 0 of toy: no file .*{episode.query.target[0]}"
    ):
        dataset.load(episode)
