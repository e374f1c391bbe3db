"""Pillow's modes as 8-bit RGB."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vicl.images import ImageError, to_rgb


@pytest.mark.parametrize(
    ("mode", "value", "colour"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("P", 0, (0, 0, 0)),
        ("LA", (10, 255), (10, 10, 10)),
        ("LA", (10, 0), (255, 255, 255)),
        ("PA", (0, 0), (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("RGBA", (0, 100, 200, 51), (204, 224, 244)),  # 0.2 of the colour, 0.8 of white
        ("RGBa", (0, 20, 40, 51), (204, 224, 244)),  # the same, premultiplied
        ("La", (20, 51), (224, 224, 224)),
        ("RGBX", (10, 20, 30, 0), (10, 20, 30)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (255, 0, 0, 0), (0, 255, 255)),
        ("YCbCr", (90, 128, 128), (90, 90, 90)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257 * 3, (3, 3, 3)),
        ("I;16", 3, (0, 0, 0)),
        ("I;16B", 257 * 3, (3, 3, 3)),
        ("I", 257 * 3, (3, 3, 3)),
        ("I", 65535, (255, 255, 255)),
        ("I", 0, (0, 0, 0)),
        ("F", 0.2, (51, 51, 51)),
        ("F", 1.0, (255, 255, 255)),
    ],
)
def test_one_pixel(mode: str, value: int, colour: tuple[int, int, int]) -> None:
    image = Image.new(mode, (3, 2), value)
    result = to_rgb(image)
    assert (result.mode, result.size) == ("RGB", (3, 2))
    assert np.abs(np.asarray(result).astype(int) - colour).max() <= (mode in ("La", "RGBa"))
    assert image.mode == mode


def test_alpha_is_blended_to_the_nearest_level() -> None:
    alpha, colour = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    rgba = np.stack([colour, colour, colour, alpha], axis=-1)
    expected = colour * (alpha / 255) + 255 * (1 - alpha / 255)
    result = np.asarray(to_rgb(Image.fromarray(rgba)))[..., 0]
    assert np.abs(result - expected).max() <= 0.51


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.array([[0, 200]], np.int32), "32-bit integer image with values from 0 to 200"),
        (np.array([[0, 65536]], np.int32), "from 0 to 65536"),
        (np.array([[-1, 5000]], np.int32), "from -1 to 5000, expected finite values from 0"),
        (np.array([[0.0, 1.5]], np.float32), "float image with values from 0 to 1.5"),
        (np.array([[-0.1, 1.0]], np.float32), "from -0.1 to 1"),
        (np.array([[0.0, np.nan]], np.float32), "nan"),
    ],
)
def test_numbers_without_a_known_white_are_refused(
    array: np.ndarray[tuple[int, int], np.dtype[np.int32]], fault: str
) -> None:
    with pytest.raises(ImageError, match=f"PIL image: .*{fault}"):
        to_rgb(Image.fromarray(array))


def test_sixteen_bit_transparent_key() -> None:
    image = Image.fromarray(np.array([[1000, 2000]], np.uint16))
    image.info["transparency"] = 1000
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [255, 8]


def test_transparency_does_not_stay_behind() -> None:
    image = Image.new("L", (1, 1), 5)
    image.info["transparency"] = 5
    assert "transparency" not in to_rgb(image).info
    assert np.asarray(to_rgb(image)).tolist() == [[[255, 255, 255]]]


def test_nonsense_in_a_users_image_is_an_image_error() -> None:
    image = Image.new("L", (1, 1))
    image.info["transparency"] = (1, 2)
    with pytest.raises(ImageError, match="mode L cannot be turned into RGB"):
        to_rgb(image)
