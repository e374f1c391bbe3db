"""Edge-aware upsampling."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from vicl.images import as_floats, open_levels, resize_map
from vicl.images.upsampling import upsample


def _scene() -> tuple[Tensor, Tensor]:
    """A red disc on green, 128 px, and its mask."""
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    mask = ((y - 60) ** 2 + (x - 70) ** 2 < 35**2).float()
    red, green = torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.1, 0.6, 0.2])
    image = mask[None] * red[:, None, None] + (1 - mask[None]) * green[:, None, None]
    return image, mask


def _iou(a: Tensor, b: Tensor) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_guided_finds_the_edge_that_a_blurred_mask_lost() -> None:
    image, mask = _scene()
    coarse = resize_map(resize_map(mask[None], (8, 8)), (16, 16))
    error = {
        method: float(
            (upsample(coarse, (128, 128), guide=image, method=method)[0] - mask).abs().mean()
        )
        for method in ("bicubic", "guided")
    }
    assert error["guided"] < 0.85 * error["bicubic"]


def test_sharp_masks_stay_as_sharp_as_plainly() -> None:
    image, mask = _scene()
    unrelated = image.flip(2)
    coarse = resize_map(mask[None], (32, 32))
    plain = _iou(upsample(coarse, (128, 128), guide=image, method="bicubic")[0] > 0.5, mask > 0.5)
    guided = _iou(upsample(coarse, (128, 128), guide=unrelated)[0] > 0.5, mask > 0.5)
    assert guided > plain - 0.03


def test_bicubic_is_the_plain_resize() -> None:
    values = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0))
    guide = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(1))
    expected = resize_map(values, (20, 30), filter="bicubic")
    assert torch.equal(upsample(values, (20, 30), guide=guide, method="bicubic"), expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (8, 8)])
def test_range_and_shape(channels: int, shape: tuple[int, int]) -> None:
    values = 3 * torch.rand(channels, *shape, generator=torch.Generator().manual_seed(2)) - 1
    guide = torch.rand(3, 24, 17, generator=torch.Generator().manual_seed(3))
    answer = upsample(values, (24, 17), guide=guide)
    assert answer.shape == (channels, 24, 17)
    assert answer.min() >= values.min()
    assert answer.max() <= values.max()


def test_constant_values_and_constant_guides() -> None:
    guide = torch.full((3, 20, 20), 0.3)
    assert torch.allclose(
        upsample(torch.full((1, 5, 5), 0.7), (20, 20), guide=guide), torch.tensor(0.7), atol=1e-5
    )
    ramp = torch.linspace(0, 1, 6).expand(1, 6, 6)
    answer = upsample(ramp, (24, 24), guide=torch.full((3, 24, 24), 0.3))
    assert (answer.diff(dim=2) >= -1e-5).all()


def test_the_same_size_is_left_alone() -> None:
    values = torch.rand(1, 9, 9, generator=torch.Generator().manual_seed(4))
    assert torch.equal(upsample(values, (9, 9), guide=torch.rand(3, 9, 9)), values)


def test_half_of_the_query_is_enough_to_follow_its_edges() -> None:
    image, mask = _scene()
    half, _ = open_levels(image, halve_over=1)
    assert half.shape == (64, 64, 3)
    coarse = resize_map(resize_map(mask[None], (8, 8)), (16, 16))
    found = upsample(coarse, (128, 128), guide=half)[0] > 0.5
    # Wrong are but pixels that touch the border.
    low, high = -max_pool2d(-mask[None], 3, 1, 1)[0], max_pool2d(mask[None], 3, 1, 1)[0]
    assert ((found == (mask > 0.5)) | (low != high)).all()
    assert _iou(found, mask > 0.5) > 0.98
    odd = upsample(coarse, (127, 127), guide=half[:63, :63])
    assert odd.shape == (1, 127, 127)


def test_refusals() -> None:
    values, guide = torch.zeros(1, 4, 4), torch.zeros(3, 8, 8)
    with pytest.raises(ValueError, match="expected the size wanted"):
        upsample(values, (9, 9), guide=guide)


@pytest.mark.parametrize("size", [(61, 90), (128, 47)])
def test_a_large_image_is_worked_on_in_bands(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each band is what `interpolate` gives there, whatever the bands and the threads are."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(2, 13, 17, generator=generator)
    levels = torch.randint(256, (*size, 3), generator=generator, dtype=torch.uint8).numpy()
    guide = as_floats(levels)
    coarse = resize_map(guide, (13, 17))
    whole = upsample(values, size, guide=guide)
    monkeypatch.setattr("vicl.images.upsampling.LARGE", 1)
    monkeypatch.setattr("vicl.images.upsampling._COARSE", 4)
    found = {}
    for rows in (1, 5, 1000):
        monkeypatch.setattr("vicl.images.upsampling._BAND", rows * size[1])
        for threads in (1, 2):
            monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
            for one in (guide, levels):
                found[rows, threads, one is guide] = upsample(
                    values, size, guide=one, coarse=coarse
                )
    for answer in found.values():
        assert torch.allclose(answer, whole, atol=1e-5)
    for rows in (1, 5, 1000):
        assert torch.equal(found[rows, 1, True], found[rows, 2, False])
