"""Tasks: what is drawn is read back, and what cannot be understood is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pictures import picture

from vicl.images import to_levels, to_tensor
from vicl.prompt import Example
from vicl.tasks import TASKS, DetectionTask, SegmentationTask, draw_examples, get_task
from vicl.tasks.boxes import Box
from vicl.tasks.masks import Classes, MaskError
from vicl.tasks.task import drawn_query

PHOTO = picture(40, 60)
SQUARE = np.zeros((40, 60), np.uint8)
SQUARE[10:20, 15:35] = 1
TWO = SQUARE.copy()
TWO[30:38, 2:12] = 2


def outputs(task: Any, annotation: Any, photo: Any = PHOTO) -> list[torch.Tensor]:
    return [to_tensor(e.output) for e in task.draw(Example(photo, annotation))]


def test_a_mask_is_drawn_white_on_black_and_read_back() -> None:
    task = get_task("segmentation")
    (drawn,) = outputs(task, SQUARE)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    reading = task.read([drawn])
    assert np.array_equal(reading.mask, SQUARE)
    assert torch.equal(to_tensor(reading.image), drawn)
    assert reading.scores is not None
    assert reading.scores.shape == (1, 40, 60)


def test_each_pixel_goes_to_the_nearer_of_white_and_black() -> None:
    """Distance to white below distance to black, as published; not a threshold on one channel."""
    image = picture(30, 30, seed=3)
    pixels = image.permute(1, 2, 0).numpy()
    nearer = ((pixels - 1) ** 2).sum(axis=2) < (pixels**2).sum(axis=2)
    assert np.array_equal(get_task("segmentation").read([image]).mask, nearer)


def test_several_classes_take_one_prompt_each_and_the_best_score_wins() -> None:
    task = get_task("segmentation", classes=["square", "corner"])
    assert task.passes == 2
    drawn = outputs(task, TWO)
    assert np.array_equal(drawn[0][0].numpy(), TWO == 1)
    assert np.array_equal(drawn[1][0].numpy(), TWO == 2)
    assert np.array_equal(task.read(drawn).mask, TWO)
    low, high = torch.full((3, 2, 2), 0.6), torch.full((3, 2, 2), 0.9)
    assert (task.read([low, high]).mask == 2).all()
    assert (task.read([high, low]).mask == 1).all()
    assert (task.read([low - 0.2, low - 0.3]).mask == 0).all()


def test_a_palette_draws_all_classes_in_one_prompt() -> None:
    task = get_task(
        "segmentation", classes={"square": "#ff0000", "corner": "#0000ff"}, palette=True
    )
    coloured = np.zeros((40, 60, 3), np.uint8)
    coloured[TWO == 1] = (255, 0, 0)
    coloured[TWO == 2] = (0, 0, 255)
    (drawn,) = outputs(task, coloured)
    assert torch.equal(drawn, torch.from_numpy(coloured).permute(2, 0, 1).float() / 255)
    blurred = (drawn + 0.1 * picture(40, 60, seed=4)).clamp(0, 1)
    assert np.array_equal(task.read([blurred]).mask, TWO)


@pytest.mark.parametrize(
    "annotation",
    [
        [(15, 10, 35, 20)],
        np.array([[15, 10, 35, 20]]),
        [Box((15, 10, 35, 20))],
        {"object": [(15, 10, 35, 20)]},
        SQUARE,
        Image.fromarray(SQUARE * 255).resize((120, 80), Image.Resampling.NEAREST),
    ],
)
def test_boxes_and_masks_draw_the_same_filled_box(annotation: Any) -> None:
    task = get_task("detection")
    (drawn,) = outputs(task, annotation)
    assert np.array_equal(drawn[0].numpy(), SQUARE)
    (box,) = task.read([drawn]).boxes
    assert box == Box((15, 10, 35, 20), 1, 1.0)


def test_the_box_is_that_of_the_largest_component() -> None:
    answer = torch.zeros(3, 40, 60)
    answer[:, 10:20, 15:35] = 0.8
    answer[:, 30:33, 40:50] = 1.0
    (box,) = get_task("detection").read([answer]).boxes
    assert box.box == (15, 10, 35, 20)
    assert box.score == pytest.approx(0.8)
    assert get_task("detection").read([torch.zeros(3, 9, 9)]).boxes == ()


def test_boxes_of_several_classes() -> None:
    task = get_task("detection", classes=["cat", "dog"])
    drawn = outputs(task, {"dog": [(0, 0, 5, 5)], "cat": [(20, 20, 30, 40)]})
    boxes = task.read(drawn).boxes
    assert [(box.label, box.box) for box in boxes] == [(1, (20, 20, 30, 40)), (2, (0, 0, 5, 5))]
    with pytest.raises(ValueError, match="expected classes among"):
        outputs(task, {"cow": [(0, 0, 5, 5)]})
    with pytest.raises(ValueError, match="lies outside"):
        outputs(task, {"dog": [(70, 0, 80, 5)]})


def test_specks_of_a_mask_get_no_box() -> None:
    mask = SQUARE.copy()
    mask[0, 0] = 1
    (drawn,) = outputs(get_task("detection"), mask)
    assert np.array_equal(drawn[0].numpy(), SQUARE)


def test_colorization_sees_gray_and_answers_colour() -> None:
    task = get_task("colorization")
    (example,) = task.draw(Example(PHOTO, PHOTO))
    gray = np.asarray(
        Image.fromarray((PHOTO.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)).convert(
            "L"
        )
    )
    seen = to_tensor(example.input)
    assert np.abs(seen.numpy() * 255 - gray).max() <= 1  # Pillow rounds in integers
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(to_tensor(example.output), PHOTO)
    assert torch.equal(task.draw_query(PHOTO), seen)


def test_edges_are_white_on_black() -> None:
    task = get_task("edges")
    soft = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(0)) * 0.3
    (drawn,) = outputs(task, soft)
    assert torch.equal(drawn[0], drawn[1])
    edges = task.read([drawn]).edges
    assert edges is not None
    assert edges.shape == (40, 60)
    with pytest.raises(ValueError, match="invert it"):
        outputs(task, 1 - soft)


@pytest.mark.parametrize("name", TASKS)
def test_a_perfect_answer_scores_best(name: str) -> None:
    task = get_task(name)
    lines = np.zeros_like(SQUARE)
    lines[[10, 19], 15:35] = 255
    annotation = {"segmentation": SQUARE, "detection": SQUARE, "edges": lines}.get(name, PHOTO)
    truth = outputs(task, annotation)
    wrong = [torch.roll(t, 17, dims=2) for t in truth]
    assert task.score(truth, truth) > task.score(wrong, truth)
    assert task.score(truth, truth) == (100.0 if task.metric.startswith("PSNR") else 1.0)


def test_an_empty_truth_met_with_an_empty_answer_scores_one() -> None:
    empty = [torch.zeros(3, 8, 8)]
    for name in ("segmentation", "detection"):
        assert get_task(name).score(empty, empty) == 1.0
        assert get_task(name).score([torch.ones(3, 8, 8)], empty) == 0.0


def test_iou_is_averaged_over_the_classes_that_show() -> None:
    task = get_task("segmentation", classes=["a", "b", "c"])
    truth = [torch.zeros(3, 4, 4) for _ in range(3)]
    truth[0][:, :2] = 1  # 8 pixels of a
    answer = [torch.zeros(3, 4, 4) for _ in range(3)]
    answer[0][:, :1] = 1  # 4 of them found
    answer[1][:, 3:] = 1  # 4 pixels of b that are not there
    assert task.score(answer, truth) == pytest.approx((4 / 8 + 0) / 2)


def test_a_class_that_no_example_shows_is_refused() -> None:
    task = SegmentationTask(Classes.parse(["square", "corner"]))
    with pytest.raises(MaskError, match="none shows class 'corner'"):
        draw_examples(task, [Example(PHOTO, SQUARE)])
    passes = draw_examples(task, [Example(PHOTO, SQUARE), Example(PHOTO, TWO)])
    assert [len(drawn) for drawn in passes] == [2, 2]
    with pytest.raises(MaskError, match="'object'"):
        draw_examples(DetectionTask(Classes.parse(None)), [Example(PHOTO, SQUARE * 0)])


def test_an_output_of_another_shape_is_refused_and_of_another_size_is_not() -> None:
    task = get_task("segmentation")
    with pytest.raises(
        ValueError, match=r"60x40 and its output \(ndarray\) 40x60 .*sides are swapped"
    ):
        task.draw(Example(PHOTO, SQUARE.T))
    task.draw(Example(PHOTO, SQUARE.repeat(3, 0).repeat(3, 1)))


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected one of image, segmentation"):
        get_task("segment")
    with pytest.raises(ValueError, match="has none"):
        get_task("edges", classes=["a"])
    with pytest.raises(ValueError, match="only segmentation"):
        get_task("detection", palette=True)
    with pytest.raises(ValueError, match="give it those itself"):
        get_task(get_task("segmentation"), classes=["a"])


def test_a_large_query_is_drawn_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = to_levels(picture(50, 40, seed=5))
    task = get_task("colorization")
    whole = drawn_query(task, levels)
    assert torch.equal(whole, task.draw_query(to_tensor(levels)))
    monkeypatch.setattr("vicl.tasks.task._BAND", 7 * 40)
    banded = drawn_query(task, levels)
    assert isinstance(banded, np.ndarray)
    assert torch.equal(to_tensor(banded), whole)
    assert drawn_query(get_task("segmentation"), levels) is levels


@pytest.mark.parametrize("palette", [False, True])
def test_answers_are_read_in_bands(palette: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    task = get_task("segmentation", classes=["a", "b", "c"], palette=palette)
    answers = [picture(41, 30, seed=seed) for seed in range(task.passes)]
    whole = task.read(answers)
    monkeypatch.setattr("vicl.tasks.segmentation._BAND", 7 * 30)
    banded = task.read(answers)
    assert np.array_equal(whole.mask, banded.mask)
    assert np.allclose(whole.scores, banded.scores, atol=1e-6)
    assert whole.image.convert("RGB").tobytes() == banded.image.convert("RGB").tobytes()


def test_examples_are_drawn_no_larger_than_they_are_kept() -> None:
    photo, mask = np.zeros((700, 2048, 3), np.uint8), np.zeros((700, 2048), np.uint8)
    photo[:, 1000:], mask[:, 1000:] = 200, 1
    for task, annotation in (
        (get_task("segmentation"), mask),
        (get_task("detection"), [(1000, 0, 2048, 700)]),
        (get_task("image"), photo.copy()),
    ):
        (example,) = task.draw(Example(photo, annotation))
        assert to_tensor(example.input).shape == (3, 350, 1024)
        output = to_tensor(example.output)
        assert output.shape == (3, 350, 1024)
        assert output[:, :, :490].max() < 0.01
        assert output[:, :, 510:].min() > 0.7


def test_a_mask_is_drawn_in_pure_black_and_white() -> None:
    labels = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    task = get_task("segmentation", classes=["a", "b"])
    assert isinstance(task, SegmentationTask)
    first, second = task.draw_labels(labels)
    assert torch.equal(first[0], torch.from_numpy((labels == 1).astype(np.float32)))
    assert torch.equal(second[0], torch.from_numpy((labels == 2).astype(np.float32)))
