"""Variants of a test of which the quick suite asks some."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def mostly_slow(values: Iterable[Any], *quick: Any) -> list[Any]:
    """The values as parameters; all but the quick ones are asked with the slow tests."""
    every = list(values)
    assert all(value in every for value in quick), f"{quick} are to be among {every}"
    return [
        value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in every
    ]
