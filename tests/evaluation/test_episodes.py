from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from vicl.evaluation.episodes import (
    DatasetError,
    Episode,
    Item,
    episode_rng,
    is_inside,
    read_listing,
    write_listing,
)

DOG = Item("images/a.jpg", ("masks/a.png",), "dog", 3, ((0.0, 1.5, 4.0, 8.0),), "one", "davis")
EPISODE = Episode("data", "segmentation", 0, 7, (replace(DOG, image="images/b é\u2028.jpg"),), DOG)


def test_a_listing_reads_back() -> None:
    episodes = [EPISODE, replace(EPISODE, index=8, task="colorization", query=Item("x.jpg"))]
    listed = write_listing(episodes)
    # One line an episode, although one name holds a character at which str.splitlines cuts.
    assert listed.count("\n") == 2
    assert read_listing(listed) == episodes
    assert read_listing(listed + "\n\n") == episodes
    assert write_listing(read_listing(listed)) == listed
    assert read_listing("") == []


@pytest.mark.parametrize(
    ("kind", "task"), [("edges", "edges"), ("shapes", "image"), ("rules", "image")]
)
def test_an_older_listing_is_read(kind: str, task: str) -> None:
    """It calls the task a kind, of which generated episodes had their own."""
    line = json.loads(write_listing([EPISODE]))
    del line["task"]
    (read,) = read_listing(json.dumps({**line, "kind": kind}))
    assert read == replace(EPISODE, task=task)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"seed": "0"}, r"line 2: not an episode \(seed: got '0', expected a whole number"),
        ({"seed": -1}, "line 2: got 1 examples, seed -1"),
        ({"examples": []}, "line 2: got 0 examples"),
        ({"task": "plants"}, "line 2: not an episode"),
        ({"query": {"image": "a.jpg", "vale": 3}}, "query.vale: "),
        ({"query": {}}, "query.image: is missing"),
    ],
)
def test_what_is_no_episode_is_refused_by_its_line(change: dict[str, object], match: str) -> None:
    line = json.dumps({**json.loads(write_listing([EPISODE])), **change})
    with pytest.raises(DatasetError, match=match):
        read_listing(write_listing([EPISODE]) + line)


@pytest.mark.parametrize("line", ["{", "[]", "null", "[" * 100_000])
def test_what_is_no_json_object_is_refused(line: str) -> None:
    with pytest.raises(DatasetError, match="line 1: not an episode"):
        read_listing(line)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../a.jpg",
        "a/../../b.jpg",
        "",
        "a//b",
        "C:/a.jpg",
        "..\\a.jpg",
        "./a",
        "a\0b",
    ],
)
def test_a_name_outside_the_folder_is_refused(name: str) -> None:
    assert not is_inside(name)
    for item in (Item(name), Item("a.jpg", ("m.png", name))):
        for episode in (replace(EPISODE, query=item), replace(EPISODE, examples=(DOG, item))):
            with pytest.raises(DatasetError, match="leads out of the dataset's folder"):
                read_listing(write_listing([episode]))


def test_names_inside_are_taken() -> None:
    assert all(is_inside(name) for name in ("a.jpg", "a/b..c.jpg", "color/3/query", "a/...", "é"))


def test_randomness_is_that_of_the_name_seed_and_index_alone() -> None:
    def draw(name: str, seed: int, index: int) -> list[int]:
        return [int(n) for n in episode_rng(name, seed, index).integers(1000, size=8)]

    assert draw("a", 1, 2) == draw("a", 1, 2)
    assert len({tuple(draw(*key)) for key in (("a", 1, 2), ("b", 1, 2), ("a", 2, 1))}) == 3
    # The formula that the numbers of the development set rest on: CRC-32 of the name, seed, index.
    expected = np.random.default_rng([0xE8B7BE43, 1, 2]).integers(1000, size=8)
    assert draw("a", 1, 2) == expected.tolist()


def test_labels_tell_sources_and_twins_apart() -> None:
    assert EPISODE.class_name == "dog"
    assert EPISODE.labels == {"source": "davis", "pair": "within a group"}
    other = replace(EPISODE, examples=(replace(DOG, group="two"),))
    assert other.labels["pair"] == "across groups"
    assert replace(EPISODE, query=Item("a.jpg")).labels == {}
