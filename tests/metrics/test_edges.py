from __future__ import annotations

import itertools
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.optimize import linear_sum_assignment

from vicl.metrics.edges import EdgeCounts, edge_counts, edge_f, image_f, resampled_f, thin

MAPS = Path(__file__).parents[2] / ".." / "shared" / "data" / "edges" / "bsds_annotators"


def _line(column: int, *, rows: slice = slice(None), size: int = 40) -> np.ndarray:
    edges = np.zeros((size, size), dtype=bool)
    edges[rows, column] = True
    return edges


def _at(counts: EdgeCounts, step: int = 0) -> tuple[int, int, int, int]:
    fields = (counts.matched_pred, counts.total_pred, counts.matched_truth, counts.total_truth)
    a, b, c, d = (int(field[step]) for field in fields)
    return a, b, c, d


def _counts(*rows: tuple[int, int, int, int], thresholds: tuple[float, ...]) -> EdgeCounts:
    return EdgeCounts(np.array(thresholds), *np.array(rows).T)


# The tolerance below is so many pixels: the diagonal of a 40 by 40 image is 56.57.
def _pixels(radius: float) -> float:
    return float(radius / np.hypot(40, 40))


@pytest.mark.parametrize("horizontal", [False, True])
def test_thin_finds_the_crest_of_a_ridge(horizontal: bool) -> None:
    x = np.arange(40.0)
    ridge = np.tile(np.exp(-((x - 17) ** 2) / 8), (30, 1))
    crest = thin(ridge.T if horizontal else ridge)
    crest = crest.T if horizontal else crest
    assert (crest[:, 17] == 1).all()
    assert not crest[:, :17].any()
    assert not crest[:, 18:].any()


def test_thin_follows_a_diagonal_and_a_circle() -> None:
    y, x = np.mgrid[:60, :60].astype(float)
    for distance in ((y - x) / np.sqrt(2), np.hypot(y - 30, x - 30) - 18):
        crest = thin(np.exp(-(distance**2) / 8))
        inside = np.abs(distance) < 0.4
        assert (crest[inside] > 0).mean() > 0.95
        # Some pixels stay where the blurred flank is straight; a crest line is 1 pixel in 10 here.
        assert (crest[np.abs(distance) > 1.1] > 0.01).mean() < 0.01


def test_thin_keeps_lines_that_are_thin_and_values() -> None:
    edges = _line(20).astype(np.float64) * 0.25
    assert np.array_equal(thin(edges), edges)
    assert not thin(np.zeros((5, 5))).any()
    assert np.array_equal(thin(np.ones((1, 5))), np.ones((1, 5)))


def test_precision_and_recall_by_hand() -> None:
    # Predicted: columns 10 and 30, 40 pixels each.  The truth: column 11, its first 20 rows.
    pred = (_line(10) | _line(30)).astype(np.float64)
    truth = _line(11, rows=slice(20))[None]
    counts = edge_counts(pred, truth, thresholds=[0.5], tolerance=_pixels(1))
    assert _at(counts) == (20, 80, 20, 20)
    score = edge_f([counts]).ods
    assert (score.precision, score.recall) == (0.25, 1.0)
    assert score.f == pytest.approx(2 * 0.25 / 1.25)
    assert score.threshold == 0.5


def test_the_tolerance_is_a_distance_and_includes_its_end() -> None:
    pred = _line(10).astype(np.float64)
    for apart, radius, matched in ((3, 3.0, 40), (3, 2.99, 0), (0, 0.0, 40), (1, 0.0, 0)):
        truth = _line(10 + apart)[None]
        counts = edge_counts(pred, truth, thresholds=[0.5], tolerance=_pixels(radius) * (1 + 1e-9))
        assert _at(counts) == (matched, 40, matched, 40)


