"""Where the answers of `vicl predict` go, what is never replaced, and what is no query."""

from __future__ import annotations

import errno
import json
import os
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_cli import COPY, SEGMENT, pixels, vicl
from tests.prompting.test_prompter import scene

from vicl.exports.answers import Answer, Query
from vicl.exports.writers import FileWriter
from vicl.files import FileError
from vicl.images import save_image, to_pil

usage = namedtuple("usage", "total used free")


def test_answers_below_the_queries_are_not_asked_about(work: Path) -> None:
    first = vicl(*COPY, "q", "-o", "q/masks", "--canvas")
    assert first.exit_code == 0, first.stderr
    written = sorted(Path("q").rglob("*"))
    again = vicl(*COPY, "q", "-o", "q/masks", "--canvas", "--skip-existing")
    assert again.exit_code == 0, again.stderr
    assert "left out: answers of a run before" in again.stderr
    assert "0 answered, 3 skipped" in again.stderr
    assert sorted(Path("q").rglob("*")) == written


def test_answers_beside_their_queries_are_not_asked_about(work: Path) -> None:
    Path("p").mkdir()
    Path("q/b.jpg").rename("p/b.jpg")
    for _ in range(2):
        assert vicl(*COPY, "p", "-o", "p", "--skip-existing").exit_code == 0
    assert sorted(path.name for path in Path("p").glob("[!.]*")) == ["b.jpg", "b.png"]


