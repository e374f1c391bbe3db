"""Accuracy, calibration and confusions, against numbers by hand and a slow second version."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from tests.tuning.toys import TOY, ToyOptions, toy_backbone
from torch import Generator, rand

from vicl.tuning.pictures import confusion_picture, prompt_pictures, shown_sheet
from vicl.tuning.scores import BINS, calibration_error, score

CLASSES = ("a", "b|c", "unused")
SCORES = np.array(
    [[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.2, 0.7, 0.1], [0.3, 0.65, 0.05], [0.8, 0.2, 0.0]]
)
LABELS = np.array([0, 0, 1, 1, 1])


def test_by_hand() -> None:
    """Three of five right; of the classes 1/2 and 2/3; a class without images counts nowhere."""
    found = score(SCORES, LABELS, CLASSES, broken=2)
    assert (found.accuracy.mean, found.accuracy.n) == (0.6, 5)
    assert found.balanced.mean == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert [None if e is None else (e.mean, e.n) for e in found.each] == [
        (0.5, 2),
        (pytest.approx(2 / 3), 3),
        None,
    ]
    assert found.confusion.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    plain = json.loads(json.dumps(found.to_json()))
    assert plain["classes"]["unused"] is None
    assert plain["confusion"]["counts"][1] == [1, 2, 0]
    text = found.to_markdown()
    assert "| accuracy | 0.600 |" in text
    assert "b\\|c" in text
    assert "2 could not be read" in text


def test_calibration_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 300)
    right = (rng.random(300) < confidence**2).astype(float)
    expected = 0.0
    for number in range(BINS):
        inside = (confidence > number / BINS) & (confidence <= (number + 1) / BINS)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    found = calibration_error(confidence, right)
    assert found.mean == pytest.approx(expected)
    assert found.low < found.high
    sure = calibration_error(np.ones(10), np.ones(10))
    assert (sure.mean, sure.low, sure.high) == (0, 0, 0)


def test_an_error_of_calibration_lies_within_its_interval() -> None:
    """Of a calibrated classifier resampling doubles the error, which only noise makes."""
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.2, 1, 263)
    right = (rng.random(263) < confidence).astype(float)
    found = calibration_error(confidence, right)
    assert 0 <= found.low < found.mean < found.high < 2 * found.mean


def test_many_classes_name_their_worst_confusions() -> None:
    classes = [f"class {k}" for k in range(30)]
    labels = np.repeat(np.arange(30), 3)
    scores = np.eye(30)[labels]
    scores[:2] = np.eye(30)[7]
    text = score(scores, labels, classes).to_markdown()
    assert "| class 0 | class 7 | 2 |" in text


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="5 labels of 2 classes; expected a row a label"):
        score(SCORES, LABELS, CLASSES[:2])
    with pytest.raises(ValueError, match="of at least one"):
        score(SCORES[:0], LABELS[:0], CLASSES)


def test_the_confusion_table_is_drawn() -> None:
    """Right answers are blue, wrong ones red, the more the darker; not of very many classes."""
    page = confusion_picture(np.array([[8, 0], [4, 4]]), ("red", "a class of a very long name"))
    assert page is not None
    colours = {colour for _, colour in page.getcolors(100_000) or []}
    assert (40, 90, 160) in colours
    assert (180, 50, 40) not in colours
    assert (218, 152, 148) in colours  # half of the second class is wrong
    assert confusion_picture(np.zeros((61, 61), dtype=int), [str(k) for k in range(61)]) is None


def test_the_prompt_is_shown_large_and_inputs_as_they_are_given() -> None:
    made = TOY.make(toy_backbone(), ("a", "b"), ToyOptions(), Generator())
    assert {name: page.size for name, page in prompt_pictures(made).items()} == {
        "prompt": (256, 256)
    }
    images = rand(2, 3, 8, 8, generator=Generator().manual_seed(0))
    assert shown_sheet(made, images) is None  # the prompt is still 0
    made.get_parameter("prompt").data.fill_(0.1)
    assert isinstance(shown_sheet(made, images), Image.Image)
