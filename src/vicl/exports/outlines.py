"""Outlines of pixel regions as polygons that lose nothing.

A polygon runs along the outlines of the pixels: the corner between pixels is a whole number, the
centre of the first pixel is (0.5, 0.5), and the image covers (0, 0) to (w, h).  Components are
8-connected, so a polygon may touch itself where two pixels meet at a corner.

A polygon has no holes in any of the formats here.  Where a component has some, its outline is led
to each hole and back along one line, half-way through a column of the component's own pixels (a
"keyhole").  The line has no area, so the region stays exact in readers that fill by the even-odd
rule and in those that fill by winding number, and the object stays one polygon.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from vicl.exports.simplifying import simplified

_Path: TypeAlias = "list[Float[np.ndarray, '_ 2'] | _Path]"
"""Points (x, y) in pieces, and among them the paths of holes."""


@dataclass(frozen=True, eq=False)
class _Edges:
    """All maximal horizontal pieces of the outlines, in reading order, directed and linked.

    The region lies at the right hand: below an edge that goes right, above one that goes left.
    Vertical pieces are implied: one leads from the end of an edge to the start of the next.

    Attributes:
        y: Grid line of each edge, 0 to h.
        start: Grid column at which it starts.
        end: Grid column at which it ends.
        next: Index of the edge that follows on the same ring.
        pinched_start: Where two pixels of the region meet only at this corner.
        pinched_end: The same at the end.
    """

    y: Int[np.ndarray, " n"]
    start: Int[np.ndarray, " n"]
    end: Int[np.ndarray, " n"]
    next: Int[np.ndarray, " n"]
    pinched_start: Bool[np.ndarray, " n"]
    pinched_end: Bool[np.ndarray, " n"]


def _find_edges(mask: Bool[np.ndarray, "h w"]) -> _Edges:
    """Find where the outlines turn, and link the turns along rows and along columns.

    Along a grid line the turns alternate between begin and end of a straight piece, so that
    sorting them pairs them. A corner where two pixels meet diagonally counts as two turns, one for
    each of the background pixels, which keeps the region's two pixels together.
    """
    padded = np.pad(mask, 1)
    upper, lower = padded[:-1], padded[1:]
    up, down = upper[:, :-1] != upper[:, 1:], lower[:, :-1] != lower[:, 1:]
    pinch = up & down & (padded[:-1, :-1] != padded[1:, :-1])
    y, x = np.nonzero((up != down) | pinch)
    repeats = 1 + pinch[y, x]
    second = np.zeros(repeats.sum(), dtype=bool)
    second[(np.cumsum(repeats) - 1)[repeats == 2]] = True
    y, x = np.repeat(y, repeats), np.repeat(x, repeats)
    pinched = pinch[y, x]
    # At a pinch the first turn has the edge to the left, the second the edge to the right.
    falling = mask[np.minimum(y, mask.shape[0] - 1), np.minimum(x, mask.shape[1] - 1)]  # as "\"
    goes_down = pinched & (second != falling)
    by_column = np.lexsort((goes_down, y, x))
    partner = np.empty(len(y), dtype=np.int64)
    partner[by_column[0::2]], partner[by_column[1::2]] = by_column[1::2], by_column[0::2]

    left = np.arange(0, len(y), 2)
    rightwards = padded[y[left] + 1, x[left] + 1]  # the region is below
    first, last = np.where(rightwards, left, left + 1), np.where(rightwards, left + 1, left)
    return _Edges(
        y=y[left],
        start=x[first],
        end=x[last],
        next=partner[last] // 2,
        pinched_start=pinched[first],
        pinched_end=pinched[last],
    )


def _find_rings(edges: _Edges) -> list[Int[np.ndarray, " k"]]:
    """Follow the links: one array of edge indices a ring, from its topmost edge, clockwise."""
    follow = edges.next.tolist()
    seen = bytearray(len(follow))
    rings = []
    for first in range(len(follow)):  # in reading order, so `first` is the ring's topmost
        if seen[first]:
            continue
        ring = []
        at = first
        while not seen[at]:
            seen[at] = 1
            ring.append(at)
            at = follow[at]
        rings.append(np.array(ring))
    return rings


def _edge_points(
    edges: _Edges, inset: float, corner: tuple[int, int]
) -> Float[np.ndarray, "n 4 2"]:
    """Give each edge four points (x, y): before and after the turns at its start and its end.

    The points of a turn are the same, except at a pinch: there, pulled into the region, the outline
    goes through both pixels that meet.
    """
    along = np.sign(edges.end - edges.start)
    leaving = np.sign(edges.y[edges.next] - edges.y)  # the vertical piece after: 1 is down
    coming = np.empty_like(leaving)
    coming[edges.next] = leaving
    points = np.empty((len(along), 4, 2))
    points[:, :2, 0], points[:, 2:, 0] = edges.start[:, None], edges.end[:, None]
    points[..., 1] = edges.y[:, None]
    # The region's side is below an edge that goes right and left of a piece that goes down.
    shift = np.empty_like(points)
    shift[:, :2, 0], shift[:, 2:, 0] = -coming[:, None], -leaving[:, None]
    shift[..., 1] = along[:, None]
    shift[edges.pinched_start, 0, 1] = -coming[edges.pinched_start]
    shift[edges.pinched_start, 1, 0] = along[edges.pinched_start]
    shift[edges.pinched_end, 2, 0] = -along[edges.pinched_end]
    shift[edges.pinched_end, 3, 1] = leaving[edges.pinched_end]
    points += np.array(corner)
    points += inset * shift
    return points


def _bridges(
    mask: Bool[np.ndarray, "h w"], edges: _Edges, holes: list[int]
) -> dict[int, list[tuple[int, int]]]:
    """Say where the line to each hole starts: straight above the hole's top left corner.

    Args:
        mask: The region.
        edges: Its edges.
        holes: Topmost edge of each hole's ring.

    Returns:
        For each edge that lines start from: (column, hole), from left to right.
    """
    if not holes:
        return {}
    height, width = mask.shape
    # The grid line at which the run of region pixels begins in which each pixel lies. All at once:
    # walking up from each hole would cost the height at each.
    below = np.arange(1, height + 1, dtype=np.int32)[:, None]
    begins = np.maximum.accumulate(np.where(mask, np.int32(0), below), axis=0)
    columns, rows = edges.end[holes], edges.y[holes]
    keys = edges.y * (width + 1) + np.minimum(edges.start, edges.end)
    wanted = begins[rows - 1, columns].astype(np.int64) * (width + 1) + columns
    starts = np.searchsorted(keys, wanted, side="right") - 1
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for edge, column, hole in zip(starts.tolist(), columns.tolist(), holes, strict=True):
        found[edge].append((column, hole))
    return {edge: sorted(starts) for edge, starts in found.items()}


def trace(
    labels: Int[np.ndarray, "h w"],
    *,
    inset: float = 0.0,
    tolerance: float = 0.0,
    corner: tuple[int, int] = (0, 0),
) -> list[Float[np.ndarray, "_ 2"]]:
    """Give one polygon for each component.

    Args:
        labels: 0 is background; 1 to n are components, no two of which touch at an edge or a
            corner.
        inset: Pixels by which the outline is pulled into the region, under 0.5. A small inset
            makes readers right that cut coordinates to whole pixels and draw the line itself.
        tolerance: Pixels by which the outline may be off in order to save points
            (Douglas-Peucker); 0 is exact. A polygon that would shrink to a line stays exact.
        corner: Column and row of the first pixel, where the labels are a part of an image.

    Returns:
        For component 1 to n: points (x, y) in pixels, clockwise, the last one not repeating the
        first.
    """
    mask = labels > 0
    edges = _find_edges(mask)
    points = _edge_points(edges, inset, corner)
    rings = {int(ring[0]): ring for ring in _find_rings(edges)}
    holes = [top for top in rings if edges.end[top] < edges.start[top]]
    bridges = _bridges(mask, edges, holes)
    bridged = np.zeros(len(edges.y), dtype=bool)
    bridged[list(bridges)] = True
    paths: dict[int, _Path] = {}
    # A hole hangs on an edge above it, so from the last ring to the first all are ready in time.
    for top in sorted(rings, reverse=True):
        ring = rings[top]
        path = _with_holes(ring, points, np.flatnonzero(bridged[ring]), bridges, paths, corner[0])
        if edges.end[top] < edges.start[top]:  # a hole: from the line's foot round to it again
            foot = np.array([[corner[0] + edges.end[top] + 0.5, points[top, 1, 1]]])
            path = [foot, *path[1:], path[0], foot]
        paths[top] = path
    found = {
        int(labels[edges.y[top], edges.start[top]]): _without_repeats(_joined(path))
        for top, path in paths.items()
    }
    exact = [found[label] for label in sorted(found)]
    return simplified(exact, tolerance) if tolerance > 0 else exact


def _with_holes(
    ring: Int[np.ndarray, " k"],
    points: Float[np.ndarray, "n 4 2"],
    bridged: Int[np.ndarray, " b"],
    bridges: dict[int, list[tuple[int, int]]],
    paths: dict[int, _Path],
    left: int,
) -> _Path:
    """Go round one ring, and on the way down to the holes that hang on it and back.

    Args:
        ring: Its edges.
        points: Those of :func:`_edge_points`.
        bridged: Places in the ring of the edges that lines start from, rising.
        bridges: Those of :func:`_bridges`.
        paths: Finished paths of the holes; the ones used are taken out.
        left: Column at which the region's part of the image begins.

    Returns:
        Pieces; the first is the two points of the turn at which the ring starts.
    """
    path = points[ring].reshape(-1, 2)
    pieces: _Path = [path[:2]]
    done = 2
    for place in bridged.tolist():
        turn = 4 * place + 2  # between the turns of its start and of its end
        pieces.append(path[done:turn])
        # Such an edge goes right: the region is below it.
        for column, hole in bridges[int(ring[place])]:
            head = np.array([[left + column + 0.5, path[turn - 1, 1]]])
            pieces += [head, paths.pop(hole), head]
        done = turn
    return [*pieces, path[done:]]


def _joined(path: _Path) -> Float[np.ndarray, "_ 2"]:
    """Put the pieces of a path together: once, since holes may hang on holes in long chains."""
    pieces: list[Float[np.ndarray, "_ 2"]] = []
    left = [iter(path)]
    while left:
        for piece in left[-1]:
            if isinstance(piece, list):
                left.append(iter(piece))
                break
            pieces.append(piece)
        else:
            left.pop()
    return np.concatenate(pieces)


def _without_repeats(path: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "m 2"]:
    told: Float[np.ndarray, "m 2"] = path[(path != np.roll(path, 1, axis=0)).any(axis=1)]
    return told
