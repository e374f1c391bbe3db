"""The synthetic study against an independent one, written pixel by pixel."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.slowly import mostly_slow

from vicl.engine import Filled
from vicl.evaluation.datasets.generated.shapes import (
    CHANGES,
    EXTENDED,
    Shape,
    ShapesStudy,
    covered,
)
from vicl.evaluation.episodes import Case, Dataset, DatasetError, Item, write_listing
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.evaluation.scoring.shapes import form_of, has_right_form, shape_ious
from vicl.images import resize, to_tensor
from vicl.models.floors import Copy

Pixel = tuple[int, int, int]
ALL = BLUE, GREEN, WHITE, BLACK = (0, 0, 255), (0, 255, 0), (255, 255, 255), (0, 0, 0)


def pixels(image: torch.Tensor) -> list[list[Pixel]]:
    """A picture as rows of 8-bit colours."""
    levels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy().tolist()
    return [[tuple(pixel) for pixel in row] for row in levels]


def at_cell(rows: list[list[Pixel]], size: int = 74) -> list[list[Pixel]]:
    """By Pillow, bilinear."""
    picture = Image.new("RGB", (len(rows[0]), len(rows)))
    picture.putdata([pixel for row in rows for pixel in row])
    small = picture.resize((size, size), Image.Resampling.BILINEAR)
    flat = [tuple(pixel) for row in np.asarray(small).tolist() for pixel in row]
    return [flat[start : start + size] for start in range(0, size * size, size)]


@functools.cache
def nearest(pixel: Pixel, palette: tuple[Pixel, ...]) -> Pixel:
    return min(
        palette, key=lambda colour: sum((a - b) ** 2 for a, b in zip(pixel, colour, strict=True))
    )


def plain_scores(
    answer: list[list[Pixel]], truth: list[list[Pixel]], change: str
) -> tuple[float, float]:
    """Color-aware and color-blind IoU, counted."""
    palette = (GREEN, WHITE, BLACK) if change in ("shape", "size+shape") else ALL
    wanted = BLUE if "color" in change else GREEN
    shared = union = seen_shared = seen_union = 0
    for row, true_row in zip(answer, truth, strict=True):
        for pixel, true_pixel in zip(row, true_row, strict=True):
            got, right = nearest(pixel, palette), nearest(true_pixel, palette)
            shared += got == wanted and right == wanted
            union += got == wanted or right == wanted
            seen_shared += got != WHITE and right != WHITE
            seen_union += got != WHITE or right != WHITE
    return shared / union if union else 1.0, seen_shared / seen_union if seen_union else 1.0


def shape_in(rows: list[list[Pixel]]) -> tuple[set[tuple[int, int]], set[Pixel]]:
    """The pixels that are not white, and their colours."""
    places = {(y, x) for y, row in enumerate(rows) for x, pixel in enumerate(row) if pixel != WHITE}
    return places, {rows[y][x] for y, x in places}


def cases(change: str, count: int, *, seed: int = 0) -> list[Case]:
    study = ShapesStudy(change)
    return [study.load(episode) for episode in study.episodes(count, seed=seed)]


@pytest.mark.parametrize("change", mostly_slow(CHANGES, "shape", "size+color"))
def test_a_pair_is_as_the_paper_says(change: str) -> None:
    """Each output follows from its input's centre and radius, drawn again pixel by pixel."""
    for case in cases(change, 1):
        pairs = [(e.input, e.output) for e in case.prompt.examples]
        for shown, changed in [*pairs, (case.prompt.query, case.truth.image)]:
            before, colours = shape_in(pixels(shown))
            after, new_colours = shape_in(pixels(changed))
            assert colours == {GREEN}
            assert new_colours == {BLUE if "color" in change else GREEN}
            fits = [
                (y, x, r)
                for r in ([30] if "size" in change else range(10, 50))
                for y, x in _centres(before, r)
            ]
            assert fits, "the input is no circle of the paper's"
            small = 20 if "size" in change else None
            assert any(
                after == _figure(y, x, small or r, square="shape" in change) for y, x, r in fits
            )


def _figure(y: int, x: int, radius: int, *, square: bool) -> set[tuple[int, int]]:
    found = set()
    for row in range(max(0, y - radius), min(224, y + radius + 1)):
        for column in range(max(0, x - radius), min(224, x + radius + 1)):
            if square or math.hypot(row - y, column - x) <= radius:
                found.add((row, column))
    return found