def test_two_predicted_pixels_near_one_true_pixel_count_once() -> None:
    pred = np.zeros((40, 40))
    pred[20, 18] = pred[20, 22] = 1
    truth = np.zeros((1, 40, 40), dtype=bool)
    truth[0, 20, 20] = True
    counts = edge_counts(pred, truth, thresholds=[0.5], tolerance=_pixels(2.5))
    assert _at(counts) == (1, 2, 1, 1)
    # And the other way round: one predicted pixel finds one of two.
    counts = edge_counts(
        truth[0].astype(np.float64), pred[None] > 0, thresholds=[0.5], tolerance=_pixels(2.5)
    )
    assert _at(counts) == (1, 1, 1, 2)


def test_a_chain_is_matched_as_a_whole() -> None:
    # Nearest-first pairing would take (20, 21) and leave 20 and 23 without partners.
    pred, truth = np.zeros((40, 40)), np.zeros((1, 40, 40), dtype=bool)
    pred[5, [18, 21]] = 1
    truth[0, 5, [20, 23]] = True
    counts = edge_counts(pred, truth, thresholds=[0.5], tolerance=_pixels(2))
    assert _at(counts) == (2, 2, 2, 2)


def test_precision_asks_any_annotator_and_recall_sums_over_all() -> None:
    pred = (_line(10) | _line(30)).astype(np.float64)
    annotators = np.stack([_line(10), _line(10) | _line(20), _line(30, rows=slice(10))])
    counts = edge_counts(pred, annotators, thresholds=[0.5], tolerance=_pixels(1))
    # Right: column 10 (by two annotators) and 10 rows of column 30.  Truth: 40 + 80 + 10.
    assert _at(counts) == (50, 80, 40 + 40 + 10, 130)


def test_what_the_annotators_drew_is_thinned_too() -> None:
    staircase = np.eye(40, dtype=bool) | np.eye(40, k=1, dtype=bool)
    counts = edge_counts(np.eye(40), staircase[None], thresholds=[0.5], tolerance=_pixels(1.5))
    found, predicted, matched, wanted = _at(counts)
    assert predicted == found == 40
    assert matched == wanted <= 40


@pytest.mark.slow
@pytest.mark.skipif(not MAPS.is_dir(), reason=f"the development set is not at {MAPS}")
def test_people_agree_with_one_another_as_published_and_are_matched_quickly() -> None:
    # Published: F 0.80; all 100 images here give 0.784, these five 0.841.  On the first of them
    # SciPy's own bipartite matching takes over ten seconds a pair.
    counts = []
    start = time.perf_counter()
    for name in ("bsds_101085", "bsds_101087", "bsds_102061", "bsds_103070", "bsds_105025"):
        paths = sorted(MAPS.glob(f"{name}_*.png"))
        drawn = np.stack([np.asarray(Image.open(path)) > 0 for path in paths])
        for one in range(len(drawn)):
            others = np.delete(drawn, one, axis=0)
            counts.append(edge_counts(drawn[one].astype(float), others, thresholds=[0.5]))
    assert time.perf_counter() - start < 30
    assert edge_f(counts).ods.f == pytest.approx(0.80, abs=0.06)


def test_matching_is_the_largest_by_an_independent_assignment() -> None:
    rng = np.random.default_rng(0)
    radius = 2.3
    for _ in range(10):
        # Two grids of single pixels, so that there is nothing to thin.
        truth, pred = np.zeros((40, 40), dtype=bool), np.zeros((40, 40), dtype=bool)
        truth[rng.integers(0, 13, 60) * 3, rng.integers(0, 13, 60) * 3] = True
        pred[rng.integers(0, 20, 60) * 2, rng.integers(0, 20, 60) * 2] = True
        counts = edge_counts(
            pred.astype(np.float64), truth[None], thresholds=[0.5], tolerance=_pixels(radius)
        )
        a, b = np.argwhere(pred), np.argwhere(truth)
        near = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1)) <= radius
        rows, columns = linear_sum_assignment(near, maximize=True)
        expected = int(near[rows, columns].sum())
        assert _at(counts) == (expected, len(a), expected, len(b))


