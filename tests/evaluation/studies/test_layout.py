from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.evaluation.studies.toy import Finder, Toy, called
from tests.models.kinds import KINDS

from vicl.canvas.layout import Layout
from vicl.evaluation.studies import layout
from vicl.evaluation.studies.variants import Asking
from vicl.metrics import iou
from vicl.prompting.canvas_model import CanvasModel

ABOVE, LEFT = "examples above the query", "examples left of the query"


def test_a_model_that_reads_rows_wants_examples_above() -> None:
    """Query left of the hole: all of the signal; above it: a half; right of it: none."""

    def skill(rows: int, columns: int) -> float:
        return 1.0 if columns < 0 else 0.5 if rows < 0 else 0.0

    toy = Toy()
    table = layout.run(called(Finder(noise=0.5, skill=skill)), toy, Asking(count=8))
    rows = {row.variant: row for row in table.rows if row.engine == "finder"}
    assert list(rows) == [ABOVE, LEFT, "columns swapped", "gap of 0 px", "gap of 4 px"]
    above, left, swapped = (rows[name].interval.mean for name in list(rows)[:3])
    assert above > left + 0.1
    assert left > swapped + 0.1
    assert rows[LEFT].difference.mean == pytest.approx(left - above)
    assert rows[LEFT].difference.high < 0
    # The first row is what the model answers on the usual grid.
    cases = [toy.load(episode) for episode in toy.episodes(8)]
    usual = CanvasModel(
        Finder(noise=0.5, skill=skill), layout=Layout.grid(canvas_size=(64, 64), patch_size=8)
    )
    answers = usual.answer([case.prompt for case in cases])
    whole = [
        iou(a.image.mean(dim=0).numpy() > 0.5, c.truth.image[0].numpy() > 0.5)
        for a, c in zip(answers, cases, strict=True)
    ]
    # The table has it at the cell, which differs by little.
    assert np.mean(whole) == pytest.approx(above, abs=0.05)
    floor = [row for row in table.rows if row.engine == "copy"]
    assert [row.variant for row in floor] == ["any layout"]


def test_layouts_are_what_their_names_say() -> None:
    variants = layout.variants_of(Finder(canvas_size=(224, 224), patch_size=16), 1)
    assert variants[ABOVE] == Layout.paper(1)
    for name in ("gap of 0 px", "gap of 4 px", "gap of 8 px"):
        found = variants[name]
        gap = int(name.split()[2])
        assert found.answer.left - found.query.right == gap
        assert found.query.top - found.inputs[0].bottom == gap
    cells = [name for name in variants if name.startswith("cells of")]
    assert cells == ["cells of 6x6 patches", "cells of 5x5 patches", "cells of 4x4 patches"]
    for side, name in zip((6, 5, 4), cells, strict=True):
        found = variants[name]
        assert found.hole.size == (16 * side, 16 * side)
        assert found.answer.size == (16 * side - 1, 16 * side - 1)
        # In the middle, as far as whole patches allow.
        top, left = found.inputs[0].top, found.inputs[0].left
        assert abs(224 - found.hole.bottom - top) <= 16
        assert top == left
    assert found.examples == 1
    three = layout.variants_of(Finder(canvas_size=(128, 128), patch_size=8), 3)
    assert all(grid.examples == 3 for grid in three.values())
    lefts = [cell.left for cell in (*three[ABOVE].inputs, three[ABOVE].query)]
    assert len(set(lefts)) == 1


def test_what_a_model_cannot_answer_is_noted() -> None:
    model = KINDS["autoregressive"].build()
    table = layout.run(called(model), Toy(), Asking(count=2))
    assert ABOVE in {row.variant for row in table.rows if row.engine == model.name}
    assert "columns swapped" not in {row.variant for row in table.rows}
    assert any(
        "columns swapped: not run (hole: got one that something is shown after" in note
        for note in table.notes
    )
    with pytest.raises(ValueError, match="largest number that fits is 1"):
        layout.run(called(model), Toy(), Asking(count=2), examples=2)


def test_the_probe_shows_nothing_outside_the_cells() -> None:
    seen = []

    class Looking(Finder):
        def inpaint(self, image, hole, **options):  # type: ignore[no-untyped-def]
            seen.append(image[0])
            return super().inpaint(image, hole, **options)

    small = layout.variants_of(Finder(canvas_size=(224, 224), patch_size=16), 1)[
        "cells of 4x4 patches"
    ]
    assert layout._refusal(Looking(canvas_size=(224, 224), patch_size=16), small) == ""
    outside = torch.ones(224, 224, dtype=torch.bool)
    for cell in small.cells:
        cell.of(outside)[:] = False
    assert bool((seen[0][:, outside] == 1).all())
