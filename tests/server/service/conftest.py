"""A service of small drawn prompts, answered by the floors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.server.service.serving import Served


@pytest.fixture(scope="package")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prompt file, answered by `copy`."""
    from tests.server.service.serving import save_leaf

    return save_leaf(tmp_path_factory.mktemp("prompts") / "leaf.vicl")


@pytest.fixture(scope="package")
def served(leaf: Path) -> Iterator[Served]:
    """A service that answers by a prompt file, and own examples by `identity`."""
    pytest.importorskip("fastapi")
    pytest.importorskip("prometheus_client")
    from tests.server.service.serving import serving

    with serving(prompts=(leaf,), model="identity") as made:
        yield made
