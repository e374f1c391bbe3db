"""Lines by the matching engine: outlines where the example draws outlines, else as `analogies`."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

import vicl
from vicl.models.analogies import Analogies
from vicl.models.matching import Matching, OutlineHead
from vicl.models.matching.lines import Lines, crest_f, draw, profile_of
from vicl.models.matching.outlines import OutlineConfig
from vicl.prompt import Example, Prompt
from vicl.storage.folder import ModelError


@pytest.fixture(scope="module")
def engine() -> Matching:
    found = vicl.load_model("matching", device="cpu")
    assert isinstance(found, Matching)
    return found


def scene(x: int, y: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A red disc before stripes; where the disc ends, and where a stripe does."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:120, :160]
    stripes = (columns // 6 + seed) % 2
    picture = 0.35 + 0.3 * stripes[..., None] + rng.normal(0, 0.02, (120, 160, 3))
    far = np.hypot(rows - y, columns - x)
    picture[far < 26] = (0.8, 0.15, 0.1)
    image = torch.from_numpy(picture).float().clamp(0, 1).permute(2, 0, 1).contiguous()
    beside = np.pad(np.diff(stripes, axis=1) != 0, ((0, 0), (1, 0))) & (far > 30)
    return image, torch.from_numpy(abs(far - 26) < 0.7).float(), torch.from_numpy(beside).float()


def example(*lines: str) -> Example:
    image, outline, stripes = scene(60, 55, seed=0)
    drawn = sum(({"outline": outline, "stripes": stripes}[line] for line in lines), 0 * outline)
    return Example(image, drawn.clamp(max=1).expand(3, -1, -1).contiguous())


@pytest.mark.slow
def test_stripes_are_no_outlines_if_the_example_says_so(engine: Matching) -> None:
    query, outline, stripes = scene(95, 62, seed=1)
    found = engine.answer([Prompt([example("outline")], query)])[0]
    assert found.image.shape == query.shape
    assert found.confidence is not None
    assert isinstance(engine.known(Prompt([example("outline")], query), 0), Lines)
    strength = torch.nn.functional.max_pool2d(found.image[:1], 3, 1, 1)[0]
    assert strength[outline > 0].mean() > 3 * strength[stripes > 0].mean()
    again = pickle.loads(pickle.dumps(engine))
    assert torch.equal(again.answer([Prompt([example("outline")], query)])[0].image, found.image)


@pytest.mark.slow
def test_any_other_lines_are_answered_as_before(engine: Matching) -> None:
    prompts = [Prompt([example("outline", "stripes")], scene(95, 62, seed=1)[0])]
    before = Analogies().answer(prompts)[0].image
    assert torch.equal(engine.answer(prompts)[0].image, before)
    prompts = [Prompt([example("outline")], scene(95, 62, seed=1)[0])]
    without = Matching(engine.encoder, engine.head)
    assert torch.equal(without.answer(prompts)[0].image, Analogies().answer(prompts)[0].image)


@pytest.mark.parametrize("width", [1, 3, 6])
def test_lines_are_drawn_as_thick_as_the_example_draws_them(width: int) -> None:
    marks = np.zeros((60, 80), np.float32)
    marks[30 : 30 + width] = 1
    ridge = np.exp(-((np.arange(60) - 20.0) ** 2) / 18)[:, None].repeat(80, 1).astype(np.float32)
    drawn = draw(ridge, profile_of(marks), 1.0)
    assert abs(int((drawn[:, 40] > 0.5).sum()) - width) <= 1
    twice = draw(ridge, profile_of(marks), 2.0)
    assert abs(int((twice[:, 40] > 0.5).sum()) - 2 * width) <= 2


def test_soft_lines_are_drawn_softly() -> None:
    def ridge(place: float) -> Float[np.ndarray, "60 80"]:
        profile = np.exp(-((np.arange(60) - place) ** 2) / 8)
        return profile[:, None].repeat(80, 1).astype(np.float32)

    drawn = draw(ridge(20), profile_of(ridge(30)), 1.0)
    assert np.abs(drawn - ridge(20)).max() < 0.12


def test_crests_are_scored_by_how_near_they_are() -> None:
    wanted = np.zeros((80, 80), np.float32)
    wanted[40, 5:75] = 1
    assert crest_f(wanted, wanted) == 1
    assert crest_f(np.roll(wanted, 1, 0), wanted) == 1
    assert crest_f(np.roll(wanted, 9, 0), wanted) == 0
    assert crest_f(0 * wanted, wanted) == crest_f(wanted, 0 * wanted) == 0


def test_a_head_over_another_encoder_stands_alone(tmp_path: object) -> None:
    config = OutlineConfig(encoder="handmade", channels=(31, 99), mixed=4, finest=4)
    folder = f"{tmp_path}/head"
    OutlineHead(config).save_pretrained(folder)
    with pytest.raises(ModelError, match="a head for lines over handmade"):
        vicl.load_model(folder, device="cpu")


def test_the_shipped_head_is_small_and_takes_any_batch() -> None:
    head = vicl.load_model("matching", device="cpu").outlines  # type: ignore[union-attr]
    assert isinstance(head, OutlineHead)
    assert sum(weight.numel() for weight in head.parameters()) < 2**19
    levels = [
        torch.rand(2, channels, side, side)
        for channels, side in zip(head.config.channels, (96, 48, 24, 24, 12), strict=True)
    ]
    assert head(levels, torch.rand(2, 3, 192, 192)).shape == (2, 192, 192)
