"""Run lengths against pycocotools and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from vicl.exports import Rle, decode_rle, encode_rle

# pycocotools 2.0.11 has not followed NumPy 2 in this.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MASKS = hnp.arrays(
    np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), fill=st.nothing()
)


def test_runs_by_hand() -> None:
    mask = np.array([[0, 1, 1], [0, 0, 1]], dtype=np.uint8)  # columns 00, 10, 11
    assert encode_rle(mask, compress=False) == {"size": [2, 3], "counts": [2, 1, 1, 2]}
    ones = np.ones((2, 3), dtype=bool)
    assert encode_rle(ones, compress=False)["counts"] == [0, 6]  # the first run is of zeros
    assert encode_rle(~ones, compress=False)["counts"] == [6]


@given(MASKS)
def test_compressed_text_is_that_of_pycocotools(mask: NDArray[np.bool_]) -> None:
    reference = pytest.importorskip("pycocotools.mask")
    expected = reference.encode(np.asfortranarray(mask, dtype=np.uint8))
    assert encode_rle(mask) == {
        "size": list(expected["size"]),
        "counts": expected["counts"].decode("ascii"),
    }


@given(st.lists(st.integers(0, 400_000), min_size=1, max_size=8))
def test_long_runs_are_those_of_pycocotools(runs: list[int]) -> None:
    reference = pytest.importorskip("pycocotools.mask")
    mask = np.repeat(np.arange(len(runs)) % 2 == 1, runs)[None]
    if mask.size == 0:
        return
    expected = reference.encode(np.asfortranarray(mask, dtype=np.uint8))
    text = encode_rle(mask)
    assert text["counts"] == expected["counts"].decode("ascii")
    assert np.array_equal(decode_rle(text), mask)


@given(MASKS, st.booleans())
def test_decoding_undoes_encoding(mask: NDArray[np.bool_], compress: bool) -> None:
    rle = encode_rle(mask, compress=compress)
    assert np.array_equal(decode_rle(rle), mask)
    reference = pytest.importorskip("pycocotools.mask")
    if not compress:
        rle = reference.frPyObjects(rle, *mask.shape)
    assert np.array_equal(reference.decode(rle), mask)


@pytest.mark.parametrize(
    ("counts", "fault"),
    [
        ([5], "do not fill"),
        ([7], "do not fill"),
        ([7, -1], "do not fill"),
        ([2**62, 2**62, 2**62, 2**62, 6], "do not fill"),  # would overflow to 6
        ("", "do not fill"),
        ("é", "cut off"),
        ("P", "cut off"),  # says that more characters follow
        ("o" * 20 + "0", "more than 12"),
    ],
)
def test_broken_counts_are_refused(counts: str | list[int], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        decode_rle({"size": [2, 3], "counts": counts})


@given(st.text(alphabet=[chr(code) for code in range(48, 112)], max_size=30))
def test_any_text_decodes_or_is_refused(text: str) -> None:
    try:
        mask = decode_rle({"size": [4, 5], "counts": text})
    except ValueError:
        return
    assert mask.shape == (4, 5)


def test_a_short_text_cannot_ask_for_much_memory() -> None:
    huge: Rle = {"size": [10**9, 10**9], "counts": [10**18]}
    with pytest.raises(ValueError, match="limit_pixels"):
        decode_rle(huge)
