"""The transformer: against a second implementation, and its points to look inside."""

from __future__ import annotations

import math
import os
from itertools import pairwise

import pytest
import torch
from tests.models.formula import build
from tests.models.kinds import tiny
from tests.pictures import picture
from torch import Tensor

from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from vicl.models.configs import VQGANConfig
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.models.vit import (
    Attention,
    Block,
    Cache,
    Transformer,
    imagenet_denormalise,
    imagenet_normalise,
    patchify,
    sincos_positions,
    unpatchify,
    watching,
)


def blocks(part: torch.nn.Module) -> list[Block]:
    return [m for m in part.modules() if isinstance(m, Block)]


def test_positions_by_hand() -> None:
    """Width 8: column sines, column cosines, row sines, row cosines, frequencies 1 and 1/100."""
    table = sincos_positions((2, 3), 8)
    assert table.shape == (7, 8)
    assert table[0].tolist() == [0.0] * 8
    row, column = 1, 2
    angles = [column, column / 100, row, row / 100]
    sines, cosines = [math.sin(a) for a in angles], [math.cos(a) for a in angles]
    expected = [*sines[:2], *cosines[:2], *sines[2:], *cosines[2:]]
    assert table[1 + 3 * row + column].tolist() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="multiple of 4"):
        sincos_positions((2, 2), 6)


def test_positions_of_cells_are_that_inside_and_that_of_the_corner() -> None:
    """On 4x6 patches in 2x2 cells of 2x3: the corner of (3, 5) is (2, 3), and (1, 2) is inside."""
    table = sincos_positions((4, 6), 16, cells=2)[1:].view(4, 6, 16)
    whole = sincos_positions((4, 6), 8)[1:].view(4, 6, 8)
    assert torch.equal(table[3, 5], torch.cat([whole[1, 2], whole[2, 3]]))
    assert torch.equal(table[:2, :3, :8], table[2:, 3:, :8])
    assert torch.unique(table.flatten(0, 1), dim=0).shape[0] == 24
    with pytest.raises(ValueError, match="multiple of 8"):
        sincos_positions((4, 4), 12, cells=2)


def test_patchify_cuts_as_a_convolution_does() -> None:
    image, weight = picture(8, 12)[None], torch.rand(5, 3, 4, 4)
    expected = torch.nn.functional.conv2d(image, weight, stride=4).flatten(2).transpose(1, 2)
    assert torch.allclose(patchify(image, 4) @ weight.flatten(1).T, expected, atol=1e-5)


def test_patches_go_back_where_they_came_from() -> None:
    image = torch.stack([picture(8, 12), picture(8, 12, seed=1)])
    patches = patchify(image, 4)
    assert torch.equal(patches[1, 4], image[1, :, 4:8, 4:8].flatten())
    assert torch.equal(unpatchify(patches, (2, 3), 4), image)


def test_imagenet_normalisation() -> None:
    """The image's, patch by patch, bit for bit; and back."""
    image = picture(8, 12)[None]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    normed = imagenet_normalise(patchify(image, 4))
    assert torch.equal(normed, patchify((image - mean) / std, 4))
    assert torch.allclose(imagenet_denormalise(normed), patchify(image, 4), atol=1e-6)


def test_causal_attention_looks_back_only() -> None:
    """Against a loop over tokens; the maps that a hook sees are zero above the diagonal."""
    torch.manual_seed(0)
    attention, x = Attention(24, 3, causal=True), torch.randn(2, 7, 24)
    seen: list[Tensor] = []
    with torch.no_grad():
        found = attention(x)
        with watching([attention.maps], seen.append):
            watched = attention(x)
        plain = Attention(24, 3)
        plain.load_state_dict(attention.state_dict())
        for i in range(7):
            assert torch.allclose(found[:, i], plain(x[:, : i + 1])[:, i], atol=1e-6)
    assert torch.allclose(found, watched, atol=1e-6)
    assert torch.equal(seen[0], seen[0].tril())
    assert torch.allclose(seen[0].sum(dim=-1), torch.ones(()), atol=1e-6)


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("cuts", [[0, 7], [0, 1, 2, 3, 4, 5, 6, 7], [0, 3, 4, 7]])
def test_a_sequence_continued_from_a_cache_is_the_whole_one(cuts: list[int], watched: bool) -> None:
    torch.manual_seed(0)
    transformer, x = Transformer(24, 3, 2, 2.0, causal=True), torch.randn(2, 7, 24)
    maps: list[Tensor] = []
    probes = [block.attn.maps for block in blocks(transformer)] if watched else []
    caches = [Cache() for _ in range(3)]
    with torch.no_grad():
        whole = transformer(x)
        with watching(probes, maps.append):
            parts = [transformer(x[:, a:b], caches) for a, b in pairwise(cuts)]
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-5)
    if watched:
        assert tuple(maps[-1].shape) == (2, 2, cuts[-1] - cuts[-2], 7)


