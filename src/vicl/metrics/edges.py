"""Scoring edge maps as the Berkeley benchmark does: thin, match one to one, count.

A predicted edge pixel is right if it can be paired with an edge pixel that a person drew, no
further away than a small tolerance, and each pixel is used in one pair only.  Precision and recall
come from counts, which are summed over images before they are divided.

Source: Martin, Fowlkes, Malik, "Learning to detect natural image boundaries using local
brightness, color, and texture cues", TPAMI 2004, section 3 and appendix B; Arbelaez, Maire,
Fowlkes, Malik, "Contour detection and hierarchical image segmentation", TPAMI 2011, section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from vicl.metrics.thinning import thin_lines

TOLERANCE = 0.0075
"""How far apart two matched pixels may be, as a fraction of the image's diagonal."""

THRESHOLDS = 25
"""How many thresholds a soft map is cut at, evenly spaced strictly between 0 and 1."""


def thin(
    edges: Float[np.ndarray, "h w"], *, sigma: float = 2.0, slack: float = 1.01
) -> Float[np.ndarray, "h w"]:
    """Keep the crest lines of a soft edge map and set the rest to 0 (non-maximum suppression).

    The direction across an edge is the one in which the blurred map curves most: the eigenvector
    of its Hessian whose eigenvalue is furthest from 0.  A pixel stays unless the unblurred map,
    one pixel to either side in that direction, is clearly higher.

    Args:
        edges: Strength of the edge at each pixel, [0, 1].
        sigma: Blur before the second derivatives are taken, in pixels.
        slack: A pixel is multiplied by this before the comparison, so that ties stay.

    Returns:
        `edges` on crest lines, 0 elsewhere.

    Source: the thinning in common use before the benchmark (Dollar, Zitnick, TPAMI 2015,
    section 4).  Differs: a Gaussian of the variance of their triangle filter of radius 4, the
    exact direction of curvature, and nothing suppressed along the image's border.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    if min(edges.shape) < 2:  # no second direction to compare in
        return np.array(edges)
    values = np.asarray(edges, dtype=np.float64)
    by_row, by_column = np.gradient(gaussian_filter(values, sigma, mode="reflect"))
    rows, mixed = np.gradient(by_row)
    columns = np.gradient(by_column, axis=1)
    # Direction of the greatest eigenvalue of [[columns, mixed], [mixed, rows]]; where the least
    # one is further from 0 (on a crest, not on its flanks), the other direction.
    angle = 0.5 * np.arctan2(2 * mixed, columns - rows)
    angle += np.where(columns + rows < 0, np.pi / 2, 0)
    y, x = np.nonzero(edges > 0)
    dy, dx = np.sin(angle[y, x]), np.cos(angle[y, x])
    ahead = map_coordinates(values, [y + dy, x + dx], order=1, mode="nearest")
    behind = map_coordinates(values, [y - dy, x - dx], order=1, mode="nearest")
    keep = values[y, x] * slack >= np.maximum(ahead, behind)
    crest = np.zeros_like(edges)
    crest[y[keep], x[keep]] = edges[y[keep], x[keep]]
    return crest


@dataclass(frozen=True, eq=False)
class EdgeCounts:
    """What one image contributes, per threshold; sums of these give precision and recall.

    Attributes:
        thresholds: Rising, in (0, 1); a pixel counts as predicted from the threshold on.
        matched_pred: Predicted pixels that match some annotator's.
        total_pred: Predicted pixels.
        matched_truth: Annotated pixels that are matched, summed over annotators.
        total_truth: Annotated pixels, summed over annotators.
    """

    thresholds: Float[np.ndarray, " t"]
    matched_pred: Int[np.ndarray, " t"]
    total_pred: Int[np.ndarray, " t"]
    matched_truth: Int[np.ndarray, " t"]
    total_truth: Int[np.ndarray, " t"]


@dataclass(frozen=True)
class EdgeScore:
    """An F-measure with what it is made of, each in [0, 1].

    Attributes:
        f: Harmonic mean of precision and recall.
        precision: Share of the predicted pixels that are right.
        recall: Share of the annotated pixels that were found.
        threshold: Where the map was cut; None where each image has its own.
    """

    f: float
    precision: float
    recall: float
    threshold: float | None


@dataclass(frozen=True)
class EdgeF:
    """The benchmark's two figures.

    Attributes:
        ods: Optimal dataset scale: one threshold for all images.
        ois: Optimal image scale: each image at its own best threshold.
    """

    ods: EdgeScore
    ois: EdgeScore


@dataclass(frozen=True, eq=False)
class _Lines:
    """The annotators' lines, ready to be looked up from any pixel.

    Attributes:
        before: How many line pixels lie before each cell of all padded maps, flattened; one cell
            more than they have.
        rows: What to add to a cell for each row within the tolerance, rising.
        reach: How many cells to either side are within the tolerance in each of these rows.
        corners: Per annotator, the cell of pixel (0, 0).
        row: What to add to a cell for the next row.
        total: How many line pixels there are.
    """

    before: Int[np.ndarray, " cells"]
    rows: Int[np.ndarray, " k"]
    reach: Int[np.ndarray, " k"]
    corners: Int[np.ndarray, " a"]
    row: int
    total: int


def _lines(annotators: Bool[np.ndarray, "a h w"], radius: float) -> _Lines:
    reach = int(radius)
    thinned = [thin_lines(lines) for lines in annotators]
    padded = np.pad(np.stack(thinned), ((0, 0), (reach, reach), (reach, reach)))
    count, height, row = padded.shape
    before = np.zeros(padded.size + 1, dtype=np.int32)
    np.cumsum(padded.ravel(), out=before[1:])
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    across = (y**2 + x**2 <= radius**2).sum(axis=1) // 2
    corners = np.arange(count) * height * row + reach * row + reach
    return _Lines(before, y[:, 0] * row, across, corners, row, int(before[-1]))


def _match(pixels: Int[np.ndarray, "n 2"], lines: _Lines) -> Bool[np.ndarray, "a n"]:
    """Say which pixels have a partner in the largest one-to-one matching with each annotator."""
    cells = lines.corners[:, None] + pixels[:, 0] * lines.row + pixels[:, 1]  # (a, n)
    # Line pixels are numbered in reading order, so those near by in one row are a run of numbers:
    # looking up its ends costs the radius at each pixel, where every cell would cost its square.
    # The annotators' maps do not touch, so that one matching of all of them is one of each.
    middle = cells.reshape(-1, 1) + lines.rows  # (a n, k)
    first = lines.before[middle - lines.reach]
    counts = lines.before[middle + lines.reach + 1] - first
    degrees = counts.sum(axis=1, dtype=np.int64)
    matched = degrees > 0
    matched[matched] = _matched(degrees[matched], _runs(first, counts), lines.total)
    return np.asarray(matched.reshape(cells.shape))


def _runs(
    first: Int[np.ndarray, "n k"], counts: Int[np.ndarray, "n k"]
) -> Int[np.ndarray, " pairs"]:
    """The numbers of all runs, one run after another."""
    starts, lengths = first.ravel(), counts.ravel()
    ends = np.cumsum(lengths, dtype=np.int64)
    within = np.arange(lengths.sum(dtype=np.int64))
    return np.asarray(within + np.repeat(starts - ends + lengths, lengths))


def _matched(
    degrees: Int[np.ndarray, " n"], partners: Int[np.ndarray, " pairs"], others: int
) -> Bool[np.ndarray, " n"]:
    """Find a largest one-to-one matching, as a flow of one unit through each node.

    Args:
        degrees: How many possible partners each node has.
        partners: Their numbers, node after node, rising within a node.
        others: How many nodes there are on the other side.

    Returns:
        Which nodes have got a partner.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_flow

    n = len(degrees)
    source, sink = n + others, n + others + 1
    # One row a node: this side to its partners, the other side to the sink, the source to this.
    ends = np.cumsum(np.concatenate([[0], degrees, np.ones(others, dtype=np.int64), [n, 0]]))
    heads = np.concatenate([n + partners, np.full(others, sink), np.arange(n)])
    graph = csr_matrix(
        (np.ones(len(heads), dtype=np.int32), heads.astype(np.int32), ends.astype(np.int32)),
        shape=(sink + 1, sink + 1),
    )
    # Dinic's algorithm, which on such a graph is Hopcroft's and Karp's.  SciPy's function of that
    # name (maximum_bipartite_matching, 1.17) can take 20 s on one pair of people's maps.
    flow = maximum_flow(graph, source, sink, method="dinic").flow
    return np.asarray(flow[source].toarray().ravel()[:n] > 0)