def _centres(places: set[tuple[int, int]], radius: int) -> list[tuple[int, int]]:
    """The centres at which a circle of that radius is just these pixels."""
    rows, columns = [y for y, _ in places], [x for _, x in places]
    for values in (rows, columns):
        cut_off = min(values) == 0 or max(values) == 223
        if max(values) - min(values) != 2 * radius and not cut_off:
            return []
    found = []
    for y in {min(rows) + radius, max(rows) - radius}:
        for x in {min(columns) + radius, max(columns) - radius}:
            if 10 <= y <= 213 and 10 <= x <= 213 and _figure(y, x, radius, square=False) == places:
                found.append((y, x))
    return found


def test_places_and_radii_cover_their_whole_range() -> None:
    study = ShapesStudy("color")
    shapes = [
        study._shape(item, episode.seed)
        for episode in study.episodes(1000)
        for item in (*episode.examples, episode.query)
    ]
    for values, low, high in (
        ([s.y for s in shapes], 10, 213),
        ([s.x for s in shapes], 10, 213),
        ([s.radius for s in shapes], 10, 49),
    ):
        assert set(values) == set(range(low, high + 1))
        # The mean of 3000 uniform draws, to within four standard errors.
        spread = (high - low) / math.sqrt(12 * len(values))
        assert abs(sum(values) / len(values) - (low + high) / 2) < 4 * spread


@pytest.mark.parametrize("change", EXTENDED)
def test_the_extended_tasks_move_the_shape(change: str) -> None:
    for case in cases(change, 2):
        query, truth = to_tensor(case.prompt.query), case.truth.image
        flips = {"mirror-horizontally": 2, "mirror-vertically": 1}
        if change in flips:
            assert torch.equal(truth, query.flip(flips[change]))
            continue
        dim = 2 if change == "shift-right" else 1
        kept = 224 - 56
        assert torch.equal(truth.narrow(dim, 56, kept), query.narrow(dim, 0, kept))
        assert (truth != query).any()


@pytest.mark.parametrize("change", [*CHANGES, *EXTENDED])
def test_an_oracle_scores_one(change: str) -> None:
    scorer = scorer_for("shapes")
    for case in cases(change, 3, seed=1):
        assert set(scorer.score(case, Filled(case.truth.image)).values.values()) == {1.0}


@pytest.mark.slow
def test_every_truth_has_its_form() -> None:
    """However it is cut off: twenty episodes each."""
    for change in ("shape", "color"):
        for case in cases(change, 20):
            cell = resize(case.truth.image, (74, 74), filter="bilinear")
            assert has_right_form(cell.numpy(), change)


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_copy_scores_what_plain_python_says(change: str) -> None:
    """Copy answers with the mean of the examples' outputs; everything counted pixel by pixel."""
    scorer = scorer_for("shapes")
    totals = [0.0, 0.0]
    found = []
    for case in cases(change, 2):
        outputs = [pixels(example.output) for example in case.prompt.examples]
        mean = [
            [
                tuple(round((a + b) / 2) for a, b in zip(one, other, strict=True))
                for one, other in zip(*rows, strict=True)
            ]
            for rows in zip(*outputs, strict=True)
        ]
        expected = plain_scores(at_cell(mean), at_cell(pixels(case.truth.image)), change)
        answer = Copy().answer([case.prompt])[0]
        values = scorer.score(case, answer).values
        assert (values["color_aware_iou"], values["color_blind_iou"]) == expected
        full = plain_scores(mean, pixels(case.truth.image), change)
        assert (values["color_aware_iou_full"], values["color_blind_iou_full"]) == full
        totals = [total + value for total, value in zip(totals, expected, strict=True)]
        found.append(scorer.score(case, answer))
    statistics = scorer.statistics(found)
    whole = np.arange(2)[None]
    assert statistics["color_aware_iou"](whole)[0] == pytest.approx(totals[0] / 2)
    assert statistics["color_blind_iou"](whole)[0] == pytest.approx(totals[1] / 2)


@pytest.mark.slow
def test_copy_of_one_example_overlaps_somewhere() -> None:
    """One example's output is a whole shape, so that the comparison above is of more than zeros."""
    scorer, study = scorer_for("shapes"), ShapesStudy("size+color")
    values = []
    for episode in study.episodes(4, examples=1):
        case = study.load(episode)
        answer = Copy().answer([case.prompt])[0]
        values.append(scorer.score(case, answer).values["color_aware_iou"])
        shown = at_cell(pixels(case.prompt.examples[0].output))
        expected = plain_scores(shown, at_cell(pixels(case.truth.image)), study.change)[0]
        assert values[-1] == expected
    assert 0 < sum(values) / len(values) < 0.3


