"""The VQGAN: its codes, its shortcuts against the plain way, and batches."""

from __future__ import annotations

import pytest
import torch
from tests.models.formula import build
from tests.models.kinds import tiny
from tests.pictures import picture
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from vicl.canvas.rects import Rect
from vicl.models.configs import VQGANConfig
from vicl.models.vqgan import VQGAN, upsample_conv


@pytest.fixture(scope="module")
def vqgan() -> VQGAN:
    return build(tiny()).tokenizer


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 4)])
def test_upsampling_convolution_is_repetition_then_convolution(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv, x = torch.nn.Conv2d(6, 5, 3, padding=1), torch.randn(2, 6, *size)
    expected = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    assert torch.allclose(upsample_conv(x, conv), expected, atol=1e-5)


def test_codes_are_the_nearest(vqgan: VQGAN) -> None:
    """By squared distances, one code and place at a time."""
    image = torch.stack([picture(32, 48), picture(32, 48, seed=1)])
    codes = vqgan.encode(image)
    assert codes.shape == (2, 4, 6)
    with torch.no_grad():
        latents = vqgan.to_code(vqgan.encoder(image * 2 - 1))
    for row, i, j in [(0, 0, 0), (0, 3, 5), (1, 2, 1)]:
        distances = [(latents[row, :, i, j] - code).square().sum() for code in vqgan.codebook]
        assert int(codes[row, i, j]) == int(torch.stack(distances).argmin())
    assert len(codes.unique()) > 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_gives_what_its_members_give_alone(dtype: torch.dtype) -> None:
    vqgan = build(tiny()).tokenizer.to(dtype)
    image = torch.stack([picture(32, 32, seed=i) for i in range(3)])
    codes = vqgan.encode(image)
    drawn = vqgan.decode(codes)
    assert drawn.dtype == torch.float32
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1
    for row in range(3):
        assert torch.equal(vqgan.encode(image[row : row + 1])[0], codes[row])
        assert torch.equal(vqgan.decode(codes[row : row + 1])[0], drawn[row])


@pytest.mark.parametrize("at_once", [2, 3, 9])
def test_codes_named_several_at_a_time_are_those_named_alone(vqgan: VQGAN, at_once: int) -> None:
    """All five images, in their order; up to a code that is as near as another."""
    side = vqgan.config.patch_size * 4
    images = torch.stack([picture(side, side, seed=seed) for seed in range(5)])
    with torch.no_grad():
        alone, together = vqgan.encode(images), vqgan.encode(images, at_once=at_once)
    assert together.shape == alone.shape
    assert (together == alone).float().mean() > 0.97


def test_naming_and_drawing_are_made_of_what_training_uses(vqgan: VQGAN) -> None:
    image = torch.stack([picture(32, 48), picture(32, 48, seed=1)])
    with torch.no_grad():
        latents = vqgan.latents(image)
        codes = vqgan.nearest(latents)
        drawn = vqgan.render(vqgan.codebook[codes].permute(0, 3, 1, 2))
    assert (latents.shape, latents.dtype) == ((2, 16, 4, 6), torch.float32)
    assert torch.equal(codes, vqgan.encode(image))
    assert drawn.shape == image.shape
    assert torch.allclose(vqgan.decode(codes), (drawn.clamp(-1, 1) + 1) / 2, atol=1e-6)
    half = build(tiny()).tokenizer.to(torch.bfloat16)
    assert half.latents(image).dtype == half.render(half.latents(image)).dtype == torch.float32


def test_drawing_is_not_clamped_and_gradients_flow_through_all_of_it() -> None:
    model = VQGAN(tiny().tokenizer)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                # New branches end with zeros; equal weights would be lost in the norms.
                module.weight.add_(0.01 * torch.randn(module.weight.shape, generator=generator))
        model.decoder.conv_out.bias.fill_(9.0)
    latents = model.latents(picture(32, 32)[None])
    vectors = model.codebook[model.nearest(latents)].permute(0, 3, 1, 2)
    drawn = model.render(latents + vectors)
    assert float(drawn.detach().min()) > 1
    drawn.square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


def test_building_is_seeded_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (VQGAN(tiny().tokenizer, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.codebook, other.codebook)
    assert (one.name, one.weights_hash, one.device.type) == ("vqgan", None, "cpu")


def flat_norm(x: Tensor) -> Tensor:
    return x * 0.3


def test_a_part_differs_by_the_normalisation_only(
    vqgan: VQGAN, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a normalisation that looks at single pixels and margins as wide as the convolutions
    reach, a part is what is cut out of the whole."""
    tokens = torch.randint(0, 64, (1, 6, 8), generator=torch.Generator().manual_seed(0))
    part = Rect(3, 4, 2, 3)
    pixels = Rect(24, 32, 16, 24)
    with torch.no_grad():
        near = vqgan.decode(tokens, part) - pixels.of(vqgan.decode(tokens))
        assert 0 < float(near.abs().max()) < 0.5
        monkeypatch.setattr(torch.nn.GroupNorm, "forward", lambda _self, x: flat_norm(x))
        monkeypatch.setattr("vicl.models.vqgan.PART_MARGIN", 12)
        whole = vqgan.decode(tokens)
        assert float(whole.std()) > 0.01
        assert torch.allclose(vqgan.decode(tokens, part), pixels.of(whole), atol=1e-5)


def test_sizes() -> None:
    """Any sides that are multiples of the patch's, and levels of any number."""
    config = VQGANConfig(
        base_width=4,
        multipliers=(1, 2),
        blocks=1,
        attention_levels=(),
        latent_dim=4,
        codebook_size=10,
        codebook_dim=3,
        norm_groups=2,
    )
    vqgan = VQGAN(config)
    assert (vqgan.patch_size, vqgan.codebook_size) == (2, 10)
    with torch.no_grad():
        assert vqgan.decode(vqgan.encode(picture(6, 10)[None])).shape == (1, 3, 6, 10)
    for wrong in ({"base_width": 3}, {"attention_levels": (2,)}):
        with pytest.raises(ValueError, match="expected"):
            VQGANConfig.model_validate({**config.model_dump(), **wrong})


def test_signals_neither_fade_nor_grow_in_new_weights() -> None:
    """So that colours reach the codes as light and dark do."""
    config = VQGANConfig(base_width=16, multipliers=(1, 2, 2), attention_levels=(), norm_groups=4)
    model = VQGAN(config.model_copy(update={"latent_dim": 16, "codebook_dim": 16}))
    image = torch.randn(2, 3, 32, 32)
    latents = model.latents((image + 1) / 2)
    assert 0.4 < latents.std() < 2.5
    assert 0.4 < model.render(torch.randn_like(latents)).std() < 2.5
    for name, weight in model.named_parameters():
        if name.endswith("weight"):
            last_of_a_branch = name.endswith(("conv2.weight", "proj.weight"))
            assert bool((weight == 0).all()) == last_of_a_branch
