"""What every kind of inpainter that can be trained promises."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.kinds import CODES, KINDS, PATCH, SQUARE, WIDE, batch, holes, smooth
from torch import Generator, Tensor

import vicl
from vicl.engine import Inpainter, TokenInpainter
from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from vicl.loading import load_folder, load_model
from vicl.models.autoregressive import Autoregressive
from vicl.models.pretrained import save_folder
from vicl.storage.cards import architecture_table

every_kind = pytest.mark.parametrize("kind", KINDS)
quick_kinds = pytest.mark.parametrize(
    "kind",
    # The paper's model under another drawing is asked the costly questions with the slow tests.
    [
        pytest.param(kind, marks=pytest.mark.slow) if kind == "mae-vqgan-expected" else kind
        for kind in KINDS
    ],
)


@quick_kinds
@pytest.mark.parametrize(
    "size", [SQUARE, pytest.param(WIDE, marks=pytest.mark.slow)], ids=["square", "wide"]
)
def test_shapes_and_protocols(kind: str, size: tuple[int, int]) -> None:
    model: Any = KINDS[kind].build(size)
    image, hole = batch(size)
    protocols = [p for p in (Inpainter, TokenInpainter) if isinstance(model, p)]
    assert protocols == ([Inpainter, TokenInpainter] if kind in CODES else [Inpainter])
    assert (model.canvas_size, model.patch_size, model.weights_hash) == (size, PATCH, None)
    assert model.device == torch.device("cpu")
    filled = model.inpaint(image, hole)
    assert filled.image.shape == image.shape
    assert filled.image.dtype == torch.float32
    assert 0 <= float(filled.image.min()) <= float(filled.image.max()) <= 1
    if kind in CODES:
        with torch.no_grad():
            logits = model.token_logits(image, hole)
        assert logits.shape == (3, size[0] * size[1] // PATCH**2, 64)
        assert bool(logits.isfinite().all())
        assert filled.confidence.shape == hole.shape
        assert filled.log_likelihood.shape == (3,)
    else:
        assert (filled.confidence, filled.log_likelihood) == (None, None)


@every_kind
def test_building_is_seeded_and_leaves_the_global_state_alone(kind: str) -> None:
    make = KINDS[kind]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (make.model(make.config(SQUARE), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    drawn = [(a == a.flatten()[0]).logical_not().any() for a in one.parameters()]
    assert sum(drawn) > 3
    for varies, (name, a), b in zip(drawn, one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b) != varies, name


@quick_kinds
def test_what_is_under_the_hole_never_matters(kind: str) -> None:
    """Not for the answer, nor for the loss and its gradients, where the target is clean."""
    model = KINDS[kind].build()
    image, hole = batch()
    blind = torch.where(hole[:, None], torch.nan, image)
    first, second = model.inpaint(image, hole), model.inpaint(blind, hole)
    assert torch.equal(first.image, second.image)
    if kind in CODES:
        assert torch.equal(first.log_likelihood, second.log_likelihood)
    found = []
    for shown in (image, blind):
        model.zero_grad()
        model.loss(shown, hole, target=image).backward()
        found.append([p.grad for p in model.parameters() if p.requires_grad])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@every_kind
def test_the_hole_is_filled_and_visible_pixels_stay(kind: str) -> None:
    """What is shown makes a difference in the hole."""
    model = KINDS[kind].build()
    image, hole = batch()
    filled = model.inpaint(image, hole).image.movedim(1, -1)
    assert torch.equal(filled[~hole], image.movedim(1, -1)[~hole])
    other = model.inpaint(1 - image, hole).image.movedim(1, -1)
    for row in range(3):
        assert not torch.equal(filled[row][hole[row]], other[row][hole[row]])


@quick_kinds
@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)]
)
def test_a_batch_gives_what_its_members_give_alone(kind: str, dtype: torch.dtype) -> None:
    """Bit for bit, with holes of three sizes, the likeliest answer and drawn ones."""
    model = KINDS[kind].build().to(dtype)
    image, hole = batch()

    def inpaint(rows: slice, drawn: bool) -> Any:
        seeds = [Generator().manual_seed(7) for _ in image[rows]]
        return model.inpaint(image[rows], hole[rows], generators=seeds if drawn else None)

    for drawn in (False, True):
        together = inpaint(slice(3), drawn)
        for row in range(3):
            one = slice(row, row + 1)
            alone = inpaint(one, drawn)
            for name in ("image", "confidence", "log_likelihood"):
                if getattr(alone, name) is not None:
                    assert torch.equal(getattr(together, name)[one], getattr(alone, name)), name


@every_kind
def test_gradients_reach_every_weight_but_the_tokenizers(kind: str) -> None:
    model = KINDS[kind].build().train()
    model.loss(*batch()).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("tokenizer."):
            assert not parameter.requires_grad, name
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name
            assert float(parameter.grad.abs().sum()) > 0, name


@quick_kinds
def test_loss_is_the_plain_one(kind: str) -> None:
    """Against a loop over the holes' patches, for a target that is not the input."""
    model = KINDS[kind].build()
    image, hole = batch()
    target = smooth(3, SQUARE, seed=1)
    with torch.no_grad():
        loss = model.loss(image, hole, target=target)
        assert torch.equal(model.loss(target, hole), model.loss(target, hole, target=target))
        terms = [
            REFERENCES[kind](model, *row, place)
            for row in zip(image, hole, target, strict=True)
            for place in row[1][::PATCH, ::PATCH].flatten().nonzero()[:, 0].tolist()
        ]
    assert len(terms) == 16 + 32 + 3
    assert float(loss) == pytest.approx(float(torch.stack(terms).mean()), rel=1e-4)
    with pytest.raises(ValueError, match="none in the whole batch"):
        model.loss(image, torch.zeros_like(hole))


