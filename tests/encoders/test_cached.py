"""The cache changes nothing but the time, and keeps no more than it may."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor

from vicl.encoders.cached import CachedEncoder
from vicl.engine import Encoder, Features


class Counting:
    """Features are means of 2x2 pixels; says how many images it was given."""

    name = "counting"
    weights_hash: str | None = None
    strides: tuple[int, ...] = (2,)
    channels: tuple[int, ...] = (3,)

    def __init__(self) -> None:
        self.images = 0

    def encode(self, image: Tensor) -> Features:
        if image.shape[-1] % 2:
            raise ValueError("odd")
        self.images += len(image)
        level = torch.nn.functional.avg_pool2d(image, 2)
        return Features((level,), level.mean(dim=(2, 3)))


def images(count: int, side: int = 8) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(count))


SIZE = 3 * 4 * 4 * 4 + 3 * 4
"""Bytes of an image's features."""


def equal(one: Features, other: Features) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip((*one.levels, one.whole), (*other.levels, other.whole), strict=True)
    )


def test_an_image_is_encoded_once() -> None:
    encoder, batch = Counting(), images(3)
    cached = CachedEncoder(encoder)
    assert isinstance(cached, Encoder)
    assert equal(cached.encode(batch), Counting().encode(batch))
    assert equal(cached.encode(batch.flip(0)), Counting().encode(batch.flip(0)))
    assert encoder.images == 3
    mixed = torch.cat([batch[1:2], images(1), batch[1:2], images(1)])
    assert equal(cached.encode(mixed), Counting().encode(mixed))
    assert encoder.images == 4  # one was new, twice


def test_other_pixels_shapes_and_kinds_are_other_images() -> None:
    encoder = Counting()
    cached = CachedEncoder(encoder)
    image = torch.zeros(1, 3, 4, 8)
    cached.encode(image)
    assert cached.encode(image.transpose(2, 3)).levels[0].shape == (1, 3, 4, 2)
    almost = image.clone()
    almost[0, 0, 0, 0] = 1e-6
    cached.encode(almost)
    assert cached.encode(image.double()).whole.dtype == torch.float64
    assert encoder.images == 4


def test_it_keeps_no_more_than_its_limit_and_drops_the_least_used() -> None:
    encoder, batch = Counting(), images(3)
    cached = CachedEncoder(encoder, limit=2 * SIZE)
    cached.encode(batch[:2])
    cached.encode(batch[:1])  # the first is used again
    cached.encode(batch[2:])  # the second goes
    assert encoder.images == 3
    cached.encode(batch[[0, 2]])
    assert encoder.images == 3
    cached.encode(batch[1:2])
    assert encoder.images == 4


def test_a_batch_larger_than_the_cache_is_answered_whole() -> None:
    encoder, batch = Counting(), images(5)
    for limit in (0, 2 * SIZE):
        cached = CachedEncoder(encoder, limit=limit)
        assert equal(cached.encode(batch), Counting().encode(batch))
        held = sum(
            part.untyped_storage().nbytes()
            for kept in cached._kept.values()
            for part in (*kept.levels, kept.whole)
        )
        assert held == limit


def test_what_it_gave_may_be_changed() -> None:
    cached, batch = CachedEncoder(Counting()), images(1)
    for _ in range(2):
        given = cached.encode(batch)
        assert equal(given, Counting().encode(batch))
        given.levels[0].zero_()


def test_an_error_leaves_it_as_it_was() -> None:
    encoder = Counting()
    cached = CachedEncoder(encoder)
    cached.encode(images(1))
    with pytest.raises(ValueError, match="odd"):
        cached.encode(images(1, side=7))
    cached.encode(images(1))
    assert encoder.images == 1


def test_a_copy_starts_empty() -> None:
    cached = CachedEncoder(Counting(), limit=10 * SIZE)
    small = len(pickle.dumps(cached))
    cached.encode(images(3))
    data = pickle.dumps(cached)
    assert len(data) == small
    copy = pickle.loads(data)
    assert copy.limit == 10 * SIZE
    copy.encode(images(3))
    assert copy.encoder.images == 6  # the three that the copied encoder had counted, and its own
