"""The paper's table on a tiny VOC 2012: what is run, what is not and why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.evaluation.datasets.trees import pascal_tree, photo, picture
from tests.models.formula import weight

from vicl.evaluation.datasets import open_dataset
from vicl.evaluation.running.engines import as_engine
from vicl.evaluation.running.results import EvaluationError
from vicl.evaluation.studies.paper import COLUMNS, PUBLISHED, PaperTable, run_paper
from vicl.evaluation.studies.variants import Asking
from vicl.loading import load_model
from vicl.metrics.perceptual import alexnet


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images with a bicycle (class 2, of fold 0); nothing of the other folds."""
    masks = {}
    for index in range(3):
        mask = np.zeros((80, 100), dtype=np.uint8)
        mask[10:60, 16 : 60 + 10 * index] = 2
        mask[60, :] = 255
        masks[f"2008_00000{index}"] = mask
    root = tmp_path_factory.mktemp("voc")
    pascal_tree(root / "VOCdevkit" / "VOC2012", masks)
    return root


@pytest.fixture(scope="module")
def run(voc: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[PaperTable, Path]:
    """The table of two episodes of what is there, and its folder."""
    out = tmp_path_factory.mktemp("run") / "out"
    return run_paper({}, voc, Asking(out=out, count=2)), out


@pytest.mark.slow
def test_one_fold_of_the_table(voc: Path, run: tuple[PaperTable, Path]) -> None:
    table, _ = run
    assert list(table.runs) == ["fold-0"]
    assert list(table.ours) == ["copy", "identity", "analogies"]
    # The same number in %, as the plain evaluation of the same episodes gives it.
    from vicl.evaluation.running.runner import evaluate
    from vicl.evaluation.scoring.scorers import scorer_for

    dataset = open_dataset("segmentation", voc, fold=0, published=True)
    copy = load_model("copy")
    plain = evaluate(
        {"copy": as_engine(copy, "segmentation")},
        dataset,
        dataset.episodes(2, seed=0),
        scorer=scorer_for("segmentation"),
    ).engine("copy")
    assert table.ours["copy"]["fold 0"].mean == pytest.approx(100 * plain.values["iou_cell"].mean)
    assert table.ours["copy"]["fold 0"].n == 2
    assert 20 < table.ours["copy"]["fold 0"].mean < 100


@pytest.mark.slow
def test_what_was_not_run_is_named_with_the_reason(run: tuple[PaperTable, Path]) -> None:
    table, out = run
    titles = {column.title for column in COLUMNS}
    assert set(table.skipped) == titles - {"fold 0"}
    assert "imagenet/val" in table.skipped["colour MSE"]
    assert "Annotations" in table.skipped["detection"]
    text = (out / "table.md").read_text()
    assert "| MAE-VQGAN, figures (published) | 27.83 | 30.44 |" in text
    assert "- fold 0: 2 episodes" in text.replace("fold-0", "fold 0")
    assert "- LPIPS: not run" in text
    written = json.loads((out / "table.json").read_text())
    assert written["ours"]["copy"]["fold 0"]["n"] == 2


@pytest.mark.slow
def test_a_table_goes_on(voc: Path, run: tuple[PaperTable, Path]) -> None:
    first, out = run
    with pytest.raises(EvaluationError, match="--resume"):
        run_paper({}, voc, Asking(out=out, count=2))
    again = run_paper({}, voc, Asking(out=out, count=2, resume=True))
    assert again.runs["fold-0"].answered == 0
    assert again.ours == first.ours


@pytest.mark.slow
def test_a_table_goes_on_with_the_lpips_it_was_begun_with(tmp_path: Path) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    for index in range(2):
        photo(root, f"imagenet/val/{index}.png", index, (111, 111))
    weights, other = lpips(tmp_path / "a", heads=1.0), lpips(tmp_path / "b", heads=2.0)
    first = run_paper({}, root, Asking(out=out, count=1), lpips=weights)
    assert first.ours["copy"]["LPIPS"].mean > 0
    with pytest.raises(EvaluationError, match="lpips"):
        run_paper({}, root, Asking(out=out, count=1, resume=True), lpips=other)
    # It is what is in the file that counts, not where it is.
    moved = weights.rename(tmp_path / "c")
    again = run_paper({}, root, Asking(out=out, count=1, resume=True), lpips=moved)
    assert again.runs["colorization"].answered == 0
    assert again.ours == first.ours


def lpips(path: Path, *, heads: float) -> Path:
    """A file of weights that weigh all channels alike."""
    with torch.device("meta"):
        trunk = alexnet()
    state = {name: weight(name, tuple(value.shape)) for name, value in trunk.state_dict().items()}
    for index, width in enumerate(trunk.widths):
        state[f"lin{index}.model.1.weight"] = torch.full((1, width, 1, 1), heads)
    save_file(state, path)
    return path


def test_no_data_at_all(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"no column can be run.*JPEGImages"):
        run_paper({}, tmp_path, Asking(out=tmp_path / "out", count=2))


def test_other_data_do_not_pass_for_the_papers(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for index in range(3):
        photo(root, f"inputs/{index}.png", index)
        picture(root, f"targets/{index}.png", np.eye(8, 10, dtype=np.uint8) * 255)
    with pytest.raises(EvaluationError, match="no column can be run"):
        run_paper({}, root, Asking(out=tmp_path / "out", count=2))


def test_published_rows_have_the_papers_columns() -> None:
    assert {len(values) for values in PUBLISHED.values()} == {7}
    assert [column.title for column in COLUMNS[:7]][4:] == ["detection", "colour MSE", "LPIPS"]
