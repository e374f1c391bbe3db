"""What made the answers: nothing is mixed, no other picture is skipped, a kill leaves no lie."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vicl.exports import ExportError
from vicl.exports.answers import Answer, Query
from vicl.exports.record import RECORD, FolderRecord, differences, recorded
from vicl.exports.writers import FORMATS, open_writer
from vicl.images import save_image

MADE: dict[str, Any] = {"task": "segmentation", "examples": "ab", "settings": {"seed": 0}}
OTHER: dict[str, Any] = MADE | {"examples": "cd", "settings": {"seed": 1, "tile": 64}}


def query(folder: Path, name: str, level: int = 90) -> Query:
    save_image(Image.new("RGB", (12, 8), (level, 90, 90)), folder / name)
    return Query(folder / name, PurePath(name))


def answer() -> Answer:
    mask = np.zeros((8, 12), np.uint8)
    mask[2:6, 2:9] = 1
    return Answer(Image.new("RGB", (12, 8)), mask=mask, classes=("leaf",))


def run(
    out: Path, queries: Sequence[Query], *, only: int | None = None, **options: Any
) -> list[str]:
    """Answer what is not there, at most `only` of them; gives the notes."""
    options = {"made_by": MADE, "classes": ("leaf",)} | options
    with open_writer(out, queries, **options) as writer:
        overwrite = options.get("overwrite", False)
        pending = [one for one in queries if overwrite or not writer.done(one)]
        for one in pending[:only]:
            writer.write(one, answer())
        if only is not None:
            raise KeyboardInterrupt
        return writer.notes


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_differences_are_named() -> None:
    assert differences(MADE, MADE) == []
    assert differences(MADE, OTHER) == ["examples", "settings (seed, tile)"]
    assert differences({}, {"task": "edges"}) == ["task"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_stopped_run_gives_the_same_tree_and_no_other_goes_on(
    tmp_path: Path, format: str
) -> None:
    asked = [query(tmp_path / "q", f"{n}.png", n) for n in range(4)]
    run(tmp_path / "whole", asked, format=format)
    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        run(cut, asked, format=format, only=2)
    left = tree(cut)
    for changed, says in (
        ({"made_by": OTHER}, r"other examples, settings \(seed, tile\); give what made them"),
        ({"made_by": MADE | {"classes": ["stem"]}}, "made with other classes"),
    ):
        with pytest.raises(ExportError, match=says):
            run(cut, asked, format=format, resume=True, **changed)
        assert tree(cut) == left
    assert run(cut, asked, format=format, resume=True) == []
    assert tree(cut) == tree(tmp_path / "whole")
    assert run(cut, asked, format=format, resume=True) == []
    assert tree(cut) == tree(tmp_path / "whole")
    with pytest.raises(ExportError, match="other examples"):
        run(cut, asked, format=format, resume=True, made_by=OTHER)


@pytest.mark.parametrize("format", FORMATS)
def test_another_picture_of_the_name_is_not_skipped(tmp_path: Path, format: str) -> None:
    here, there, copy = (query(tmp_path / n, "1.png", level) for n, level in
                         (("a", 1), ("b", 2), ("c", 1)))  # fmt: skip
    run(tmp_path / "o", [here], format=format)
    written = tree(tmp_path / "o")
    with pytest.raises(ExportError, match=r"b/1\.png: .* an answer called 1\..*, but to another"):
        run(tmp_path / "o", [there], format=format, resume=True)
    assert tree(tmp_path / "o") == written
    run(tmp_path / "o", [copy], format=format, resume=True)
    assert tree(tmp_path / "o") == written
    query(tmp_path / "c", "1.png", 2)  # the same place, another picture
    with pytest.raises(ExportError, match="or the picture has changed"):
        run(tmp_path / "o", [copy], format=format, resume=True)
    run(tmp_path / "o", [there], format=format, overwrite=True)
    run(tmp_path / "o", [there], format=format, resume=True)


@pytest.mark.parametrize("format", ["png", "coco"])
def test_outputs_without_a_record_go_on_with_a_note(tmp_path: Path, format: str) -> None:
    asked = [query(tmp_path / "q", f"{n}.png", n) for n in range(2)]
    run(tmp_path / "o", asked[:1], format=format, made_by=None)
    (note,) = run(tmp_path / "o", asked, format=format, resume=True)
    assert note.startswith("1 outputs have no record of what made them")


def test_a_replacing_run_that_was_stopped_does_not_pass_for_done(tmp_path: Path) -> None:
    asked = [query(tmp_path / "q", f"{n}.png", n) for n in range(3)]
    run(tmp_path / "o", asked)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "o", asked, only=1, made_by=OTHER, overwrite=True)
    for made_by in (MADE, OTHER):
        with pytest.raises(ExportError, match="made with other examples"):
            run(tmp_path / "o", asked, made_by=made_by, resume=True)
    run(tmp_path / "o", asked, made_by=OTHER, overwrite=True)
    assert run(tmp_path / "o", asked, made_by=OTHER, resume=True) == []


@pytest.mark.parametrize("there", [False, True])
def test_a_kill_around_a_file_never_names_a_wrong_maker(tmp_path: Path, there: bool) -> None:
    one = query(tmp_path, "1.png").path
    target = tmp_path / "o" / "1.png"
    if there:
        with closing(FolderRecord(tmp_path / "o", MADE)) as first, first.noting(target, one):
            save_image(Image.new("L", (2, 2)), target)

    def killed() -> None:
        with closing(FolderRecord(tmp_path / "o", OTHER)) as record, record.noting(target, one):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    again = FolderRecord(tmp_path / "o", OTHER)
    if there:  # the old file, still known as what it is
        with pytest.raises(ExportError, match="other examples"):
            again.check({target: one})
    else:  # no file: nothing to skip, and its line is there already
        before = (tmp_path / "o" / RECORD).read_bytes()
        assert again.check({target: one}) == 0
        with closing(again), again.noting(target, one):
            save_image(Image.new("L", (2, 2)), target)
        assert (tmp_path / "o" / RECORD).read_bytes() == before
        assert recorded(tmp_path / "o") == {target}


def test_formats_and_values_are_part_of_the_making(tmp_path: Path) -> None:
    asked = [query(tmp_path / "q", f"{n}.png", n) for n in range(2)]
    run(tmp_path / "o", asked[:1], format="yolo")
    with pytest.raises(ExportError, match="other format"):
        run(tmp_path / "o", asked, format="yolo-boxes", resume=True)
    run(tmp_path / "o", asked, format="labelme", resume=True)  # other files beside them
    run(tmp_path / "m", asked[:1])
    with pytest.raises(ExportError, match="other values"):
        run(tmp_path / "m", asked, values="1..n", resume=True)
    run(tmp_path / "c", asked[:1], format="coco")
    with pytest.raises(ExportError, match="other format"):
        run(tmp_path / "c", asked, format="coco-polygons", resume=True)


def test_a_coco_file_keeps_the_record_and_pictures_of_its_images(tmp_path: Path) -> None:
    asked = query(tmp_path, "1.png")
    run(tmp_path / "a.json", [asked], format="coco")
    dataset = json.loads((tmp_path / "a.json").read_text())
    assert dataset["info"]["vicl"] == MADE | {"format": "coco", "tolerance": 0.0, "min_area": 1}
    assert len(dataset["images"][0]["sha256"]) == 64
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.png", "a.json"]
