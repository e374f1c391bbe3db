"""The notebooks: as they are committed, and, slowly, as they run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import vicl

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = ("first-steps", "your-own-folder", "paper-experiments", "train-and-adapt")


def test_all_notebooks_are_known() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_stripped(name: str) -> None:
    book = json.loads((FOLDER / f"{name}.ipynb").read_text())
    assert (book["nbformat"], set(book["metadata"])) == (4, {"kernelspec", "language_info"})
    for cell in book["cells"]:
        assert cell["metadata"] == {}, cell["id"]
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_cell_of_commands_ends_with_the_first_that_fails(name: str) -> None:
    book = json.loads((FOLDER / f"{name}.ipynb").read_text())
    heads = ["".join(cell["source"]).partition("\n")[0] for cell in book["cells"]]
    assert {head for head in heads if head.startswith("%%")} <= {"%%sh -e"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason='pip install -e ".[notebooks]"')
    nbformat = pytest.importorskip("nbformat")
    # Its commands are those of this interpreter's vicl.
    command = tmp_path / "bin" / "vicl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m vicl "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    known = [str(Path(vicl.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, known)))
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    work = tmp_path / "work"
    work.mkdir()
    done = nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": str(work)}})
    done.execute()
    shown = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in shown)
