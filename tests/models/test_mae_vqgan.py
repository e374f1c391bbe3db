"""MAE-VQGAN against the published code's numbers, and against what every inpainter promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.models.formula import build
from tests.models.kinds import KINDS, tiny
from tests.pictures import picture
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.engine import Inpainter, Sampling, TokenInpainter, Tokenizer
from vicl.models.configs import Asking, VQGANConfig
from vicl.models.mae_vqgan import MAEVQGAN, PUBLISHED, MAEVQGANConfig
from vicl.models.pretrained import empty_like
from vicl.prompt import Prompt
from vicl.prompting.canvas_model import CanvasModel
from vicl.published.keys import published_key
from vicl.training.objectives.inpainting import Inpainting

WIDE = (32, 48)


def holes(*places: tuple[int, int, int, int], size: tuple[int, int] = WIDE) -> Tensor:
    """Holes (b, H, W) from (top, left, bottom, right) in patches of 8 px."""
    hole = torch.zeros(len(places), *size, dtype=torch.bool)
    for row, (top, left, bottom, right) in enumerate(places):
        hole[row, 8 * top : 8 * bottom, 8 * left : 8 * right] = True
    return hole


@pytest.fixture(scope="module")
def model() -> MAEVQGAN:
    """A tiny model of a canvas that is wider than high, with lively weights."""
    return build(tiny(WIDE))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    image = torch.stack([picture(*WIDE, seed=i) for i in range(4)])
    return image, holes((2, 3, 4, 6), (0, 0, 2, 2), (2, 3, 4, 6), (1, 0, 2, 1))


@pytest.fixture(scope="module")
def golden(shared: Path) -> tuple[MAEVQGAN, dict[str, np.ndarray]]:
    folder = shared / "goldens"
    tokenizer = VQGANConfig(base_width=32)
    model = build(PUBLISHED["small"].model_copy(update={"tokenizer": tokenizer}))
    described = json.loads((folder / "mae_vqgan_small.json").read_text())
    ours = {published_key(k): list(v.shape) for k, v in model.state_dict().items()}
    assert ours == described["shapes"]
    with np.load(folder / "mae_vqgan_small.npz") as arrays:
        return model, dict(arrays)


def tokens_to_pixels(mask: np.ndarray) -> Tensor:
    hole = torch.from_numpy(mask).view(1, 14, 14)
    return hole.repeat_interleave(16, dim=1).repeat_interleave(16, dim=2)


@pytest.mark.slow
def test_golden_answer(golden: tuple[MAEVQGAN, dict[str, np.ndarray]]) -> None:
    """Logits, tokens and the filled canvas are the published code's."""
    model, arrays = golden
    canvas, hole = torch.from_numpy(arrays["canvas"])[None], tokens_to_pixels(arrays["mask"])
    with torch.no_grad():
        logits = model.token_logits(canvas, hole)[0].numpy()
    assert np.abs(logits[arrays["mask"]] - arrays["logits_masked"]).max() < 5e-5
    assert np.array_equal(logits.argmax(axis=1), arrays["tokens"])
    filled = model.inpaint(canvas, hole).image[0].permute(1, 2, 0).mul(255).numpy()
    assert np.abs(np.trunc(filled) - arrays["output"]).max() <= 1


def test_golden_loss(golden: tuple[MAEVQGAN, dict[str, np.ndarray]]) -> None:
    """Training's loss is the cross-entropy of the published logits and codes at the hole."""
    model, arrays = golden
    canvas, hole = torch.from_numpy(arrays["canvas"])[None], tokens_to_pixels(arrays["mask"])
    logits = arrays["logits_masked"].astype(np.float64)
    codes = arrays["codebook_indices"][arrays["mask"]]
    terms = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(codes)), codes]
    with torch.no_grad():
        assert float(model.loss(canvas, hole)) == pytest.approx(terms.mean(), abs=1e-4)
        stepped = Inpainting(model)(canvas, hole, 0).losses["model"]
    assert float(stepped) == pytest.approx(terms.mean(), abs=1e-4)


