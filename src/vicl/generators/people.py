"""People's keypoints from a file: COCO's, or plain lists of points."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
from jaxtyping import Float32

from vicl.files import FileError, display, reason
from vicl.files.bounded import read_bounded
from vicl.files.plain_json import parse_json
from vicl.generators.scene import KEYPOINTS, MOST_PERSONS

_LIMIT: Final = 1 << 20


def read_keypoints(path: str | os.PathLike[str]) -> Float32[np.ndarray, "p 17 2"]:
    """Read people's keypoints.

    Args:
        path: JSON of at most 1 MiB: a list of people, or COCO's annotations of one image, of which
            those with keypoints are taken. A person is 17 points [x, y] or null for one that is not
            seen; or COCO's 51 numbers x, y and v, of which v = 0 is not seen.

    Returns:
        x and y in pixels; NaN where one is not seen.

    Raises:
        FileError: If it is no such file, or has no people or more than eight.
    """
    name = display(path)
    try:
        said = parse_json(read_bounded(path, _LIMIT))
    except ValueError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{name}: is no JSON ({reason(error)})") from error
    people = said
    if isinstance(said, dict):
        rows = said.get("annotations")
        rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        images = {str(row.get("image_id")) for row in rows if row.get("keypoints")}
        if len(images) > 1:
            raise FileError(
                f"{name}: has people of {len(images)} images, expected those of one; keep its "
                "annotations alone"
            )
        people = [row["keypoints"] for row in rows if row.get("keypoints")]
    if not isinstance(people, list) or not 1 <= len(people) <= MOST_PERSONS:
        got = f"{len(people)} people" if isinstance(people, list) else "no list of people"
        raise FileError(f"{name}: got {got}, expected 1 to {MOST_PERSONS}")
    found = [_person(person) for person in people]
    for at, person in enumerate(found):
        if person is None:
            raise FileError(
                f"{name}: person {at + 1} is none, expected {KEYPOINTS} points [x, y] or null, or "
                "COCO's 51 numbers, and one that is seen at least"
            )
    return np.stack([person for person in found if person is not None])


def _person(said: Any) -> np.ndarray | None:
    if not isinstance(said, list):
        return None
    if len(said) == 3 * KEYPOINTS:
        said = [said[at : at + 3] for at in range(0, len(said), 3)]
    if len(said) != KEYPOINTS:
        return None
    points = np.full((KEYPOINTS, 2), np.nan, np.float32)
    for at, point in enumerate(said):
        match point:
            case None | [_, _, 0]:
                continue
            case [int() | float() as x, int() | float() as y] | [
                int() | float() as x,
                int() | float() as y,
                1 | 2,
            ] if abs(x) < 1e6 and abs(y) < 1e6:
                points[at] = x, y
            case _:
                return None
    return None if np.isnan(points).all() else points
