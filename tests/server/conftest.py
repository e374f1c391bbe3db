"""Servers over folders of small drawn pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.server.pages import Page


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A project that is asked what is refused, and so stays as it is."""
    pytest.importorskip("fastapi")
    from tests.server.pages import draw_folder, open_page

    made = open_page(draw_folder(tmp_path_factory.mktemp("still") / "photos"))
    with made.client:
        yield made


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A fresh project, answered by the floor `copy`."""
    pytest.importorskip("fastapi")
    from tests.server.pages import draw_folder, open_page

    made = open_page(draw_folder(tmp_path / "photos"))
    with made.client:
        made.change(engine="copy")
        yield made
