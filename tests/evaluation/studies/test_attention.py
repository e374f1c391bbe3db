from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.evaluation.studies.marks import Marks
from tests.models.kinds import KINDS, holes, smooth
from torch import Tensor

from vicl.canvas.layout import Canvas, Layout
from vicl.evaluation.studies.attention import part_shares, regions, run
from vicl.evaluation.studies.attention_pictures import Looked, draw_weights
from vicl.evaluation.studies.hole_attention import hole_attention
from vicl.evaluation.studies.variants import Asking
from vicl.models.tokens import hole_tokens
from vicl.models.vit import watching
from vicl.prompting.canvas_model import CanvasModel

ATTENTIVE = ("mae-vqgan", "mae", "beit", "autoregressive")
GRID = Layout.grid(1, canvas_size=(64, 64), patch_size=8)


def attentions(model: Any) -> list[Any]:
    """Those of the layers in which a hole has tokens."""
    stack = model.decoder if hasattr(model, "decoder") else model.encoder
    return [block.attn for block in stack.blocks]


def only(keys: Tensor) -> Callable[[Tensor], Tensor]:
    """Makes every token look at the given keys alone, at those of them that there are."""

    def force(maps: Tensor) -> Tensor:
        there = keys[keys < maps.shape[-1]]
        forced = torch.zeros_like(maps)
        forced[..., there] = 1 / len(there)
        return forced

    return force


@pytest.mark.parametrize("kind", ATTENTIVE)
def test_attention_that_is_forced_on_the_query_is_found_there(kind: str) -> None:
    model = KINDS[kind].build()
    patches = regions(GRID)["query"].nonzero()[:, 0]
    probes = [attention.maps for attention in attentions(model)]
    # The first key is the token without a place.
    with watching(probes, only(patches + 1)):
        found = run({kind: CanvasModel(model)}, Marks(), Asking(count=3))
    shares = {row.variant: row.interval.mean for row in found.table.rows}
    assert shares["query"] == pytest.approx(1, abs=1e-5)
    assert max(share for part, share in shares.items() if part != "query") < 1e-5
    before = {row.variant: row.difference.mean for row in found.table.rows}
    assert before["query"] > 0.5
    assert before["example, input"] < -0.1


@pytest.mark.parametrize("kind", ATTENTIVE)
def test_a_model_that_compares_nothing_looks_everywhere_alike(kind: str) -> None:
    model = KINDS[kind].build()
    with torch.no_grad():
        for attention in attentions(model):
            width = attention.qkv.weight.shape[1]
            attention.qkv.weight[: 2 * width] = 0  # queries and keys
            attention.qkv.bias[: 2 * width] = 0
    found = run({kind: CanvasModel(model)}, Marks(), Asking(count=2))
    for row in found.table.rows:
        assert row.difference.mean == pytest.approx(0, abs=1e-5)
    if kind != "autoregressive":
        # 64 places, 16 of them the query's, and the class token.
        query = next(row for row in found.table.rows if row.variant == "query")
        assert query.interval.mean == pytest.approx(16 / 65, abs=1e-5)


def test_what_an_attention_is_follows_the_arrangement() -> None:
    model = KINDS["mae"].build()
    probes = [attention.maps for attention in attentions(model)]
    with watching(probes, only(torch.tensor([1]))):  # the canvas's top left patch
        found = run({"mae": CanvasModel(model)}, Marks(), Asking(count=1), arrangements=(1, 2, 4))
    sure = {row.variant for row in found.table.rows if row.interval.mean > 0.99}
    assert sure == {
        "arrangement 1: example, input",
        "arrangement 2: example, output",
        "arrangement 4: query",
    }
    assert set(found.pictures) == {"attention.png", "heads-1.png", "heads-2.png", "heads-3.png"}


def test_two_heads_that_look_apart_are_averaged() -> None:
    model = KINDS["beit"].build()
    patches = regions(GRID)

    def force(maps: Tensor) -> Tensor:
        forced = torch.zeros_like(maps)
        forced[:, :3, :, 1 + int(patches["query"].nonzero()[0])] = 1
        forced[:, 3:, :, 1 + int(patches["example, output"].nonzero()[0])] = 1
        return forced

    canvas = GRID.compose(Marks().load(Marks().episodes(1)[0]).prompt)
    with watching([attention.maps for attention in attentions(model)], force):
        found = hole_attention(model, canvas.image, canvas.hole)
    assert found.weights.shape == (2, 4, 16, 65)
    shares = part_shares(found, GRID)
    assert shares["query"][0] == pytest.approx(0.75)
    assert shares["example, output"][0] == pytest.approx(0.25)


