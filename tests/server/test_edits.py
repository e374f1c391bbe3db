from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")

from tests.server.pages import ANY, Page, packed
from tests.slowly import mostly_slow

from vicl.files import FileError
from vicl.server.edits import ImageEdits
from vicl.server.marks import StrokeError, blank, draw
from vicl.server.schemas import Step, Stroke


def stroke(tool: str, points: object, label: int | None = 1, **more: object) -> Stroke:
    return Stroke.model_validate({"tool": tool, "points": points, "class": label, **more})


def test_a_brush_is_all_pixels_within_its_radius() -> None:
    marks = blank((30, 40))
    dirty = draw(marks, stroke("brush", [[5, 5], [30, 20], [30, 25]], size=7))
    ends = [((5, 5), (30, 20)), ((30, 20), (30, 25))]
    for row in range(30):
        for column in range(40):
            at = np.array([column + 0.5, row + 0.5])
            near = min(_apart(at, np.array(a), np.array(b)) for a, b in ends)
            assert (marks[row, column] == 1) == (near <= 3.5)
    rows, columns = np.nonzero(marks == 1)
    assert dirty == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def _apart(at: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    along = np.clip(np.dot(at - one, other - one) / np.dot(other - one, other - one), 0, 1)
    return float(np.linalg.norm(at - one - along * (other - one)))


def test_the_smallest_brush_marks_the_pixel_that_it_is_in() -> None:
    marks = blank((5, 5))
    draw(marks, stroke("brush", [[2.95, 1.05]], size=0.5))
    assert np.argwhere(marks == 1).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("tool", "points", "size"),
    [("box", [[1, 2], [4, 5]], 9), ("polygon", [[1, 2], [4, 2], [4, 5], [1, 5]], 9)],
)
def test_shapes_hold_the_pixels_inside(tool: str, points: object, size: int) -> None:
    marks = blank((8, 8))
    draw(marks, stroke(tool, points))
    assert (marks[2:5, 1:4] == 1).all()
    assert (marks[2:5, 1:4] == 1).sum() == size
    if tool == "box":
        assert (marks == 1).sum() == size


def test_fill_takes_what_is_connected_of_one_mark() -> None:
    marks = blank((6, 6))
    draw(marks, stroke("box", [[2, 0], [3, 6]], 0))
    assert draw(marks, stroke("fill", [[4, 4]], 1)) == (3, 0, 6, 6)
    assert (marks[:, 3:] == 1).all()
    assert (marks[:, :2] == 255).all()


def test_a_mask_and_erasing() -> None:
    mask = np.zeros((6, 6), bool)
    mask[1:3, 1:3] = True
    marks = blank((6, 6))
    draw(marks, stroke("mask", [], 2, png=packed(mask)))
    assert ((marks == 2) == mask).all()
    draw(marks, stroke("box", [[0, 0], [2, 2]], None))
    assert marks[1, 1] == 255
    assert marks[2, 2] == 2


def test_a_locked_class_stays() -> None:
    marks = blank((6, 6))
    draw(marks, stroke("box", [[0, 0], [3, 6]], 1))
    draw(marks, stroke("box", [[0, 0], [6, 6]], 2, locked=[1]))
    assert (marks[:, :3] == 1).all()
    assert (marks[:, 3:] == 2).all()


def test_what_is_off_the_image_marks_nothing() -> None:
    marks = blank((6, 6))
    for tool in ("brush", "box", "polygon"):
        points = [[90, 90], [99, 90], [99, 99]][: 2 if tool == "box" else 3]
        assert draw(marks, stroke(tool, points)) == (0, 0, 0, 0)
    assert (marks == 255).all()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (stroke("box", [[1, 1]]), "expected at least 2"),
        (stroke("polygon", [[1, 1], [2, 2]]), "expected at least 3"),
        (stroke("fill", [[9, 9]]), "not on the image"),
        (stroke("mask", [], png="%%"), "no picture"),
        (stroke("mask", [], png=packed(np.zeros((3, 3), bool))), "3x3"),
    ],
)
def test_strokes_that_cannot_be_drawn(bad: Stroke, said: str) -> None:
    with pytest.raises(StrokeError, match=said):
        draw(blank((6, 6)), bad)


def test_a_brush_does_not_work_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vicl.server.marks._MOST_WORK", 1000)
    draw(blank((30, 40)), stroke("brush", [[5, 5], [9, 9]], size=7))
    with pytest.raises(StrokeError, match="make it in parts"):
        draw(blank((30, 40)), stroke("brush", [[5, 5], [30, 20]] * 50, size=20))