def test_ious_by_hand() -> None:
    white = np.ones((3, 4, 4))
    truth, answer = white.copy(), white.copy()
    truth[:, :2, :2] = np.array([0.0, 0.0, 1.0])[:, None, None]  # blue, 4 pixels
    answer[:, :2, 1:3] = np.array([0.1, 0.2, 0.7])[:, None, None]  # nearly blue, 2 of them right
    answer[:, 3, 3] = 0.1  # nearly black
    assert shape_ious(answer, truth, "color") == (2 / 6, 2 / 7)
    answer[:, 0, 1] = (0.2, 0.8, 0.1)  # a right place in the wrong colour
    assert shape_ious(answer, truth, "color") == (1 / 6, 2 / 7)
    assert shape_ious(white, white, "color") == (1.0, 1.0)
    # Without blue among the change's colours, this is nearer to black than to green or white.
    assert shape_ious(truth, white, "shape") == (1.0, 0.0)
    with pytest.raises(ValueError, match="task: got 'colour', expected one of color, shape"):
        shape_ious(white, white, "colour")


def test_form_of_sees_the_form_whatever_its_place_and_size() -> None:
    for form in ("circle", "square"):
        for y, x, radius in ((37, 37, 15), (20, 50, 5), (3, 40, 12), (10, 10, 16), (70, 66, 12)):
            assert form_of(covered(74, y, x, radius, form=form)) == form
    assert form_of(np.zeros((20, 20), dtype=bool)) is None
    noisy = covered(74, 30, 30, 14, form="square") ^ (
        np.random.default_rng(0).random((74, 74)) > 0.97
    )
    assert form_of(noisy) == "square"


def test_figure_by_hand() -> None:
    circle = covered(5, 2, 1, 1, form="circle")
    assert np.argwhere(circle).tolist() == [[1, 1], [2, 0], [2, 1], [2, 2], [3, 1]]
    square = covered(5, 4, 0, 1, form="square")
    assert np.argwhere(square).tolist() == [[3, 0], [3, 1], [4, 0], [4, 1]]


def test_a_picture_has_two_colours_and_nothing_between() -> None:
    drawn = Shape(30, 200, 40, "square", "blue").draw()
    assert shape_in(pixels(drawn)) == (_figure(30, 200, 40, square=True), {BLUE})


def test_an_episode_follows_from_seed_index_and_role_alone() -> None:
    study = ShapesStudy("size+shape")
    assert isinstance(study, Dataset)
    many, few = study.episodes(5, seed=3, examples=4), study.episodes(2, seed=3)
    assert len(study.episodes()) == 100
    assert [len(episode.examples) for episode in few] == [2, 2]
    for one, other in zip(few, many, strict=False):
        assert one.query == other.query
        assert one.examples == other.examples[:2]
        case, again = study.load(one), study.load(other)
        assert torch.equal(to_tensor(case.prompt.query), to_tensor(again.prompt.query))
    assert few[1].query.image == "size+shape/1/query"
    shown = [to_tensor(study.load(episode).prompt.query) for episode in many]
    assert all(not torch.equal(shown[0], other) for other in shown[1:])
    elsewhere = study.load(study.episodes(1, seed=4)[0])
    assert not torch.equal(shown[0], to_tensor(elsewhere.prompt.query))
    first = study.load(many[0])
    inputs = [to_tensor(e.input) for e in first.prompt.examples]
    assert all(not torch.equal(shown[0], other) for other in inputs)
    assert json.loads(write_listing(few).splitlines()[1])["query"]["image"] == "size+shape/1/query"


def test_tasks_are_told_apart() -> None:
    studies = [ShapesStudy(change) for change in (*CHANGES, *EXTENDED)]
    assert len(studies) == 10
    assert len({study.fingerprint for study in studies}) == len({study.name for study in studies})
    assert all(len(study.fingerprint) == 64 for study in studies)
    assert studies[0].fingerprint == ShapesStudy("color").fingerprint


def test_what_is_no_episode_of_the_study_is_refused() -> None:
    with pytest.raises(ValueError, match="task: got 'colour', expected one of color"):
        ShapesStudy("colour")
    study = ShapesStudy("color")
    for wrong in ({"count": 0}, {"examples": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match="expected at least one"):
            study.episodes(**wrong)
    good = study.episodes(1)[0]
    for name in ("shape/0/query", "color/0/answer", "color/x/query", "../../color/0/query"):
        with pytest.raises(DatasetError, match="is not of the study's task 'color'"):
            study.load(replace(good, query=Item(name)))
