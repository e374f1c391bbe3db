"""Fixtures shared by the tests."""

from __future__ import annotations

import os
import random
from pathlib import Path

import hypothesis
import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


# The tests' tensors are tiny: a second thread makes them slower, and workers share the cores. So
# do the processes that tests start.
torch.set_num_threads(1)
for library in ("OMP", "MKL", "OPENBLAS"):
    os.environ[f"{library}_NUM_THREADS"] = "1"


# Timings never decide a test: a machine may be busy. A test's own folder serves all its examples.
hypothesis.settings.register_profile(
    "vicl",
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.load_profile("vicl")


@pytest.fixture(autouse=True)
def _same_random_numbers(request: pytest.FixtureRequest) -> None:
    """Python's own: the run-time type checker draws from them which items of a list it looks at."""
    random.seed(request.node.nodeid)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of development data and goldens; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the development folder ../shared is not here")
    return SHARED