def patch(image: Tensor, place: int) -> Tensor:
    """A patch (3, 8, 8) of a canvas of 64 px."""
    row, column = divmod(place, 8)
    return image[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]


def normed(pixels: Tensor) -> Tensor:
    """ImageNet-normalised (3, h, w)."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels - mean) / std


# What is the same for all places of a canvas is asked once: tensors are told apart by identity.
once = lru_cache(maxsize=1)


@once
def codes_of(model: Any, target: Tensor) -> Tensor:
    codes: Tensor = model.tokenizer.encode(target[None]).flatten()
    return codes


@once
def autoencoder_says(model: Any, image: Tensor, hole: Tensor) -> Tensor:
    """The head's output at each place, from visible patches one by one."""
    visible = (~hole[::PATCH, ::PATCH]).flatten().nonzero()[:, 0].tolist()
    seen = [
        model.patch_embed.proj(normed(patch(image, v))[None]).flatten() + model.positions[1 + v]
        for v in visible
    ]
    cls = model.cls_token[0, 0] + model.positions[0]
    encoded = model.decoder_embed(model.encoder(torch.stack([cls, *seen])[None]))[0]
    tokens = [encoded[0], *(model.mask_token[0, 0] for _ in range(64))]
    for v, token in zip(visible, encoded[1:], strict=True):
        tokens[1 + v] = token
    decoded = model.decoder((torch.stack(tokens) + model.decoder_positions)[None])[0]
    out: Tensor = model.head(decoded[1:])
    return out


@once
def beit_says(model: Any, image: Tensor, hole: Tensor) -> Tensor:
    tokens = [model.cls_token[0, 0]]
    for i, hidden in enumerate(hole[::PATCH, ::PATCH].flatten().tolist()):
        shown = model.patch_embed.proj(normed(patch(image, i))[None]).flatten()
        tokens.append(model.mask_token[0, 0] if hidden else shown)
    encoded = model.encoder((torch.stack(tokens) + model.positions)[None])[0]
    out: Tensor = model.head(encoded[1:])
    return out


def cross_entropy(logits: Tensor, model: Any, target: Tensor, place: int) -> Tensor:
    return -logits.log_softmax(dim=0)[codes_of(model, target)[place]]


def mae_vqgan(model: Any, image: Tensor, hole: Tensor, target: Tensor, place: int) -> Tensor:
    return cross_entropy(autoencoder_says(model, image, hole)[place], model, target, place)


def beit(model: Any, image: Tensor, hole: Tensor, target: Tensor, place: int) -> Tensor:
    return cross_entropy(beit_says(model, image, hole)[place], model, target, place)


def autoregressive(model: Any, image: Tensor, hole: Tensor, target: Tensor, place: int) -> Tensor:
    """The transformer is given the codes before the place, and no others."""
    codes = codes_of(model, target)[:place]
    tokens = torch.cat([model.start_token[0], model.code_embedding.weight[codes]])
    last = model.decoder((tokens + model.positions[: place + 1])[None])[0, -1]
    return cross_entropy(model.head(last), model, target, place)


def mae_plain(model: Any, image: Tensor, hole: Tensor, target: Tensor, place: int) -> Tensor:
    wanted = normed(patch(target, place)).flatten()
    return (autoencoder_says(model, image, hole)[place] - wanted).square().mean()


def mae(model: Any, image: Tensor, hole: Tensor, target: Tensor, place: int) -> Tensor:
    found = autoencoder_says(model, image, hole)[place].tolist()
    values = normed(patch(target, place)).flatten().tolist()
    count = len(values)
    mean = sum(values) / count
    variance = sum((v - mean) ** 2 for v in values) / (count - 1) + 1e-6
    terms = [(f - (v - mean) / variance**0.5) ** 2 for f, v in zip(found, values, strict=False)]
    statistics = (found[-2] - mean) ** 2 + (found[-1] - math.log(variance) / 2) ** 2
    return torch.tensor(sum(terms) / count + statistics / 2)


