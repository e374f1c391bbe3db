"""Backbones from the hub's folders give what the library's own models give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.prompts.folders import FOLDERS, LABELS, SIDE, write
from torch import Tensor

from vicl.prompts.backbones.backbone import TokenBackbone
from vicl.prompts.backbones.registry import load_backbone
from vicl.storage.folder import ModelError

THEIRS = [kind for kind in FOLDERS if kind != "own"]


def expected(kind: str, net: Any, pixels: Tensor) -> Any:
    """Features as the library's model has them."""
    net = net.eval()
    if "mae" in kind:
        net.config.mask_ratio = 0.0
        order = torch.arange(16.0).expand(len(pixels), -1)  # no patch is hidden, or moved
        hidden = net.vit(pixels, noise=order).last_hidden_state
        return hidden[:, 1:].mean(dim=1)
    if "classifies" in kind:
        net = getattr(net, net.base_model_prefix)
    body = getattr(net, "vision_model", net)
    out = body(pixels)
    if kind.startswith("dinov2") and "classifies" in kind:
        first = 4 if "registers" in kind else 1
        hidden = out.last_hidden_state
        return torch.cat([hidden[:, 0], hidden[:, first:].mean(dim=1)], dim=1)
    if kind.startswith("vit"):
        return out.last_hidden_state[:, 0]
    return out.pooler_output.flatten(1)


@pytest.mark.parametrize("kind", THEIRS)
def test_each_gives_the_features_of_the_library(kind: str, tmp_path: Path) -> None:
    net = write(kind, tmp_path / kind)
    backbone = load_backbone(str(tmp_path / kind), device="cpu")
    assert backbone.side == SIDE
    assert backbone.reading.filter == "bilinear"
    assert len(backbone.weights_hash or "") == 64
    assert not any(weight.requires_grad for weight in backbone.parameters())
    pixels = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        found = backbone.features(pixels)
        assert found.shape == (2, backbone.width)
        torch.testing.assert_close(found, expected(kind, net, pixels), atol=1e-5, rtol=1e-5)
        if "classifies" in kind:
            assert backbone.labels == LABELS
            logits = net(pixels).logits
            torch.testing.assert_close(backbone.source_logits(pixels), logits, atol=1e-5, rtol=1e-5)
        else:
            assert backbone.labels == 0
            with pytest.raises(ValueError, match="no classifier of its own"):
                backbone.source_logits(pixels)
        if isinstance(backbone, TokenBackbone):
            tokens = backbone.enter(backbone.embed(pixels))
            places = (SIDE // backbone.patch) ** 2
            assert tokens.shape == (2, backbone.prefix + places, backbone.dim)
            for index in range(backbone.depth):
                tokens = backbone.layer(index, tokens)
            torch.testing.assert_close(backbone.read(tokens), found)
            larger = backbone.features(torch.randn(1, 3, SIDE + 2 * backbone.patch, 48))
            assert larger.isfinite().all()
        weights = {id(weight) for weight in backbone.own_parameters()}
        assert all(id(p) in weights for block in backbone.blocks() for p in block.parameters())
        assert backbone.stem().in_channels == 3


@pytest.mark.parametrize("kind", THEIRS)
def test_each_takes_images_of_another_side(kind: str, tmp_path: Path) -> None:
    write(kind, tmp_path / kind)
    backbone = load_backbone(str(tmp_path / kind), device="cpu")
    wider = backbone.at(2 * SIDE)
    assert (wider.side, backbone.side) == (2 * SIDE, SIDE)
    pixels = torch.randn(1, 3, wider.side, wider.side)
    with torch.no_grad():
        features = wider.features(pixels)
        torch.testing.assert_close(features, backbone.features(pixels))
        if isinstance(wider, TokenBackbone):  # as where prompts come in between
            torch.testing.assert_close(wider.through(wider.embed(pixels)), features)
    with pytest.raises(ValueError, match=f"side: got {SIDE + 1} pixels, but .* takes multiples of"):
        backbone.at(SIDE + 1)


def test_every_weight_of_its_own_moves_the_features(tmp_path: Path) -> None:
    for kind in ("vit", "dinov2-registers-classifies", "swin", "siglip", "resnet"):
        write(kind, tmp_path / kind)
        backbone = load_backbone(str(tmp_path / kind), device="cpu").requires_grad_(True)
        loss = backbone.features(torch.randn(2, 3, SIDE, SIDE)).square().sum()
        found = torch.autograd.grad(loss, backbone.own_parameters(), allow_unused=True)
        assert all(gradient is not None for gradient in found), kind


def test_what_a_folder_says_of_its_images(tmp_path: Path) -> None:
    said = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}, "resample": 3}
    write("vit", tmp_path / "vit", **said, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.5, 0.25])
    backbone = load_backbone(str(tmp_path / "vit"), device="cpu")
    assert (backbone.reading.resize, backbone.reading.crop) == (36, 32)
    assert backbone.reading.filter == "bicubic"
    got = backbone.normalise(torch.full((1, 3, 1, 1), 0.6)).flatten()
    torch.testing.assert_close(got, torch.tensor([1.0, 0.8, 1.2]))


