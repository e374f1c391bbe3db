"""How far each cue is trusted, given what the prompt itself shows.

The table is a logistic regression from cues times statistics to the mask.  It was fitted once, on
220 prompts: pairs of CCP photographs, and generated ones (textures, cut-outs from `objects/` on
photographs, a photograph against its own distorted copy).  No other image went into its numbers.
Which statistics to use, and how much each kind of prompt weighs, was chosen by comparing a few
variants on development episodes of all sources.  The dataset or class of a prompt is not an input.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float

from vicl.models.analogies.cues import CUES, log_odds
from vicl.models.analogies.shapes import Map

# fmt: off
_TABLE: Final = np.array([
    # constant, dissimilarity, overlap, compactness, appearance: with place, with correspondence,
    # decisiveness, area, certainty
    (-0.069, 0.017, 0.112, 0.040, -0.093, 0.043, 0.056, 0.019, 0.089),  # place 3
    (0.342, 0.215, -0.286, 0.105, 0.015, -0.107, -0.191, -0.127, -0.065),  # place 8
    (0.346, 0.101, -0.182, -0.197, 0.388, 0.108, -0.602, 0.210, -0.022),  # place 16
    (0.301, -0.025, 0.441, -0.204, -0.033, 0.223, -0.156, 0.115, -0.224),  # by shape and colour
    (0.091, -0.316, -0.203, 0.005, 0.211, -0.025, -0.155, 0.023, -0.223),  # moved by shape
    (0.382, 0.200, -0.093, 0.043, -0.232, -0.282, 0.232, -0.178, 0.394),  # moved stiffly
    (0.366, 0.077, 0.300, -0.080, -0.038, -0.120, 0.174, -0.159, 0.428),  # appearance
    (0.367, -0.162, -0.296, -0.255, 0.013, 0.415, 0.082, -0.097, -0.047),  # appearance and place
    (0.202, 0.186, 0.138, -0.216, 0.016, -0.048, -0.322, 0.312, 0.397),  # inside
    (0.266, 0.166, -0.246, 0.156, -0.035, 0.311, -0.662, 0.012, 0.046),  # contrast
    (-0.547, -0.110, 0.524, 0.058, -0.534, -0.189, -0.277, -0.206, -0.014),  # none: the offset
], np.float32)
# fmt: on
_AREA: Final = 1.212

_FIXED: Final = {
    "place": {"place 16": 0.9, "inside": 0.2, "contrast": 0.3},
    "appearance": {"appearance": 1.2},
    "correspondence": {"moved by shape and colour": 0.6, "moved stiffly": 0.4, "appearance": 0.3},
}
"""Simpler ways to weigh the cues, for comparison with the table."""

WAYS: Final = ("all", *_FIXED)
"""How cues may be weighed: by the table, or by one of the simpler ways."""


def weigh(
    way: str, cues: Float[np.ndarray, "n s s"], statistics: Float[np.ndarray, " m"], area: float
) -> Map:
    """Add up the evidence.

    Args:
        way: One of `WAYS`.
        cues: As :func:`vicl.models.analogies.cues.evidence` gives them, with the other two.
        statistics: Its second value.
        area: Its third.

    Returns:
        Log-odds of each pixel to be in the mask.
    """
    share = float(log_odds(np.asarray(area, np.float32)))
    if way == "all":
        *weights, offset = _TABLE @ statistics
        added = np.tensordot(np.array(weights), cues, axes=1) + offset + _AREA * share
        return np.asarray(added, np.float32)
    fixed = _FIXED[way]
    total = sum(weight * cues[CUES.index(name)] for name, weight in fixed.items())
    return np.asarray(total + share, np.float32)
