"""The perceptual distance against a plain computation, and files that it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.models.formula import weight
from tests.pictures import picture
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.files import FileError
from vicl.metrics.perceptual import (
    PerceptualDistance,
    Trunk,
    alexnet,
    load_lpips,
    load_perceptual,
    vgg16,
)
from vicl.storage.checkpoints import CheckpointError
from vicl.storage.folder import KeysError, ModelError

WIDTHS = (64, 128, 256, 512, 512)
"""Of VGG-16's stages, which have 2, 2, 3, 3 and 3 convolutions."""
PLACES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Of the convolutions among the published network's layers."""


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """VGG-16 with a formula's weights, half as wide as a file could have them in numbers."""
    found: dict[str, Tensor] = {}
    before = 3
    for width, places in zip(WIDTHS, PLACES, strict=True):
        for place in places:
            name = f"features.{place}"
            found[f"{name}.weight"] = weight(f"{name}.weight", (width, before, 3, 3)).half()
            found[f"{name}.bias"] = weight(f"{name}.bias", (width,)).half()
            before = width
    return found


@pytest.fixture(scope="module")
def heads() -> dict[str, Tensor]:
    return {
        f"lin{index}.model.1.weight": weight(f"lin{index}", (1, width, 1, 1)).abs()
        for index, width in enumerate(WIDTHS)
    }


def plain(state: dict[str, Tensor], one: Tensor, two: Tensor, heads: list[Tensor]) -> float:
    """The distance of two images, from the papers' descriptions."""
    total = 0.0
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    seen = [(image[None] - mean) / std for image in (one, two)]
    for stage, places in enumerate(PLACES):
        for place in places:
            name = f"features.{place}"
            w, b = state[f"{name}.weight"].float(), state[f"{name}.bias"].float()
            seen = [F.conv2d(x, w, b, padding=1).clamp(min=0) for x in seen]
        first, second = (x[0] / x[0].square().sum(dim=0).sqrt() for x in seen)
        weighed = (first - second).square() * heads[stage].view(-1, 1, 1)
        total += float(weighed.sum()) / (first.shape[1] * first.shape[2])
        seen = [F.max_pool2d(x, 2) for x in seen]
    return total


def test_distance_is_the_plain_one(
    tmp_path: Path, state: dict[str, Tensor], heads: dict[str, Tensor]
) -> None:
    """With and without learned weights, from both kinds of files; the classifier is not read."""
    one, two = picture(32, 48), picture(32, 48, seed=1)
    extras = {"classifier.0.weight": torch.zeros(2, 3)}
    save_file(state | extras, tmp_path / "plain.safetensors")
    torch.save(state | heads, tmp_path / "learned.pth")
    equal = [torch.full((width,), 1 / width) for width in WIDTHS]
    for name, expected_heads in (
        ("plain.safetensors", equal),
        ("learned.pth", list(heads.values())),
    ):
        distance = load_perceptual(tmp_path / name)
        pair = distance(torch.stack([one, two]), torch.stack([two, two]))
        expected = plain(state, one, two, expected_heads)
        assert float(pair[0]) == pytest.approx(expected, rel=1e-4)
        assert expected > 1e-3
        assert float(pair[1]) == 0
        assert not any(p.requires_grad for p in distance.parameters())
    assert tuple(distance.trunk.widths) == WIDTHS


def small() -> PerceptualDistance:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU()
    )
    return PerceptualDistance(Trunk(layers, (1, 4)), [torch.rand(4), torch.rand(6)])


def test_gradient_reaches_the_image_and_is_finite() -> None:
    """Also where no channel is active, which has no direction."""
    distance = small()
    convolution: Any = distance.trunk.features[0]
    nn.init.constant_(convolution.bias, -0.5)
    image = picture(16, 16)[None].clone()
    image[:, :, :8] = 0.4
    assert float((distance.trunk(image)[0].abs().sum(dim=1) == 0).float().mean()) > 0.1
    image.requires_grad_()
    distance(image, picture(16, 16, seed=1)[None]).sum().backward()
    assert bool(torch.isfinite(image.grad).all())
    assert float(image.grad.abs().max()) > 0


