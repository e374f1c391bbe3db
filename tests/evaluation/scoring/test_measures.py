"""Each measure on cases small enough to work out by hand, or against a loop over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pictures import picture
from torch import Tensor

from vicl.engine import Filled
from vicl.evaluation.episodes import Bounds, Case, Truth
from vicl.evaluation.scoring.measures import CELL, answer_cell, to_cell
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.images import to_pil
from vicl.models.floors import Copy, Identity
from vicl.prompt import Example, Prompt
from vicl.tasks import TASKS


def drawn(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask.astype(np.float32)).expand(3, -1, -1).contiguous()


def case(truth: Truth, query: Tensor | None = None) -> Case:
    shown = torch.zeros_like(truth.image) if query is None else query
    return Case(Prompt([Example(shown, truth.image)], shown), truth)


def box_mask(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def test_the_cell_is_bicubic_cut_at_one_half() -> None:
    half = np.zeros((222, 222), dtype=bool)
    half[:, :112] = True  # 56 of 111 columns are white, after halving
    cell = to_cell(half)
    assert cell.shape == (111, 111)
    assert cell[:, :56].all()
    assert not cell[:, 56:].any()
    assert to_cell(np.ones((30, 200), dtype=bool)).all()
    assert not to_cell(np.zeros((30, 200), dtype=bool)).any()


def test_an_answers_cell_is_what_was_inpainted_or_else_its_image() -> None:
    image, cell, other = picture(40, 60), picture(111, 111, seed=1), picture(64, 64, seed=2)
    assert torch.equal(answer_cell(Filled(image, cell=cell)), cell)
    for given, source in ((Filled(image), image), (Filled(image, cell=other), other)):
        small = to_pil(source).resize((111, 111), Image.Resampling.BICUBIC)
        expected = torch.from_numpy(np.asarray(small, dtype=np.float32) / 255).permute(2, 0, 1)
        assert torch.equal(answer_cell(given), expected)
    small = to_pil(image).resize((74, 74), Image.Resampling.BILINEAR)
    found = answer_cell(Filled(image), size=74, filter="bilinear")
    assert np.array_equal(np.asarray(to_pil(found)), np.asarray(small))


# Segmentation


def test_segmentation_by_hand() -> None:
    """At the cell's own size, so that the cell and the query differ in nothing but the answer."""
    truth = box_mask((CELL, CELL), (10, 10, 50, 50))  # 1600 pixels
    found = box_mask((CELL, CELL), (30, 10, 70, 50))  # 1600, half of them right
    inpainted = box_mask((CELL, CELL), (10, 10, 50, 30))  # 800, all right
    values = (
        scorer_for("segmentation")
        .score(case(Truth(drawn(truth))), Filled(0.2 + 0.6 * drawn(found), cell=drawn(inpainted)))
        .values
    )
    assert values["iou_cell"] == 800 / 1600
    assert values["iou"] == 800 / 2400
    assert values["pixel_accuracy"] == pytest.approx(1 - 1600 / CELL**2)


def test_void_is_left_out_at_both_sizes() -> None:
    truth = box_mask((222, 222), (0, 0, 100, 222))
    void = box_mask((222, 222), (100, 0, 140, 222))
    found = box_mask((222, 222), (0, 0, 140, 222))
    scorer, answer = scorer_for("segmentation"), Filled(drawn(found))
    with_void = scorer.score(case(Truth(drawn(truth), void=void)), answer).values
    assert set(with_void.values()) == {1.0}
    without = scorer.score(case(Truth(drawn(truth))), answer).values
    assert without["iou"] == 100 / 140
    assert without["iou_cell"] == 50 / 70
    everything = Truth(drawn(truth), void=np.ones((222, 222), dtype=bool))
    assert set(scorer.score(case(everything), answer).values.values()) == {1.0}


