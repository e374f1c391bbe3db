"""Choosing tokens, and turning holes into tokens and back."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from vicl.engine import Sampling
from vicl.models.tokens import choose_tokens, hole_tokens, paste, token_pixels

PLACES = 4000


def drawn(sampling: Sampling | None, seed: int = 0) -> Tensor:
    """How often each of four tokens of probability 1/2, 1/4, 1/8, 1/8 is drawn."""
    logits = torch.tensor([0.5, 0.25, 0.125, 0.125]).log().expand(1, PLACES, 4)
    everywhere = torch.ones(1, PLACES, dtype=torch.bool)
    tokens, chosen = choose_tokens(
        logits, everywhere, sampling=sampling, generators=[Generator().manual_seed(seed)]
    )
    # Whatever the sampling, the probabilities given back are the model's.
    assert torch.allclose(chosen, logits[0].gather(1, tokens[0, :, None])[None, :, 0])
    return tokens[0].bincount(minlength=4) / PLACES


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (None, [1 / 2, 1 / 4, 1 / 8, 1 / 8]),
        (Sampling(temperature=0.5), [16 / 22, 4 / 22, 1 / 22, 1 / 22]),  # squares
        (Sampling(top_k=2), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(temperature=0.5, top_k=2), [4 / 5, 1 / 5, 0, 0]),
        (Sampling(temperature=0.01), [1, 0, 0, 0]),
        (Sampling(top_k=1), [1, 0, 0, 0]),
    ],
)
def test_temperature_and_top_k(sampling: Sampling | None, expected: list[float]) -> None:
    assert drawn(sampling).tolist() == pytest.approx(expected, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(coherent=True), [1 / 2, 1 / 4, 1 / 8, 1 / 8]),
        (Sampling(coherent=True, temperature=0.5, top_k=2), [4 / 5, 1 / 5, 0, 0]),
    ],
)
def test_coherent_answers_agree_with_themselves(sampling: Sampling, expected: list[float]) -> None:
    """Places of one distribution get one token; over answers it has that distribution."""
    answers = torch.stack([drawn(sampling, seed) for seed in range(1500)])
    assert bool((answers.max(dim=1).values == 1).all())
    assert answers.mean(dim=0).tolist() == pytest.approx(expected, abs=0.04)


def test_drawing_is_seeded_and_only_in_the_hole() -> None:
    assert torch.equal(drawn(None, seed=1), drawn(None, seed=1))
    assert not torch.equal(drawn(None, seed=1), drawn(None, seed=2))
    logits = torch.tensor([0.1, 0.0]).expand(2, 50, 2)
    holes = torch.zeros(2, 50, dtype=torch.bool)
    holes[0, :25] = True
    generators = [Generator().manual_seed(0), Generator().manual_seed(0)]
    tokens, _ = choose_tokens(logits, holes, generators=generators)
    assert int(tokens[0, :25].sum()) > 0
    assert int(tokens[0, 25:].sum()) == int(tokens[1].sum()) == 0
    with pytest.raises(ValueError, match="1 for 2 canvases"):
        choose_tokens(logits, holes, generators=generators[:1])


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"temperature": float("nan")}, {"top_k": 0}]
)
def test_wrong_sampling_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Sampling(**wrong)


def test_holes_are_tokens_and_back() -> None:
    hole = torch.zeros(1, 6, 9, dtype=torch.bool)
    hole[0, 3:, 3:9] = True
    tokens = hole_tokens(hole, 3)
    assert tokens.tolist() == [[False, False, False, False, True, True]]
    values = torch.arange(6.0)[None]
    spread = token_pixels(values, (2, 3), 3)
    assert spread[0, ::3, ::3].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert torch.equal(spread[0, 3:, 3:6], torch.full((3, 3), 4.0))
    image, other = torch.rand(1, 3, 6, 9), torch.full((1, 3, 6, 9), torch.nan)
    assert torch.equal(paste(image, image, hole), image)
    assert bool(paste(other, image, hole)[0, :, 3:, 3:].isnan().all())
    hole[0, 2, 3] = True
    with pytest.raises(ValueError, match="whole patches of 3 px"):
        hole_tokens(hole, 3)
