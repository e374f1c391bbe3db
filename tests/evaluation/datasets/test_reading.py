from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.evaluation.datasets.trees import boundaries, photo, picture

from vicl.evaluation.datasets.reading import Drawn, centre, draw, is_gray
from vicl.evaluation.episodes import DatasetError, Item
from vicl.tasks import TaskName


def _draw(root: Path, item: Item, task: TaskName, void: int | None = 255) -> Drawn:
    return draw(root, item, task, void=void, crop=None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    photo(tmp_path, "a.png", 0, (4, 4))
    return tmp_path


VALUES = np.array([[0, 3, 3, 255], [0, 3, 9, 255], [0, 0, 0, 0], [0, 0, 0, 3]], dtype=np.uint8)


@pytest.mark.parametrize("palette", [False, True])
def test_a_mask_is_drawn_white_on_black_for_its_class_alone(root: Path, palette: bool) -> None:
    picture(root, "m.png", VALUES, palette=palette)
    drawn = _draw(root, Item("a.png", ("m.png",), "dog", 3), "segmentation")
    assert drawn.output.dtype == torch.float32
    assert np.array_equal(drawn.output.numpy(), np.stack([VALUES == 3] * 3).astype(np.float32))
    assert drawn.void is not None
    assert np.array_equal(drawn.void, VALUES == 255)


def test_void_pixels_are_background_only_where_asked_for(root: Path) -> None:
    picture(root, "m.png", VALUES)
    item = Item("a.png", ("m.png",), "dog", 3)
    published = _draw(root, item, "segmentation", void=None)
    assert published.void is None
    assert torch.equal(published.output, _draw(root, item, "segmentation").output)
    # A class that is not there is an empty truth, not an error.
    absent = _draw(root, Item("a.png", ("m.png",), "cat", 8), "segmentation")
    assert not absent.output.any()
    # Of a mask in {0, 255} 255 is what is marked.
    picture(root, "b.png", np.where(VALUES == 3, 255, 0).astype(np.uint8))
    plain = _draw(root, Item("a.png", ("b.png",)), "segmentation")
    assert plain.void is None
    assert torch.equal(plain.output, published.output)
    # Of one in {0, 1, 255} it is void.
    picture(root, "c.png", np.where(VALUES == 255, 255, VALUES == 3).astype(np.uint8))
    three = _draw(root, Item("a.png", ("c.png",)), "segmentation")
    assert torch.equal(three.output, published.output)
    assert three.void is not None
    assert np.array_equal(three.void, VALUES == 255)
    assert _draw(root, Item("a.png", ("c.png",)), "segmentation", void=None).void is None


def test_an_ambiguous_mask_is_refused(root: Path) -> None:
    picture(root, "m.png", VALUES)
    with pytest.raises(ValueError, match=r"m\.png.*values"):
        _draw(root, Item("a.png", ("m.png",)), "segmentation")
    picture(root, "rgb.png", np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(DatasetError, match=r"rgb\.png: got mode RGB"):
        _draw(root, Item("a.png", ("rgb.png",), "dog", 3), "segmentation")


def test_boxes_are_drawn_filled(root: Path) -> None:
    drawn = _draw(root, Item("a.png", boxes=((1.0, 0.0, 3.0, 2.0),)), "detection")
    expected = torch.zeros(3, 4, 4)
    expected[:, 0:2, 1:3] = 1
    assert torch.equal(drawn.output, expected)
    assert drawn.boxes == ((1.0, 0.0, 3.0, 2.0),)
    with pytest.raises(ValueError, match="lies outside"):
        _draw(root, Item("a.png", boxes=((7.0, 0.0, 9.0, 2.0),)), "detection")


def test_boxes_are_read_from_a_mask(root: Path) -> None:
    picture(root, "m.png", VALUES)
    drawn = _draw(root, Item("a.png", ("m.png",), "dog", 3), "detection")
    assert drawn.boxes == ((1.0, 0.0, 3.0, 2.0), (3.0, 3.0, 4.0, 4.0))
    assert torch.equal(drawn.output.sum(dim=(1, 2)), torch.full((3,), 5.0))


def test_edges_are_the_mean_over_annotators_and_each_one_s_lines(root: Path) -> None:
    one, other = np.eye(4, dtype=bool), np.eye(4, k=1, dtype=bool)
    names = tuple(picture(root, f"{i}.png", m) for i, m in enumerate((one, other)))
    boundaries(root / "both.mat", [one.astype(np.uint8), other.astype(np.uint8)])
    for target in (names, ("both.mat",)):
        drawn = _draw(root, Item("a.png", target), "edges")
        assert np.array_equal(drawn.output[0].numpy(), (one * 0.5 + other * 0.5).astype(np.float32))
        assert drawn.annotators is not None
        assert np.array_equal(drawn.annotators, np.stack([one, other]))


def test_a_soft_edge_map_has_its_lines_on_its_crest(tmp_path: Path) -> None:
    photo(tmp_path, "a.png", 0, (24, 24))
    soft = np.exp(-((np.arange(24) - 11.0) ** 2) / 8) * 200
    picture(tmp_path, "e.png", np.tile(soft.astype(np.uint8), (24, 1)))
    drawn = _draw(tmp_path, Item("a.png", ("e.png",)), "edges")
    assert drawn.annotators is not None
    assert drawn.annotators[0, 12, 11]
    assert drawn.annotators[0, 12].sum() <= 3  # not the whole width of the blur


def test_colorization_asks_for_the_colours_of_a_gray_picture(root: Path) -> None:
    drawn = _draw(root, Item("a.png"), "colorization")
    stored = np.asarray(Image.open(root / "a.png"))
    assert np.array_equal(drawn.output.mul(255).round().numpy(), stored.transpose(2, 0, 1))
    luma = stored @ np.array([0.299, 0.587, 0.114])
    assert torch.equal(drawn.image[0], drawn.image[2])
    assert np.abs(drawn.image[0].mul(255).numpy() - luma).max() <= 0.51


def test_the_centre_is_cut_out_unresized() -> None:
    wide = torch.arange(5 * 8, dtype=torch.float32).reshape(1, 5, 8).expand(3, -1, -1) / 40
    assert torch.equal(centre(wide, "square"), wide[:, :, 2:7])
    assert torch.equal(centre(wide, 3), wide[:, 1:4, 2:5])
    padded = centre(wide, 7)  # lower than it is wide
    assert torch.equal(padded[:, 1:6], wide[:, :, 0:7])
    assert not padded[:, 0].any()
    assert not padded[:, 6].any()


def test_a_picture_without_colour_is_told_from_one_with_little(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    gray = np.repeat(rng.integers(0, 256, (40, 40, 1), dtype=np.uint8), 3, axis=2)
    tinted = gray.copy()
    tinted[..., 0] = np.maximum(tinted[..., 0], 6) - 6
    for name, values in (("gray", gray), ("l", gray[..., 0]), ("tinted", tinted)):
        Image.fromarray(values).save(tmp_path / f"{name}.jpg", quality=95)
    found = {name: is_gray(tmp_path, f"{name}.jpg") for name in ("gray", "l", "tinted")}
    assert found == {"gray": True, "l": True, "tinted": False}


@pytest.mark.parametrize("task", ["segmentation", "detection", "edges", "image"])
def test_an_annotation_of_another_size_is_refused(root: Path, task: TaskName) -> None:
    picture(root, "m.png", np.eye(5, 4, dtype=np.uint8) * 255)
    value = None if task in ("edges", "image") else 255
    item = Item("a.png", ("m.png",), value=value)
    with pytest.raises(DatasetError, match=r"m\.png: got \(5, 4\) .*its image a\.png, \(4, 4\)"):
        _draw(root, item, task)
    boundaries(root / "m.mat", [np.eye(5, 4, dtype=np.uint8)])
    if task == "edges":
        with pytest.raises(DatasetError, match=r"m\.mat: got \(5, 4\)"):
            _draw(root, Item("a.png", ("m.mat",)), task)


@pytest.mark.parametrize("task", ["segmentation", "detection", "edges", "image"])
def test_a_missing_annotation_is_named(root: Path, task: TaskName) -> None:
    with pytest.raises(DatasetError, match=r"a\.png: (got 0 annotation files|has no edge map)"):
        _draw(root, Item("a.png"), task)
    with pytest.raises(DatasetError, match=r"no file .*gone\.png"):
        _draw(root, Item("a.png", ("gone.png",), value=1), task)
