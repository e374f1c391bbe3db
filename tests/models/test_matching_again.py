"""Asking twice, looking both ways, and filling in what strokes leave open."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.models.test_matching import example, iou, scene
from tests.models.test_matching_closer import crowd, shown
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

import vicl
import vicl.models.matching.engine as engine_module
from vicl.encoders.cached import CachedEncoder
from vicl.encoders.handmade import HandMade
from vicl.engine import Features
from vicl.models.matching import Matching
from vicl.models.matching.cues import Marks, Side, compare, gather, learn, together
from vicl.models.matching.knowledge import ClassKnowledge, answer_class
from vicl.models.matching.strokes import are_strokes, fill_in
from vicl.models.matching.view import FINE, PICTURE, look
from vicl.prompt import Example, Prompt
from vicl.tasks.segmentation import UNKNOWN


@pytest.fixture(scope="module")
def engine() -> Matching:
    found = vicl.load_model("matching", device="cpu")
    assert isinstance(found, Matching)
    return found


def marks(mask: Tensor) -> Marks:
    shrunk = adaptive_avg_pool2d(mask[None], FINE)[0]
    return Marks(shrunk, 1 - shrunk)


def strokes(mask: Tensor) -> Tensor:
    """Maps of the ground and of the thing, known in two bands alone."""
    known = torch.zeros_like(mask)
    known[48:52], known[:, 140:144] = 1, 1
    return torch.stack([(1 - mask) * known, mask * known])


def side_by_side(one: Side, other: Side) -> Side:
    """Each of the five shares has its part of both, one after the other."""
    shares = [part.places.reshape(5, -1, part.places.shape[1]) for part in (one, other)]
    return Side(torch.cat(shares, 1).flatten(0, 1), normalize(one.mean + other.mean, dim=0))


def test_a_querys_own_places_stand_beside_the_examples(engine: Matching) -> None:
    views = [look(scene(x, 50, seed=x)[0], engine.encoder) for x in (50, 100)]
    known, own = (
        learn([view], [marks(scene(x, 50)[1])]) for view, x in zip(views, (50, 100), strict=True)
    )

    def both(one: tuple[Side, Side], other: tuple[Side, Side]) -> tuple[Side, Side]:
        return side_by_side(one[0], other[0]), side_by_side(one[1], other[1])

    beside = replace(
        known,
        levels={name: both(one, own.levels[name]) for name, one in known.levels.items()},
        colours=both(known.colours, own.colours),
        edges=both(known.edges, own.edges),
    )
    query = views[1]
    taught, shown = compare(known, query), compare(own, query)
    expected = gather(compare(beside, query), query)
    for found, wanted in zip(gather(together(taught, shown), query), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert not torch.allclose(gather(taught, query)[0], expected[0], atol=1e-2)

    nothing = learn([query], [Marks(torch.zeros(FINE, FINE), torch.zeros(FINE, FINE))])
    same = gather(together(taught, compare(nothing, query)), query)
    assert all(map(torch.equal, same, gather(taught, query)))


def test_an_image_is_looked_at_once_however_its_strokes_change(engine: Matching) -> None:
    class Counted(HandMade):
        name = "counted"
        seen = 0

        def encode(self, image: Tensor) -> Features:
            Counted.seen += len(image)
            return engine.encoder.encode(image)

    counted = Matching(CachedEncoder(Counted(), limit=0), engine.head)  # keeps no features
    image, mask = scene(50, 50)
    query = scene(105, 45, seed=1)[0]
    first, second = (
        Prompt([Example(image, output.expand(3, -1, -1))], query)
        for output in (mask, mask.roll(20, 1))
    )
    counted.asked(masks=True).answer([first])
    assert Counted.seen == 3  # the example, and the query both ways
    again = counted.asked(masks=True).answer([second])[0].image
    assert Counted.seen == 3
    torch.testing.assert_close(again, engine.asked(masks=True).answer([second])[0].image)


@pytest.mark.slow
@torch.inference_mode()
def test_asked_twice_the_mask_changes_and_the_presence_does_not(engine: Matching) -> None:
    image, mask = scene(50, 50)
    learned = ClassKnowledge(learn([look(image, engine.encoder)], [marks(mask)]))
    query = look(scene(105, 45, seed=1)[0], engine.encoder)
    once, twice = (answer_class(learned, query, engine.head, twice=two) for two in (False, True))
    assert not torch.equal(once.mask, twice.mask)
    assert torch.equal(once.presence, twice.presence)
    # Where nothing is sure there is nothing to ask with.
    empty = ClassKnowledge(learn([query], [Marks(torch.zeros(FINE, FINE), torch.ones(FINE, FINE))]))
    both = [answer_class(empty, query, engine.head, twice=two).mask for two in (False, True)]
    assert float(both[0].max()) < 0.7
    assert torch.equal(*both)


@pytest.mark.slow
def test_strokes_are_filled_in_and_stay_what_they_say(engine: Matching) -> None:
    image, mask = scene(50, 50)
    maps = strokes(mask)
    assert are_strokes(maps)
    (filled,) = fill_in([look(image, engine.encoder, both_ways=True)], [maps], engine.head)
    assert filled.shape == (2, PICTURE, PICTURE)
    assert torch.allclose(filled.sum(0), torch.ones(PICTURE, PICTURE))
    wanted = adaptive_avg_pool2d(mask[None], PICTURE)[0]
    assert iou(filled[1].expand(3, -1, -1), wanted) > 0.85
    told = adaptive_avg_pool2d(maps[None], PICTURE)[0]
    surely = told.sum(0) > 0.99
    assert torch.allclose(filled[:, surely], told[:, surely], atol=1e-5)
    whole = torch.stack([1 - mask, mask])
    assert not are_strokes(whole)
    kept = fill_in([look(image, engine.encoder)], [whole], engine.head)
    assert kept[0] is whole


@pytest.mark.slow
def test_an_example_of_strokes_teaches_what_was_filled_in(
    engine: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, mask = scene(50, 50)
    ground, thing = strokes(mask)
    drawn = torch.where(ground + thing > 0, thing, UNKNOWN / 255)
    prompt = Prompt([Example(image, drawn.expand(3, -1, -1).contiguous())], scene(105, 45)[0])
    taught = engine.asked().answer([prompt])[0].image
    full = torch.stack([1 - mask, mask])
    monkeypatch.setattr("vicl.models.matching.engine.fill_in", lambda *_: [full])
    known = engine.asked().answer([prompt])[0].image
    assert not torch.equal(taught, known)
    whole = engine.asked().answer([Prompt([example(50, 50)], prompt.query)])[0].image
    assert torch.equal(known, whole)


@pytest.mark.slow
def test_large_things_are_looked_at_both_ways_and_small_ones_once(
    engine: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[bool] = []

    def looking(image: Tensor, encoder: object, *, both_ways: bool = False) -> object:
        ways.append(both_ways)
        return look(image, engine.encoder, both_ways=both_ways)

    monkeypatch.setattr("vicl.models.matching.engine.look", looking)
    for radius, both in ((60, True), (3, False)):
        ways.clear()
        query, _ = crowd(2, radius=radius)
        Matching(engine.encoder, engine.head, masks=True).answer(
            [Prompt([shown(*crowd(1, radius=radius))], query)]
        )
        assert ways == [False, both]


@pytest.mark.slow
def test_many_examples_are_asked_with_once(
    engine: Matching, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice: list[bool] = []
    answer = answer_class

    def asking(*parts: object, **how: bool) -> object:
        twice.append(how["twice"])
        return answer(*parts, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(engine_module, "answer_class", asking)
    monkeypatch.setattr(engine_module, "MANY", 2)
    query = scene(105, 45, seed=1)[0]
    for count in (1, 2):
        engine.asked().answer([Prompt([example(50, 50, seed=n) for n in range(count)], query)])
    assert twice == [True, False]
