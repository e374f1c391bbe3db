"""What the code answers is what it answered when the net was made: see `record.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tests.net.record import CASES, DATA
from tests.net.values import machine, recorded
from threadpoolctl import threadpool_limits

CHANGED: dict[str, str] = {}
"""Cases that are meant to differ from what was recorded, each with the reason."""

TOLERANCE = 0.02
"""On other machines: of a thumbnail's mean difference and of a number's, beside its size."""


@pytest.fixture(scope="module")
def net() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / "net.json").read_text(encoding="utf-8"))
    with np.load(DATA / "net.npz") as small:
        found["small"] = {name: small[str(index)] for index, name in enumerate(found["cases"])}
    return found


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """As when the net was made: sums are taken in another order where there are more, or fewer."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(2, user_api="blas"):
        yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_it_answers_as_it_did(name: str, net: dict[str, Any]) -> None:
    if name in CHANGED:
        pytest.skip(CHANGED[name])
    found = recorded(CASES[name]())
    wanted, small = net["cases"][name], net["small"][name]
    # Through JSON, as what is compared with.
    values = json.loads(json.dumps(found.values))
    if machine() == net["machine"]:
        apart = {k: (values.get(k), v) for k, v in wanted.items() if values.get(k) != v}
        more = values.keys() - wanted.keys()
        same = len(found.small) == len(small)
        far = np.abs(found.small.astype(float) - small).max(initial=0) if same else "their number"
        assert not apart, f"thumbnails differ by {far}"
        assert not more
        return
    assert values.keys() == wanted.keys()
    for key, value in wanted.items():
        # Hashes differ elsewhere; what they are of does not.
        if isinstance(value, float):
            assert values[key] == pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE), key
        elif not isinstance(value, str):
            assert values[key] == value, key
    one, other = (np.asarray(part, np.float64) for part in (found.small, small))
    assert one.shape == other.shape
    assert np.abs(one - other).mean() <= TOLERANCE * (1 + np.abs(other).mean())


@pytest.mark.slow
def test_every_case_is_recorded_once(net: dict[str, Any]) -> None:
    assert list(net["cases"]) == list(CASES)
    assert CHANGED.keys() <= CASES.keys()
