from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

import vicl
from vicl.cli import main
from vicl.files import revision as module
from vicl.files.revision import revision


def git(folder: Path, *words: str) -> None:
    person = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *person, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a repository's first commit, in the place of the one that asks."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    here = tmp_path / "revision.py"
    here.write_text("1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    monkeypatch.setattr(module, "__file__", str(here))
    monkeypatch.setattr(module, "_BUILT", tmp_path / "commit.txt")
    return here


def test_of_a_checkout(checkout: Path) -> None:
    clean = revision()
    assert clean is not None
    assert re.fullmatch(r"[0-9a-f]{12}", clean)
    git(checkout.parent, "tag", "--annotate", "v1", "--message", "a tag is no commit")
    assert revision() == clean
    checkout.write_text("2\n")
    assert revision() == f"{clean}-dirty"


def test_a_wheels_own_file_comes_first(checkout: Path) -> None:
    (checkout.parent / "commit.txt").write_text("0123456789ab\n")
    assert revision() == "0123456789ab"


def test_installed_in_a_strangers_repository(checkout: Path) -> None:
    git(checkout.parent, "rm", "--quiet", "--cached", checkout.name)
    assert revision() is None


def test_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert revision() is None


@pytest.mark.parametrize(("commit", "shown"), [("0123456789ab", " (0123456789ab)"), (None, "")])
def test_the_command_shows_it(
    commit: str | None, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "revision", lambda: commit)
    assert CliRunner().invoke(main, ["--version"]).output == f"vicl {vicl.__version__}{shown}\n"
