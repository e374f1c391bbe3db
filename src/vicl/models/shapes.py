"""The tensors that all inpainters speak of, by name."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

Images = Float[Tensor, "b 3 H W"]
"""RGB, in [0, 1] where nothing else is said; of an inpainter, canvases."""

Hole = Bool[Tensor, "b H W"]
"""Pixels of canvases: True = to fill."""

Holes = Bool[Tensor, "b n"]
"""The same as patches, in raster order."""

Codes = Int[Tensor, "b n"]
"""A code of the tokenizer for each patch, in raster order."""

Vectors = Float[Tensor, "b c h w"]
"""Of the codebook, or means of some: one for each patch."""

Hidden = Float[Tensor, "b n d"]
"""What a network says of each patch, in raster order."""