def test_each_threshold_is_counted_by_itself() -> None:
    pred = _line(10) * 0.9 + _line(30) * 0.4
    truth = _line(10)[None]
    counts = edge_counts(pred, truth, thresholds=[0.2, 0.3, 0.5, 0.95], tolerance=_pixels(1))
    assert [_at(counts, step) for step in range(4)] == [
        (40, 80, 40, 40),
        (40, 80, 40, 40),
        (40, 40, 40, 40),
        (0, 0, 0, 40),
    ]
    assert edge_f([counts]).ods.threshold == 0.5
    assert edge_f([counts]).ods.f == 1
    assert len(edge_counts(pred, truth).thresholds) == 25


def test_ods_takes_one_threshold_and_ois_each_images_own() -> None:
    a = _counts((8, 10, 8, 10), (2, 2, 2, 10), thresholds=(0.3, 0.6))  # best at 0.3: F 0.8
    b = _counts((2, 30, 2, 10), (6, 10, 6, 10), thresholds=(0.3, 0.6))  # best at 0.6: F 0.6
    found = edge_f([a, b])
    # 0.3: precision 10/40, recall 10/20; 0.6: precision 8/12, recall 8/20.
    assert found.ods.threshold == 0.6
    assert found.ods.f == pytest.approx(2 * (8 / 12) * (8 / 20) / (8 / 12 + 8 / 20))
    # Own best: precision (8 + 6) / 20, recall (8 + 6) / 20.
    assert found.ois.f == pytest.approx(0.7)
    assert found.ois.threshold is None
    assert image_f(a) == pytest.approx(0.8)
    assert image_f(b) == pytest.approx(0.6)


def test_nothing_wanted_and_nothing_given_is_right() -> None:
    none = np.zeros((1, 40, 40), dtype=bool)
    assert edge_f([edge_counts(np.zeros((40, 40)), none)]).ods.f == 1
    assert edge_f([edge_counts(_line(3).astype(np.float64), none)]).ods.f == 0
    wanted = edge_counts(np.zeros((40, 40)), _line(3)[None])
    assert edge_f([wanted]).ods.f == 0


def test_resampled_f_is_edge_f_of_the_resample() -> None:
    rng = np.random.default_rng(0)
    levels = (0.25, 0.5, 0.75)
    counts = []
    for _ in range(4):
        total, wanted = rng.integers(5, 50, 3), 40
        right = np.minimum(rng.integers(0, 50, 3), total)
        found = np.minimum(right, wanted)
        rows = [
            (int(r), int(t), int(f), wanted) for r, t, f in zip(right, total, found, strict=True)
        ]
        counts.append(_counts(*rows, thresholds=levels))
    draws = np.array(list(itertools.product(range(4), repeat=4)))
    for scale in ("ods", "ois"):
        values = resampled_f(counts, draws, scale=scale)
        for row, value in zip(draws, values, strict=True):
            score = edge_f([counts[i] for i in row])
            assert value == pytest.approx((score.ods if scale == "ods" else score.ois).f)


def test_what_does_not_fit_is_refused() -> None:
    pred = np.zeros((40, 40))
    with pytest.raises(ValueError, match="annotators: got shape"):
        edge_counts(pred, np.zeros((1, 40, 39), dtype=bool))
    with pytest.raises(ValueError, match="at least one map"):
        edge_counts(pred, np.zeros((0, 40, 40), dtype=bool))
    for bad in ([0.5, 0.5], [0.0, 0.5], [0.5, 1.5], []):
        with pytest.raises(ValueError, match="thresholds"):
            edge_counts(pred, np.zeros((1, 40, 40), dtype=bool), thresholds=bad)
    with pytest.raises(ValueError, match="got none"):
        edge_f([])
    one = _counts((1, 1, 1, 1), thresholds=(0.5,))
    other = _counts((1, 1, 1, 1), thresholds=(0.4,))
    with pytest.raises(ValueError, match="different thresholds"):
        edge_f([one, other])


def test_memory_does_not_grow_with_the_square_of_the_tolerance() -> None:
    # The tolerance is a share of the diagonal, 18 pixels here: a thousand cells round each pixel.
    edges = np.zeros((1500, 2000))
    edges[100::300] = 1.0
    tracemalloc.start()
    try:
        counts = edge_counts(edges, (edges > 0)[None], thresholds=[0.5])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert _at(counts) == (10_000,) * 4
    assert peak < 150 * edges.size