def test_undo_goes_across_tools_and_redo_back(tmp_path: Path) -> None:
    edits = ImageEdits(tmp_path / "s.jsonl", (8, 8))
    seen = [edits.marks.copy()]
    for one in (
        stroke("brush", [[2, 2]], size=3),
        stroke("box", [[4, 4], [7, 7]], 2),
        stroke("fill", [[0, 7]], 0),
    ):
        edits.apply(one)
        seen.append(edits.marks.copy())
    edits.apply(Step(op="clear"))
    assert (edits.marks == 255).all()
    for marks in reversed(seen):
        edits.apply(Step(op="undo"))
        assert (edits.marks == marks).all()
        if marks is seen[0]:
            break
    edits.apply(Step(op="undo"))
    for marks in seen[1:]:
        edits.apply(Step(op="redo"))
        assert (edits.marks == marks).all()
    edits.apply(stroke("box", [[0, 0], [1, 1]]))
    assert edits.state().redo == 0
    edits.close()


def test_no_committed_stroke_is_lost_wherever_a_kill_cuts(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    edits = ImageEdits(path, (8, 8))
    for number in range(3):
        edits.apply(stroke("box", [[number, 0], [number + 1, 8]], number))
    edits.close()
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = data[:cut].count(b"\n")
        again = ImageEdits(path, (8, 8))
        assert again.revision == whole
        assert (again.marks != 255).sum() == 8 * whole
        if cut % 40 < 38:  # writing to the disk takes its time
            continue
        again.apply(stroke("box", [[7, 7], [8, 8]], 9))
        again.close()
        assert ImageEdits(path, (8, 8)).revision == whole + 1


def test_a_log_that_is_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    good = b'{"op":"undo"}\n'
    path.write_bytes(good + b'{"op":"dance"}\n' + good)
    with pytest.raises(FileError, match=r"s\.jsonl: line 2 is no edit"):
        ImageEdits(path, (8, 8))


def test_edits_over_http(page: Page) -> None:
    image = page.id("p1.png")
    done = page.stroke(image, 1, [[20, 20]], size=10).json()
    assert done == {"revision": 1, "dirty": [15, 15, 25, 25], "undo": 1, "redo": 0, "marked": True}
    page.stroke(image, 0, [[0, 0], [60, 5]], tool="box")
    assert set(np.unique(page.marks(image))) == {0, 1, 255}
    state = page.client.get(f"/v1/images/{image}/edits").json()
    assert [one["tool"] for one in state["strokes"]] == ["brush", "box"]
    assert state["strokes"][0]["class"] == 1
    page.step(image, "undo")
    assert set(np.unique(page.marks(image))) == {1, 255}
    small = page.client.get(f"/v1/images/{image}/marks?max=30")
    tag = page.client.get(f"/v1/images/{image}/marks").headers["etag"]
    assert small.headers["etag"] == tag
    same = page.client.get(f"/v1/images/{image}/marks", headers={"If-None-Match": tag})
    assert same.status_code == 304


def test_a_stroke_that_is_sent_twice_counts_once(page: Page) -> None:
    image = page.id("p1.png")
    for _ in range(2):
        assert page.stroke(image, 1, [[20, 20]], key="abc").json()["revision"] == 1


def test_an_old_revision_is_refused_with_the_newer_state(page: Page) -> None:
    image = page.id("p1.png")
    page.stroke(image, 1, [[20, 20]])
    body = {"op": "stroke", "class": 1, "tool": "brush", "points": [[3, 3]]}
    reply = page.client.post(f"/v1/images/{image}/edits", json=body, headers={"If-Match": "0"})
    assert reply.status_code == 409
    assert reply.json()["state"]["revision"] == 1
    assert page.client.post(f"/v1/images/{image}/edits", json=body).status_code == 428


def test_classes_may_be_locked_but_not_invented(page: Page) -> None:
    image = page.id("p1.png")
    one = {"id": 1, "name": "disc", "colour": [255, 0, 0], "locked": True}
    two = {"id": 5, "name": "other", "colour": [0, 0, 255]}
    page.change(classes=[one, two])
    page.stroke(image, 1, [[0, 0], [30, 40]], tool="box")
    page.stroke(image, 5, [[0, 0], [60, 40]], tool="box")
    assert (page.marks(image)[:, :30] == 1).all()
    assert (page.marks(image)[:, 30:] == 5).all()
    page.change(classes=[one | {"locked": False}, two])
    assert (page.marks(image)[:, :30] == 1).all()
    refused = page.stroke(image, 7, [[1, 1]])
    assert refused.status_code == 422
    assert "expected one of [0, 1, 5]" in refused.json()["detail"]


@pytest.mark.parametrize(
    "change",
    [
        {"points": [[1, "x"]]}, {"points": [[1, 2, 3]]}, {"points": [[1e9, 1]]}, {"size": 0},
        {"size": 1e9}, {"class": -1}, {"class": 255}, {"tool": "sponge"}, {"op": "bake"},
        {"points": []}, {"extra": 1}, {"key": "k" * 200},
    ],
)  # fmt: skip
def test_edits_that_cannot_be(still: Page, change: dict[str, object]) -> None:
    image = still.id("p1.png")
    body = {"op": "stroke", "class": 1, "tool": "brush", "points": [[3, 3]]} | change
    reply = still.client.post(f"/v1/images/{image}/edits", json=body, headers=ANY)
    assert reply.status_code == 422
    assert len(reply.json()["detail"]) > 10
    assert still.project.edit_revision(image) == 0


def test_a_line_holds_only_what_was_said(page: Page) -> None:
    image = page.id("p1.png")
    page.stroke(image, None, [[3, 3]])
    (line,) = page.project.file_of(image, "strokes.jsonl").read_text().splitlines()
    assert json.loads(line)["class"] is None


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs that grow long early."""
    for name, value in {"UNDO": 6, "_MOST_LINES": 12, "_APART": 4, "_BOXES": 2}.items():
        monkeypatch.setattr(f"vicl.server.edits.{name}", value)


@pytest.mark.usefixtures("short")
def test_an_image_stays_marked_by_strokes_that_cannot_be_taken_back(page: Page) -> None:
    image = page.id("p1.png")
    for x in range(14):
        page.stroke(image, 1, [[x, 5]], size=2)
    told = [page.step(image, "undo").json() for _ in range(14)]
    assert (told[-1]["undo"], told[-1]["marked"]) == (0, True)
    assert page.stroke(image, None, [[0, 0], [60, 40]], tool="box").json()["marked"] is False


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("seed", mostly_slow(range(12), 0))
def test_a_log_that_is_written_anew_makes_the_same_marks(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path / "s.jsonl"
    edits = ImageEdits(path, (9, 9))
    done: list[Stroke] = []
    undone: list[Stroke] = []
    for number in range(45):
        op = rng.choice(["stroke", "undo", "redo"], p=[0.6, 0.3, 0.1])
        if op == "stroke":
            x, y = rng.integers(0, 8, 2)
            one = stroke("box", [[x, y], [x + 2, y + 2]], int(rng.integers(3)), key=f"k{number}")
            done, undone = [*done, one], []
            edits.apply(one)
        else:
            if op == "undo" and edits.state().undo:
                undone.append(done.pop())
            elif op == "redo" and undone:
                done.append(undone.pop())
            edits.apply(Step(op=op, key=f"k{number}"))
        expected = blank((9, 9))
        for one in done:
            draw(expected, one)
        assert (edits.marks == expected).all()
        assert edits.state().redo == len(undone)
        assert edits.knows(f"k{number}")
    assert len(path.read_bytes().splitlines()) <= 25
    edits.close()
    again = ImageEdits(path, (9, 9))
    assert (again.marks == expected).all()
    assert again.revision == 45
    assert again.knows("k44")
    kept = again.state()  # it may have been written anew once more
    assert edits.done[len(edits.done) - kept.undo :] == again.done
    assert kept.undo >= min(edits.state().undo, 6)
    assert kept.redo == edits.state().redo


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("seed", mostly_slow(range(12), 0))
def test_hints_and_boxes_stay_where_a_log_is_written_anew(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path / "s.jsonl"
    edits, whole = ImageEdits(path, (40, 60)), ImageEdits(tmp_path / "whole.jsonl", (40, 60))
    whole._most = 1000, 1 << 20  # never written anew
    for number in range(60):
        x, y = (int(one) for one in rng.integers(0, 30, 2))
        likely: list[tuple[float, Stroke | Step]] = [
            (0.35, stroke("box", [[x, y], [x + 9, y + 9]], 1 + number % 3, key=f"k{number}")),
            (0.35, stroke("hint", [[x, y]], None, size=3, colour=[number, x, y], key=f"k{number}")),
            (0.1, stroke("box", [[x, y], [x + 15, y + 15]], None)),
            (0.16, Step(op="undo")),
            (0.04, Step(op="clear")),
        ]
        edit = likely[rng.choice(5, p=[chance for chance, _ in likely])][1]
        if edit.op == "undo" and not edits.done:
            continue
        edits.apply(edit)
        whole.apply(edit)
        assert (edits.hints(), edits.boxes()) == (whole.hints(), whole.boxes())
    assert json.loads(path.read_bytes().splitlines()[0])["op"] == "base"
    assert len(whole.done) > len(edits.done)
    edits.close()
    again = ImageEdits(path, (40, 60))
    assert (again.hints(), again.boxes()) == (whole.hints(), whole.boxes())
    assert again.told() == whole.told()
    assert (again.marks == whole.marks).all()
    # What a page is told makes the same of it.
    assert again.hints() == again._hints(again.state().strokes)
    assert again.boxes() == again._boxes(again.state().strokes)
    for edits in (again, whole):
        edits.close()


@pytest.mark.usefixtures("short")
def test_a_kill_while_a_log_is_written_anew_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.jsonl"
    edits = ImageEdits(path, (8, 30))

    def full(*_: object) -> None:
        raise FileError("no room")

    with monkeypatch.context() as patched:
        patched.setattr("vicl.server.edits.write_atomic", full)
        for number in range(15):
            edits.apply(stroke("box", [[number, 0], [number + 1, 8]], 1))
    assert len(path.read_bytes().splitlines()) == 15
    assert (ImageEdits(path, (8, 30)).marks == edits.marks).all()  # written anew as it is opened
    edits.close()
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    assert json.loads(data[:first])["revision"] == 9
    for cut in range(first, len(data) + 1, 7):
        path.write_bytes(data[:cut])
        again = ImageEdits(path, (8, 30))
        assert (again.marks != 255).sum() == 8 * again.revision == 8 * (8 + data[:cut].count(b"\n"))


@pytest.mark.parametrize(
    "base",
    [
        {"revision": -1, "png": ""}, {"revision": 1, "png": "%"}, {"revision": 1},
        {"revision": 1, "png": packed(np.zeros((3, 3), np.uint8))}, {"revision": 1e99, "png": ""},
    ],
)  # fmt: skip
def test_a_base_that_is_damaged_is_refused(tmp_path: Path, base: dict[str, object]) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps({"op": "base"} | base) + "\n")
    with pytest.raises(FileError, match=r"s\.jsonl: line 1 is no edit"):
        ImageEdits(path, (8, 8))
    path.write_text('{"op": "undo"}\n' + json.dumps({"op": "base"} | base) + "\n")
    with pytest.raises(FileError, match="line 2 is no edit"):
        ImageEdits(path, (8, 8))


@pytest.mark.usefixtures("short")
def test_masks_that_are_large_shorten_what_can_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vicl.server.edits._MOST_BYTES", 1000)
    edits = ImageEdits(tmp_path / "s.jsonl", (8, 8))
    mask = np.random.default_rng(0).random((8, 8)) < 0.5
    for label in range(9):
        edits.apply(stroke("mask", [], label, png=packed(mask)))
        assert ((edits.marks == label) == mask).all()
    assert 1 <= edits.state().undo < 6
    assert (tmp_path / "s.jsonl").stat().st_size < 1500
    edits.close()


@pytest.mark.slow
def test_a_kill_at_any_time_loses_no_stroke_that_was_told_as_committed(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    paint = (
        "import sys; from pathlib import Path; import vicl.server.edits as e\n"
        "from vicl.server.schemas import Stroke\n"
        "e.UNDO, e._MOST_LINES, e._APART = 5, 10, 4\n"
        "edits = e.ImageEdits(Path(sys.argv[1]), (8, 4000))\n"
        "while True:\n"
        "    at = edits.revision\n"
        "    edits.apply(Stroke(tool='box', points=((at, 0), (at + 1, 8)), class_=at % 200))\n"
        "    print(edits.revision, flush=True)\n"
    )
    told = 0
    for turn in range(12):
        command = [sys.executable, "-c", paint, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(3 + 5 * turn):
                told = int(process.stdout.readline())
            process.kill()
            told = max([told, *map(int, process.stdout.read().split("\n")[:-1])])
        edits = ImageEdits(path, (8, 4000))
        assert edits.revision in (told, told + 1)  # it may have been cut off before it told
        expected = np.arange(edits.revision) % 200
        assert (edits.marks[:, : edits.revision] == expected).all()
        assert (edits.marks[:, edits.revision :] == 255).all()
        edits.close()
