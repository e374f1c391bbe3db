"""The benchmarks of training run from their own command lines, in a few steps."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.test_benchmarks import Refused, refused, run

from vicl.files.packaged import PHOTOS

__all__ = ["refused"]


@pytest.mark.slow
def test_named_targets_of_other_settings_are_refused(tmp_path: Path, refused: Refused) -> None:
    """Finished runs are taken as they are only where they are of the same images and settings."""
    images, out = tmp_path / "images", tmp_path / "out"
    shutil.copytree(PHOTOS, images)
    ways = ("--data", images, "--crops", "1", "--seeds", "1", "--batch", "2", "--out", out)
    few = (*ways, "--steps", "1")
    for _ in range(2):  # the second time nothing is trained
        done = run("named_targets.py", *few)
        assert done.returncode == 0, done.stderr
        assert "1 crops named beforehand" in done.stdout
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*/result.json")}
    assert len(kept) == 2
    others = "holds figures of other settings"
    assert others in refused("named_targets.py", *ways, "--steps", "2")
    assert others in refused("named_targets.py", *few, "--count", "3")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(images / "another.png")
    assert others in refused("named_targets.py", *few)
    (out / "settings.json").unlink()
    assert "no settings.json" in refused("named_targets.py", *few)
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/result.json")} == kept