def test_a_full_disk_stops_the_run_once(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []

    def full(self: FileWriter, query: Query, answer: Answer) -> Path:
        written.append(query)
        if len(written) > 1:
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError as error:
                raise FileError("masks/b.png: cannot be written (No space left)") from error
        return Path("masks/a.png")

    monkeypatch.setattr(FileWriter, "write", full)
    result = vicl(*COPY, "q", "-o", "masks")
    assert result.exit_code == 2
    assert len(written) == 2
    assert result.stderr.count("error:") == 1
    assert "1 answered; make room, then run again with --skip-existing" in result.stderr


def test_a_place_that_cannot_be_written_is_told_before_any_work(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    result = vicl(*COPY, "q", "-o", "deep/masks")
    assert result.exit_code == 2
    assert result.stderr.count("error:") == 1
    assert "cannot be written to" in result.stderr
    assert result.stdout == ""


def test_answers_of_other_prompts_are_not_gone_on_with(work: Path) -> None:
    for format_ in ("png", "coco", "labelme"):
        out = ("q", "-o", f"o_{format_}", "--format", format_)
        first = vicl(*COPY, *out)
        assert first.exit_code == 0, first.stderr
        again = vicl(*COPY, *out, "--skip-existing")
        assert "0 answered, 3 skipped" in again.stderr
        other = ("predict", "--example", "q/a.png", "out.png", "--task", "segmentation")
        for asked, differing in (
            ((*other, "--model", "copy"), "examples"),
            ((*SEGMENT, "--model", "identity"), "model (name)"),
            ((*COPY, "--seed", "3"), "settings (seed)"),
            ((*COPY, "--classes", "leaf=1"), "classes"),
        ):
            refused = vicl(*asked, *out, "--skip-existing")
            assert refused.exit_code == 2, refused.stderr
            assert refused.stdout == ""
            if not (differing == "classes" and format_ in ("png", "coco")):
                assert f"made with other {differing};" in refused.stderr
        assert vicl(*COPY, "--seed", "3", *out, "--overwrite").exit_code == 0
        assert vicl(*COPY, "--seed", "3", *out, "--skip-existing").exit_code == 0


def test_a_prompt_file_goes_on_with_what_its_examples_began(work: Path) -> None:
    out = ("-o", "o", "--skip-existing")
    assert vicl(*COPY, "q/a.png", "-o", "o/", "--save-prompt", "p.vicl").exit_code == 0
    resumed = vicl("predict", "q", "--prompt", "p.vicl", *out)
    assert resumed.exit_code == 0, resumed.stderr
    assert "2 answered, 1 skipped" in resumed.stderr


def test_files_asked_for_by_name_are_guarded(work: Path) -> None:
    Path("mine.png").write_bytes(b"mine")
    for option, name, says in (
        ("--contact-sheet", "mine.png", "mine.png exists"),
        ("--save-prompt", "mine.png", "mine.png exists"),
        ("--contact-sheet", "sheet.txt", "is not a format that can be written"),
        ("--contact-sheet", "o/a.png", "which is asked for beside the answers"),
    ):
        for more in ((), ("--skip-existing",)):
            refused = vicl(*COPY, "q", "-o", "o", option, name, *more)
            assert refused.exit_code == 2
            assert says in refused.stderr
    for option in ("--contact-sheet", "--save-prompt"):
        for name in ("in.png", "out.png", "q/a.png"):
            before = Path(name).read_bytes()
            refused = vicl(*COPY, "q", "-o", "o", option, name, "--overwrite")
            assert refused.exit_code == 2
            assert "is one of the inputs" in refused.stderr
            assert Path(name).read_bytes() == before
    assert not Path("o").exists()


def test_recorded_answers_are_no_queries_elsewhere_but_may_be_a_next_stage(work: Path) -> None:
    assert vicl(*COPY, "q", "-o", "q/masks", "--contact-sheet", "q/sheet.png").exit_code == 0
    again = vicl(*COPY, "q", "-o", "o", "--contact-sheet", "q/sheet.png", "--overwrite")
    assert "4 of q left out: answers of a run before" in again.stderr
    assert "3 answered" in again.stderr
    following = vicl(*COPY, "q/masks", "-o", "next")
    assert "3 answered" in following.stderr
    assert "left out" not in following.stderr


def test_answers_that_a_glob_finds_beside_queries_are_left_out(work: Path) -> None:
    assert vicl(*COPY, "q/b.jpg", "-o", "q/").exit_code == 0
    for given in (["q/*"], ["q/a.png", "q/b.jpg", "q/b.png"]):
        again = vicl(*COPY, *given, "-o", f"o{len(given)}")
        assert again.exit_code == 0, again.stderr
        assert "of q left out: answers of a run before" in again.stderr
        assert "2 answered" in again.stderr
    alone = vicl(*COPY, "q/b.png", "-o", "next.png")  # all that is asked about
    assert "left out" not in alone.stderr
    assert Path("next.png").is_file()


def test_answers_beside_their_queries_are_none_by_glob_either(work: Path) -> None:
    Path("q/a.png").unlink()
    for _ in range(2):
        result = vicl(*COPY, "q/b.*", "q/sub/../b.jpg", "-o", "q", "--skip-existing")
        assert result.exit_code == 0, result.stderr
    assert "1 of q left out: answers of a run before\n0 answered, 1 skipped" in result.stderr
    assert sorted(path.name for path in Path("q").glob("b*")) == ["b.jpg", "b.png"]
    refused = vicl(*COPY, "q/b.png", "-o", "q", "--overwrite")
    assert "is one of the inputs" in refused.stderr


def test_a_persons_png_beside_a_photograph_stays_a_query(work: Path) -> None:
    save_image(to_pil(scene(4)[0]), "q/b.png")
    before = Path("q/b.png").read_bytes()
    Path("q/a.png").unlink()
    Path("q/sub/c.png").unlink()
    for more in ((), ("--skip-existing",), ("--overwrite",)):
        result = vicl(*COPY, "q", "-o", "q", *more)
        assert result.exit_code == 0, result.stderr
        assert Path("q/b.png").read_bytes() == before
        names = sorted(path.name for path in Path("q").glob("b*"))
        assert names == ["b.jpg", "b.jpg.png", "b.png", "b.png.png"]


def test_one_file_is_one_query_whatever_its_spelling(work: Path) -> None:
    result = vicl(*COPY, "q/a.png", str(work / "q/a.png"), "q/../q/a.png", "-o", "a.png")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "a.png\n"


def test_a_mask_as_out_without_a_task_is_told(work: Path) -> None:
    said = "out.png: looks like a mask: --task segmentation answers masks"
    plain = ("predict", "--model", "copy", "q/a.png", "--json")
    assert said in vicl(*plain, "--example", "in.png", "out.png").stderr
    for example in (("in.png", "in.png"), ("out.png", "out.png")):
        assert "looks like" not in vicl(*plain, "--example", *example).stderr
    told = (*plain, "--example", "in.png", "out.png", "--task", "image")
    assert "looks like" not in vicl(*told).stderr


def test_a_canvas_stands_before_its_answer(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: FileWriter, query: Query, answer: Answer) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FileWriter, "write", killed)
        assert vicl(*COPY, "q/a.png", "-o", "o/", "--canvas").exit_code == 130
    assert Path("o/a.canvas.png").is_file()
    assert vicl(*COPY, "q/a.png", "-o", "o/", "--canvas", "--skip-existing").exit_code == 0
    assert Path("o/a.png").is_file()


def test_a_disk_without_room_is_told_before_any_work(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vicl.files.plain.shutil.disk_usage", lambda _: usage(100, 100, 0))
    for more in (("-o", "o"), ("-o", "a.json", "--format", "coco"), ("--save-prompt", "p.vicl")):
        result = vicl(*COPY, *([] if more[0] == "--save-prompt" else ["q"]), *more)
        assert result.exit_code == 2
        assert "its disk is full" in result.stderr


def test_parts_and_points_are_left_out_where_it_is_asked_for(work: Path) -> None:
    mask = np.zeros((30, 40), np.uint8)
    mask[8:22, 6:20], mask[2, 30:33] = 255, 255
    Image.fromarray(mask).save("parts.png")
    asked = ("predict", "q/a.png", "--example", "in.png", "parts.png", "--task", "segmentation")
    parts = (*asked, "--model", "copy", "-o", "answers/", "--overwrite")
    for format_, objects in (("voc", "<object>"), ("yolo", "\n"), ("labelme", '"polygon"')):
        suffix = {"voc": "xml", "yolo": "txt", "labelme": "json"}[format_]
        target = Path(f"answers/a.{suffix}")
        assert vicl(*parts, "--format", format_).exit_code == 0
        assert target.read_text().count(objects) == 2
        assert vicl(*parts, "--format", format_, "--min-area", "4").exit_code == 0
        assert target.read_text().count(objects) == 1
    coco = (*parts[:-2], "all.json", "--overwrite", "--format", "coco-polygons", "--min-area", "4")
    points = []
    for tolerance in ("0", "3"):
        result = vicl(*coco, "--tolerance", tolerance)
        assert result.exit_code == 0, result.stderr
        (entry,) = json.loads(Path("all.json").read_text())["annotations"]
        points.append(len(entry["segmentation"][0]))
    assert points[1] <= points[0]


def test_overlays_stand_beside_answers_and_are_no_queries(work: Path) -> None:
    for out, format_ in (("q", "png"), ("q/all/coco.json", "coco")):
        result = vicl(*COPY, "q/b.jpg", "-o", out, "--format", format_, "--overlay", "--canvas")
        assert result.exit_code == 0, result.stderr
        folder = Path(out) if format_ == "png" else Path(out).parent
        assert pixels(folder / "b.overlay.png").shape == (30, 40, 3)
    result = vicl(*COPY, "q", "--json", "-o", "elsewhere/")
    asked = [json.loads(row)["query"] for row in result.stdout.splitlines()]
    assert asked == ["q/a.png", "q/b.jpg", "q/sub/c.png"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--overlay", "--json"), "--overlay"),
        (("-o", "x.png", "--tolerance", "1"), "--tolerance goes with"),
        (("-o", "x/", "--format", "coco", "--tolerance", "1"), "--tolerance goes with"),
        (("-o", "x.png", "--min-area", "9"), "--min-area goes with"),
        (("-o", "x/", "--format", "yolo", "--min-area", "0"), "--min-area"),
        (("-o", "x/", "--format", "yolo", "--tolerance", "-1"), "--tolerance"),
        (("-o", "x/", "--format", "yolo", "--tolerance", "nan"), "tolerance: got nan"),
        (("-o", "x/", "--format", "voc", "--tolerance", "1"), "--tolerance goes with"),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    work: Path, options: tuple[str, ...], says: str
) -> None:
    result = vicl(*COPY, "q/a.png", *options)
    assert result.exit_code == 2, result.stderr
    assert says in result.stderr
    picture = ("predict", "q/a.png", "--example", "in.png", "in.png", "--model", "copy")
    assert vicl(*picture, "-o", "p.png", "--overlay").exit_code == 2
    boxes = (*picture[:3], "in.png", "out.png", "--task", "detection", "--model", "copy")
    assert vicl(*boxes, "-o", "x/", "--format", "yolo", "--min-area", "9").exit_code == 2


@pytest.mark.parametrize("out", ["answers/", "answers/all.json"])
def test_going_on_removes_what_a_kill_left(work: Path, out: str) -> None:
    asked = (*COPY, "q/a.png", "-o", out, "--format", "coco" if out.endswith("json") else "png")
    assert vicl(*asked).exit_code == 0
    left = Path("answers/.vicl-0123456789abcdef.tmp")
    left.write_bytes(b"half")
    assert vicl(*asked, "--skip-existing").exit_code == 0
    assert not left.exists()