def edge_counts(
    edges: Float[np.ndarray, "h w"],
    annotators: Bool[np.ndarray, "a th tw"],
    *,
    thresholds: int | Sequence[float] = THRESHOLDS,
    tolerance: float = TOLERANCE,
) -> EdgeCounts:
    """Count one image's matched edge pixels at each threshold.

    The soft map is thinned (:func:`thin`), then per threshold cut, thinned to lines one pixel
    wide, and matched to each annotator by itself.  The annotators' lines are made one pixel wide
    in the same way: a corner drawn with a pixel more could never be found in full.

    Args:
        edges: Strength of the edge at each pixel, [0, 1].
        annotators: One map each, True on lines; at least one annotator.
        thresholds: How many, evenly spaced strictly between 0 and 1; or the values, rising.
        tolerance: Greatest distance between matched pixels, as a fraction of the diagonal.

    Returns:
        The counts, one per threshold.

    Raises:
        ValueError: If sizes differ, there is no annotator, or a threshold lies outside (0, 1].

    Source: Martin et al. 2004, appendix B.  Differs: the matching is the largest one, found
    exactly, where the benchmark takes the cheapest by distance.  As many annotated pixels are
    matched; the number of predicted pixels that match *some* annotator may differ by about 1%.
    """
    if edges.shape != annotators.shape[1:] or not len(annotators):
        raise ValueError(
            f"annotators: got shape {annotators.shape}, expected at least one map of the "
            f"prediction's size {edges.shape}, stacked as (annotators, height, width)"
        )
    levels = _levels(thresholds)
    crest = thin(edges)
    truth = _lines(annotators, tolerance * float(np.hypot(*edges.shape)))
    counts = np.zeros((len(levels), 3), dtype=np.int64)
    previous = -1
    for step, level in enumerate(levels):
        cut = crest >= level
        size = int(np.count_nonzero(cut))
        if size == previous:  # cuts are nested: same number, same pixels
            counts[step] = counts[step - 1]
            continue
        previous = size
        pixels = np.argwhere(thin_lines(cut))
        found = _match(pixels, truth)
        counts[step] = found.any(axis=0).sum(), len(pixels), found.sum()
    total = np.full(len(levels), truth.total, dtype=np.int64)
    return EdgeCounts(levels, counts[:, 0], counts[:, 1], counts[:, 2], total)