def test_a_sequence_that_is_continued_looks_as_it_does_when_read_at_once() -> None:
    model = KINDS["autoregressive"].build()
    image, hole = smooth(1, (64, 64), seed=0), holes((4, 4, 8, 8))
    found = hole_attention(model, image[0], hole[0])
    inside = hole_tokens(hole, 8)
    maps: list[Tensor] = []
    with torch.no_grad():
        tokens, _ = model._complete(model._name(image, inside), inside, None, None)
        with watching([attention.maps for attention in attentions(model)], maps.append):
            model._read(tokens)
    assert len(maps) == len(found.weights)
    for layer, whole in zip(found.weights, maps, strict=True):
        # The sequence read at once has no key for the last code, at which nothing looks.
        assert torch.equal(layer[..., -1], torch.zeros_like(layer[..., -1]))
        assert torch.allclose(layer[..., :-1], whole[0][:, found.places], atol=1e-5)
    assert torch.allclose(found.weights.sum(-1), torch.ones(()), atol=1e-5)
    # The hole's first token sees the start and the 36 codes before it.
    assert int(found.places[0]) == 36
    assert int((found.even[0] > 0).sum()) == 37


@pytest.mark.parametrize("kind", ATTENTIVE)
def test_what_a_token_looks_at_is_told_of_that_token(kind: str) -> None:
    model = KINDS[kind].build()

    def force(maps: Tensor) -> Tensor:
        # Each token looks at itself; of those that are continued the last is the newest.
        queries, keys = maps.shape[-2:]
        return torch.eye(keys)[keys - queries :].expand_as(maps)

    image, hole = smooth(1, (64, 64), seed=0), holes((4, 4, 8, 8))
    with watching([attention.maps for attention in attentions(model)], force):
        found = hole_attention(model, image[0], hole[0])
    # Where codes are read one by one, it is the code before that says what comes.
    own = hole_tokens(hole, 8)[0].nonzero()[:, 0] + (kind != "autoregressive")
    assert torch.equal(found.weights, torch.eye(65)[own].expand_as(found.weights))


@pytest.mark.parametrize(
    "layout",
    [
        GRID,
        GRID.arranged(7),
        Layout.paper(1),
        Layout.paper(2),
        Layout.grid(3, canvas_size=(256, 256)),
        Layout.grid(2, abreast=1, order="left"),
    ],
)
def test_every_patch_is_in_one_part(layout: Layout) -> None:
    parts = regions(layout)
    assert torch.equal(
        torch.stack(list(parts.values())).sum(dim=0),
        torch.ones(
            layout.canvas_size[0]
            // layout.patch_size
            * (layout.canvas_size[1] // layout.patch_size),
            dtype=torch.long,
        ),
    )
    side = layout.hole.height // layout.patch_size
    assert int(parts["hole"].sum()) == side**2
    assert ("example 2, output" in parts) == (layout.examples > 1)


def test_parts_of_the_published_grid() -> None:
    parts = {name: int(patches.sum()) for name, patches in regions(Layout.paper(1)).items()}
    assert parts == {"query": 49, "example, input": 49, "example, output": 49, "hole": 49}
    # Cells of 74 px begin at 37 and 113, so the outer two columns of patches hold none of them.
    assert int(regions(Layout.paper(2))["margin"].sum()) == 2 * 2 * 14


def test_the_patch_that_is_looked_at_is_red() -> None:
    model = KINDS["mae"].build()
    canvas = Canvas(torch.zeros(3, 64, 64), holes((4, 4, 8, 8))[0])
    looked = Looked("", canvas, hole_attention(model, canvas.image, canvas.hole), 8)
    weights = torch.zeros(64)
    weights[9] = 0.5
    weights[18] = 0.25
    drawn = draw_weights(looked, weights)
    assert drawn.shape == (3, 256, 256)
    red, pale = torch.tensor([0.85, 0.0, 0.1]), drawn[:, 0, 0]
    assert torch.allclose(drawn[:, 32:64, 32:64], red[:, None, None].expand(3, 32, 32))
    assert torch.allclose(drawn[:, 80, 80], (red + pale) / 2)
    assert not torch.allclose(drawn[:, 128, 128], pale)  # the hole's frame
    assert torch.allclose(drawn[:, 180, 180], pale)


def test_models_without_attention_are_refused() -> None:
    with pytest.raises(ValueError, match="unet has no attention"):
        run({"unet": CanvasModel(KINDS["unet"].build())}, Marks(), Asking(count=1))
    model = CanvasModel(KINDS["mae"].build())
    with pytest.raises(ValueError, match="got 0 engines"):
        run({}, Marks(), Asking(count=1))
    with pytest.raises(ValueError, match="pictured=0"):
        run({"mae": model}, Marks(), Asking(count=1), pictured=0)
