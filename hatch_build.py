"""Tells a built package its commit: `vicl --version` and `vicl doctor` show it."""

from __future__ import annotations

import runpy
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface[Any]):
    """Adds `commit.txt`, where git knows a commit and an sdist did not bring the file."""

    _folder: str | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Find the commit before anything is packed."""
        package = Path(self.root, "src", "vicl")
        if version == "editable" or (package / "commit.txt").exists():
            return
        commit = runpy.run_path(str(package / "files" / "revision.py"))["revision"]()
        if commit is None:
            return
        self._folder = tempfile.mkdtemp()
        written = Path(self._folder, "commit.txt")
        written.write_text(f"{commit}\n", encoding="ascii")
        place = "src/vicl/commit.txt" if self.target_name == "sdist" else "vicl/commit.txt"
        build_data["force_include"][str(written)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take away what was written for it."""
        if self._folder is not None:
            shutil.rmtree(self._folder)
