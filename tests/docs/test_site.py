"""The site is built, offline, and a fault ends the build."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from making import ROOT, pages, pictures

NEEDED = ("mkdocs", "material", "mkdocstrings_handlers")


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """`make docs` of a copy, with nothing installed."""
    paths = [str(folder / "src"), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository, as far as the site needs it."""
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"the site needs {', '.join(absent)}: pip install '.[docs]'")
    here = tmp_path / "vicl"
    for folder in ("docs", "src", "benchmarks", "notebooks", "tests/attacks", "tests/docs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, here / folder, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy(path, here / path.name)
    return here


@pytest.mark.slow
def test_the_site_is_built(copy: Path, tmp_path: Path) -> None:
    done = build(copy, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    for place in pages.in_navigation():
        assert (tmp_path / "site" / place).with_suffix(".html").is_file(), place
    for name in pictures.PICTURES:
        assert (tmp_path / "site" / pictures.place_of(name)).read_bytes()[1:4] == b"PNG"
    python = (tmp_path / "site/reference/python.html").read_text()
    assert "VisualPrompter" in python
    assert not re.search(r":(class|meth|func):", python)  # Sphinx's roles are shown as code
    search = (tmp_path / "site/search/search_index.js").read_text()
    assert search.startswith("var __index = ")  # pages that are opened as files are searched, too


@pytest.mark.slow
def test_a_fault_ends_the_build_before_anything_is_drawn(copy: Path, tmp_path: Path) -> None:
    page = copy / "docs/start.md"
    page.write_text(f"{page.read_text()}\n[x](none.md)\n\n```\nvicl predict --exmple a\n```\n")
    done = build(copy, tmp_path / "site")
    assert done.returncode != 0
    assert "there is no docs/none.md" in done.stderr
    assert "No such option '--exmple'" in done.stderr
