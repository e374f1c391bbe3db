"""MAE over pixels, against a second implementation, and what it draws."""

from __future__ import annotations

import os

import pytest
import torch
from tests.models.kinds import KINDS, SQUARE, holes, numbers
from tests.models.test_vit import from_transformers, randomise
from tests.pictures import picture

from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from vicl.models.mae import MAE, MAEConfig


@pytest.mark.parametrize("normalise", [False, True])
def test_predictions_and_loss_equal_those_of_transformers(normalise: bool) -> None:
    """With the weights of a random ViTMAE; it flattens a patch as rows, columns, channels."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    theirs = transformers.ViTMAEForPreTraining(
        transformers.ViTMAEConfig(
            image_size=64,
            patch_size=8,
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=192,
            decoder_hidden_size=32,
            decoder_num_hidden_layers=2,
            decoder_num_attention_heads=4,
            decoder_intermediate_size=128,
            layer_norm_eps=1e-6,
            mask_ratio=0.25,
            initializer_range=0.2,
            norm_pix_loss=normalise,
        )
    ).eval()
    config = MAEConfig(
        **numbers(SQUARE, "tokenizer"),
        normalise_patches=normalise,
    )
    ours = MAE(config).eval()
    state = theirs.state_dict()
    randomise(state)
    state["vit.embeddings.position_embeddings"] = ours.positions[None]
    state["decoder.decoder_pos_embed"] = ours.decoder_positions[None]
    theirs.load_state_dict(state)
    # Place of our n-th output among theirs.
    order = torch.arange(192).view(8, 8, 3).permute(2, 0, 1).flatten()
    copied = from_transformers(state)
    for name, zeros in (("head.weight", torch.zeros(2, 32)), ("head.bias", torch.zeros(2))):
        rows = [copied[name][order], zeros] if normalise else [copied[name][order]]
        copied[name] = torch.cat(rows)
    ours.load_state_dict(copied)
    image = torch.stack([picture(64, 64), picture(64, 64, seed=1)])
    hole = holes((4, 4, 8, 8)).expand(2, -1, -1)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    shown = (image - mean) / std
    noise = (torch.arange(64) + 64 * hole[:, ::8, ::8].flatten(1)).float()
    with torch.no_grad():
        expected = theirs(shown, noise=noise)
        loss = float(ours.loss(image, hole))
        filled = ours.inpaint(image, hole).image
    if normalise:
        # What our two further outputs, here always 0, add to it.
        patches = shown[:, :, 32:, 32:].unfold(2, 8, 8).unfold(3, 8, 8).transpose(1, 3).flatten(3)
        deviation = (patches.var(dim=-1) + 1e-6).sqrt()
        statistics = torch.stack([patches.mean(dim=-1), deviation.log()])
        loss -= float(statistics.square().mean())
    assert loss == pytest.approx(float(expected.loss), rel=1e-5)
    drawn = theirs.unpatchify(expected.logits)
    wanted = torch.where(hole[:, None], (drawn * std + mean).clamp(0, 1), image)
    assert float(drawn.std()) > 0.1
    assert torch.allclose(filled, wanted, atol=2e-5)


def test_a_drawing_has_the_predicted_mean_and_deviation() -> None:
    """Of a model that says 1 and -1 by turns, mean 0.5 and deviation 0.25 everywhere."""
    model = KINDS["mae"].build()
    turns = torch.tensor([1.0, -1.0]).repeat(96)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.cat([turns, torch.tensor([0.5, 0.25]).log()]))
        model.head.bias[-2] = 0.5
    filled = model.inpaint(picture(64, 64)[None], holes((4, 4, 8, 8))).image
    for channel, (mean, std) in enumerate(zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)):
        row = filled[0, channel, 40, 40:42].tolist()
        assert row == pytest.approx([0.75 * std + mean, 0.25 * std + mean], abs=1e-6)


def test_a_hole_of_one_colour_has_a_loss() -> None:
    model = KINDS["mae"].build()
    loss = model.loss(torch.full((1, 3, 64, 64), 0.5), holes((4, 4, 8, 8)))
    loss.backward()
    assert bool(loss.isfinite())
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_a_wild_prediction_stays_finite() -> None:
    model = KINDS["mae"].build()
    with torch.no_grad():
        model.head.bias[-1] = 1e4
    filled = model.inpaint(picture(64, 64)[None], holes((4, 4, 8, 8))).image
    assert bool(filled.isfinite().all())
    assert 0 <= float(filled.min()) <= float(filled.max()) <= 1