def test_golden_tokenizer(golden: tuple[MAEVQGAN, dict[str, np.ndarray]]) -> None:
    """Codes of an image and images of codes are the published code's."""
    model, arrays = golden
    codes = model.tokenizer.encode(torch.from_numpy(arrays["canvas"])[None])
    assert np.array_equal(codes.flatten().numpy(), arrays["codebook_indices"])
    random = torch.from_numpy(arrays["random_codes"].astype(np.int64)).view(1, 14, 14)
    for tokens, name in ((codes, "reconstruction"), (random, "random_codes_decoded")):
        drawn = model.tokenizer.decode(tokens)[0].detach().numpy()
        assert np.abs(drawn - arrays[name].astype(np.float32)).max() < 1e-3


def test_protocols(model: MAEVQGAN) -> None:
    assert isinstance(model, Inpainter)
    assert isinstance(model, TokenInpainter)
    assert isinstance(model.tokenizer, Tokenizer)
    assert (model.canvas_size, model.patch_size, model.weights_hash) == (WIDE, 8, None)


def test_what_is_under_the_hole_never_matters(
    model: MAEVQGAN, batch: tuple[Tensor, Tensor]
) -> None:
    image, hole = batch
    other = torch.where(hole[:, None], torch.full_like(image, torch.nan), image)
    first, second = model.inpaint(image, hole), model.inpaint(other, hole)
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.log_likelihood, second.log_likelihood)
    assert bool(first.image.isfinite().all())


def test_a_temperature_without_a_mean_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match=r"drawing_temperature: got 0\.5 with drawing 'likeliest'"):
        Asking(drawing_temperature=0.5)


def test_how_it_is_asked_changes_no_architecture_and_is_checked() -> None:
    model = MAEVQGAN(tiny())
    assert (model.asking, model.spins, model.most_examples) == (Asking(), 1, None)
    model.asking = Asking(drawing="expected", spins=2, most_examples=1)
    assert (model.config, model.spins, model.most_examples) == (tiny(), 2, 1)
    with pytest.raises(ValueError, match=r"drawing: got 'expected', which is for a MAE-VQGAN only"):
        KINDS["mae"].build().asking = Asking(drawing="expected")
    assert empty_like(model).asking == model.asking


def test_visible_pixels_stay_and_the_hole_is_what_the_tokenizer_draws(
    model: MAEVQGAN, batch: tuple[Tensor, Tensor]
) -> None:
    image, hole = batch
    filled = model.inpaint(image, hole)
    assert torch.equal(filled.image.movedim(1, -1)[~hole], image.movedim(1, -1)[~hole])
    with torch.no_grad():
        logits = model.token_logits(image, hole)
        drawn = model.tokenizer.decode(logits.argmax(dim=-1).view(4, 4, 6))
    assert torch.equal(filled.image.movedim(1, -1)[hole], drawn.movedim(1, -1)[hole])


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_expected_drawing_mixes_codes_in_the_hole_and_names_the_rest(temperature: float) -> None:
    model, image = build(tiny(WIDE)), picture(*WIDE)[None]
    model.asking = Asking(drawing="expected", drawing_temperature=temperature)
    hole = holes((2, 3, 4, 6))
    filled = model.inpaint(image, hole)
    with torch.no_grad():
        shares = (model.token_logits(image, hole) / temperature).softmax(dim=-1)
        mean = (shares @ model.tokenizer.codebook).view(1, 4, 6, -1).permute(0, 3, 1, 2)
        seen = image.masked_fill(hole[:, None], 0.5)
        vectors = model.tokenizer.vectors(model.tokenizer.encode(seen))
        vectors[:, :, 2:4, 3:6] = mean[:, :, 2:4, 3:6]
        drawn = model.tokenizer.draw(vectors)
    inside = filled.image.movedim(1, -1)[hole]
    assert torch.allclose(inside, drawn.movedim(1, -1)[hole], atol=1e-6)
    generators = [Generator().manual_seed(0)]
    other = model.inpaint(image, hole, sampling=Sampling(), generators=generators)
    assert not torch.allclose(other.image.movedim(1, -1)[hole], inside, atol=1e-3)


