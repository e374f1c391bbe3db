"""Selectors: which examples a query gets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.selection.encoders import Mean, labelled, mask, plain
from tests.stand_ins import Bright

import vicl
from vicl.images import ImageError, to_tensor
from vicl.prompting.prompter import VisualPrompter
from vicl.selection.index import Index, encode_pool
from vicl.selection.pool import Entry, Pool, PoolError, open_pool
from vicl.selection.selectors import Nearest, Random, Selector, choose


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return labelled(tmp_path / "p")


def shown(selector: Selector, query: object) -> list[str]:
    return [Path(example.input).stem for example in choose(selector, query)]


def test_nearest_by_cosine(root: Path, tmp_path: Path) -> None:
    nearest = Nearest(encode_pool(open_pool(root), Mean()), 2)
    query = plain(tmp_path / "query.png", (240, 30, 30))
    assert shown(nearest, query) == ["red", "rose"]
    assert shown(nearest, to_tensor(query)) == ["red", "rose"]
    assert shown(Nearest(nearest.index, 5), query)[:2] == ["red", "rose"]


def test_an_image_of_the_pool_is_never_its_own_example(root: Path) -> None:
    nearest = Nearest(encode_pool(open_pool(root), Mean()))
    assert shown(nearest, root / "images/red.png") == ["rose"]
    link = root.parent / "link.png"
    link.symlink_to(root / "images/red.png")
    assert shown(nearest, link) == ["rose"]
    with pytest.raises(PoolError, match="has 4 images beside the query, expected 5"):
        choose(Nearest(nearest.index, 5), link)


def test_each_class_that_is_asked_for_is_shown(root: Path, tmp_path: Path) -> None:
    mask(root / "masks/blue.png", 2)
    mask(root / "masks/rose.png", 2)
    index = encode_pool(open_pool(root), Mean())
    asked = index.only(index.pool.showing("a=255,b=2"))
    query = plain(tmp_path / "q.png", (240, 30, 30))
    assert shown(Nearest(asked), query) == ["red", "rose"]
    assert shown(Nearest(asked, 2), query)[:2] == ["red", "rose"]
    assert set(shown(Nearest(asked, 2), query)) - {"green", "lime"} == {"red", "rose", "blue"}
    with pytest.raises(PoolError, match="has 1 images of 'b' beside the query, expected 2"):
        choose(Nearest(asked, 2), root / "images/blue.png")


def test_an_image_that_is_listed_twice_is_chosen_once(root: Path, tmp_path: Path) -> None:
    pair = (root / "images/red.png", root / "masks/red.png")
    other = (root / "images/blue.png", root / "masks/blue.png")
    nearest = Nearest(encode_pool(open_pool([pair, pair, other]), Mean()), 2)
    assert shown(nearest, plain(tmp_path / "q.png", (240, 30, 30))) == ["red", "blue"]


def test_random_hangs_on_the_seed_and_the_query_alone(root: Path) -> None:
    pool = open_pool(root)
    query, other = to_tensor(root / "images/red.png"), to_tensor(root / "images/blue.png")
    one = [shown(Random(pool, 2, seed), query) for seed in range(30)]
    assert one == [shown(Random(pool, 2, seed), query) for seed in range(30)]
    assert one != [shown(Random(pool, 2, seed), other) for seed in range(30)]
    assert {name for names in one for name in names} == {"red", "rose", "green", "lime", "blue"}
    assert all(len(set(names)) == 2 for names in one)


def test_random_reads_queries_up_to_the_limit_that_is_told(root: Path, tmp_path: Path) -> None:
    query = plain(tmp_path / "query.png", (240, 30, 30))
    assert len(shown(Random(open_pool(root)), query)) == 1
    with pytest.raises(ImageError, match=r"query\.png"):
        choose(Random(open_pool(root), limit_pixels=10), query)


def test_no_examples_are_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="examples: got 0"):
        Random(open_pool(root), 0)


def test_a_prompter_asks_each_query_with_its_own_examples(root: Path, tmp_path: Path) -> None:
    index = encode_pool(open_pool(root), Mean())
    prompter = VisualPrompter(Bright(), Nearest(index), "segmentation")
    assert prompter.passes == ()
    queries = [plain(tmp_path / f"q/{i}.png", c) for i, c in enumerate([(240, 9, 9), (9, 9, 240)])]
    broken = tmp_path / "q/broken.png"
    broken.write_bytes(b"broken")
    answers = list(prompter.map([queries[0], broken, queries[1]]))
    assert [answer.index for answer in answers] == [0, 2]
    assert [[file.stem for file in a.examples] for a in answers] == [["red"], ["blue"]]
    single = vicl.predict(queries[0], Nearest(index), "segmentation", model=Bright())
    assert [file.stem for file in single.examples] == ["red"]
    assert prompter.canvas(queries[0], answers[0]).size == (448, 448)


def test_what_made_answers_tells_pools_and_selectors_apart(root: Path) -> None:
    pool = open_pool(root)
    index = encode_pool(pool, Mean())
    made = [
        VisualPrompter(Bright(), selector, "segmentation").made_by()
        for selector in (Random(pool), Random(pool, 2), Random(pool, seed=1), Nearest(index))
    ]
    assert all(one != other for at, one in enumerate(made) for other in made[:at])


def test_the_published_ranking(shared: Path) -> None:
    """`goldens/retrieval`: cosine, and an image under two classes counts once."""
    facts = json.loads((shared / "goldens/retrieval/retrieval.json").read_text())
    arrays = np.load(shared / "goldens/retrieval/retrieval.npz")
    pool = Pool("golden", tuple(Entry(name, "mask") for name in facts["ranking"]["target_names"]))
    targets = torch.nn.functional.normalize(torch.from_numpy(arrays["ret_target"]), dim=1)
    for source, similarity, names in zip(
        arrays["ret_source"],
        arrays["ret_similarity"],
        facts["ranking"]["ranked_unique_names_per_source"],
        strict=True,
    ):

        class Given(Index):
            def encode(self, query: object, row: np.ndarray = source) -> torch.Tensor:
                return torch.nn.functional.normalize(torch.from_numpy(row), dim=0)

        index = Given(pool, targets, Mean())
        assert np.allclose(index.scores("query"), similarity, atol=1e-5)
        chosen = choose(Nearest(index, len(names)), "query")
        assert [example.input for example in chosen] == names
