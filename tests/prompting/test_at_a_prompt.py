"""What a person sees and tries at a Python prompt."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pictures import picture
from tests.slowly import mostly_slow

import vicl
from vicl.engine import Features
from vicl.exports import Annotation, CocoWriter
from vicl.exports.answers import Query
from vicl.images import ImageError, to_tensor
from vicl.prompt import as_examples
from vicl.prompting.expected import ExpectedScore
from vicl.tasks import TASKS, get_task
from vicl.tasks.boxes import Box

PAIR = (picture(40, 50, seed=1), np.arange(2000).reshape(40, 50) > 900)
ENGINES = ("default", "analogies", "copy", "identity")


def values(folder: Path) -> list[Any]:
    """One of each public thing."""
    model = vicl.load_model("default")
    prompter = vicl.VisualPrompter("copy", [PAIR], "segmentation")
    canvas = vicl.Layout.grid(1).compose(vicl.Prompt([(PAIR[0], PAIR[0])], PAIR[0]))
    mask = np.zeros((40, 50), np.uint8)
    return [
        *(vicl.load_model(name) for name in ENGINES),
        *(get_task(name) for name in TASKS),
        *(vicl.CanvasModel(model, arrangements=3), prompter, prompter.predict(PAIR[0]), canvas),
        *(vicl.Layout.grid(1), vicl.Layout.paper(2), vicl.PromptSettings(), vicl.Sampling()),
        *(vicl.Example(*PAIR), vicl.Prompt([PAIR], PAIR[0]), Box((0, 0, 1, 1))),
        *(Annotation("a", (40, 50), ("a",), mask=mask), Query(Path("a.png"), Path("a.png"))),
        ExpectedScore("IoU", (0.5,) * 50, (0.1,) * 50),
        *(
            vicl.Filled(torch.zeros(3, 40, 50)),
            Features((torch.zeros(1, 2, 3, 4),), torch.ones(1, 2)),
        ),
        CocoWriter(folder / "a.json", ["a"]),
    ]


def test_everything_public_shows_itself_in_one_line_and_is_equal_to_itself(tmp_path: Path) -> None:
    for value in values(tmp_path):
        shown = repr(value)
        assert type(value).__name__ in shown
        assert "\n" not in shown
        assert len(shown) < 500, shown
        for foreign in ("array([", "tensor(", " object at 0x", "..., "):
            assert foreign not in shown
        assert (value == value) is True
        hash(value)
        if isinstance(value, CocoWriter):
            value.close()


@pytest.mark.parametrize(
    "engine", mostly_slow(["default", "analogies", "copy", "identity"], "copy", "identity")
)
def test_a_prompter_travels_to_another_process(engine: str) -> None:
    prompter = vicl.VisualPrompter(engine, [PAIR], "segmentation", seed=3)
    answer = prompter.predict(PAIR[0])
    for other in (pickle.loads(pickle.dumps(prompter)), copy.deepcopy(prompter)):
        again = other.predict(PAIR[0])
        assert np.array_equal(again.mask, answer.mask)
        assert np.array_equal(again.scores, answer.scores)
        assert np.array_equal(np.asarray(again.image), np.asarray(answer.image))
        assert (again.confidence is None) == (answer.confidence is None)
        if answer.confidence is not None:
            assert np.array_equal(again.confidence, answer.confidence)
    assert np.array_equal(pickle.loads(pickle.dumps(answer)).mask, answer.mask)


def test_an_answer_shows_itself_small() -> None:
    answer = vicl.Answer(Image.new("RGB", (3000, 1000)))
    with Image.open(io.BytesIO(answer._repr_png_())) as shown:
        assert shown.size == (512, 171)
    assert answer.image.size == (3000, 1000)


# What the tests' check of types would refuse is asked without it, as people ask.
predict, open_any, pairs = map(
    inspect.unwrap, (vicl.VisualPrompter.predict, to_tensor, as_examples)
)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("https://example.org/a.png", "it is an address: download it first"),
        ("~/nowhere.png", r"expanduser\(\)"),
        (b"\x89PNG", r"got bytes, .*PIL.Image.open\(io.BytesIO"),
        (io.BytesIO(b"\x89PNG"), "of an open file its name"),
        (None, "got NoneType, expected a path"),
    ],
)
def test_what_is_no_image_is_refused_with_what_to_give(query: Any, says: str) -> None:
    with pytest.raises(ImageError, match=says) as caught:
        open_any(query)
    assert "\n" not in str(caught.value)


def test_one_query_is_for_predict(tmp_path: Path) -> None:
    prompter = vicl.VisualPrompter("copy", [PAIR], "segmentation")
    Image.new("RGB", (20, 20)).save(tmp_path / "q.jpg")
    with pytest.raises(ValueError, match=r"q\.jpg', one image; for one use predict"):
        prompter.map(tmp_path / "q.jpg")


def test_several_queries_are_for_map(tmp_path: Path) -> None:
    prompter = vicl.VisualPrompter("copy", [PAIR], "segmentation")
    for several in (tmp_path, [tmp_path / "a.png"], (PAIR[0], PAIR[0])):
        with pytest.raises(ValueError, match="for several, or a folder"):
            predict(prompter, several)


@pytest.mark.parametrize(
    ("examples", "says"),
    [
        (PAIR, r"examples=\[\(input, output\)\]"),
        ({"in.png": "out.png"}, "list\\(examples.items"),
        ("in.png", "expected a list of"),
        ([], "expected at least one"),
        ([("in.png", "out.png", "more.png")], "expected an Example or a pair"),
    ],
)
def test_examples_as_people_try_them(examples: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        pairs(examples)
    one = vicl.predict(PAIR[0], iter([PAIR]), "segmentation", model="copy")
    assert one.mask is not None