@pytest.mark.slow  # tests/models/test_contract.py asks less of it with the quick ones
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("region", ["full", "answer"])
def test_a_batch_gives_what_its_members_give_alone(
    batch: tuple[Tensor, Tensor], dtype: torch.dtype, region: str
) -> None:
    """Bit for bit, with holes of three sizes in one batch, drawn at random or not."""
    model = build(tiny(WIDE)).to(dtype)
    model.decode_region = region  # type: ignore[assignment]
    image, hole = batch

    def generators(count: int) -> list[Generator]:
        return [Generator().manual_seed(7) for _ in range(count)]

    for drawn in (False, True):
        together = model.inpaint(image, hole, generators=generators(4) if drawn else None)
        for row in range(4):
            one = slice(row, row + 1)
            alone = model.inpaint(
                image[one], hole[one], generators=generators(1) if drawn else None
            )
            for name in ("image", "confidence", "log_likelihood"):
                assert torch.equal(getattr(together, name)[one], getattr(alone, name)), name


def test_confidence_and_likelihood_are_those_of_the_chosen_tokens(
    model: MAEVQGAN, batch: tuple[Tensor, Tensor]
) -> None:
    image, hole = batch
    filled = model.inpaint(image, hole)
    assert filled.confidence is not None
    assert filled.log_likelihood is not None
    with torch.no_grad():
        best = model.token_logits(image, hole).softmax(dim=-1).amax(dim=-1).view(4, 4, 6)
    assert bool((filled.confidence[~hole] == 1).all())
    for row in range(4):
        total = 0.0
        for i, j in hole[row, ::8, ::8].nonzero().tolist():
            patch = filled.confidence[row, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8]
            assert torch.allclose(patch, best[row, i, j].expand(8, 8), atol=1e-6)
            total += float(best[row, i, j].log())
        assert float(filled.log_likelihood[row]) == pytest.approx(total, abs=1e-4)


def test_loss_is_the_cross_entropy_over_the_holes_tokens(
    model: MAEVQGAN, batch: tuple[Tensor, Tensor]
) -> None:
    """Against the sum over tokens taken one by one, for a target that is not the input."""
    image, hole = batch
    target = torch.stack([picture(*WIDE, seed=40 + i) for i in range(4)])
    with torch.no_grad():
        loss = model.loss(image, hole, target=target)
        logits = model.token_logits(image, hole)
        codes = model.tokenizer.encode(target).flatten(1)
        terms = [
            -logits[row, place].log_softmax(dim=0)[codes[row, place]]
            for row in range(4)
            for place in hole[row, ::8, ::8].flatten().nonzero()[:, 0].tolist()
        ]
    assert len(terms) == 6 + 4 + 6 + 1
    assert float(loss) == pytest.approx(float(torch.stack(terms).mean()), abs=1e-5)
    with torch.no_grad():
        assert torch.equal(model.loss(image, hole), model.loss(image, hole, target=image))
    with pytest.raises(ValueError, match="none in the whole batch"):
        model.loss(image, torch.zeros_like(hole))


def test_gradients_reach_every_weight_but_the_tokenizers() -> None:
    model = MAEVQGAN(tiny())
    image = torch.stack([picture(64, 64), picture(64, 64, seed=1)]).requires_grad_()
    hole = holes((4, 4, 8, 8), (0, 0, 8, 4), size=(64, 64))
    model.loss(image, hole).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("tokenizer."):
            assert not parameter.requires_grad, name
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert float(parameter.grad.abs().sum()) > 0, name
    # A prompt that is learned in pixels gets its gradient through the canvas, outside the holes.
    assert image.grad is not None
    assert bool((image.grad.movedim(1, -1)[hole] == 0).all())
    assert float(image.grad.abs().sum()) > 0


def test_answers_through_a_layout(model: MAEVQGAN) -> None:
    square = build(tiny())
    prompt = Prompt([(picture(40, 50), picture(40, 50, seed=1))], picture(40, 50, seed=2))
    (answer,) = CanvasModel(square).answer([prompt])
    assert answer.image.shape == (3, 40, 50)
    assert answer.confidence is not None
    assert float(answer.confidence.max()) <= 1


def ambiguous() -> tuple[MAEVQGAN, Prompt]:
    """A model that has learnt that an answer is one of two codes at every place, 2 to 1."""
    model = build(tiny())
    bias = torch.full((64,), -30.0)
    bias[3], bias[17] = float(np.log(2)), 0.0
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(bias)
    prompt = Prompt([(picture(32, 32), picture(32, 32, seed=1))], picture(32, 32, seed=2))
    return model, prompt