def test_what_a_folder_does_not_say_of_its_images(tmp_path: Path) -> None:
    for kind, side in (("vit", SIDE), ("dinov2", 224), ("convnext", 224)):
        write(kind, tmp_path / kind)
        (tmp_path / kind / "preprocessor_config.json").unlink()
        backbone = load_backbone(str(tmp_path / kind), device="cpu")
        assert (backbone.reading.resize, backbone.side) == (None, side)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"size": {"height": -1}}, "expected a side of 1 to 4096"),
        ({"size": 33}, "expected a multiple of 8"),
        ({"image_std": [0, 0, 0]}, "deviations over 0"),
    ],
)
def test_what_cannot_be_is_named(said: dict[str, Any], words: str, tmp_path: Path) -> None:
    write("vit", tmp_path / "vit", **said)
    with pytest.raises(ModelError, match=words) as error:
        load_backbone(str(tmp_path / "vit"), device="cpu")
    assert "preprocessor_config.json" in str(error.value)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is none of this name"):
        load_backbone("efficientnet-lite9", device="cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load_backbone(str(tmp_path / "empty"), device="cpu")
    write("vit", tmp_path / "vit")
    config = tmp_path / "vit" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "bert"}))
    with pytest.raises(ModelError, match="'bert', expected one of vit, "):
        load_backbone(str(tmp_path / "vit"), device="cpu")


def test_the_hub_is_asked_for_what_a_backbone_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("vit", tmp_path / "vit")
    asked = []

    def fetch(repo_id: str, *, revision: str | None = None, files: Any = ()) -> Path:
        asked.append((repo_id, revision))
        return tmp_path / "vit"

    monkeypatch.setattr("vicl.storage.hub.fetch_from_hub", fetch)
    backbone = load_backbone("hub:somebody/vit@main", device="cpu")
    assert asked == [("somebody/vit", "main")]
    assert backbone.source == "hub:somebody/vit@main"


def test_vicls_own_encoder(tmp_path: Path) -> None:
    net = write("own", tmp_path / "own")
    backbone = load_backbone(str(tmp_path / "own"), device="cpu")
    assert isinstance(backbone, TokenBackbone)
    image = torch.rand(2, 3, SIDE, SIDE)
    seen = []
    hook = net.encoder.register_forward_hook(lambda _module, _inputs, out: seen.append(out))
    net.features(image, torch.zeros(2, SIDE, SIDE, dtype=torch.bool))
    hook.remove()
    found = backbone.features(backbone.normalise(image))
    torch.testing.assert_close(found, seen[0][:, 1:].mean(dim=1))
