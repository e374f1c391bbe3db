"""Examples that all queries share, and which images to label next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.selection.encoders import COLOURS, Mean, labelled, plain
from tests.stand_ins import Bright

from vicl.prompt import Example
from vicl.prompting.drawing import drawn_passes
from vicl.prompting.prompter import VisualPrompter
from vicl.selection.fixed import best_of, cover, diverse, next_to_label
from vicl.selection.index import encode_pool
from vicl.selection.pool import PoolError, open_pool
from vicl.selection.selectors import Random, choose


def stems(examples: Sequence[Example]) -> list[str]:
    return [Path(example.input).stem for example in examples]


def test_cover_takes_one_of_each_heap() -> None:
    generator = torch.Generator().manual_seed(0)
    heaps = torch.eye(3).repeat_interleave(torch.tensor([50, 20, 5]), dim=0)
    rows = torch.nn.functional.normalize(
        heaps + 0.05 * torch.randn(heaps.shape, generator=generator), dim=1
    )
    chosen = cover(rows, 3)
    assert [int(heaps[place].argmax()) for place in chosen] == [0, 1, 2]
    assert cover(rows, 1, given=rows[:70])[0] >= 70
    assert len(cover(rows, 100)) == len(set(cover(rows, 100))) == 75
    assert cover(rows[:0], 3) == []


def test_diverse_examples_are_of_different_colours(tmp_path: Path) -> None:
    selector = diverse(encode_pool(open_pool(labelled(tmp_path / "p")), Mean()), 3)
    query = plain(tmp_path / "q.png", (1, 2, 3))
    chosen = stems(choose(selector, query))
    assert len({name.replace("rose", "red").replace("lime", "green") for name in chosen}) == 3
    assert chosen == stems(choose(selector, plain(tmp_path / "r.png", (250, 2, 3))))
    own = choose(selector, tmp_path / f"p/images/{chosen[0]}.png")
    assert chosen[0] not in stems(own)
    assert len(own) == 3


def test_examples_that_all_share_are_drawn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[str]] = []

    def draw(examples: Sequence[Example], *given: Any, **more: Any) -> Any:
        drawn.append(stems(examples))
        return drawn_passes(examples, *given, **more)

    monkeypatch.setattr("vicl.prompting.prompter.drawn_passes", draw)
    selector = diverse(encode_pool(open_pool(labelled(tmp_path / "p")), Mean()), 2)
    prompter = VisualPrompter(Bright(), selector, "segmentation")
    queries = [plain(tmp_path / f"{n}.png", (n, 9, 9)) for n in range(3)]
    shared = [prompter.predict(queries[0]), *prompter.map(queries[1:])]
    assert len({answer.examples for answer in shared}) == len(drawn) == 1
    own = shared[0].examples[0]
    assert own not in prompter.predict(own).examples
    assert len(drawn) == 2


def test_what_is_like_nothing_labelled_is_to_be_labelled_next(tmp_path: Path) -> None:
    root = labelled(tmp_path / "p")
    for name in ("red", "green", "lime"):
        (root / f"masks/{name}.png").unlink()
    index = encode_pool(open_pool(root), Mean())
    found = [entry.file.stem for entry in next_to_label(index, 2)]
    assert found[0] in ("green", "lime")
    assert len(next_to_label(index, 10)) == 3
    for name in COLOURS:
        (root / f"masks/{name}.png").unlink(missing_ok=True)
    index = encode_pool(open_pool(tmp_path / "p/images"), Mean())
    assert len(next_to_label(index, 2)) == 2


def test_best_of_keeps_what_answers_others_best(tmp_path: Path) -> None:
    pool = open_pool(labelled(tmp_path))
    asked: list[tuple[str, str]] = []

    def score(examples: Sequence[Example], truth: Example) -> float:
        asked.append((stems(examples)[0], stems([truth])[0]))
        return float(stems(examples)[0] == "lime")

    selector = best_of(pool, score, tries=20, queries=2)
    assert stems(choose(selector, plain(tmp_path / "q.png", (1, 2, 3)))) == ["lime"]
    assert all(example != truth for example, truth in asked)
    with pytest.raises(PoolError, match="too few to leave one out"):
        best_of(pool, score, examples=5)


def test_best_of_values_asks_none_by_itself() -> None:
    pairs = [(torch.full((3, 8, 8), x), np.ones((8, 8), bool)) for x in (0.2, 0.5, 0.9)]
    asked: list[bool] = []

    def score(examples: Sequence[Example], truth: Example) -> float:
        asked.append(any(example.input is truth.input for example in examples))
        return 0

    best_of(open_pool(pairs), score, tries=3)
    assert asked == [False] * 6


def test_a_prompter_scores_examples(tmp_path: Path) -> None:
    pool = open_pool(labelled(tmp_path))
    prompter = VisualPrompter(Bright(), Random(pool), "segmentation")
    pairs = {Path(e.image).stem: e.example() for e in pool.entries}
    value = prompter.score([pairs["red"]], pairs["rose"])
    assert 0 <= value <= 1
    assert value == prompter.score([pairs["red"]], pairs["rose"])