@pytest.mark.slow
def test_published_rounding_and_iou_on_random_pictures() -> None:
    """Twenty coloured answers against soft truths, pixel by pixel: nearer of white and black."""
    scorer = scorer_for("segmentation")
    rng = np.random.default_rng(5)
    seen = []
    for seed in range(20):
        height, width = (int(v) for v in rng.integers(90, 180, 2))
        truth = rng.random((height // 10 + 1, width // 10 + 1)) > 0.5
        truth = truth.repeat(10, axis=0).repeat(10, axis=1)[:height, :width]
        answer = picture(111, 111, seed=seed)
        cell = np.asarray(
            Image.fromarray(truth.astype(np.uint8) * 255).resize(
                (111, 111), Image.Resampling.BICUBIC
            )
        )
        levels = np.asarray(to_pil(answer))
        shared = union = 0
        for y in range(111):
            for x in range(111):
                to_white = sum((255 - int(v)) ** 2 for v in levels[y, x])
                to_black = sum(int(v) ** 2 for v in levels[y, x])
                given = to_white < to_black
                wanted = 255 - int(cell[y, x]) < int(cell[y, x])
                shared += given and wanted
                union += given or wanted
        filled = Filled(torch.zeros(3, height, width), cell=answer)
        values = scorer.score(case(Truth(drawn(truth))), filled).values
        assert values["iou_cell"] == shared / union
        seen.append(values["iou_cell"])
    assert 0.2 < min(seen) < max(seen) < 0.5


# Detection


def test_detection_takes_the_box_of_the_largest_component() -> None:
    size = (CELL, CELL)
    truth = Truth(drawn(box_mask(size, (20, 20, 60, 60))), boxes=((20.0, 20.0, 60.0, 60.0),))
    # An L of 1100 pixels, whose box is (20, 20, 50, 70), and a separate square of 900.
    found = box_mask(size, (20, 20, 40, 70), (40, 60, 50, 70), (70, 70, 100, 100))
    values = scorer_for("detection").score(case(truth), Filled(drawn(found))).values
    # 30 by 40 shared; 40 by 40 and 30 by 50 together.
    expected = 1200 / (1600 + 1500 - 1200)
    assert values == {"box_iou_cell": expected, "box_iou": pytest.approx(expected)}


def test_detection_at_the_query_uses_the_answers_image_and_the_true_numbers() -> None:
    size = (100, 200)
    box: Bounds = (10.5, 20.0, 50.0, 60.0)
    truth = Truth(drawn(box_mask(size, (10, 20, 50, 60))), boxes=(box,))
    cell = drawn(box_mask((CELL, CELL), (0, 0, 111, 111)))
    answer = Filled(drawn(box_mask(size, (10, 20, 50, 60))), cell=cell)
    values = scorer_for("detection").score(case(truth), answer).values
    assert values["box_iou"] == pytest.approx(39.5 / 40)
    # By 1.11 down and 0.555 across: rows 22.2 to 66.6, columns 5.55 to 27.75 of the whole cell.
    assert values["box_iou_cell"] == pytest.approx((67 - 22) * (28 - 6) / CELL**2)


def test_detection_of_nothing() -> None:
    size, scorer = (50, 50), scorer_for("detection")
    nothing, something = np.zeros(size, dtype=bool), box_mask(size, (5, 5, 20, 20))
    here = Truth(drawn(something), boxes=((5.0, 5.0, 20.0, 20.0),))
    for truth, found, expected in (
        (Truth(drawn(nothing)), nothing, 1.0),
        (Truth(drawn(nothing)), something, 0.0),
        (here, nothing, 0.0),
    ):
        values = scorer.score(case(truth), Filled(drawn(found))).values
        assert set(values.values()) == {expected}


def test_detection_of_several_boxes_counts_the_nearest() -> None:
    boxes: tuple[Bounds, ...] = ((0.0, 0.0, 10.0, 10.0), (30.0, 30.0, 50.0, 50.0))
    truth = Truth(drawn(box_mask((50, 50), (0, 0, 10, 10), (30, 30, 50, 50))), boxes=boxes)
    found = drawn(box_mask((50, 50), (30, 30, 50, 40)))
    assert scorer_for("detection").score(case(truth), Filled(found)).values["box_iou"] == 0.5


# Pictures


def test_pictures_by_hand() -> None:
    """A difference of 51 levels, 0.2, in every red value, and of none elsewhere."""
    truth = torch.full((3, 20, 30), 0.4)
    found = truth.clone()
    found[0] += 0.2
    values = scorer_for("image").score(case(Truth(truth)), Filled(found)).values
    assert values["mse"] == pytest.approx(0.04 / 3)
    assert values["psnr"] == pytest.approx(10 * math.log10(3 / 0.04))
    assert values["mse_imagenet"] == pytest.approx((0.2 / 0.229) ** 2 / 3, rel=1e-5)
    assert 0 < values["ssim"] < 1
    # By the cell, not by the image, where there is one.
    cell = torch.full((3, 111, 111), 0.4)
    cell[1] += 0.4
    answer = Filled(found, cell=cell)
    values = scorer_for("image").score(case(Truth(truth)), answer).values
    assert values["mse_imagenet"] == pytest.approx((0.4 / 0.224) ** 2 / 3, rel=1e-5)
    assert values["mse"] == pytest.approx(0.04 / 3)


def test_gray_wins_colorization_by_mse_but_not_by_its_headline() -> None:
    """Half of the photograph is a dull red, half a dull blue: a safe gray against bold colours."""
    truth = torch.full((3, 32, 32), 0.45)
    truth[0, :, :16] += 0.12
    truth[2, :, 16:] += 0.12
    gray = truth.mean(dim=0).expand(3, -1, -1).contiguous()
    bold = torch.full((3, 32, 32), 0.45)
    bold[0, :, :16] += 0.3
    bold[2, :, 16:] += 0.3
    scorer = scorer_for("colorization")
    one = case(Truth(truth), gray)
    identity = scorer.score(one, Identity().answer([one.prompt])[0]).values
    coloured = scorer.score(one, Filled(bold)).values
    assert identity["mse"] < coloured["mse"]
    assert identity["chroma_recovered"] == pytest.approx(0, abs=1e-3)
    assert coloured["chroma_recovered"] > 0.95
    assert [m.name for m in scorer.metrics[:2]] == ["chroma_error", "chroma_recovered"]
    assert not scorer.metrics[0].higher_is_better


# All kinds


@pytest.mark.parametrize("kind", TASKS)
def test_an_oracle_is_perfect_and_copy_of_another_is_not(kind: str) -> None:
    mask = box_mask((60, 80), (10, 10, 50, 40))
    other = box_mask((60, 80), (40, 30, 70, 50))
    pictures = kind in ("colorization", "image")
    image = picture(60, 80) if pictures else drawn(mask)
    lines = drawn(mask ^ box_mask((60, 80), (11, 11, 49, 39)))
    truth = {
        "edges": Truth(lines, annotators=(lines[0] > 0).numpy()[None]),
        "detection": Truth(image, boxes=((10.0, 10.0, 50.0, 40.0),)),
    }.get(kind, Truth(image))
    shown = picture(60, 80, seed=1) if pictures else drawn(other)
    prompt = Prompt([Example(shown, shown)], shown)
    scorer = scorer_for(kind)
    best = {"psnr": 100.0, "chroma_error": 0.0, "mse": 0.0, "mse_imagenet": 0.0}
    right = scorer.score(Case(prompt, truth), Filled(truth.image)).values
    wrong = scorer.score(Case(prompt, truth), Copy().answer([prompt])[0]).values
    assert list(right) == list(wrong) == [metric.name for metric in scorer.metrics]
    for metric in scorer.metrics:
        assert right[metric.name] == pytest.approx(best.get(metric.name, 1.0))
        sign = 1 if metric.higher_is_better else -1
        assert sign * wrong[metric.name] < sign * right[metric.name]


@pytest.mark.parametrize("kind", ["segmentation", "detection", "edges"])
def test_a_right_answer_to_an_empty_truth_is_perfect(kind: str) -> None:
    """Where the published code's IoU is not a number."""
    nothing = torch.zeros(3, 40, 40)
    truth = Truth(nothing, annotators=np.zeros((2, 40, 40), dtype=bool))
    values = scorer_for(kind).score(case(truth), Filled(nothing)).values
    assert set(values.values()) == {1.0}


@pytest.mark.parametrize("kind", ["segmentation", "colorization", "edges", "image"])
def test_an_answer_of_another_size_is_refused(kind: str) -> None:
    truth = Truth(torch.zeros(3, 40, 40), annotators=np.zeros((1, 40, 40), dtype=bool))
    answer = Filled(torch.zeros(3, 40, 41))
    with pytest.raises(ValueError, match=r"40, 41"):
        scorer_for(kind).score(case(truth), answer)
