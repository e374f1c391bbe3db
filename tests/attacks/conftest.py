"""What the attacks have in common."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps than in use: the tests' run-time type checks make each of them slow."""
    monkeypatch.setattr("vicl.storage.pickles.STEP_LIMIT", 25_000)