def test_low_precision_is_for_the_trunk_only() -> None:
    distance = small()
    one, two = picture(16, 16)[None], picture(16, 16, seed=1)[None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = distance(one, two)
    assert found.dtype == torch.float32
    assert torch.allclose(found, distance(one, two), rtol=0.05)


def test_files_that_do_not_fit_are_refused(
    tmp_path: Path, state: dict[str, Tensor], heads: dict[str, Tensor]
) -> None:
    """Every difference is named; nothing large is read for that."""
    path = tmp_path / "wrong.safetensors"
    few = {name: torch.zeros(1) for name in list(state)[:-1]} | {
        "features.30.weight": torch.ones(2)
    }
    some = {name: heads[name] for name in list(heads)[:2]}
    save_file(few | some, path)
    with pytest.raises(KeysError) as caught:
        load_perceptual(path)
    assert caught.value.missing == ["features.28.bias", *list(heads)[2:]]
    assert caught.value.unexpected == ["features.30.weight"]
    assert caught.value.misshapen[0] == "features.0.weight: got (1,), expected (64, 3, 3, 3)"
    assert len(caught.value.misshapen) == 25

    torch.save([torch.ones(2)], tmp_path / "list.pth")
    with pytest.raises(ModelError, match=r"list\.pth: holds no tensors by name"):
        load_perceptual(tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(CheckpointError, match="neither a torch checkpoint nor safetensors"):
        load_perceptual(tmp_path / "text.pth")
    with pytest.raises(FileError, match=r"none\.pth: no such file"):
        load_perceptual(tmp_path / "none.pth")


def test_numbers_that_cannot_be_are_refused(
    tmp_path: Path, state: dict[str, Tensor], heads: dict[str, Tensor]
) -> None:
    path = tmp_path / "wrong.safetensors"
    negative = heads["lin1.model.1.weight"].clone()
    negative[0, 5] = -0.1
    save_file(state | heads | {"lin1.model.1.weight": negative}, path)
    with pytest.raises(ModelError, match=r"lin1\.model\.1\.weight has negative numbers"):
        load_perceptual(path)
    broken = torch.full((64,), torch.nan).half()
    save_file(state | {"features.0.bias": broken}, path)
    with pytest.raises(ModelError, match=r"features\.0\.bias does not hold finite"):
        load_perceptual(path)


def test_trunk_has_the_published_names(state: dict[str, Tensor]) -> None:
    with torch.device("meta"):
        trunk = vgg16()
    assert {k: v.shape for k, v in trunk.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }


# LPIPS: AlexNet's layers by place, as (channels, side, stride, padding), from its description.
ALEXNET = {0: (64, 11, 4, 2), 3: (192, 5, 1, 2), 6: (384, 3, 1, 1), 8: (256, 3, 1, 1)}
ALEXNET |= {10: (256, 3, 1, 1)}
POOLED_BEFORE = (3, 6)


@pytest.fixture(scope="module")
def alex() -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    before = 3
    for place, (width, side, _, _) in ALEXNET.items():
        name = f"features.{place}"
        found[f"{name}.weight"] = weight(f"{name}.weight", (width, before, side, side))
        found[f"{name}.bias"] = weight(f"{name}.bias", (width,))
        before = width
    return found


@pytest.fixture(scope="module")
def alex_heads() -> dict[str, Tensor]:
    widths = [width for width, *_ in ALEXNET.values()]
    return {
        f"lin{index}.model.1.weight": weight(f"alex{index}", (1, width, 1, 1)).abs()
        for index, width in enumerate(widths)
    }


def _convolved(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int, pad: int) -> np.ndarray:
    side = w.shape[-1]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    found = np.einsum("cyxij,kcij->kyx", windows[:, ::stride, ::stride], w)
    return np.asarray(found + b[:, None, None])


def _lpips(state: dict[str, Tensor], heads: list[Tensor], images: list[Tensor]) -> float:
    """In NumPy and float64, with the constants of the published code, which takes [-1, 1]."""
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    seen = [
        (2 * image.double().numpy() - 1 - shift[:, None, None]) / scale[:, None, None]
        for image in images
    ]
    total = 0.0
    for head, (place, (_, _, stride, pad)) in zip(heads, ALEXNET.items(), strict=True):
        for index, x in enumerate(seen):
            if place in POOLED_BEFORE:
                windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
                x = windows[:, ::2, ::2].max(axis=(-1, -2))
            w, b = (state[f"features.{place}.{n}"].double().numpy() for n in ("weight", "bias"))
            seen[index] = np.maximum(_convolved(x, w, b, stride, pad), 0)
        one, two = (x / (np.sqrt((x**2).sum(axis=0)) + 1e-10) for x in seen)
        weighed = (one - two) ** 2 * head.double().numpy()[0]
        total += float(weighed.sum(axis=0).mean())
    return total


@pytest.mark.slow
def test_lpips_is_the_published_computation(
    tmp_path: Path, alex: dict[str, Tensor], alex_heads: dict[str, Tensor]
) -> None:
    """From one file and from two, of both kinds, on formula weights."""
    torch.save(alex | {"classifier.1.weight": torch.zeros(2, 3)}, tmp_path / "trunk.pth")
    torch.save(alex_heads, tmp_path / "heads.pth")
    save_file(alex | alex_heads, tmp_path / "both.safetensors")
    # Smooth pictures of unequal sides, and noise; the smallest size that AlexNet takes is 31.
    y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 61), indexing="ij")
    smooth = torch.stack([y, x, 1 - x])
    pairs = [(smooth, smooth * 0.5), (smooth, picture(48, 61)), (picture(48, 61, 1), smooth)]
    apart = [_lpips(alex, list(alex_heads.values()), list(pair)) for pair in pairs]
    for distance in (
        load_lpips(tmp_path / "trunk.pth", tmp_path / "heads.pth"),
        load_lpips(tmp_path / "both.safetensors"),
    ):
        one, two = (torch.stack(list(images)) for images in zip(*pairs, strict=True))
        assert distance(one, two).tolist() == pytest.approx(apart, rel=1e-4)
        assert distance(two, one).tolist() == pytest.approx(apart, rel=1e-4)
        assert distance(one, one).tolist() == [0, 0, 0]
        assert float(distance(picture(31, 31)[None], picture(31, 31, 1)[None])[0]) > 0
    assert len({round(value, 3) for value in apart}) == 3


def test_lpips_without_the_channels_weights_is_refused(
    tmp_path: Path, alex: dict[str, Tensor], alex_heads: dict[str, Tensor]
) -> None:
    """They are what makes it LPIPS; the training's distance does without."""
    save_file(alex, tmp_path / "alex.safetensors")
    with pytest.raises(KeysError) as caught:
        load_lpips(tmp_path / "alex.safetensors")
    assert caught.value.missing == list(alex_heads)
    save_file(alex_heads, tmp_path / "heads.safetensors")
    with pytest.raises(KeysError, match=r"alex\.safetensors and .*alex\.safetensors"):
        load_lpips(tmp_path / "alex.safetensors", tmp_path / "alex.safetensors")
    with torch.device("meta"):
        trunk = alexnet()
    assert {k: v.shape for k, v in trunk.state_dict().items()} == {
        k: v.shape for k, v in alex.items()
    }
