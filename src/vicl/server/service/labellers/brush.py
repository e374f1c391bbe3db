"""Label Studio's run lengths of a brush: bits, most significant first.

They begin with the count of values (32 bits), the bits of a value less one (5), and four sizes of
run lengths less one (4 each). Then come blocks: a bit that says whether one value is repeated, two
that choose a size, the length less one in that size, and the value. The values are an RGBA picture
row by row, of which the fourth channel is the mask.

Source: the decoder of @thi.ng/rle-pack, which Label Studio reads masks with.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Int

from vicl.exports.rle import pixels_to_rle

_SIZES: Final = (3, 4, 8, 16)
_CHANNELS: Final = 4
_LONGEST: Final = 1 << _SIZES[-1]


def encode_brush(pixels: Int[np.ndarray, " n"], size: tuple[int, int]) -> list[int]:
    """Encode a set of pixels, as bytes.

    Args:
        pixels: Column-major indices ``x * h + y``.
        size: (height, width).
    """
    height, width = size
    columns, rows = np.divmod(pixels, height)
    # Row by row an image is read as, column by column, its mirror image is.
    runs = pixels_to_rle(np.sort(rows * width + columns), (width, height), compress=False)
    count = _CHANNELS * height * width
    bits = [f"{count:032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for number, run in enumerate(np.asarray(runs["counts"]).tolist()):
        value = ("0" if number % 2 == 0 else "1") * 8
        full, rest = divmod(_CHANNELS * run, _LONGEST)
        bits += [_block(_LONGEST, value)] * full
        if rest:
            bits.append(_block(rest, value))
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _block(length: int, value: str) -> str:
    index = next(index for index, size in enumerate(_SIZES) if length <= 1 << size)
    return f"1{index:02b}{length - 1:0{_SIZES[index]}b}{value}"
