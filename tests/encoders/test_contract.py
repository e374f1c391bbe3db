"""What every encoder promises; the next one is one line more."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vicl.encoders.efficientnet_lite import EfficientNetLite
from vicl.encoders.handmade import HandMade
from vicl.engine import Encoder, Features

ENCODERS: tuple[Callable[[], Encoder], ...] = (HandMade, EfficientNetLite)


@pytest.fixture(params=ENCODERS, ids=lambda make: make.__name__)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    made = request.param()
    assert isinstance(made, Encoder)
    return made


def images(encoder: Encoder) -> Tensor:
    """Noise, black and a ramp, wider than high."""
    height, width = 2 * max(16, *encoder.strides), 3 * max(16, *encoder.strides)
    noise = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(0, 1, width).expand(3, height, width)
    return torch.stack([noise, torch.zeros_like(noise), ramp])


def parts(features: Features) -> list[Tensor]:
    return [*features.levels, features.whole]


def test_its_shapes_are_those_that_it_states(encoder: Encoder) -> None:
    batch = images(encoder)
    count, _, height, width = batch.shape
    features = encoder.encode(batch)
    assert [tuple(level.shape) for level in features.levels] == [
        (count, channels, height // stride, width // stride)
        for stride, channels in zip(encoder.strides, encoder.channels, strict=True)
    ]
    assert features.whole.shape[0] == count
    assert list(encoder.strides) == sorted(encoder.strides)


def test_its_features_are_finite_and_single(encoder: Encoder) -> None:
    for part in parts(encoder.encode(images(encoder))):
        assert part.dtype == torch.float32
        assert part.isfinite().all()


def test_a_batch_is_its_members(encoder: Encoder) -> None:
    batch = images(encoder)
    together = parts(encoder.encode(batch))
    for index in range(len(batch)):
        alone = parts(encoder.encode(batch[index : index + 1]))
        for one, of_all in zip(alone, together, strict=True):
            assert torch.equal(one[0], of_all[index])


def test_it_says_the_same_again_and_leaves_the_image(encoder: Encoder) -> None:
    batch = images(encoder)
    kept = batch.clone()
    first = parts(encoder.encode(batch))
    again = parts(type(encoder)().encode(batch))
    assert torch.equal(batch, kept)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_different_images_have_different_features(encoder: Encoder) -> None:
    for part in parts(encoder.encode(images(encoder))):
        assert not torch.equal(part[0], part[2])


def test_a_size_that_is_no_multiple_is_refused(encoder: Encoder) -> None:
    batch = images(encoder)
    for cut in (batch[..., 1:], batch[:, :, 1:]):
        with pytest.raises(ValueError, match=rf"got {cut.shape[2]}x{cut.shape[3]} pixels, exp"):
            encoder.encode(cut)
