"""The matching engine's second look at small things, and its specks and holes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

import vicl
from vicl.models.matching import Matching
from vicl.models.matching.closer import _joined, _places, blended, side_of
from vicl.models.matching.cues import Marks
from vicl.models.matching.head import Scored
from vicl.models.matching.sizes import is_seen, is_small
from vicl.models.matching.specks import without_specks
from vicl.prompt import Example, Prompt


@pytest.fixture(scope="module")
def engine() -> Matching:
    found = vicl.load_model("matching", device="cpu")
    assert isinstance(found, Matching)
    return found


def crowd(seed: int, radius: float = 5) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "h w"]]:
    """Red dots among as many blue ones, on a green ground with noise, and the red ones' mask."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:200, :260]
    picture = np.full((200, 260, 3), (0.25, 0.5, 0.2))
    mask = np.zeros((200, 260), bool)
    for index, place in enumerate(rng.permutation(48)[:32]):
        y, x = 20 + 32 * (place // 8) + rng.uniform(-6, 6), 18 + 32 * (place % 8)
        dot = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        picture[dot] = (0.8, 0.2, 0.15) if index % 2 else (0.2, 0.25, 0.75)
        mask |= dot & bool(index % 2)
    picture += rng.normal(0, 0.03, picture.shape)
    image = torch.from_numpy(picture).float().clamp(0, 1).permute(2, 0, 1).contiguous()
    return image, torch.from_numpy(mask).float()


def shown(image: Float[Tensor, "3 h w"], mask: Float[Tensor, "h w"]) -> Example:
    return Example(image, mask.expand(3, -1, -1).contiguous())


def iou(answer: Float[Tensor, "3 h w"], mask: Float[Tensor, "h w"]) -> float:
    got, wanted = answer.mean(0) > 0.5, mask > 0.5
    return float((got & wanted).sum() / (got | wanted).sum())


def disc(y: int, x: int, radius: float) -> Float[Tensor, "f f"]:
    rows, columns = np.mgrid[:192, :192]
    return torch.from_numpy((rows - y) ** 2 + (columns - x) ** 2 < radius**2).float()


def test_small_is_what_is_thin() -> None:
    large, specks = disc(96, 96, 40), sum(disc(8, 8 * n, 2) for n in range(1, 23))
    touching = sum(disc(20 + 8 * n, 20 + 8 * k, 5) for n in range(18) for k in range(18))
    assert isinstance(specks, Tensor)
    assert isinstance(touching, Tensor)
    for mask, small in (
        (large, False),
        ((large + specks).clamp(max=1), False),
        (specks, True),
        (touching.clamp(max=1), True),
        (torch.zeros(192, 192), False),
    ):
        assert is_small([Marks(mask, 1 - mask)]) is small
    # Strokes tell nothing of the size of what they are drawn on.
    assert not is_small([Marks(specks, torch.zeros(192, 192))])


def test_what_the_deeper_levels_see_is_no_crowd_of_small_things() -> None:
    crowd = sum(disc(16 + 20 * n, 16 + 20 * k, 8) for n in range(9) for k in range(9))
    assert isinstance(crowd, Tensor)
    strip = torch.zeros(192, 192)
    strip[90:95, 5:190] = 1
    for mask, seen in (
        (disc(96, 96, 40), True),
        ((disc(96, 96, 40) + disc(8, 8, 2)).clamp(max=1), True),
        (strip, True),
        (crowd, False),
        (disc(20, 20, 6), False),
    ):
        assert is_seen([Marks(mask, 1 - mask)]) is seen
    assert is_seen([Marks(crowd, torch.zeros(192, 192))])


def test_tiles_are_joined_where_they_lie() -> None:
    side = side_of(48)
    whole = torch.linspace(-3, 3, side)[:, None] + torch.linspace(0, 1, side)[None] ** 2
    tiles = [whole[place] for place in _places(48)]
    assert torch.allclose(blended(tiles)[0], whole, atol=1e-5)


def test_a_second_look_that_sees_something_else_is_not_believed() -> None:
    left = torch.full((1, 336, 336), -2.0)
    left[:, :, :168] = 2
    presence, depth = torch.zeros(1), torch.ones(1, 96, 96)
    first = Scored(left, presence, torch.zeros(1, 168, 168))
    away = torch.full((1, 192, 192), -2.0)
    other = _joined(first, [Scored(away, presence, depth), Scored(-away, presence, depth)] * 2)
    assert torch.equal(other.mask, left)
    assert not other.depth.any()
    same = _joined(first, [Scored(-away, presence, depth), Scored(away, presence, depth)] * 2)
    assert bool((same.depth == 1).all())
    assert bool(((same.mask > 0) == (left > 0)).float().mean() > 0.98)


@pytest.mark.slow
def test_small_things_are_found_better_from_nearer(
    engine: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    query, wanted = crowd(2, radius=3)
    prompts = [Prompt([shown(*crowd(1, radius=3))], query)]
    near = engine.answer(prompts)[0]
    monkeypatch.setattr("vicl.models.matching.engine.is_small", lambda marks: False)
    far = engine.asked().answer(prompts)[0]
    assert iou(near.image, wanted) > max(0.7, iou(far.image, wanted) + 0.04)


def test_large_things_are_looked_at_once(engine: Matching, monkeypatch: pytest.MonkeyPatch) -> None:
    image, mask = crowd(1, radius=60)
    prompts = [Prompt([shown(image, mask)], image)]
    before = engine.answer(prompts)[0]

    def refuse(*_: object) -> None:
        raise AssertionError("looked again")

    monkeypatch.setattr("vicl.models.matching.engine.learn_closer", refuse)
    assert torch.equal(engine.asked().answer(prompts)[0].image, before.image)


@pytest.mark.slow
def test_small_and_large_classes_are_answered_together(engine: Matching) -> None:
    (image, mask), (query, wanted) = crowd(1), crowd(2)
    labels = mask.numpy().astype(np.uint8)
    labels[150:], wanted[150:] = 2, 0
    shown_image, query = image.clone(), query.clone()
    shown_image[:, 150:] = query[:, 150:] = torch.tensor([0.9, 0.85, 0.4])[:, None, None]
    answer = vicl.predict(
        query, [(shown_image, labels)], "segmentation", model=engine, classes=["dot", "sand"]
    )
    assert answer.mask is not None
    assert (answer.mask[160:] == 2).mean() > 0.9
    assert iou(torch.from_numpy(answer.mask == 1).expand(3, -1, -1).float(), wanted) > 0.6


def test_specks_and_holes_that_are_sure_nowhere_go() -> None:
    odds = torch.full((40, 40), -4.0)
    odds[5:20, 5:20] = 4
    odds[10:12, 10:12] = -0.5  # a hole that nobody is sure of
    odds[15:17, 10:12] = -3  # one that is there
    odds[30:32, 30:32] = 0.7  # a speck
    odds[35, 2:35], odds[35, 20] = 0.3, 3  # thin, and sure at one place
    found = without_specks(odds)
    assert bool((found[10:12, 10:12] > 0).all())
    assert bool((found[15:17, 10:12] < 0).all())
    assert bool((found[30:32, 30:32] < 0).all())
    assert bool((found[35, 2:35] > 0).all())
    assert torch.equal(found.abs(), odds.abs())


def test_an_answer_that_is_unsure_as_a_whole_stays() -> None:
    odds = torch.full((20, 20), -0.3)
    odds[4:9, 4:9] = 0.4
    assert torch.equal(without_specks(odds), odds)
    nothing = torch.full((20, 20), -8.0)
    assert torch.equal(without_specks(nothing), nothing)
    assert torch.equal(without_specks(-nothing), -nothing)