def unet(model: Any, image: Tensor, hole: Tensor, target: Tensor, place: int) -> Tensor:
    shown = torch.where(hole, 0.0, image * 2 - 1)
    drawn = model(torch.cat([shown, hole[None].float()])[None])[0]
    return (patch(drawn, place) - (patch(target, place) * 2 - 1)).square().mean()


REFERENCES = {
    "mae-vqgan": mae_vqgan,
    "mae-vqgan-expected": mae_vqgan,
    "mae": mae,
    "mae-plain": mae_plain,
    "beit": beit,
    "autoregressive": autoregressive,
    "unet": unet,
}


@every_kind
def test_a_training_step_waits_for_no_device(kind: str) -> None:
    """On a device whose numbers cannot be read at all, with the holes on the CPU."""
    image, hole = batch()
    model = KINDS[kind].build()
    codes = torch.zeros(3, 64, dtype=torch.long, device="meta")
    model.to("meta")
    for loss in (
        model.loss(image.to("meta"), hole),
        *([model.loss_on_codes(image.to("meta"), hole, codes)] if kind in CODES else []),
    ):
        loss.backward()
        assert loss.shape == ()


@quick_kinds
def test_loss_in_mixed_precision(kind: str) -> None:
    model = KINDS[kind].build()
    image, hole = batch()

    def loss() -> Tensor:
        found: Tensor = (
            model.loss_on_codes(image, hole, torch.arange(64).expand(3, -1))
            if kind in CODES
            else model.loss(image, hole)
        )
        return found

    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss()
    mixed.backward()
    assert mixed.dtype == torch.float32
    assert mixed.item() != loss().item()
    assert mixed.item() == pytest.approx(loss().item(), rel=0.02)


@quick_kinds
def test_what_was_saved_is_what_is_loaded(kind: str, tmp_path: Path) -> None:
    model = KINDS[kind].build(WIDE)
    save_folder(model, tmp_path / "mine")
    loaded: Any = load_folder(tmp_path / "mine", device="cpu")
    assert type(loaded) is type(model)
    assert (loaded.config, loaded.name) == (model.config, "mine")
    assert len(loaded.weights_hash) == 64
    image, hole = batch(WIDE)
    assert torch.equal(loaded.inpaint(image, hole).image, model.inpaint(image, hole).image)
    count = sum(parameter.numel() for parameter in model.parameters())
    card = (tmp_path / "mine" / "README.md").read_text()
    assert architecture_table(model) in card
    assert f"| weights | {count:,} |" in card


@quick_kinds
def test_answers_a_prompt(kind: str, tmp_path: Path) -> None:
    """From a folder, as `vicl predict --model FOLDER` does, with alternatives."""
    save_folder(KINDS[kind].build(), tmp_path / "mine")
    photos = smooth(3, (50, 40), seed=3)
    prompter = vicl.VisualPrompter(
        tmp_path / "mine", [(photos[0], photos[1])], "image", samples=2, device="cpu"
    )
    answer = prompter.predict(photos[2])
    assert answer.image.size == (40, 50)
    assert answer.canvas.size == (64, 64)
    assert (answer.likelihood is not None) == (kind in CODES)
    assert len(answer.alternatives) == (1 if kind in CODES else 0)
    assert load_model(tmp_path / "mine", device="cpu").name == "mine"


@pytest.mark.slow
@every_kind
def test_overfits_eight_canvases(kind: str) -> None:
    """To next to nothing, and then every code is right, or nearly all that pixels vary."""
    model = KINDS[kind].build().train()
    image = smooth(8, SQUARE, seed=4)
    hole = holes((4, 4, 8, 8)).expand(8, -1, -1)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=5e-3, betas=(0.9, 0.95))
    codes = model.tokenizer.encode(image).flatten(1) if kind in CODES else None
    enough = 0.01 if kind == "unet" else 0.03
    for _ in range(300):
        optimiser.zero_grad()
        known = codes is not None
        loss = model.loss_on_codes(image, hole, codes) if known else model.loss(image, hole)
        loss.backward()
        optimiser.step()
        if loss.item() < enough:
            break
    assert loss.item() < enough
    model.eval()
    if codes is not None:
        inside = hole[:, ::PATCH, ::PATCH].flatten(1)
        assert len(codes[inside].unique()) > 16
        assert torch.equal(completed(model, image, hole, codes)[inside], codes[inside])
    else:
        error = (model.inpaint(image, hole).image - image)[:, :, 32:, 32:]
        assert float(error.square().mean()) < 0.05 * float(image.var())


@torch.no_grad()
def completed(model: Any, image: Tensor, hole: Tensor, codes: Tensor) -> Tensor:
    """The likeliest codes; an autoregressive model is given the true ones outside the hole."""
    if isinstance(model, Autoregressive):
        inside = hole[:, ::PATCH, ::PATCH].flatten(1)
        tokens, _ = model._complete(codes.masked_fill(inside, 0), inside, None, None)
        return tokens
    best: Tensor = model.token_logits(image, hole).argmax(dim=-1)
    return best
