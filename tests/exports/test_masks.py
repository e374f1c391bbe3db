"""PNG masks and label maps, read back with Pillow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vicl.exports import ExportError, mask_png, write_label_map
from vicl.tasks.palette import palette


def test_one_class_is_black_and_white(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 1], [1, 0, 0]], dtype=np.uint8)
    for name, given in (("index.png", mask), ("bool.png", mask == 1)):
        mask_png(given, tmp_path / name, classes=["leaf"])
        with Image.open(tmp_path / name) as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), mask * 255)


@pytest.mark.parametrize("count", [2, 3, 16, 255])
def test_several_classes_are_a_palette_of_eight_bits(tmp_path: Path, count: int) -> None:
    mask = np.arange(count + 1, dtype=np.uint8)[None].repeat(2, axis=0)
    classes = [f"class {index}" for index in range(count)]
    mask_png(mask, tmp_path / "m.png", classes=classes)
    assert (tmp_path / "m.png").read_bytes()[24] == 8  # bit depth, in the PNG header
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), mask)
        colours = np.asarray(image.convert("RGB"))[0]
    assert colours[0].tolist() == [0, 0, 0]
    assert [tuple(rgb) for rgb in colours[1:].tolist()] == list(palette(count))


def test_colours_may_be_given(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 2]], dtype=np.uint8)
    colours = [(10, 20, 30), (255, 0, 1)]
    mask_png(mask, tmp_path / "m.PNG", classes=["a", "b"], colours=colours)
    with Image.open(tmp_path / "m.PNG") as image:
        assert np.asarray(image.convert("RGB")).tolist() == [[[0, 0, 0], [10, 20, 30], [255, 0, 1]]]


def test_colours_are_distinct_the_first_clearly_and_do_not_depend_on_the_count() -> None:
    colours = palette(255)
    assert len({(0, 0, 0), *colours}) == 256
    first = np.array([(0, 0, 0), *colours[:20]], dtype=float)
    distances = np.linalg.norm(first[:, None] - first[None], axis=-1)
    assert distances[~np.eye(len(first), dtype=bool)].min() > 60
    assert palette(3) == colours[:3]
    assert palette(0) == ()


def test_masks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    mask = np.array([[0, 3]], dtype=np.uint8)
    with pytest.raises(ExportError, match="got class 3, expected 0"):
        mask_png(mask, tmp_path / "m.png", classes=["a", "b"])
    with pytest.raises(ExportError, match=r"with \.png"):
        mask_png(mask, tmp_path / "m.jpg", classes=["a", "b", "c"])
    with pytest.raises(ExportError, match="one for each"):
        mask_png(mask, tmp_path / "m.png", classes=["a", "b", "c"], colours=[(0, 0, 0)])
    with pytest.raises(ExportError, match="0 to 255"):
        mask_png(mask, tmp_path / "m.png", classes=["a", "b", "c"], colours=[(0, 0, 256)] * 3)
    assert list(tmp_path.iterdir()) == []


def test_a_mask_never_replaces_its_input(tmp_path: Path) -> None:
    source = tmp_path / "m.png"
    source.write_bytes(b"the photograph")
    with pytest.raises(ValueError, match="inputs"):
        mask_png(np.zeros((1, 1), np.uint8), source, classes=["a"], inputs=[source])
    assert source.read_bytes() == b"the photograph"


def test_the_label_map_says_what_the_numbers_mean(tmp_path: Path) -> None:
    path = write_label_map(tmp_path, ["Blatt „grün“", "stem"])
    assert path.name == "labels.json"
    expected = {"0": "background", "1": "Blatt „grün“", "2": "stem"}
    assert json.loads(path.read_text(encoding="utf-8")) == expected
    assert write_label_map(tmp_path, ["Blatt „grün“", "stem"]) == path
    binary = write_label_map(tmp_path / "binary", ["leaf"])
    assert json.loads(binary.read_text()) == {"0": "background", "255": "leaf"}


@pytest.mark.parametrize("found", ['{"0": "background", "1": "root", "2": "stem"}', "[", "\x80"])
def test_a_label_map_of_other_masks_stays(tmp_path: Path, found: str) -> None:
    (tmp_path / "labels.json").write_text(found, encoding="latin-1")
    with pytest.raises(ExportError, match="says something else"):
        write_label_map(tmp_path, ["leaf", "stem"])
    assert (tmp_path / "labels.json").read_text(encoding="latin-1") == found
