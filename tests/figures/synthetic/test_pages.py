"""Pages: where cells stand, and what is around them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vicl.canvas.rects import Rect
from vicl.figures.synthetic.captions import caption, heading, ink_width, label
from vicl.figures.synthetic.page_drawing import draw_page
from vicl.figures.synthetic.pages import Inset, Plan, plan_page


def pictures(plan: Plan) -> list[list[np.ndarray]]:
    """A colour for each cell."""
    return [
        [
            np.full((*rect.size, 3), (40 * row % 256, 40 * part % 256, 99), np.uint8)
            for part, rect in enumerate(rects)
        ]
        for row, rects in enumerate(plan.rects)
    ]


def bare(plan: Plan) -> Plan:
    """A plan without what is drawn over pictures."""
    plain = ((("",) * len(plan.rects[0])),) * len(plan.rects)
    return replace(plan, border=0, texts=(), labels=plain, arrows=False, inset=None, quality=None)


@pytest.mark.parametrize("size", [(224, 224), (64, 64), (96, 160)])
def test_plans(size: tuple[int, int]) -> None:
    shapes, whole = set(), Rect(0, 0, *size)
    for seed in range(150):
        plan = plan_page(np.random.default_rng(seed), size)
        rects = [rect for scene in plan.rects for rect in scene]
        assert len({len(scene) for scene in plan.rects}) == 1
        assert 2 <= len(plan.rects[0]) <= 6
        for number, rect in enumerate(rects):
            assert min(rect.size) >= 8
            assert whole.holds(rect)
            assert not any(rect.overlaps(other) for other in rects[:number])
        rows, columns = len({r.top for r in rects}), len({r.left for r in rects})
        assert rows * columns == len(rects)
        assert max(rows, columns) <= 6
        shapes.add((rows, columns))
    assert len(shapes) > 5


def test_pages_vary() -> None:
    plans = [plan_page(np.random.default_rng(seed), (224, 224)) for seed in range(400)]
    for share, found in (
        (0.75, [p.paper == (255, 255, 255) for p in plans]),
        (0.4, [p.quality is not None for p in plans]),
        (0.3, [p.border > 0 for p in plans]),
        (0.2, [any(map(any, p.labels)) for p in plans]),
        (0.08, [p.inset is not None for p in plans]),
    ):
        assert np.mean(found) == pytest.approx(share, abs=0.08)
    assert any(p.arrows for p in plans)
    assert len({p.rects[0][0].top == p.rects[0][1].top for p in plans}) == 2  # rows, or columns
    assert any(len({r.size for s in p.rects for r in s}) > 2 for p in plans)  # uneven cells


def test_a_bare_page_is_its_pictures_on_paper() -> None:
    for seed in range(20):
        plan = bare(plan_page(np.random.default_rng(seed), (224, 224)))
        shown = pictures(plan)
        expected = np.empty((224, 224, 3), np.uint8)
        expected[:] = plan.paper
        for rects, row in zip(plan.rects, shown, strict=True):
            for rect, picture in zip(rects, row, strict=True):
                expected[rect.top : rect.bottom, rect.left : rect.right] = picture
        assert np.array_equal(draw_page(plan, shown), expected)


def test_what_is_drawn_on_a_page() -> None:
    plan = Plan(
        size=(100, 100),
        rects=((Rect(10, 10, 30, 30), Rect(10, 60, 30, 30)),),
        paper=(255, 255, 255),
        ink=(0, 0, 0),
        border=0,
        texts=(),
        labels=(("", ""),),
        arrows=False,
        inset=None,
        quality=None,
    )
    shown = [[np.full((30, 30, 3), 128, np.uint8)] * 2]
    plain = draw_page(plan, shown)

    def changed(**options: object) -> np.ndarray:
        other = draw_page(replace(plan, **options), shown)  # type: ignore[arg-type]
        found: np.ndarray = (other != plain).any(axis=2)
        return found

    frame = changed(border=1)
    assert frame[10, 10:40].all()
    assert not frame[11:39, 11:39].any()
    arrow = changed(arrows=True)
    assert arrow[25, 50]
    assert not arrow[:20].any()
    text = changed(texts=(("Figure 1.", 10, 80, 12, False),))
    assert text[80:96].any()
    assert not text[:78].any()
    turned = changed(texts=(("Input", 0, 40, 9, True),))
    assert turned[:, :10].any()
    assert not turned[:, 14:].any()
    assert changed(labels=(("(a)", ""),))[10:20, 10:20].any()
    inset = changed(inset=Inset(0.5, 0.5, 0.2, 0.4, 0, (255, 0, 0)))
    assert inset[10, 10]
    assert np.array_equal(inset[:, 10:40], inset[:, 60:90])
    assert draw_page(replace(plan, quality=30), shown).shape == (100, 100, 3)


def test_words() -> None:
    rng = np.random.default_rng(0)
    for line in caption(rng, 3, room=200, line=9):
        assert 120 < ink_width(line, 9) <= 200
    assert [label(1, style) for style in range(4)] == ["(b)", "b)", "B", "2"]
    assert heading(rng, 0, room=4, line=9) == ""
    assert heading(rng, 1, room=500, line=9)


def test_pictures_are_never_too_small_to_be_drawn() -> None:
    """Of the first plan of this generator, cells come out at 7 px."""
    plan = plan_page(np.random.default_rng([1, 8333]), (96, 96))
    assert min(side for row in plan.rects for rect in row for side in rect.size) >= 8