def test_attention_maps_are_the_ones_that_are_used() -> None:
    """With and without a hook the same output; the maps are softmax(q k / sqrt d)."""
    torch.manual_seed(0)
    attention, x = Attention(24, 3), torch.randn(2, 7, 24)
    seen: list[Tensor] = []
    with torch.no_grad():
        fused = attention(x)
        with watching([attention.maps], seen.append):
            eager = attention(x)
        assert torch.equal(attention(x), fused)
    assert torch.allclose(fused, eager, atol=1e-6)
    (maps,) = seen
    assert maps.shape == (2, 3, 7, 7)
    q, k, _ = (attention.qkv(x)[1, :, 24 * i + 8 : 24 * i + 16] for i in range(3))
    expected = (q @ k.T / math.sqrt(8)).softmax(dim=1)
    assert torch.allclose(maps[1, 1], expected, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_training_in_bfloat16_on_a_cpu_follows_float32(causal: bool) -> None:
    """There the attention is written out: outputs and gradients are the fused ones, rounded."""
    torch.manual_seed(0)
    attention, x = Attention(32, 2, causal=causal), torch.randn(2, 9, 32)

    def gradients() -> list[Tensor]:
        out = attention(x)
        return [out, *torch.autograd.grad(out.float().square().sum(), list(attention.parameters()))]

    expected = gradients()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients()
    assert found[0].dtype == torch.bfloat16
    for one, other in zip(found, expected, strict=True):
        assert (one.float() - other).norm() < 0.02 * other.norm()


def test_hooks_may_replace_what_flows_on() -> None:
    """Heads silenced before the projection leave its bias; a block's output can be set."""
    torch.manual_seed(0)
    attention, x = Attention(24, 3), torch.randn(2, 7, 24)
    with torch.no_grad(), watching([attention.heads], torch.zeros_like):
        assert torch.allclose(attention(x), attention.proj.bias.expand(2, 7, 24))
    block = Block(24, 3, 4.0)
    with torch.no_grad(), watching([block.output], torch.ones_like):
        assert torch.equal(block(x), torch.ones_like(x))


def test_every_block_of_the_model_can_be_watched() -> None:
    """During inpaint; looking changes no more than the last bits."""
    model = build(tiny())
    image = picture(64, 64)[None]
    hole = torch.zeros(1, 64, 64, dtype=torch.bool)
    hole[:, 32:, 32:] = True
    maps: list[Tensor] = []
    outputs: list[Tensor] = []
    plain = model.inpaint(image, hole)
    every = blocks(model.encoder) + blocks(model.decoder)
    with (
        watching([b.attn.maps for b in every], maps.append),
        watching([b.output for b in every], outputs.append),
    ):
        watched = model.inpaint(image, hole)
    assert [tuple(m.shape) for m in maps] == [(1, 4, 49, 49)] * 2 + [(1, 4, 65, 65)] * 2
    assert [tuple(o.shape) for o in outputs] == [(1, 49, 48)] * 2 + [(1, 65, 32)] * 2
    assert all(torch.allclose(m.sum(dim=-1), torch.ones(()), atol=1e-5) for m in maps)
    assert torch.allclose(plain.image, watched.image, atol=1e-3)


def test_encoder_and_decoder_equal_those_of_transformers() -> None:
    """With the weights of a random ViTMAE copied across, its numbers come out."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    codes = 3 * 8 * 8
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
        )
    ).eval()
    tokenizer = VQGANConfig(**{**tiny().tokenizer.model_dump(), "codebook_size": codes})
    ours = MAEVQGAN(tiny().model_copy(update={"tokenizer": tokenizer})).eval()
    state = theirs.state_dict()
    randomise(state)
    # These are fixed; `test_positions_by_hand` has them.
    state["vit.embeddings.position_embeddings"] = ours.positions[None]
    state["decoder.decoder_pos_embed"] = ours.decoder_positions[None]
    theirs.load_state_dict(state)
    missing, unexpected = ours.load_state_dict(from_transformers(state), strict=False)
    assert not unexpected
    assert all(name.startswith("tokenizer.") for name in missing)
    image = torch.stack([picture(64, 64), picture(64, 64, seed=1)])
    hole = torch.zeros(2, 64, 64, dtype=torch.bool)
    hole[:, 32:, 32:] = True
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    # It keeps the patches of least noise, in that order.
    noise = (torch.arange(64) + 64 * hole[:, ::8, ::8].flatten(1)).float()
    with torch.no_grad():
        expected = theirs((image - mean) / std, noise=noise).logits
        found = ours.token_logits(image, hole)
    assert float(expected.std()) > 0.1
    assert torch.allclose(found, expected, atol=2e-5)


def randomise(state: dict[str, Tensor]) -> None:
    """Give biases and normalisations, which start as 0 and 1, values that make a difference."""
    for name, value in state.items():
        if value.ndim == 1 or name.endswith(("cls_token", "mask_token")):
            value += 0.1 * torch.randn_like(value)


def from_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters of a ViTMAE under our names."""
    found = {
        "cls_token": state["vit.embeddings.cls_token"],
        "mask_token": state["decoder.mask_token"],
    }
    parts = {
        "patch_embed.proj": "vit.embeddings.patch_embeddings.projection",
        "encoder.norm": "vit.layernorm",
        "decoder_embed": "decoder.decoder_embed",
        "decoder.norm": "decoder.decoder_norm",
        "head": "decoder.decoder_pred",
    }
    for ours, theirs in (("encoder", "vit.layers"), ("decoder", "decoder.decoder_layers")):
        for i in range(2):
            here, there = f"{ours}.blocks.{i}", f"{theirs}.{i}"
            parts |= {
                f"{here}.norm1": f"{there}.layernorm_before",
                f"{here}.norm2": f"{there}.layernorm_after",
                f"{here}.attn.proj": f"{there}.attention.o_proj",
                f"{here}.mlp.fc1": f"{there}.mlp.fc1",
                f"{here}.mlp.fc2": f"{there}.mlp.fc2",
            }
            for kind in ("weight", "bias"):
                found[f"{here}.attn.qkv.{kind}"] = torch.cat(
                    [state[f"{there}.attention.{p}_proj.{kind}"] for p in "qkv"]
                )
    for mine, other in parts.items():
        for kind in ("weight", "bias"):
            found[f"{mine}.{kind}"] = state[f"{other}.{kind}"]
    return found
