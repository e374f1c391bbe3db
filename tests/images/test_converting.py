"""Arrays, tensors, resizing, and finding images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vicl.images import (
    Filter,
    ImageError,
    find_images,
    highest_value,
    resize,
    resize_map,
    to_pil,
    to_tensor,
)

FILTERS: dict[Filter, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


def noise(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_array_of_every_accepted_shape() -> None:
    grey = noise(4, 5)[..., 0]
    for array in (grey, grey[..., None]):
        tensor = to_tensor(array)
        assert (tensor.dtype, tuple(tensor.shape)) == (torch.float32, (3, 4, 5))
        for channel in tensor:
            assert np.array_equal(channel.numpy(), grey.astype(np.float32) / np.float32(255))
    colour = noise(4, 5)
    assert np.array_equal(to_tensor(colour).permute(1, 2, 0).numpy(), np.float32(colour) / 255)
    alpha = np.dstack([colour, np.where(grey > 128, 255, 0)]).astype(np.uint8)
    expected = np.where(grey[..., None] > 128, colour, 255)
    assert np.array_equal(to_tensor(alpha).permute(1, 2, 0).numpy(), np.float32(expected) / 255)


def test_bool_array_is_black_and_white() -> None:
    mask = np.array([[True, False]])
    assert to_tensor(mask)[0].tolist() == to_tensor(mask[..., None])[2].tolist() == [[1.0, 0.0]]


def test_views_and_read_only_arrays() -> None:
    array = noise(6, 8)
    view = array[::-2, ::3, ::-1]
    view.flags.writeable = False
    assert np.array_equal(to_tensor(view).permute(1, 2, 0).numpy(), np.float32(view) / 255)


def test_the_tensor_does_not_share_the_arrays_memory() -> None:
    array = noise(2, 2)
    tensor = to_tensor(array)
    before = tensor.clone()
    array[:] = 0
    assert torch.equal(tensor, before)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 2), np.float64), r"got float64 of shape \(2, 2\), expected uint8.*\* 255"),
        (np.zeros((2, 2, 3), np.float32), "got float32.*round"),
        (np.zeros((2, 2, 3), np.uint16), "got uint16.*or uint16 of shape HxW"),
        (np.zeros(4, np.uint16), "got uint16"),
        (np.zeros((2, 2), np.int64), "got int64"),
        (np.array([["a"]]), "expected uint8"),
        (np.zeros((3, 8, 9), np.uint8), r"transpose\(1, 2, 0\)"),
        (np.zeros((8, 9, 2), np.uint8), r"got uint8 of shape \(8, 9, 2\), expected HxW"),
        (np.zeros((1, 8, 9, 3), np.uint8), "one image at a time"),
        (np.zeros(5, np.uint8), "expected HxW"),
        (np.zeros((), np.uint8), "expected HxW"),
        (np.zeros((0, 5), np.uint8), "with pixels in it"),
        (np.zeros((5, 0, 3), np.uint8), "with pixels in it"),
    ],
)
def test_other_arrays_are_refused(array: npt.NDArray[Any], words: str) -> None:
    with pytest.raises(ImageError, match=f"array: .*{words}"):
        to_tensor(array)


def test_a_tensor_comes_back_itself() -> None:
    tensor = torch.rand(3, 4, 5)
    assert to_tensor(tensor) is tensor


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(dtype: torch.dtype) -> None:
    tensor = torch.full((3, 2, 2), 0.5, dtype=dtype)
    assert torch.equal(to_tensor(tensor), torch.full((3, 2, 2), 0.5))


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.zeros(3, 2, 2, dtype=torch.uint8), r"torch.uint8.*float\(\) / 255"),
        (torch.zeros(3, 2, 2, dtype=torch.complex64), "expected floats"),
        (torch.zeros(2, 4, 3), r"permute\(2, 0, 1\)"),
        (torch.zeros(1, 3, 4, 4), r"tensor\[0\]"),
        (torch.zeros(4, 4), r"expand\(3, -1, -1\)"),
        (torch.zeros(1, 4, 4), r"expand\(3, -1, -1\)"),
        (torch.zeros(3, 0, 4), "with pixels in it"),
        (torch.full((3, 2, 2), 128.0), r"values from 128 to 128.*\[0, 1\]; divide by 255"),
        (torch.full((3, 2, 2), -0.01), "from -0.01"),
        (torch.tensor([0.0, float("nan"), 1.0]).reshape(3, 1, 1), "from nan to nan"),
        (torch.tensor([0.0, float("inf"), 1.0]).reshape(3, 1, 1), "to inf"),
    ],
)
def test_other_tensors_are_refused(tensor: torch.Tensor, words: str) -> None:
    with pytest.raises(ImageError, match=f"tensor: .*{words}"):
        to_tensor(tensor)


def test_pil_image_and_path(tmp_path: Path) -> None:
    array = noise(4, 5)
    image = Image.fromarray(array)
    image.save(tmp_path / "a.png")
    for source in (image, tmp_path / "a.png", str(tmp_path / "a.png")):
        assert torch.equal(to_tensor(source), to_tensor(array))


def test_the_file_is_named_when_its_mode_has_no_colours(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 9e9]], np.float32)).save(tmp_path / "heights.tif")
    with pytest.raises(ImageError, match=r"heights\.tif: float image"):
        to_tensor(tmp_path / "heights.tif")


def test_to_pil_of_a_repeated_plane_is_that_of_three() -> None:
    plane = torch.rand(1, 5, 7, generator=torch.Generator().manual_seed(0))
    repeated = plane.expand(3, -1, -1)
    assert np.array_equal(np.asarray(to_pil(repeated)), np.asarray(to_pil(repeated.clone())))


def test_to_pil_rounds_to_the_nearest_level_and_inverts_to_tensor() -> None:
    array = np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(3).reshape(16, 16, 3)
    assert np.array_equal(np.asarray(to_pil(to_tensor(array))), array)
    values = torch.tensor([0.0, 0.4, 0.6, 254.4, 254.6, 255.0, -9.0, 300.0]) / 255
    levels = np.asarray(to_pil(values.expand(3, 1, 8)))[0, :, 1]
    assert levels.tolist() == [0, 0, 1, 254, 255, 255, 0, 255]


@settings(max_examples=60)
@given(
    st.tuples(*[st.integers(1, 40)] * 4), st.sampled_from(list(FILTERS)), st.integers(0, 2**32 - 1)
)
def test_resize_is_pillows_to_the_bit(
    sizes: tuple[int, int, int, int], filter: Filter, seed: int
) -> None:
    height, width, to_height, to_width = sizes
    array = noise(height, width, seed)
    expected = Image.fromarray(array).resize((to_width, to_height), FILTERS[filter])
    result = resize(to_tensor(array), (to_height, to_width), filter=filter)
    assert result.dtype == torch.float32
    assert torch.equal(result, to_tensor(np.asarray(expected)))


def test_resize_is_bicubic_unless_told() -> None:
    image = to_tensor(noise(9, 7))
    assert torch.equal(resize(image, (5, 5)), resize(image, (5, 5), filter="bicubic"))
    assert not torch.equal(resize(image, (5, 5)), resize(image, (5, 5), filter="bilinear"))


def test_resize_to_the_same_size_does_nothing() -> None:
    image = torch.rand(3, 4, 5)  # not whole 255ths: rounding would show
    values = torch.randn(2, 4, 5)
    assert resize(image, (4, 5)) is image
    assert resize_map(values, (4, 5)) is values


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_resize_refuses_empty_sizes(size: tuple[int, int]) -> None:
    for call in (resize, resize_map):
        with pytest.raises(ImageError, match=r"size: got .* each at least 1"):
            call(torch.rand(3, 4, 5), size)


@pytest.mark.parametrize("shape", [(7, 9), (3, 7, 9), (2, 3, 7, 9)])
def test_resize_map_keeps_leading_axes(shape: tuple[int, ...]) -> None:
    values = torch.randn(shape)
    result = resize_map(values, (4, 20))
    assert result.shape == (*shape[:-2], 4, 20)
    one = resize_map(values.reshape(-1, 7, 9)[-1], (4, 20))
    assert torch.equal(result.reshape(-1, 4, 20)[-1], one)


def test_resize_map_by_hand() -> None:
    halves = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
    # Halving: each output is a triangle of 4 inputs wide; weights 1, 3, 3 of 7 at the edge.
    assert torch.allclose(resize_map(halves, (1, 2)), torch.tensor([[8 / 7, 48 / 7]]))
    # Doubling [0, 8]: output centres stand at -0.25, 0.25, 0.75, 1.25 of the inputs.
    assert resize_map(torch.tensor([[0.0, 8.0]]), (1, 4)).tolist() == [[0.0, 2.0, 6.0, 8.0]]


@settings(max_examples=40)
@given(st.tuples(*[st.integers(1, 12)] * 4), st.sampled_from(["bilinear", "bicubic"]))
def test_resize_map_stays_within_the_inputs_range(
    sizes: tuple[int, int, int, int], filter: Any
) -> None:
    height, width, to_height, to_width = sizes
    values = torch.randn(2, height, width, generator=torch.Generator().manual_seed(1)) * 50
    result = resize_map(values, (to_height, to_width), filter=filter)
    assert values.min() <= result.min()
    assert result.max() <= values.max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_resize_map_keeps_the_dtype(dtype: torch.dtype) -> None:
    result = resize_map(torch.ones(2, 3, 3, dtype=dtype), (5, 5))
    assert result.dtype == dtype
    assert torch.equal(result, torch.ones(2, 5, 5, dtype=dtype))


def test_resize_map_refuses_what_is_not_finite_or_empty() -> None:
    for bad in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ImageError, match="nan_to_num"):
            resize_map(torch.tensor([[0.0, bad]]), (2, 2))
    with pytest.raises(ImageError, match="expected at least one number"):
        resize_map(torch.zeros(0, 4, 4), (2, 2))


def test_find_images(tmp_path: Path) -> None:
    for name in (
        "b.PNG",
        "a.jpg",
        "c/d/e.tiff",
        "c/a.webp",
        "z.gif",
        "z.bmp",
        "z.jpeg",
        ".hidden.png",
        ".folder/a.png",
        "notes.txt",
        "a.pdf",
        "png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "c" / "loop").symlink_to(tmp_path)
    (tmp_path / "link.png").symlink_to(tmp_path / "b.PNG")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    expected = [
        "a.jpg",
        "b.PNG",
        "c/a.webp",
        "c/d/e.tiff",
        "link.png",
        "z.bmp",
        "z.gif",
        "z.jpeg",
    ]
    assert find_images(tmp_path) == [tmp_path / name for name in expected]


@pytest.mark.parametrize("suffix", [".avif", ".apng", ".jpe"])
def test_what_can_be_opened_is_found(tmp_path: Path, suffix: str) -> None:
    kind = {".avif": "AVIF", ".apng": "PNG", ".jpe": "JPEG"}[suffix]
    Image.new("RGB", (4, 3), "#ff0000").save(tmp_path / f"a{suffix}", kind)
    (found,) = find_images(tmp_path)
    assert to_tensor(found).shape == (3, 3, 4)


def test_pictures_that_are_left_out_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.heic", "sub/b.HEIC", "c.jp2", "d.nef", ".e.psd", "notes.txt", "f.png", "g.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_images(tmp_path) == [tmp_path / "f.png"]
    (record,) = caplog.records
    said = record.getMessage()
    assert said.startswith(f"{tmp_path}: 4 files left out: .heic (2), .jp2 (1), .nef (1); ")
    assert "convert the others first (HEIC: heif-convert" in said


def test_nothing_is_told_of_other_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("notes.txt", "f.png", "labels.json"):
        (tmp_path / name).touch()
    find_images(tmp_path)
    assert not caplog.records


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_sixteen_bits_keep_their_depth(tmp_path: Path, suffix: str) -> None:
    levels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(levels).save(tmp_path / f"a.{suffix}")
    for image in (tmp_path / f"a.{suffix}", Image.fromarray(levels), levels, levels[..., None]):
        grey = to_tensor(image, white=4095.0)
        assert grey.shape == (3, 64, 64)
        assert torch.equal(grey, torch.from_numpy(levels / np.float32(4095)).expand(3, -1, -1))
        assert torch.equal(to_tensor(image)[0], torch.from_numpy(levels / np.float32(65535)))
        assert highest_value(image) == 4095


def test_other_depths_of_grey(tmp_path: Path) -> None:
    floats = np.array([[0.0, 0.123456, 1.0]], np.float32)
    whole = np.array([[0, 1000, 100_000]], np.int32)
    for name, values, white in (
        ("f", floats, None),
        ("i", whole, 100_000.0),
        ("f", floats * 8, 8.0),
    ):
        Image.fromarray(values).save(tmp_path / f"{name}.tif")
        got = to_tensor(tmp_path / f"{name}.tif", white=white)[0].numpy()
        assert np.allclose(got, values / (white or 1), rtol=1e-6)
    assert to_tensor(np.full((2, 2), 5000, np.uint16), white=1000.0).max() == 1  # cut to white


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK"])
def test_eight_bits_do_not_heed_white(mode: str) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (6, 7, 3), np.uint8)).convert(mode)
    assert torch.equal(to_tensor(image, white=7.0), to_tensor(image))
    assert highest_value(image) is None


def test_highest_value_of_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    for source in (tmp_path / "a.png", tmp_path / "none.png", torch.zeros(3, 2, 2)):
        assert highest_value(source) is None


def test_find_images_refuses_what_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    for name in ("nothing", "a.png"):
        with pytest.raises(ImageError, match=f"{name}: cannot be listed .*; give a folder"):
            find_images(tmp_path / name)
    assert find_images(tmp_path / "..") != []
