"""The files that come with the package are where `packaged` says."""

from __future__ import annotations

from vicl.files.packaged import PHOTOS, RECIPES, WEIGHTS


def test_what_comes_with_the_package_is_there() -> None:
    assert (PHOTOS / "demo.json").is_file()
    assert (RECIPES / "smoke.yaml").is_file()
    assert (WEIGHTS / "default" / "model.safetensors").is_file()
