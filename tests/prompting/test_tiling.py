"""Tiles cover the image, and blending them loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pictures import picture

from vicl.engine import Filled
from vicl.images import open_levels, to_levels, to_tensor
from vicl.models.floors import Copy, Identity
from vicl.prompt import Prompt
from vicl.prompting.tiling import OVERLAP, LargeQueries, blend, tiles

sides = st.integers(1, 500)


@given(st.tuples(sides, sides), st.integers(16, 200))
@settings(max_examples=100)
def test_tiles_cover_every_pixel_and_overlap(size: tuple[int, int], tile: int) -> None:
    seen = torch.zeros(size, dtype=torch.int)
    places = tiles(size, tile)
    for place in places:
        assert max(place.size) <= tile
        place.of(seen).add_(1)
    assert (seen > 0).all()
    rows = sorted({place.top for place in places})
    for upper, lower in pairwise(rows):
        assert upper + tile - lower >= OVERLAP * tile - 1


@given(st.tuples(st.integers(1, 120), st.integers(1, 120)), st.integers(16, 60))
@settings(max_examples=40)
def test_blending_tiles_of_an_image_gives_the_image(size: tuple[int, int], tile: int) -> None:
    image = picture(*size)
    places = tiles(size, tile)
    assert torch.allclose(blend([place.of(image) for place in places], places), image, atol=1e-6)


def test_blending_has_no_seams() -> None:
    """Tiles that answer differently meet in a ramp, not in a step."""
    places = tiles((64, 160), 64)
    parts = [torch.full((1, *place.size), float(index % 2)) for index, place in enumerate(places)]
    steps = blend(parts, places)[0].diff(dim=1).abs()
    assert steps.max() < 0.15


def test_small_tiles_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        tiles((100, 100), 8)


class Brightness(Identity):
    """Answers the query with a confidence, and refuses more than 50 px a side."""

    max_size: int | None = 50

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        queries = [to_tensor(prompt.query) for prompt in prompts]
        assert all(max(query.shape) <= 50 for query in queries)
        return [
            Filled(q, confidence=q.mean(dim=0), log_likelihood=torch.tensor(-1.0)) for q in queries
        ]


@pytest.mark.parametrize("tile", [None, 50, 100])
def test_a_large_query_is_answered_at_its_own_size(tile: int | None) -> None:
    smooth = torch.linspace(0, 1, 130).expand(3, 90, 130).contiguous()
    engine = LargeQueries(Brightness(), tile=tile)
    prompt = Prompt([(smooth, smooth)], smooth)
    (answer,) = engine.answer([prompt])
    assert answer.image.shape == smooth.shape
    assert (answer.image - smooth).abs().max() < 0.02
    assert answer.confidence is not None
    assert answer.confidence.shape == (90, 130)
    assert answer.log_likelihood is not None


class Sure(Brightness):
    """As sure of a mask as of the greater share of each pixel."""

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        found = super().answer(prompts, samples=samples, seed=seed)
        return [replace(f, confidence=torch.maximum(f.image[0], 1 - f.image[0])) for f in found]


def test_the_confidence_of_a_mask_is_that_of_the_enlarged_mask() -> None:
    smooth = torch.linspace(0, 1, 130).expand(3, 90, 130).contiguous()
    (answer,) = LargeQueries(Sure()).answer([Prompt([(smooth, smooth)], smooth)])
    assert answer.confidence is not None
    assert torch.equal(answer.confidence, torch.maximum(answer.image[0], 1 - answer.image[0]))
    assert float(answer.confidence.min()) == pytest.approx(0.5, abs=0.01)


def test_a_query_held_at_half_is_answered_at_its_own_size() -> None:
    """Also where its sides are odd; in tiles none is to be halved."""
    smooth = torch.linspace(0, 1, 131).expand(3, 91, 131).contiguous()
    half, size = open_levels(smooth, halve_over=1)
    assert half.shape == (45, 65, 3)
    engine = LargeQueries(Brightness())
    assert engine.halves
    (answer,) = engine.answer([Prompt([(smooth, smooth)], half, size)])
    assert answer.image.shape == smooth.shape
    assert (answer.image - smooth).abs().max() < 0.03
    assert answer.confidence is not None
    assert answer.confidence.shape == (91, 131)
    assert not LargeQueries(Brightness(), tile=50).halves
    assert not LargeQueries(Copy()).halves


@pytest.mark.parametrize("tile", [None, 50])
def test_a_query_in_bytes_is_answered_as_in_floats(tile: int | None) -> None:
    query = picture(90, 130)
    levels = to_levels(query)
    floats = to_tensor(levels)
    engine = LargeQueries(Brightness(), tile=tile)
    one, other = engine.answer([Prompt([(floats, floats)], held) for held in (floats, levels)])
    assert torch.allclose(one.image, other.image, atol=1e-6)
    assert one.confidence is not None
    assert other.confidence is not None
    assert torch.allclose(one.confidence, other.confidence, atol=1e-6)


def test_a_query_that_fits_is_shown_as_it_is() -> None:
    query = picture(50, 40)
    (answer,) = LargeQueries(Brightness()).answer([Prompt([(query, query)], query)])
    assert torch.equal(answer.image, query)
