"""The person of `benchmarks/person.py`: what is planned is what the gestures make."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("fastapi")

from person import as_mask, corrected, outlined, overlap, played
from vicl.server.marks import UNKNOWN, blank


def test_what_a_scripted_person_plans_is_what_its_gestures_make() -> None:
    size = 40
    y, x = np.mgrid[:90, :120]
    truth = (x - 60) ** 2 + (y - 45) ** 2 < 30**2
    answer = np.roll(truth, 24, axis=1)
    strokes = corrected(answer, truth, 0.8, 4.0, size)
    assert strokes is not None
    found = as_mask(played(blank((90, 120)), strokes, size), answer.astype(np.uint8))
    assert overlap(found, truth) == strokes.overlap >= 0.8
    assert strokes.size is not None
    # Another brush than was planned with draws something else.
    other = as_mask(played(blank((90, 120)), strokes, size + 60), answer.astype(np.uint8))
    assert overlap(other, truth) < 0.8
    whole = outlined(truth, 0.8, 4.0, ground=True)
    marks = played(blank((90, 120)), whole, size)
    assert overlap(marks == 1, truth) == whole.overlap >= 0.8
    assert not (marks == UNKNOWN).any()
    assert whole.size is None
