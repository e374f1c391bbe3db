"""Bodies of the transformers library as encoders: each kind, with random weights of no size."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.adapters.bodies import FEED, KINDS, SMALL, library, make, saved
from torch import Tensor

from vicl.adapters.transformers_encoder import TransformersEncoder
from vicl.engine import Encoder
from vicl.files import hash_file
from vicl.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from vicl.storage.folder import ModelError

transformers = library()

WORDS: dict[str, Any] = SMALL | FEED | {"vocab_size": 99}

IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5,) * 3, (0.5,) * 3)
COLOURS = dict.fromkeys(KINDS, IMAGENET) | {"CLIPVision": CLIP, "SiglipVision": HALF}


def images(height: int, width: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
def test_it_gives_what_the_library_gives(kind: str, tmp_path: Path) -> None:
    """At the size of training: the last level and the whole, after the library's own norm."""
    model = make(kind, tmp_path / "body")
    encoder = TransformersEncoder(tmp_path / "body")
    assert isinstance(encoder, Encoder)
    assert encoder.name == "body"
    assert encoder.weights_hash == hash_file(tmp_path / "body" / "model.safetensors")
    batch = images(32, 32)
    mean, deviation = (torch.tensor(part)[:, None, None] for part in COLOURS[kind])
    with torch.no_grad():
        expected = model((batch - mean) / deviation, output_hidden_states=True)
    features = encoder.encode(batch)
    assert torch.allclose(features.whole, expected.pooler_output, atol=1e-4)
    last = expected.last_hidden_state
    if kind == "DINOv3ConvNext":
        last = expected.hidden_states[-1].flatten(2).transpose(1, 2)
    if kind == "CLIPVision":
        last = getattr(model, "vision_model", model).post_layernorm(last)
    tokens = features.levels[-1].flatten(2).transpose(1, 2)
    assert torch.allclose(tokens, last[:, -tokens.shape[1] :], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_levels_of_any_size(kind: str, tmp_path: Path) -> None:
    make(kind, tmp_path)
    encoder = TransformersEncoder(tmp_path)
    expected = {"DINOv3ConvNext": (4, 8, 16, 32)}.get(kind, (8, 8, 8, 8))
    assert encoder.strides == expected
    for height, width in ((64, 96), (32, 160)):
        features = encoder.encode(images(height, width))
        assert [tuple(level.shape) for level in features.levels] == [
            (2, channels, height // stride, width // stride)
            for stride, channels in zip(encoder.strides, encoder.channels, strict=True)
        ]
        for part in (*features.levels, features.whole):
            assert part.dtype == torch.float32
            assert part.isfinite().all()
            assert part.std() > 1e-3
    for one, other in zip(features.levels, features.levels[1:], strict=False):
        assert one.shape != other.shape or not torch.allclose(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_members_and_odd_sizes_are_refused(kind: str, tmp_path: Path) -> None:
    make(kind, tmp_path)
    encoder = TransformersEncoder(tmp_path)
    batch = images(32, 64, count=3)
    together = encoder.encode(batch)
    for index in range(3):
        alone = encoder.encode(batch[index : index + 1])
        assert torch.equal(alone.whole[0], together.whole[index])
        for one, of_all in zip(alone.levels, together.levels, strict=True):
            assert torch.equal(one[0], of_all[index])
    with pytest.raises(ValueError, match="got 32x63 pixels, expected sides that are multiples of"):
        encoder.encode(batch[..., 1:])


@pytest.mark.parametrize("kind", ["CLIP", "Siglip"])
def test_the_vision_body_of_a_model_of_pictures_and_words(kind: str, tmp_path: Path) -> None:
    config = getattr(transformers, f"{kind}Config")(
        text_config=WORDS, vision_config=KINDS[f"{kind}Vision"]
    )
    whole = saved(getattr(transformers, f"{kind}Model")(config), tmp_path)
    mean, deviation = (torch.tensor(part)[:, None, None] for part in COLOURS[f"{kind}Vision"])
    batch = images(32, 32)
    with torch.no_grad():
        expected = whole.vision_model((batch - mean) / deviation).pooler_output
    assert torch.allclose(TransformersEncoder(tmp_path).encode(batch).whole, expected, atol=1e-4)


def test_the_folder_says_how_colours_are_normalised(tmp_path: Path) -> None:
    make("Dinov2", tmp_path)
    said = tmp_path / "preprocessor_config.json"
    batch = images(32, 32)
    plain = TransformersEncoder(tmp_path).encode(batch).whole
    said.write_text(json.dumps({"image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD}))
    assert torch.equal(TransformersEncoder(tmp_path).encode(batch).whole, plain)
    said.write_text(json.dumps({"image_mean": [0, 0, 0], "image_std": [0.5, 0.5, 0.5]}))
    doubled = TransformersEncoder(tmp_path).encode(batch / 2).whole
    said.write_text(json.dumps({"do_normalize": False, "image_mean": [1, 1, 1]}))
    assert torch.allclose(TransformersEncoder(tmp_path).encode(batch).whole, doubled, atol=1e-5)
    assert not torch.allclose(doubled, plain, atol=1e-2)


def test_half_precision_weights_compute_in_float32(tmp_path: Path) -> None:
    make("DINOv3ViT", tmp_path)
    full = TransformersEncoder(tmp_path).encode(images(32, 32)).whole
    file = tmp_path / "model.safetensors"
    save_file({key: value.half() for key, value in load_file(file).items()}, file)
    half = TransformersEncoder(tmp_path).encode(images(32, 32)).whole
    assert half.dtype == torch.float32
    assert torch.allclose(half, full, atol=0.05)


def test_weights_for_training_alone_may_be_missing_but_no_others(tmp_path: Path) -> None:
    make("Dinov2", tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    del tensors["embeddings.mask_token"]
    save_file(tensors, file)
    TransformersEncoder(tmp_path)
    del tensors["layernorm.weight"]
    save_file(tensors, file)
    with pytest.raises(ModelError, match=r"lacks 1 of the weights .* \(layernorm.weight first\)"):
        TransformersEncoder(tmp_path)


def test_weights_of_another_shape(tmp_path: Path) -> None:
    make("Dinov2", tmp_path / "a")
    make("Dinov2", tmp_path / "b", hidden_size=16)
    shutil.copy(tmp_path / "a" / "model.safetensors", tmp_path / "b")
    with pytest.raises(ModelError, match="its configuration and weights make no Dinov2"):
        TransformersEncoder(tmp_path / "b")


def test_pickled_weights_and_strange_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it has no config\.json"):
        TransformersEncoder(tmp_path)
    make("Dinov2", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="vicl reads no pickled weights"):
        TransformersEncoder(tmp_path)
    (tmp_path / "pytorch_model.bin").rename(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="got the model_type 'bert', expected one of dinov2, "):
        TransformersEncoder(tmp_path)


def test_weights_in_several_files_are_those_in_one(tmp_path: Path) -> None:
    """As the library itself cuts them."""
    model = make("Dinov2", tmp_path / "one")
    model.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    assert len(list((tmp_path / "many").glob("model-*.safetensors"))) > 2
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one, many = (TransformersEncoder(tmp_path / name) for name in ("one", "many"))
    assert one.weights_hash != many.weights_hash
    assert torch.equal(one.encode(image).whole, many.encode(image).whole)


def test_loading_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make("CLIPVision", tmp_path)
    capfd.readouterr()
    TransformersEncoder(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("Dinov2", tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r'need it: pip install "vicl\[transformers\]"'):
        TransformersEncoder(tmp_path)


def test_a_body_with_trained_weights(shared: Path) -> None:
    """Patches of one half of a picture are more alike than those of both halves."""
    folder = shared / "weights" / "dinov2-small-saliency"
    if not folder.is_dir():
        pytest.skip("needs the weights of the development folder")
    encoder = TransformersEncoder(folder)
    assert encoder.channels == (384,) * 4
    assert encoder.strides == (14,) * 4
    image = torch.zeros(1, 3, 140, 196)
    image[..., 98:] = images(140, 98, count=1)
    level = torch.nn.functional.normalize(encoder.encode(image).levels[-1][0], dim=0)
    left, right = level[:, :, 1:5].flatten(1), level[:, :, 9:13].flatten(1)
    within = (left.T @ left).mean() + (right.T @ right).mean()
    assert within > 2 * (left.T @ right).mean() + 0.3
