"""Chunks: bounded, halved when the memory is full, and one that fails takes nobody along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from tests.pictures import picture
from tests.slowly import mostly_slow
from tests.stand_ins import Bright, Mirror
from torch import Tensor

from vicl.engine import Filled
from vicl.prompt import Prompt
from vicl.prompting.batching import Chunks, answers, unbroken
from vicl.prompting.canvas_model import CanvasModel
from vicl.prompting.prompter import VisualPrompter
from vicl.prompting.tiling import LargeQueries


@dataclass
class Small(Mirror):
    """A mirror that writes down how many canvases came at once, and has room for so many.

    It fails on a canvas of which more than so much is black.
    """

    room: int = 1000
    black: float = 1.0
    seen: list[int] = field(default_factory=list)

    def inpaint(self, image: Tensor, hole: Tensor, **options: Any) -> Filled:
        self.seen.append(len(image))
        if len(image) > self.room:
            raise torch.OutOfMemoryError("no room")
        if bool(((image == 0).float().mean(dim=(1, 2, 3)) > self.black).any()):
            raise RuntimeError("too black")
        return super().inpaint(image, hole, **options)


def prompts(count: int) -> list[Prompt]:
    return [
        Prompt(
            [(picture(30, 30, seed=i), picture(30, 30, seed=i + 1))], picture(30, 30, seed=i + 2)
        )
        for i in range(count)
    ]


def test_things_come_in_order_and_no_more_than_so_many_are_held() -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        for number in range(10**9):
            taken.append(number)
            yield number

    results = Chunks(4).run(endless(), lambda chunk: [2 * one for one in chunk])
    assert [next(results) for _ in range(5)] == [(n, 2 * n) for n in range(5)]
    assert len(taken) == 8
    with pytest.raises(ValueError, match="batch_size: got 0"):
        Chunks(0)


def test_a_full_memory_halves_the_chunks_and_drops_nothing() -> None:
    sizes: list[int] = []

    def work(chunk: list[int]) -> list[int]:
        sizes.append(len(chunk))
        if len(chunk) > 3:
            raise torch.OutOfMemoryError("full")
        return chunk

    chunks = Chunks(8)
    assert [result for _, result in chunks.run(range(20), work)] == list(range(20))
    assert chunks.size == 2
    assert sizes[:3] == [8, 4, 2]
    # What turned out to be too many is not tried again.
    assert max(sizes[6:]) == 2


def test_what_does_not_fit_alone_is_its_error() -> None:
    def work(chunk: list[int]) -> list[int]:
        if 2 in chunk:
            raise torch.OutOfMemoryError("full")
        return chunk

    results = [result for _, result in Chunks(4).run(range(4), work)]
    assert [r for r in results if not isinstance(r, Exception)] == [0, 1, 3]
    assert "full with one at a time" in str(results[2])
    with pytest.raises(RuntimeError, match="full"):
        unbroken(results)


@pytest.mark.slow
def test_four_queries_in_tiles_never_fill_more_canvases_at_once_than_the_batch() -> None:
    """They were one call of 48 canvases; a large photograph would have been hundreds."""
    small = Small(canvas_size=(64, 64), patch_size=8)
    queries = [picture(160, 200, seed=seed) for seed in range(4)]
    prompter = VisualPrompter(small, [(queries[0], queries[1])], tile=64)
    asked = list(prompter.map(queries, batch_size=4))
    assert len(asked) == 4
    assert sum(small.seen) == 48
    assert max(small.seen) == 4
    alone = [prompter.predict(query) for query in queries]
    assert [a.image.tobytes() for a in asked] == [a.image.tobytes() for a in alone]


def test_canvases_of_all_views_are_bounded_too() -> None:
    small = Small(canvas_size=(64, 64), patch_size=8)
    model = CanvasModel(small, arrangements=(1, 2, 3, 4, 5, 6, 7, 8), spins=2, fuse="images")
    answer = next(answers(model, prompts(1), batch_size=3, samples=2))
    assert isinstance(answer, Filled)
    assert max(small.seen) == 3
    assert len(answer.alternatives) == 1


@pytest.mark.parametrize("fuse", mostly_slow(["answers", "images"], "images"))
def test_a_small_memory_makes_no_difference_to_the_answers(fuse: Any) -> None:
    asked = prompts(5)
    free, tight = (CanvasModel(Small(room=room), spins=2, fuse=fuse) for room in (1000, 3))
    for one, other in zip(
        answers(free, asked, samples=2), answers(tight, asked, samples=2), strict=True
    ):
        assert isinstance(one, Filled)
        assert isinstance(other, Filled)
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.alternatives[0].image, other.alternatives[0].image)


@pytest.mark.parametrize("tile", [None, 24])
def test_a_prompt_that_fails_gives_its_error_and_takes_nobody_along(tile: int | None) -> None:
    asked = prompts(4)
    asked[2] = Prompt(asked[2].examples, torch.zeros(3, 30, 30))
    engine = LargeQueries(CanvasModel(Small(black=0.2)), tile)
    found = list(answers(engine, asked))
    failed = [index for index, one in enumerate(found) if isinstance(one, Exception)]
    assert failed == [2]
    alone = list(answers(engine, [asked[3]]))
    assert torch.equal(found[3].image, alone[0].image)  # type: ignore[union-attr]


def test_an_example_that_cannot_be_opened_is_its_prompts_error() -> None:
    asked = prompts(3)
    asked[0] = Prompt([("no such file.png", picture(30, 30))], asked[0].query)
    for engine in (CanvasModel(Mirror()), Bright()):
        kinds = [isinstance(one, Exception) for one in answers(engine, asked)]
        assert kinds == [True, False, False]