def test_samples_show_both_modes_of_an_ambiguous_prompt() -> None:
    """Distinct, ranked by likelihood, the likeliest first; both codes come, 2 to 1."""
    model, prompt = ambiguous()
    (answer,) = CanvasModel(model).answer([prompt], samples=5, seed=3)
    (again,) = CanvasModel(model).answer([prompt], samples=5, seed=3)
    several = [answer, *answer.alternatives]
    assert len(several) == 5
    likelihoods = [float(a.log_likelihood) for a in several]
    assert likelihoods == sorted(likelihoods, reverse=True)
    assert likelihoods[0] == pytest.approx(16 * np.log(2 / 3), abs=1e-3)
    for one, other in zip(several, [again, *again.alternatives], strict=True):
        assert torch.equal(one.image, other.image)
    for index, one in enumerate(several):
        assert all(not torch.equal(one.image, other.image) for other in several[:index])
    # The log-likelihood tells how often the second code was drawn: each time log 2 is lost.
    drawn = [(16 * np.log(2 / 3) - value) / np.log(2) for value in likelihoods[1:]]
    assert 16 / 6 < np.mean(drawn) < 16 / 2


@pytest.mark.slow
def test_coherent_samples_are_the_two_modes() -> None:
    """Each answer takes one of the two codes throughout, so there are two answers and no more."""
    model, prompt = ambiguous()
    (answer,) = CanvasModel(model, sampling=Sampling(coherent=True)).answer([prompt], samples=5)
    (other,) = answer.alternatives
    assert float(answer.log_likelihood) == pytest.approx(16 * np.log(2 / 3), abs=1e-3)
    assert float(other.log_likelihood) == pytest.approx(16 * np.log(1 / 3), abs=1e-3)


def test_answer_region_draws_the_hole_alone(model: MAEVQGAN, batch: tuple[Tensor, Tensor]) -> None:
    """The same tokens, nearly the same pixels, and nothing but the hole is touched."""
    image, hole = batch
    part = build(tiny(WIDE))
    part.decode_region = "answer"
    quick, exact = part.inpaint(image, hole), model.inpaint(image, hole)
    assert torch.equal(quick.log_likelihood, exact.log_likelihood)
    assert torch.equal(quick.image.movedim(1, -1)[~hole], image.movedim(1, -1)[~hole])
    difference = (quick.image - exact.image).abs()
    assert float(difference.max()) > 0
    assert float(F.mse_loss(quick.image, exact.image)) < 0.01
    everything = torch.ones_like(hole)
    assert torch.equal(
        part.inpaint(image, everything).image, model.inpaint(image, everything).image
    )


def test_wrong_canvases_are_refused(model: MAEVQGAN) -> None:
    image = torch.zeros(1, 3, *WIDE)
    with pytest.raises(ValueError, match=r"image: got \(64, 64\) px"):
        model.inpaint(torch.zeros(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.bool))
    ragged = torch.zeros(1, *WIDE, dtype=torch.bool)
    ragged[0, :9, :8] = True
    with pytest.raises(ValueError, match="whole patches of 8 px"):
        model.inpaint(image, ragged)


def test_published_sizes() -> None:
    found = {
        name: (c.embed_dim, c.depth, c.num_heads, c.decoder_embed_dim, c.grid)
        for name, c in PUBLISHED.items()
    }
    assert found == {
        "small": (384, 12, 12, 512, (14, 14)),
        "base": (768, 12, 12, 512, (14, 14)),
        "large": (1024, 24, 16, 512, (14, 14)),
    }


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"canvas_size": (64, 60)}, "multiples of patch_size"),
        ({"patch_size": 16}, "what a code of the tokenizer stands for"),
        ({"embed_dim": 50}, "multiple of 4 and of its 4 heads"),
        ({"position_cells": 3}, "a divisor of both sides"),
        ({"position_cells": 2, "decoder_embed_dim": 36}, "multiples of 8"),
        ({"layers": 3}, "Extra inputs"),
        ({"depth": 0}, "greater than 0"),
    ],
)
def test_wrong_numbers_are_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        MAEVQGANConfig.model_validate({**tiny().model_dump(), **change})
