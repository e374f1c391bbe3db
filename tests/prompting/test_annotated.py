"""Examples annotated in files of other tools, for segmentation and detection."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.stand_ins import Bright

from vicl.exports import Annotation, ExportError, write_labelme, write_yolo, write_yolo_classes
from vicl.images import save_image, to_pil
from vicl.prompt import Prompt
from vicl.prompting.prompter import VisualPrompter
from vicl.tasks.masks import MaskError

SIZE = (24, 30)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        save_image(to_pil(torch.rand(3, *SIZE)), f"{name}.png")
    return tmp_path


def label(name: str, *shapes: tuple[str, tuple[int, int, int, int]]) -> str:
    """Write a LabelMe file of rectangles."""
    entries = [
        {"label": label, "shape_type": "rectangle", "points": [[x0, y0], [x1, y1]]}
        for label, (x0, y0, x1, y1) in shapes
    ]
    document = {"shapes": entries, "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    Path(f"{name}.json").write_text(json.dumps(document))
    return f"{name}.json"


def drawn(prompter: VisualPrompter, example: int = 0) -> dict[str, np.ndarray]:
    """The mask that is drawn of each class."""
    names = prompter.task.classes
    return {
        name: np.asarray(passed[example].output[0] > 0.5)
        for name, passed in zip(names, prompter.passes, strict=True)
    }


def asked(*examples: tuple[Any, Any], task: str = "segmentation", **more: Any) -> VisualPrompter:
    return VisualPrompter(Bright(), examples, task, **more)


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_files_and_masks_draw_the_same(folder: Path, task: str) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[3:9, 4:20] = 1
    Image.fromarray(mask * np.uint8(255)).save("mask.png")
    annotation = Annotation("a.png", SIZE, ("leaf",), mask=mask)
    write_labelme("a.json", annotation)
    write_yolo("a.txt", annotation, style="segments")
    write_yolo_classes(".", ("leaf",))
    (folder / "a.xml").write_text(
        "<annotation><object><name>leaf</name><bndbox><xmin>5</xmin><ymin>4</ymin><xmax>20</xmax>"
        "<ymax>9</ymax></bndbox></object></annotation>"
    )
    (expected,) = drawn(asked(("a.png", "mask.png"), task=task)).values()
    for file in ("a.json", "a.txt", "a.xml"):
        prompter = asked(("a.png", Path(file)), task=task)
        assert prompter.task.classes == ("leaf",)
        assert np.array_equal(drawn(prompter)["leaf"], expected), file
    assert np.array_equal(expected, mask)


def test_the_classes_do_not_hang_on_the_order_of_examples(folder: Path) -> None:
    first = ("a.png", label("a", ("weed", (1, 1, 5, 5))))
    second = ("b.png", label("b", ("crop", (1, 1, 5, 5)), ("soil", (9, 9, 12, 12))))
    assert asked(first, second).task.classes == ("crop", "soil", "weed")
    assert asked(second, first).task.classes == ("crop", "soil", "weed")


def test_a_files_own_order_is_kept_of_the_classes_that_are_shown(folder: Path) -> None:
    write_yolo_classes(".", ("weed", "never", "crop"))
    (folder / "a.txt").write_text("2 0.5 0.5 0.2 0.2\n0 0.2 0.2 0.1 0.1\n")
    assert asked(("a.png", "a.txt")).task.classes == ("weed", "crop")


def test_classes_that_are_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = label("a", ("crop", (1, 1, 5, 5)), ("weed", (9, 9, 12, 12)), ("soil", (0, 20, 30, 24)))
    with caplog.at_level(logging.WARNING, logger="vicl"):
        prompter = asked(("a.png", file), classes="weed=7,crop=#00ff00")
    assert "a.json: left out what is not among the classes weed, crop: soil" in caplog.text
    assert drawn(prompter)["weed"].sum() == 9
    assert drawn(prompter)["crop"].sum() == 16
    with pytest.raises(MaskError, match=r"none of the classes cat; its own are crop, weed, soil"):
        asked(("a.png", file), classes=["cat"])
    with pytest.raises(MaskError, match="none shows class 'cat'"):
        asked(("a.png", file), classes=["cat", "crop"])


@pytest.mark.parametrize("named", [None, ["b", "a"]])
def test_yolo_without_names_counts(folder: Path, named: list[str] | None) -> None:
    (folder / "a.txt").write_text("0 0.5 0.5 0.2 0.25\n1 0.1 0.125 0.2 0.25\n")
    prompter = asked(("a.png", "a.txt"), classes=named)
    assert prompter.task.classes == tuple(named or ("0", "1"))
    assert [int(mask.sum()) for mask in drawn(prompter).values()] == [36, 36]
    (folder / "a.txt").write_text("2 0.5 0.5 0.2 0.25\n1 0.1 0.125 0.2 0.25\n")
    assert asked(("a.png", "a.txt")).task.classes == ("1", "2")
    assert drawn(asked(("a.png", "a.txt")))["1"][0, 0]


def test_masks_beside_files(folder: Path) -> None:
    mask = np.zeros(SIZE, np.uint8)
    mask[2:4] = 255
    one = ("b.png", label("b", ("leaf", (1, 1, 5, 5))))
    prompter = asked(one, ("a.png", mask))
    assert prompter.task.classes == ("leaf",)
    assert drawn(prompter, 1)["leaf"].sum() == 60
    two = ("b.png", label("b", ("leaf", (1, 1, 5, 5)), ("stem", (6, 6, 8, 8))))
    with pytest.raises(MaskError, match="another example is a mask: say which of its values"):
        asked(two, ("a.png", mask))
    prompter = asked(two, ("a.png", {"stem": mask}))
    assert drawn(prompter, 1)["stem"].sum() == 60


@pytest.mark.parametrize("task", ["image", "edges", "colorization"])
def test_other_tasks_say_which_read_annotations(folder: Path, task: str) -> None:
    file = label("a", ("leaf", (1, 1, 5, 5)))
    with pytest.raises(MaskError, match=rf"a\.json: .* task '{task}' does not read; say task="):
        asked(("a.png", file), task=task)


def test_prompts_bring_annotations_of_their_own(folder: Path) -> None:
    file = label("b", ("leaf", (1, 1, 5, 5)))
    prompts = [Prompt([("b.png", file)], "c.png"), Prompt([("a.png", "none.json")], "c.png")]
    met: list[Exception] = []
    prompter = asked()
    answers = prompter.map_prompts(prompts, on_error=lambda _, error: met.append(error))
    assert [answer.index for answer in answers] == [0]
    assert isinstance(met[0], ExportError)
    assert "none.json: no such file" in str(met[0])


def test_an_array_takes_a_file_of_one_image(folder: Path) -> None:
    file = label("a", ("leaf", (1, 1, 5, 5)))
    image = np.asarray(Image.open("a.png"))
    assert drawn(asked((image, file)))["leaf"].sum() == 16


def test_a_saved_prompt_keeps_the_classes(folder: Path) -> None:
    prompter = asked(("a.png", label("a", ("crop", (1, 1, 5, 5)), ("weed", (9, 9, 12, 12)))))
    prompter.save("p.vicl")
    again = VisualPrompter.load("p.vicl", model=Bright())
    assert again.task.classes == ("crop", "weed")
    assert torch.equal(again.passes[1][0].output, prompter.passes[1][0].output)
