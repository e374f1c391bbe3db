"""Where what was fetched is kept."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest
from click.testing import CliRunner

from vicl.cli import main
from vicl.encoders.packaged import PACKAGED
from vicl.files import FileError
from vicl.files.cache import cache_folder


def nobody(uid: int) -> None:
    raise KeyError(uid)


def test_the_nearest_word_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("VICL_CACHE", raising=False)
    assert cache_folder() == Path("/home/ann/.cache/vicl")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert cache_folder() == Path("/cache/vicl")
    monkeypatch.setenv("VICL_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VICL_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(FileError, match="no home folder; set VICL_CACHE or HOME"):
        cache_folder()
    for command in ("doctor", "models"):
        done = CliRunner().invoke(main, [command])
        assert done.exit_code == 2
        assert "set VICL_CACHE or HOME" in done.stderr
    assert PACKAGED["efficientnet-lite2"].find().is_file()  # what is installed needs no cache
