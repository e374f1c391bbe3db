"""Hostile masks: each is read, or is one error in plain words, in bounded time and memory."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from vicl.images import ImageError
from vicl.prompt import Example
from vicl.tasks import get_task
from vicl.tasks.masks import Classes, MaskError, read_labels

CLASSES = st.sampled_from(
    [None, ["a", "b"], ["a", "b", "c"], "a=1", "a=255,b=3", "a=#ff0000", "a=#000000,b=#ffffff"]
)
DTYPES = st.sampled_from(["?", "u1", "i1", "u2", ">i2", "i4", "u8", "f2", "f4", "f8", "c8", "U2"])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@given(DTYPES.flatmap(lambda kind: hnp.arrays(kind, SHAPES)), CLASSES)
def test_any_array_is_read_or_refused(array: np.ndarray, classes: Any) -> None:
    try:
        read = read_labels(array, Classes.parse(classes))
    except MaskError:
        return
    assert read.labels.shape == read.void.shape
    assert read.labels.max() <= len(Classes.parse(classes))
    assert not (read.void & (read.labels > 0)).any()


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 4), (4, 3, 1), ()])
@pytest.mark.parametrize("kind", ["U2", "S1", "c8", "O", "M8[s]"])
def test_an_array_of_other_things_than_numbers_is_refused(
    kind: str, shape: tuple[int, ...]
) -> None:
    array = np.zeros(shape, kind)
    with pytest.raises(MaskError, match=rf"type {array.dtype}".replace("[", r"\[")):
        read_labels(array, Classes.parse(["a", "b", "c"]))


@given(
    hnp.arrays(np.uint8, (4, 5)),
    st.binary(max_size=768).map(lambda data: data[: len(data) // 3 * 3]),
    st.none() | st.integers(0, 255) | st.binary(min_size=1, max_size=256),
    CLASSES,
)
def test_any_palette_image_is_read_or_refused(
    indices: np.ndarray, table: bytes, transparency: Any, classes: Any
) -> None:
    """Indices beyond the palette, an empty palette, transparency of any kind."""
    image = Image.fromarray(indices, "L").convert("P")
    image.putdata(indices.ravel().tolist())
    image.putpalette(table or b"\0\0\0")
    if transparency is not None:
        image.info["transparency"] = transparency
    try:
        read = read_labels(image, Classes.parse(classes))
    except (MaskError, ImageError):
        return
    assert read.labels.shape == (4, 5)


@pytest.mark.slow
@given(st.recursive(st.floats() | st.integers() | st.text(max_size=3), st.lists, max_leaves=20))
def test_any_list_is_boxes_a_mask_or_refused(annotation: Any) -> None:
    for task in ("detection", "segmentation"):
        with contextlib.suppress(ValueError):
            get_task(task).draw(Example(np.zeros((9, 9, 3), np.uint8), annotation))


@given(st.text(alphabet='a",=#1f ', max_size=30))
def test_any_text_is_classes_or_refused(text: str) -> None:
    try:
        parsed = Classes.parse(text)
    except ValueError:
        return
    assert all(name.strip() for name in parsed.names)


def test_a_long_text_of_quotes_takes_no_time() -> None:
    started = time.perf_counter()
    for text in ('"' * 200_001, ' "' * 100_000, " " * 200_000 + '"', "a=1," * 99_999):
        with pytest.raises(ValueError, match="classes: "):
            Classes.parse(text)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30, -0.5])
def test_a_float_tiff_of_strange_values_is_refused(value: float, tmp_path: Path) -> None:
    pixels = np.zeros((8, 8), np.float32)
    pixels[2, 2] = value
    Image.fromarray(pixels).save(tmp_path / "m.tif")
    with pytest.raises(MaskError, match=r"m\.tif"):
        read_labels(tmp_path / "m.tif", Classes.parse(None))


def test_a_photograph_with_damaged_exif_still_gets_its_sentence(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "e.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    mask = np.zeros((30, 20), np.uint8)
    mask[5:9, 5:9] = 1
    with pytest.raises(MaskError, match="sides are swapped"):
        get_task("segmentation").draw(Example(tmp_path / "e.jpg", mask))


@pytest.mark.slow
def test_masks_cost_no_more_than_their_pixels() -> None:
    """Noise of many colours and levels, the dearest to read, at four times the pixels."""
    rng = np.random.default_rng(0)

    def seconds(side: int) -> float:
        noise = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
        started = time.perf_counter()
        for mask in (noise, noise[..., 0], noise[..., 0] * np.uint16(200)):
            with pytest.raises(MaskError):
                read_labels(mask, Classes.parse(None))
        with pytest.raises(MaskError):
            read_labels(noise, Classes.parse("a=#ff0000,b=#0000ff"))
        return time.perf_counter() - started

    small = min(seconds(1000) for _ in range(3))
    assert seconds(2000) < 8 * small
