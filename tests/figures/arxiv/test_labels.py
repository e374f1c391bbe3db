"""Tables of labels, and a person who fills them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.figures.arxiv.pages import extract

from vicl.figures.arxiv.filtering.labelling import Labelling
from vicl.figures.arxiv.filtering.labels import Label, read_labels, write_labels
from vicl.files import FileError


def test_tables_come_back_wherever_they_lie(tmp_path: Path) -> None:
    written = [
        Label(tmp_path / "images" / "a, b.png", True, "2209.00647"),
        Label(tmp_path / "images" / "ä\n.png", False),
    ]
    for path in (tmp_path / "labels.csv", tmp_path / "other" / "labels.csv"):
        write_labels(path, written)
        read = read_labels(path)
        assert [one.image.resolve() for one in read] == [one.image for one in written]
        assert [(one.wanted, one.paper) for one in read] == [(True, "2209.00647"), (False, "")]


def test_a_table_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("label,image\r\n1,a.png\r\nNo ,b.png\r\nyes,b.png\r\n", encoding="utf-8-sig")
    assert read_labels(path) == [
        Label(tmp_path / "a.png", True),
        Label(tmp_path / "b.png", True),  # the last label counts
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\na,yes\n", "columns"),
        ("image,label\na.png,perhaps\n", "line 2.*yes or no"),
        ("image,label\n,yes\n", "line 2"),
        ("image,label\na.png\n", "line 2"),
    ],
)
def test_what_is_no_table_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(FileError, match=said):
        read_labels(tmp_path / "labels.csv")


def test_labelling_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    extract(tmp_path / "figures", count=5)
    out = tmp_path / "labels.csv"
    labelling = Labelling(tmp_path / "figures", out)
    first, second = labelling.progress().coming[:2]
    assert not labelling.progress().undoable
    labelling.label(first, wanted=True)
    labelling.label(second, wanted=False)
    again = Labelling(tmp_path / "figures", out)
    now = again.progress()
    assert (now.total, now.done, now.wanted, now.undoable) == (5, 2, 1, True)
    assert again.figures == labelling.figures
    assert not {first, second} & set(now.coming)
    assert again.undo().coming[0] == second
    label = read_labels(out)[0]
    assert label.image.resolve() == labelling.figures[first].resolve()
    assert label.paper == labelling.figures[first].parent.name
    assert again.undo().undoable is False
    assert again.undo().done == 0


def test_labels_of_other_images_stay(tmp_path: Path) -> None:
    extract(tmp_path / "figures", count=2)
    out = tmp_path / "labels.csv"
    write_labels(out, [Label(tmp_path / "elsewhere.png", True)])
    labelling = Labelling(tmp_path / "figures", out)
    assert (labelling.progress().done, labelling.progress().undoable) == (0, False)
    labelling.undo()
    labelling.label(0, wanted=False)
    assert [one.wanted for one in read_labels(out)] == [True, False]


def test_an_order_at_random_for_each_seed(tmp_path: Path) -> None:
    extract(tmp_path / "figures", count=8)
    orders = {
        Labelling(tmp_path / "figures", tmp_path / "l.csv", seed=s).figures for s in (0, 0, 1)
    }
    assert len(orders) == 2
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(next(iter(orders))))}


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no figures"):
        Labelling(tmp_path, tmp_path / "labels.csv")
