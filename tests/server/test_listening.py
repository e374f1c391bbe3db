"""How servers listen."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest

pytest.importorskip("uvicorn")

from vicl.server.listening import configured


def test_servers_run_on_pythons_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where uvloop is installed, which uvicorn would take."""

    def none_of_it() -> asyncio.AbstractEventLoop:
        raise AssertionError("uvloop was taken")

    fake = ModuleType("uvloop")
    fake.new_event_loop = none_of_it  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uvloop", fake)
    make = configured(object(), log_config=None).get_loop_factory()
    assert make is not None
    loop = make()
    try:
        assert isinstance(loop, asyncio.SelectorEventLoop)
    finally:
        loop.close()
