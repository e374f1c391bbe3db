"""An example as a pair: swapped, turned, inverted, the same file twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.pictures import picture

from vicl.images import to_pil, to_tensor
from vicl.prompt import Example
from vicl.tasks import draw_examples, get_task
from vicl.tasks.boxes import Box
from vicl.tasks.masks import MaskError

SIZE = (40, 60)
PHOTO = np.asarray(to_pil(picture(*SIZE)))
NOISY = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
DISC = np.hypot(*(np.mgrid[:40, :60] - np.array([20, 30])[:, None, None])) < 12
TASKS = pytest.mark.parametrize("task", ["segmentation", "detection"])


def draw(task: str, first: Any, second: Any, **how: Any) -> None:
    get_task(task, **how).draw(Example(first, second))


def saved(path: Path, pixels: np.ndarray, orientation: int | None = None) -> Path:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return path


@TASKS
@pytest.mark.parametrize("as_files", [True, False])
def test_swapped_input_and_output_are_named(task: str, as_files: bool, tmp_path: Path) -> None:
    mask, photo = DISC.astype(np.uint8) * 255, NOISY
    given: tuple[Any, Any] = (mask, photo)
    if as_files:
        given = saved(tmp_path / "m.png", mask), saved(tmp_path / "e.png", photo)
    with pytest.raises(MaskError, match=r"(?s)two values.*are they swapped.*IN OUT"):
        draw(task, *given)


@TASKS
def test_a_photograph_as_mask_is_named_with_its_file(task: str, tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.png", PHOTO), saved(tmp_path / "b.png", NOISY)
    with pytest.raises(MaskError, match=r"b\.png'.*looks like a photograph"):
        draw(task, first, second)


@pytest.mark.parametrize("task", ["segmentation", "detection", "edges"])
def test_the_same_file_twice_is_named(task: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", NOISY // 4)
    (tmp_path / "link.png").symlink_to(path)
    for second in (path, str(path), tmp_path / "link.png"):
        with pytest.raises(MaskError, match=r"are the same, '.*a\.png'"):
            draw(task, path, second)
    array = NOISY // 4
    with pytest.raises(MaskError, match="are the same"):
        draw(task, array, array)


def test_a_picture_may_be_its_own_colorization(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", PHOTO)
    draw("colorization", path, path)
    draw("image", path, path)


@TASKS
@pytest.mark.parametrize(
    ("orientation", "remedy"), [(6, "ROTATE_270"), (8, "ROTATE_90"), (5, "TRANSPOSE")]
)
def test_a_mask_that_ignores_exif_is_named_with_its_remedy(
    task: str, orientation: int, remedy: str, tmp_path: Path
) -> None:
    photo = saved(tmp_path / "e.jpg", PHOTO, orientation)
    mask = saved(tmp_path / "m.png", DISC.astype(np.uint8) * 255)
    with pytest.raises(MaskError, match=rf"e\.jpg.*40x60.*m\.png.*60x40.*EXIF.*{remedy}\)"):
        draw(task, photo, mask)
    turned = Image.open(mask).transpose(Image.Transpose[remedy])
    draw(task, photo, turned)


@TASKS
def test_swapped_sides_without_exif_are_named(task: str) -> None:
    with pytest.raises(MaskError, match="sides are swapped"):
        draw(task, PHOTO, DISC.T)
    with pytest.raises(MaskError, match="sides are swapped"):  # smaller, too
        draw(task, PHOTO, DISC.T[::2, ::2])
    nearly_square = np.zeros((200, 204), np.uint8)
    nearly_square[50:90, 60:120] = 1
    with pytest.raises(MaskError, match="sides are swapped"):
        draw(task, np.zeros((204, 200, 3), np.uint8), nearly_square)


@TASKS
def test_another_frame_is_refused_and_one_pixel_more_is_not(task: str) -> None:
    with pytest.raises(MaskError, match="do not show the same frame"):
        draw(task, PHOTO, DISC[:, ::2])
    for mask in (DISC[:-1], DISC[:, 1:], np.pad(DISC, 1)):
        draw(task, PHOTO, mask)


@TASKS
@pytest.mark.parametrize(
    ("mask", "how", "says"),
    [
        (~DISC, {}, "whole border: is it inverted"),
        ((~DISC).astype(np.uint8) * 255, {}, "#000000"),
        (np.ones_like(DISC), {}, "marks the whole picture"),
        ({"a": ~DISC, "b": DISC}, {"classes": ["a", "b"]}, "of 'a': marks 82%"),
        (DISC, {}, None),
        (np.arange(40)[:, None] < 30 + 0 * np.arange(60), {}, None),  # sky: not the whole border
        ((~DISC).astype(np.uint8), {"classes": {"a": 1}}, None),  # said so
        ((~DISC).astype(np.uint8) * 255, {"classes": {"a": "#000000"}}, None),
    ],
)
def test_an_inverted_mask_is_warned_of(
    task: str, mask: Any, how: dict[str, Any], says: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    draw(task, PHOTO, mask, **how)
    if says is None:
        assert not caplog.text
    else:
        assert says in caplog.text


def test_of_several_examples_the_faulty_one_is_numbered() -> None:
    trimap = DISC * np.uint8(255)
    trimap[:3] = 128
    with pytest.raises(MaskError, match="example 2 of 2: mask: has three levels"):
        draw_examples(get_task("segmentation"), [Example(PHOTO, DISC), Example(NOISY, trimap)])


BOX = (15.0, 10.0, 35.0, 20.0)


def boxes_of(annotation: Any, classes: Any = None) -> list[Box]:
    task = get_task("detection", classes=classes)
    drawn = task.draw(Example(PHOTO, annotation))
    return list(task.read([example.output for example in drawn]).boxes)


def forms() -> list[Any]:
    import torch

    array = np.array([BOX])
    return [
        BOX,
        list(BOX),
        Box(BOX),
        array,
        array[0],
        array.astype(np.uint16),
        torch.tensor([BOX]),
        torch.tensor([[BOX]]),
        torch.tensor(BOX),
        torch.tensor([BOX]).to(torch.bfloat16),
        [torch.tensor(BOX)],
        [np.array(BOX)],
        [[np.float32(v) for v in BOX]],
        {"object": BOX},
        {"object": torch.tensor([BOX])},
        {"object": [Box(BOX)]},
    ]


@pytest.mark.parametrize("annotation", forms(), ids=lambda form: type(form).__name__)
def test_boxes_as_people_have_them(annotation: Any) -> None:
    assert boxes_of(annotation) == [Box(BOX)]


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ([BOX, (5, 5, 5, 9)], r"boxes\[1\]: \(5.0, 5.0, 5.0, 9.0\) has no area"),
        (np.array([(3, 4, 9, 4)]), r"boxes\[0\].*has no area"),
        ([Box((3, 4, 9, 4))], r"boxes\[0\].*has no area"),
        ({"object": [BOX, (1, 1, 1, 1)]}, r"boxes of 'object'\[1\].*has no area"),
        ([BOX, (float("nan"), 1, 2, 3)], r"boxes\[1\].*four finite numbers"),
        ([(9, 9, 3, 3)], r"boxes\[0\].*x0 <= x1"),
        ([tuple("abcd")], r"boxes\[0\]"),
        ([(0.1, 0.2, 0.5, 0.9)], "multiply x by 60 and y by 40"),
        (np.zeros((2, 5)), r"shape \(2, 5\), expected \(n, 4\)"),
        ([(1, 2, 3)], r"shape \(1, 3\), expected \(n, 4\)"),
        ((1, 2, 3), r"shape \(3,\), expected \(n, 4\)"),
        ({"boxes": [BOX], "labels": [1]}, "expected class names among"),
        ([(300, 10, 350, 60)], "lies outside"),
    ],
)
def test_boxes_that_cannot_be_are_refused_by_name(annotation: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        boxes_of(annotation)


def test_every_box_of_a_class_is_read_on_request() -> None:
    import torch

    answer = torch.zeros(3, 60, 90)
    answer[:, 2:12, 2:12] = 0.8
    answer[:, 30:50, 40:80] = 0.9
    answer[:, 20:25, 60:65] = 1.0
    answer[:, 55, 5] = 1.0  # a speck
    every = get_task("detection", boxes="all").read([answer])
    assert [box.box for box in every.boxes] == [
        (40, 30, 80, 50),
        (2, 2, 12, 12),
        (60, 20, 65, 25),
    ]
    assert [box.score for box in every.boxes] == pytest.approx([0.9, 0.8, 1.0])
    assert int(np.asarray(every.image).sum()) == 255 * (800 + 100 + 25)
    largest = get_task("detection").read([answer])
    assert largest.boxes == every.boxes[:1]
    task = get_task("detection", boxes="all")
    assert task.score([answer], [to_tensor(largest.image)]) == 1.0
    with pytest.raises(ValueError, match="boxes: only detection"):
        get_task("segmentation", boxes="all")
    with pytest.raises(ValueError, match="give it those itself"):
        get_task(task, boxes="all")
