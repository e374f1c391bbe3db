"""The page's JavaScript is type-checked by TypeScript, where that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import vicl

CONFIG = Path(__file__).parent / "tsconfig.json"
APP = Path(vicl.__file__).parent / "app"


def checked(config: Path) -> subprocess.CompletedProcess[str]:
    compiler = os.environ.get("VICL_TSC") or shutil.which("tsc")
    if not compiler or not shutil.which("node"):
        pytest.skip("TypeScript is not here (npm install --global typescript, or VICL_TSC=path)")
    command = [compiler, "--project", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_page_is_free_of_type_errors() -> None:
    done = checked(CONFIG)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_wrong_type_is_found(tmp_path: Path) -> None:
    static = tmp_path / "src/vicl/app/static"
    for pages in ("static", "label"):
        shutil.copytree(APP / pages, static.with_name(pages))
    config = tmp_path / "tests/app/tsconfig.json"
    config.parent.mkdir(parents=True)
    shutil.copy(CONFIG, config)
    with (static / "main.js").open("a") as main:
        main.write("\nstart(1);\n")
    done = checked(config)
    assert done.returncode != 0
    assert "main.js" in done.stdout
