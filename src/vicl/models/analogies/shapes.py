"""The arrays that the engine's parts speak of, by name; float32, channels last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

RGB = Float[np.ndarray, "h w 3"]
"""An image in [0, 1]."""

RGBs = Sequence[Float[np.ndarray, "_h _w 3"]]
"""Images in [0, 1], each of its own size."""

Map = Float[np.ndarray, "s s"]
"""A number for each pixel of an image at the working size."""

Ends = Float[np.ndarray, "2 3"]
"""Two colours."""

Samples = Float[np.ndarray, "n f"]
"""Features of pixels, one a row."""

Colours = Float[np.ndarray, "n 3"]
"""Colours of pixels, one a row."""
