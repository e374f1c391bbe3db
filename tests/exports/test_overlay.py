"""Answers laid over their images."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from PIL import Image

from vicl.exports import Annotation, ExportError, overlay
from vicl.tasks.boxes import Box
from vicl.tasks.palette import palette


def drawn(mask: np.ndarray, classes: int = 1, **more: object) -> np.ndarray:
    image = np.full((*mask.shape, 3), 200, np.uint8)
    names = tuple("abcdefgh"[:classes])
    return np.asarray(overlay(image, Annotation("a", mask.shape, names, mask=mask, **more)))


def test_classes_are_tinted_and_outlined_and_the_rest_is_dimmed() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 5:25], mask[10:30, 30:50] = 1, 2
    found = drawn(mask, 2)
    assert (found[0, 0] == 110).all()  # 55% of 200
    for number, (x, colour) in enumerate(zip((15, 40), palette(2), strict=True), start=1):
        assert np.array_equal(found[20, x], np.rint(0.6 * 200 + 0.4 * np.array(colour)))
        edge = (found == colour).all(axis=2)
        assert edge.sum() == 4 * 20 - 4
        assert (mask[edge] == number).all()


def test_an_empty_mask_and_a_full_one() -> None:
    assert (drawn(np.zeros((9, 7), np.uint8)) == 110).all()
    full = drawn(np.ones((9, 7), np.uint8))
    assert (full == full[0, 0]).all()


def test_objects_of_one_class_have_colours_of_their_own() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 5:55] = 1
    objects = np.zeros((40, 60), np.int32)
    objects[10:30, 5:30], objects[10:30, 30:55] = 1, 17  # the colours begin anew after sixteen
    touching = drawn(mask, objects=objects)
    assert np.array_equal(touching[20, 15], touching[20, 45])
    objects[objects == 17] = 2
    apart = drawn(mask, objects=objects)
    first, second = palette(2)
    assert np.array_equal(apart[20, 15], touching[20, 15])
    assert np.array_equal(apart[20, 45], np.rint(0.6 * 200 + 0.4 * np.array(second)))
    assert np.array_equal(apart[20, 30], second)
    assert np.array_equal(apart[20, 29], first)


def test_bands_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    mask = np.kron(rng.integers(0, 3, (8, 9)), np.ones((12, 12))).astype(np.uint8)
    whole = drawn(mask, 2)
    module = importlib.import_module("vicl.exports.overlay")
    assert mask.size < module._AT_ONCE
    monkeypatch.setattr(module, "_AT_ONCE", 108 * 7)
    assert np.array_equal(drawn(mask, 2), whole)


def test_boxes_are_drawn_in_their_classes_colours() -> None:
    image = Image.new("RGB", (60, 40), (90, 90, 90))
    boxes = (Box((5, 10, 40, 35), label=2, score=0.5), Box((59.9, 39.9, 60, 40)))
    found = np.asarray(overlay(image, Annotation("a", (40, 60), ("a", "b"), boxes=boxes)))
    colour = palette(2)[1]
    assert (found[34, 5:40] == colour).all()
    assert (found[10:35, 39] == colour).all()
    assert (found[0, 0] == 90).all()
    assert np.asarray(image).max() == 90  # what was given stays as it was


def test_another_size_is_refused() -> None:
    annotation = Annotation("a.png", (4, 5), ("a",), mask=np.ones((4, 5), np.uint8))
    with pytest.raises(ExportError, match=r"has 4 x 5 pixels, expected .* 5 x 4"):
        overlay(np.zeros((5, 4, 3), np.uint8), annotation)
