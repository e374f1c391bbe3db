"""Masks as people have them: each rule of the table, and each refusal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vicl.tasks.labels import levels
from vicl.tasks.masks import Classes, MaskError, _mean, read_labels

DISC = np.hypot(*(np.mgrid[:40, :60] - np.array([20, 30])[:, None, None])) < 12
ONE = Classes.parse(None)


def jpeg(image: Image.Image, quality: int = 60) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(io.BytesIO(data.getvalue()))


def coloured(*parts: tuple[Any, tuple[int, int, int]]) -> np.ndarray:
    image = np.zeros((*DISC.shape, 3), np.uint8)
    for where, colour in parts:
        image[where] = colour
    return image


@pytest.mark.parametrize(
    "mask",
    [
        DISC,
        DISC.astype(np.uint8),
        DISC.astype(np.uint8) * 255,
        DISC.astype(np.uint8) * 38,
        DISC.astype(np.uint16) * 65535,
        DISC.astype(np.int64),
        DISC.astype(np.float32) * 0.9,
        DISC[..., None].astype(np.uint8),
        np.repeat(DISC[..., None], 3, axis=2).astype(np.uint8) * 255,
        coloured((DISC, (200, 30, 30))),
        torch.from_numpy(DISC),
        torch.from_numpy(DISC).float().expand(3, -1, -1),
        Image.fromarray(DISC),
        Image.fromarray(DISC.astype(np.uint8) * 255),
        Image.fromarray(DISC.astype(np.uint8) * 255).convert("RGB"),
        Image.fromarray(DISC.astype(np.uint8) * 255).convert("P"),
    ],
    ids=lambda mask: f"{type(mask).__name__}-{getattr(mask, 'dtype', getattr(mask, 'mode', ''))}",
)
def test_unambiguous_forms_all_mark_the_disc(mask: Any) -> None:
    read = read_labels(mask, ONE)
    assert read.labels.dtype == np.uint8
    assert np.array_equal(read.labels, DISC)
    assert not read.void.any()


def test_jpeg_noise_and_soft_edges_are_cut_in_the_middle() -> None:
    noisy = jpeg(Image.fromarray(DISC.astype(np.uint8) * 255))
    assert len(np.unique(np.asarray(noisy))) > 10
    assert (read_labels(noisy, ONE).labels != DISC).mean() < 0.01
    red = jpeg(Image.fromarray(coloured((DISC, (220, 20, 20)))), quality=90)
    assert (read_labels(red, Classes.parse({"x": "#dc1414"})).labels != DISC).mean() < 0.05


def test_void_is_neither_object_nor_background() -> None:
    mask = DISC.astype(np.uint8)
    mask[:, :5] = 255
    read = read_labels(mask, ONE)
    assert np.array_equal(read.labels, DISC)
    assert read.void[:, :5].all()
    assert int(read.void.sum()) == 5 * 40
    several = mask.copy()
    several[0, 50] = 2
    read = read_labels(several, Classes.parse(["a", "b"]))
    assert read.labels[0, 50] == 2
    assert int(read.void.sum()) == 5 * 40


def test_a_voc_palette_counts_by_its_index(tmp_path: Path) -> None:
    indices = DISC.astype(np.uint8) * 15
    indices[:, :5] = 255
    image = Image.fromarray(indices, "L").convert("P")
    image.putpalette([value for i in range(256) for value in (i * 7 % 256, i * 13 % 256, i)])
    image.putdata(indices.ravel().tolist())
    path = tmp_path / "voc.png"
    image.save(path)
    read = read_labels(path, Classes.parse({"person": 15}))
    assert np.array_equal(read.labels, DISC)
    assert read.void[:, :5].all()


def test_a_black_and_white_palette_counts_by_its_colours() -> None:
    image = Image.fromarray((~DISC).astype(np.uint8), "L").convert("P")
    image.putdata((~DISC).astype(np.uint8).ravel().tolist())
    image.putpalette([255, 255, 255, 0, 0, 0])  # index 0 is white
    assert np.array_equal(read_labels(image, ONE).labels, DISC)


def test_a_cut_out_is_marked_by_its_alpha() -> None:
    rgba = np.random.default_rng(0).integers(1, 255, (*DISC.shape, 4), dtype=np.uint8)
    rgba[..., 3] = DISC * 255
    assert np.array_equal(read_labels(rgba, ONE).labels, DISC)
    assert np.array_equal(read_labels(Image.fromarray(rgba, "RGBA"), ONE).labels, DISC)
    opaque = np.dstack(
        [np.repeat(DISC[..., None] * np.uint8(255), 3, axis=2), np.full(DISC.shape, 255)]
    )
    assert np.array_equal(read_labels(opaque.astype(np.uint8), ONE).labels, DISC)


def test_several_classes_by_value_colour_and_one_mask_each() -> None:
    left = np.zeros_like(DISC)
    left[:, :10] = True
    wanted = DISC.astype(np.uint8) + 2 * left
    by_order = read_labels(wanted, Classes.parse(["disc", "left"]))
    by_value = read_labels(DISC * 7 + left * 9, Classes.parse({"disc": 7, "left": 9}))
    colours = Classes.parse("disc=#00ff00,left=#0000ff")
    by_colour = read_labels(coloured((DISC, (0, 255, 0)), (left, (0, 0, 255))), colours)
    each = read_labels({"left": left, "disc": DISC}, Classes.parse(["disc", "left"]))
    for read in (by_order, by_value, by_colour, each):
        assert np.array_equal(read.labels, wanted)


def test_in_a_mask_without_colour_the_colours_only_say_how_to_draw() -> None:
    red = Classes.parse({"leaf": "#ff0000"})
    assert np.array_equal(read_labels(DISC.astype(np.uint8), red).labels, DISC)
    black = Classes.parse({"ink": "#000000"})
    assert np.array_equal(read_labels(DISC.astype(np.uint8) * 255, black).labels, ~DISC)


def test_one_colour_of_several_can_be_picked() -> None:
    image = coloured((DISC, (255, 0, 0)), (slice(0, 4), (0, 0, 255)))
    read = read_labels(image, Classes.parse({"disc": "#ff0000"}))
    assert np.array_equal(read.labels, DISC & (np.arange(40) >= 4)[:, None])


@pytest.mark.parametrize(
    ("mask", "classes", "says"),
    [
        (DISC + np.uint8(1), None, "not plain which"),
        (DISC * 3 + np.eye(40, 60, dtype=int), None, r"classes=\{'name': value\}"),
        (np.random.default_rng(0).integers(0, 255, (40, 60)), None, "not plain which"),
        (DISC * 255, ["a", "b"], "one mask a class"),
        (DISC * 5, ["a", "b"], "values would be 1 to 2"),
        (DISC * 5, {"a": 4}, "holds none of the classes"),
        (coloured((DISC, (255, 0, 0)), (slice(0, 4), (0, 0, 255))), None, "say which colour"),
        (coloured((DISC, (255, 0, 0))), {"a": "#00ff00"}, "main colours are"),
        (DISC * 2.5, None, r"must lie in \[0, 1\]"),
        (np.zeros((3, 4, 5, 6)), None, "an \\(h, w\\) array"),
        ({"c": DISC}, ["a", "b"], "expected classes among"),
        ({"a": DISC, "b": DISC[:5]}, ["a", "b"], "as the others"),
    ],
)
def test_what_is_ambiguous_is_refused(mask: Any, classes: Any, says: str) -> None:
    with pytest.raises(MaskError, match=says):
        read_labels(mask, Classes.parse(classes))


def test_black_and_white_with_alpha_is_ambiguous() -> None:
    rgba = np.dstack(
        [
            np.repeat(DISC[..., None] * np.uint8(255), 3, axis=2),
            DISC.T[:40, :40].repeat(2, 1)[:, :60] * 255,
        ]
    )
    rgba = rgba.astype(np.uint8)
    rgba[:, :40, 3] = 255
    rgba[:, 40:, 3] = 0
    with pytest.raises(MaskError, match="alpha"):
        read_labels(rgba, ONE)


def test_values_that_a_jpeg_changed_are_refused(tmp_path: Path) -> None:
    index = (DISC * 7).astype(np.uint8)
    index[:8] = 11
    Image.fromarray(index).save(tmp_path / "m.jpg", quality=75)
    Image.fromarray(index).save(tmp_path / "m.png")
    Image.fromarray(index * np.uint8(0) + np.uint8(7)).save(tmp_path / "flat.jpg")
    Image.fromarray(DISC.astype(np.uint8) * np.uint8(255)).save(tmp_path / "bw.jpg", quality=75)
    marks = Classes.parse("crop=7,weed=11")
    assert np.array_equal(read_labels(tmp_path / "m.png", marks).labels == 1, index == 7)
    assert (read_labels(tmp_path / "flat.jpg", marks).labels == 1).all()  # nothing was changed
    with pytest.raises(MaskError, match=r"m\.jpg.*is a JPEG.*crop=7, weed=11.*lossless \(PNG\)$"):
        read_labels(tmp_path / "m.jpg", marks)
    with pytest.raises(MaskError, match=r"is a JPEG.*black and white name no value"):
        read_labels(tmp_path / "bw.jpg", Classes.parse("crop=255"))
    assert (read_labels(tmp_path / "bw.jpg", ONE).labels == DISC).mean() > 0.99


@pytest.mark.parametrize("high", [1, 20, 255])
def test_alpha_of_two_levels_marks_by_the_higher(high: int) -> None:
    rgba = np.dstack([np.random.default_rng(0).integers(0, 256, (*DISC.shape, 3)), DISC * high])
    assert np.array_equal(read_labels(rgba.astype(np.uint8), ONE).labels, DISC)


def test_the_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "two kinds.png"
    Image.fromarray((DISC * 3 + np.eye(40, 60)).astype(np.uint8)).save(path)
    with pytest.raises(MaskError, match=r"two kinds\.png"):
        read_labels(path, ONE)


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (["a", "a"], "each once"),
        ([], "at least one"),
        ({"a": "#12345"}, "colour such as"),
        ({"a": "#gggggg"}, "colour such as"),
        ({"a": -1}, "index value"),
        ("a=", None),
        (" ", "not empty"),
        ([str(n) for n in range(255)], "at most 254"),
    ],
)
def test_classes_are_checked(classes: Any, says: str | None) -> None:
    if says is None:
        assert Classes.parse(classes).keys == (None,)
        return
    with pytest.raises(ValueError, match=says):
        Classes.parse(classes)


def test_classes_from_text() -> None:
    parsed = Classes.parse("crop=#00ff00, weed=2,soil")
    assert parsed.names == ("crop", "weed", "soil")
    assert parsed.keys == ((0, 255, 0), 2, None)


@pytest.mark.parametrize(
    ("text", "names", "keys"),
    [
        ("traffic light=3,sky=23", ("traffic light", "sky"), (3, 23)),
        ('"traffic light, red"=3,sky', ("traffic light, red", "sky"), (3, None)),
        ('"a=b"=#ff0000 , "say ""hi""" = 2', ("a=b", 'say "hi"'), ((255, 0, 0), 2)),
        ('"#1"=4,C#=5', ("#1", "C#"), (4, 5)),
        ('" padded "', (" padded ",), (None,)),
    ],
)
def test_names_with_commas_and_spaces_stand_in_quotes(
    text: str, names: tuple[str, ...], keys: tuple[Any, ...]
) -> None:
    parsed = Classes.parse(text)
    assert parsed.names == names
    assert parsed.keys == keys


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        ('"open=3', "quotes do not match"),
        ('a "b" c=3', "quotes do not match"),
        ("a,b,", "not empty"),
        ("#ff0000", "without a name"),
        ("a=1=2", "double quotes"),
        ("a=0", "0 is the background"),
        ({"a": 7, "b": 7}, "all marked by 7"),
        ("a=#ff0000,b=#FF0000", "all marked by #ff0000"),
        ({"a": (1, 2, 300)}, "a colour such as"),
        ({"a": ("x", 2, 3)}, "a colour such as"),
        ({"a": 7.5}, "an index value"),
    ],
)
def test_texts_and_keys_that_cannot_be_are_refused(classes: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Classes.parse(classes)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_values_are_counted_and_named_whatever_their_bytes(dtype: Any) -> None:
    values: np.ndarray = np.random.default_rng(0).integers(0, 200, (30, 50)).astype(dtype)
    present, counts = levels(values)
    wanted, times = np.unique(values, return_counts=True)
    assert np.array_equal(present, wanted)
    assert np.array_equal(counts, times)
    for few in (values // 100, values // 200 + 3, values // 100 * 199 - (dtype == np.int32)):
        present, counts = levels(few)  # two values, one, and some of the ends alone
        assert np.array_equal([present, counts], np.unique(few, return_counts=True))
    index = values % 5 * 40  # 0, 40, ... 160
    if dtype == np.int32:
        index[0, 0] = 1_000_000  # no class's
    read = read_labels(index, Classes.parse({"a": 40, "b": 160, "c": 80})).labels
    for number, key in enumerate((40, 160, 80), start=1):
        assert np.array_equal(read == number, index == key)
    assert not read[index > 160].any()


@pytest.mark.parametrize("high", [101, 254, 255])
def test_alpha_is_cut_at_half_of_its_highest_level(high: int) -> None:
    rgba = np.full((1, high + 1, 4), 90, np.uint8)
    rgba[0, :, 3] = np.arange(high + 1)
    read = read_labels(rgba, ONE).labels[0] > 0
    assert np.array_equal(read, 255 * np.arange(high + 1) >= 128 * high)


def test_gray_in_three_channels_counts_by_its_rounded_mean() -> None:
    gray = np.array([[0, 2], [4, 254]], np.uint8)[..., None] + np.array([0, 1, 1], np.uint8)
    assert np.array_equal(_mean(gray), gray.mean(axis=2).round().astype(int))
    every = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert np.array_equal(_mean(every), every.mean(axis=2).round().astype(int))


@pytest.mark.parametrize("classes", [None, {"a": 1}])
def test_truth_is_one_however_it_is_stored(classes: Any) -> None:
    for mask in (DISC, Image.fromarray(DISC)):  # Pillow stores 255
        assert np.array_equal(read_labels(mask, Classes.parse(classes)).labels, DISC)
