"""The autoregressive model: cached completion, causality, sampling, and where its hole must be."""

from __future__ import annotations

import pytest
import torch
from tests.models.kinds import KINDS, PATCH, SQUARE, batch, holes
from tests.pictures import picture
from torch import Generator, Tensor

from vicl.canvas.layout import Layout
from vicl.engine import Sampling
from vicl.models.autoregressive import Autoregressive
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel


@pytest.fixture(scope="module")
def model() -> Autoregressive:
    """With lively weights, so that codes depend on those before."""
    built: Autoregressive = KINDS["autoregressive"].build()
    with torch.no_grad():
        built.head.weight.mul_(4)
        built.code_embedding.weight.mul_(50)
    return built


def named(model: Autoregressive, image: Tensor, hole: Tensor) -> Tensor:
    """The codes of canvases with grey holes."""
    return model.tokenizer.encode(torch.where(hole[:, None], 0.5, image)).flatten(1)


@torch.no_grad()
def plainly(model: Autoregressive, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """Codes and their log-probabilities, by running everything again for every code."""
    codes = named(model, image, hole)
    inside = hole[:, ::PATCH, ::PATCH].flatten(1)
    codes = torch.where(inside, 0, codes)
    chosen = torch.zeros(codes.shape)
    for row in range(len(codes)):
        for place in inside[row].nonzero()[:, 0].tolist():
            before = model.code_embedding(codes[row, :place])
            tokens = torch.cat([model.start_token[0], before]) + model.positions[: place + 1]
            scores = model.head(model.decoder(tokens[None])[0, -1]).log_softmax(dim=0)
            codes[row, place] = scores.argmax()
            chosen[row, place] = scores.max()
    return codes, chosen


@pytest.mark.slow
def test_the_cache_changes_nothing(model: Autoregressive) -> None:
    """Nor do visible patches between the hole's, which are read several at once."""
    image, hole = batch()
    expected, chosen = plainly(model, image, hole)
    inside = hole[:, ::PATCH, ::PATCH].flatten(1)
    assert len(expected[inside].unique()) > 10
    filled = model.inpaint(image, hole)
    assert torch.equal(filled.image, model.decode(expected, image, hole))
    assert torch.allclose(filled.log_likelihood, chosen.sum(dim=1), atol=1e-4)
    assert filled.confidence is not None
    assert torch.allclose(
        filled.confidence[:, ::PATCH, ::PATCH].flatten(1), chosen.exp(), atol=1e-5
    )


def test_logits_by_teacher_forcing_see_the_codes_before_only(model: Autoregressive) -> None:
    image, hole = batch()
    with torch.no_grad():
        logits = model.token_logits(image, hole)
        codes = named(model, image, hole)
        for place in (0, 1, 37, 63):
            tokens = torch.cat([model.start_token[0], model.code_embedding(codes[1, :place])])
            last = model.decoder((tokens + model.positions[: place + 1])[None])[0, -1]
            assert torch.allclose(logits[1, place], model.head(last), atol=1e-4)


def test_a_hole_everywhere_is_the_next_code_loss_of_the_whole_canvas(
    model: Autoregressive,
) -> None:
    image, _ = batch()
    everywhere = torch.ones(3, *SQUARE, dtype=torch.bool)
    with torch.no_grad():
        codes = model.tokenizer.encode(image).flatten(1)
        loss = model.loss(image, everywhere)
        start = model.start_token.expand(3, -1, -1)
        tokens = torch.cat([start, model.code_embedding(codes)], dim=1)[:, :-1]
        scores = model.head(model.decoder(tokens + model.positions)).log_softmax(dim=2)
        expected = -scores.gather(2, codes[..., None]).mean()
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.slow
def test_sampling(model: Autoregressive) -> None:
    """Seeded; top-k of 1 is the likeliest; likelihoods are those at temperature 1."""
    image, hole = batch()

    def draw(sampling: Sampling | None, seed: int = 1) -> Tensor:
        seeds = [Generator().manual_seed(seed) for _ in range(3)]
        filled = model.inpaint(image, hole, sampling=sampling, generators=seeds)
        assert filled.log_likelihood is not None
        return filled.log_likelihood

    best = model.inpaint(image, hole).log_likelihood
    assert torch.equal(draw(Sampling(top_k=1)), best)
    assert torch.equal(draw(None), draw(None))
    assert not torch.equal(draw(None), draw(None, seed=2))
    assert bool((draw(Sampling(temperature=3.0)) < draw(Sampling(temperature=0.3))).all())
    with pytest.raises(ValueError, match="got 2 for 3 canvases"):
        model.inpaint(image, hole, generators=[Generator(), Generator()])


def test_a_coherent_answer_has_one_noise() -> None:
    """Where every place has the same scores, every place gets the same code."""
    model = KINDS["autoregressive"].build()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    inside = batch()[1][:1, ::PATCH, ::PATCH].flatten(1)
    codes = torch.zeros(1, 64, dtype=torch.long)
    counts = []
    for coherent in (True, False):
        seeds = [Generator().manual_seed(0)]
        with torch.no_grad():
            tokens, _ = model._complete(codes, inside, Sampling(coherent=coherent), seeds)
        counts.append(len(tokens[inside].unique()))
    assert counts[0] == 1
    assert counts[1] > 8


def test_where_the_hole_must_be(model: Autoregressive) -> None:
    image, _ = batch()
    with pytest.raises(ValueError, match="whose answer stands at the bottom right"):
        model.inpaint(image, holes((4, 0, 8, 4)).expand(3, -1, -1))
    prompt = Prompt([(picture(40, 40), picture(40, 40, seed=1))], picture(40, 40, seed=2))
    (answer,) = CanvasModel(model).answer([prompt])
    assert answer.image.shape == (3, 40, 40)
    tall = KINDS["autoregressive"].build((104, 64))  # a blank row of patches below the hole
    two = Prompt([prompt.examples[0], prompt.examples[0]], prompt.query)
    (answer,) = CanvasModel(tall).answer([two])
    assert answer.image.shape == (3, 40, 40)
    moved = Layout.grid(1, canvas_size=SQUARE, patch_size=PATCH).arranged(2)
    with pytest.raises(ValueError, match="take an arrangement"):
        CanvasModel(model, layout=moved).answer([prompt])
