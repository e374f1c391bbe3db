from __future__ import annotations

import builtins
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vicl.evaluation.scoring.scorers import Metric
from vicl.evaluation.studies.table import Row, StudyTable, as_markdown, write_study
from vicl.metrics import Interval


def _row(variant: str, engine: str, mean: float, difference: float | None = None) -> Row:
    change = None if difference is None else Interval(difference, difference - 0.1, difference, 2)
    return Row(variant, engine, Interval(mean, mean - 0.05, mean + 0.05, 2), change, (mean, mean))


ROWS = (
    _row("above", "copy", 0.25),
    _row("above", "model", 0.5),
    _row("left", "model", 0.4, -0.1),
)
TABLE = StudyTable("layout", "Layout: toy", Metric("iou", "IoU"), ROWS, ("A note.",))


def test_markdown_has_every_number() -> None:
    text = as_markdown(TABLE)
    assert "| variant | engine | IoU | episodes | difference |" in text
    assert "| above | copy | 0.250 [0.200, 0.300] | 2 |  |" in text
    assert "| left | model | 0.400 [0.350, 0.450] | 2 | -0.100 [-0.200, -0.100] |" in text
    assert text.endswith("- A note.\n")
    worse = replace(TABLE, metric=Metric("e", "error", unit="dB", higher_is_better=False, digits=2))
    assert "error, dB ↓" in as_markdown(worse)
    assert "0.40 [0.35, 0.45]" in as_markdown(worse)


@pytest.mark.slow
@pytest.mark.parametrize("x", [None, (1.0, None, 2.0)])
def test_files_are_the_same_every_time(tmp_path: Path, x: Any) -> None:
    table = replace(TABLE, x=x, x_title="examples" if x else "")
    for name in ("one", "two"):
        write_study(table, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["figure.png", "figure.svg", "table.json", "table.md"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    written = json.loads((tmp_path / "one/table.json").read_text())
    assert [row["scores"] for row in written["rows"]] == [[0.25, 0.25], [0.5, 0.5], [0.4, 0.4]]
    assert written["rows"][2]["difference"]["mean"] == -0.1
    assert [row.get("x") for row in written["rows"]] == list(x or (None,) * 3)
    assert b"<dc:date>" not in (tmp_path / "one/figure.svg").read_bytes()
    picture = np.asarray(Image.open(io.BytesIO((tmp_path / "one/figure.png").read_bytes())))
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 50


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="got no row"):
        StudyTable("s", "S", Metric("iou", "IoU"), ())
    for x, title in (((1.0,), "n"), ((1.0, 2.0, 3.0), "")):
        with pytest.raises(ValueError, match="expected one place a row, and a title"):
            replace(TABLE, x=x, x_title=title)


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = builtins.__import__

    def refuse(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return found(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ValueError, match=r'pip install "vicl\[train\]"'):
        write_study(TABLE, tmp_path / "out")
    assert not (tmp_path / "out").exists()