def _levels(thresholds: int | Sequence[float]) -> Float[np.ndarray, " t"]:
    if isinstance(thresholds, int):
        levels = np.linspace(0, 1, thresholds + 2)[1:-1]
    else:
        levels = np.asarray(thresholds, dtype=np.float64)
    if not len(levels) or levels[0] <= 0 or levels[-1] > 1 or (np.diff(levels) <= 0).any():
        raise ValueError(
            f"thresholds: got {thresholds}, expected a number of at least 1, or rising values in "
            "(0, 1]"
        )
    return levels


def _f(
    sums: Int[np.ndarray, "*n 4"],
) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
    """Turn (matched pred, total pred, matched truth, total truth) into F, precision, recall."""
    right, predicted, found, wanted = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    precision = np.divide(right, predicted, out=np.zeros_like(right), where=predicted > 0)
    recall = np.divide(found, wanted, out=np.zeros_like(found), where=wanted > 0)
    # No edge wanted and none given is right, not undefined.
    nothing = (predicted == 0) & (wanted == 0)
    precision, recall = np.where(nothing, 1.0, precision), np.where(nothing, 1.0, recall)
    total = precision + recall
    f = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return f, precision, recall


def _table(counts: Sequence[EdgeCounts]) -> Int[np.ndarray, "images t 4"]:
    if not counts:
        raise ValueError("counts: got none, expected the EdgeCounts of at least one image")
    levels = counts[0].thresholds
    if any(not np.array_equal(levels, other.thresholds) for other in counts):
        raise ValueError("counts: the images were counted at different thresholds; use one list")
    return np.stack(
        [
            np.stack([c.matched_pred, c.total_pred, c.matched_truth, c.total_truth], axis=-1)
            for c in counts
        ]
    )


def edge_f(counts: Sequence[EdgeCounts]) -> EdgeF:
    """Compute the F-measure over a set of images at the optimal dataset and image scale.

    Args:
        counts: One per image, all at the same thresholds.

    Returns:
        ODS and OIS.  Counts are summed over images before they are divided, for both.

    Raises:
        ValueError: If there is no image, or thresholds differ.

    Source: Arbelaez et al. 2011, section 2.2.  Differs: no interpolation between thresholds.
    """
    table = _table(counts)
    f, precision, recall = _f(table.sum(axis=0))
    best = int(f.argmax())
    level = float(counts[0].thresholds[best])
    ods = EdgeScore(float(f[best]), float(precision[best]), float(recall[best]), level)
    f, precision, recall = _f(_at_best(table).sum(axis=0))
    ois = EdgeScore(float(f), float(precision), float(recall), None)
    return EdgeF(ods, ois)


def image_f(counts: EdgeCounts) -> float:
    """Compute the F-measure of one image alone, at the threshold that is best for it."""
    return float(_f(_table([counts])[0])[0].max())


def resampled_f(
    counts: Sequence[EdgeCounts],
    draws: Int[np.ndarray, "resamples n"],
    *,
    scale: Literal["ods", "ois"] = "ods",
) -> Float[np.ndarray, " resamples"]:
    """Compute the F of resampled sets of images, as :func:`edge_f` does.

    For :func:`vicl.metrics.bootstrap_statistic`.

    Args:
        counts: One per image.
        draws: Indices of images, one row a resample.
        scale: "ods": each resample at its own best threshold; "ois": each image at its own.
    """
    table = _table(counts)
    weights = np.zeros((len(draws), len(counts)), dtype=np.int64)
    np.add.at(weights, (np.arange(len(draws))[:, None], draws), 1)
    if scale == "ois":
        return _f(weights @ _at_best(table))[0]
    return np.asarray(_f(np.tensordot(weights, table, axes=1))[0].max(axis=-1))


def _at_best(table: Int[np.ndarray, "images t 4"]) -> Int[np.ndarray, "images 4"]:
    """Take each image's counts at the threshold that is best for it."""
    return np.asarray(table[np.arange(len(table)), _f(table)[0].argmax(axis=1)])
