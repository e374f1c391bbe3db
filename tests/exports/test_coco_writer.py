"""The streaming writer: killed at any byte, it resumes to the same file."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vicl
from vicl.exports import Annotation, CocoWriter, ExportError, read_coco
from vicl.files import FileError

CLASSES = ("leaf", "Blüte")


def answers(count: int = 6) -> list[Annotation]:
    """Some images with objects; the third has none."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(count):
        mask = rng.integers(0, 3, (5, 6)).astype(np.uint8) * np.uint8(index != 2)
        found.append(Annotation(f"ü/{index} 'x'.png", (5, 6), CLASSES, mask=mask))
    return found


def write(path: Path, items: list[Annotation], **options: Any) -> None:
    with CocoWriter(path, CLASSES, **options) as writer:
        for item in items:
            if item.file_name not in writer.done:
                writer.add(item)


def stop(path: Path, items: list[Annotation], **options: Any) -> Path:
    """Add some images and press Ctrl-C; gives the partial file."""
    writer = CocoWriter(path, CLASSES, **options)
    with contextlib.suppress(KeyboardInterrupt), writer:
        for item in items:
            writer.add(item)
        raise KeyboardInterrupt
    return writer.partial


def test_a_whole_run(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write(path, answers())
    assert [found.name for found in path.parent.iterdir()] == ["a.json"]
    dataset = read_coco(path)
    assert [image["file_name"] for image in dataset["images"]] == [a.file_name for a in answers()]
    assert [image["id"] for image in dataset["images"]] == [1, 2, 3, 4, 5, 6]
    numbers = [entry["id"] for entry in dataset["annotations"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {entry["image_id"] for entry in dataset["annotations"]} == {1, 2, 4, 5, 6}


def test_a_kill_at_any_byte_loses_no_finished_image(tmp_path: Path) -> None:
    whole = tmp_path / "whole.json"
    items = answers(3)
    partial = stop(whole, items).read_bytes()
    assert not whole.exists()
    write(whole, items, resume=True)
    expected = whole.read_bytes()
    ends = [index + 1 for index, byte in enumerate(partial) if byte == ord("\n")]
    for length in {*range(0, len(partial), 61), *ends, *(end - 1 for end in ends)}:
        path = tmp_path / f"{length}.json"
        path.with_name(path.name + ".partial.jsonl").write_bytes(partial[:length])
        with CocoWriter(path, CLASSES, resume=True) as writer:
            finished = sum(end <= length for end in ends[1:])
            assert list(writer.done) == [item.file_name for item in items[:finished]]
            for item in items[finished:]:
                writer.add(item)
        assert path.read_bytes() == expected
        assert not writer.partial.exists()


@pytest.mark.slow
def test_a_killed_process_keeps_what_it_added(tmp_path: Path) -> None:
    script = """
import os, sys
import numpy as np
from vicl.exports import Annotation, CocoWriter
writer = CocoWriter(sys.argv[1], ["leaf"])
for index in range(3):
    writer.add(Annotation(f"{index}.png", (1, 1), ("leaf",), mask=np.ones((1, 1), np.uint8)))
os._exit(9)  # no flushing, no closing
"""
    path = tmp_path / "a.json"
    source = Path(vicl.__file__).parents[1]
    run = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env={**os.environ, "PYTHONPATH": str(source)},
        check=False,
    )
    assert run.returncode == 9
    with CocoWriter(path, ["leaf"], resume=True) as writer:
        assert set(writer.done) == {"0.png", "1.png", "2.png"}
    assert len(read_coco(path)["annotations"]) == 3


def test_a_power_cut_that_leaves_zeros_is_a_cut_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with stop(path, answers(1)).open("ab") as stream:
        stream.write(b"\0" * 20 + b"\n")
    write(path, answers(), resume=True)
    write(tmp_path / "b.json", answers())
    assert path.read_bytes() == (tmp_path / "b.json").read_bytes()


def test_resuming_goes_on_after_a_finished_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, answers(2), info={"year": 2024})
    write(path, answers(), resume=True)
    dataset = read_coco(path)
    write(tmp_path / "b.json", answers(), info={"year": 2024})
    assert dataset == read_coco(tmp_path / "b.json")


def test_a_kill_between_the_two_steps_of_closing_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, answers(2))
    partial = stop(path, answers(4)[2:], resume=True)
    left = partial.read_bytes()
    write(path, answers(4), resume=True)
    finished = path.read_bytes()
    partial.write_bytes(left)
    write(path, answers(4), resume=True)
    assert path.read_bytes() == finished
    assert not partial.exists()


def test_earlier_work_needs_resume_or_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, answers(2))
    before = path.read_bytes()
    with pytest.raises(ExportError, match=r"a\.json: exists; go on .* by resume=True"):
        CocoWriter(path, CLASSES)
    assert path.read_bytes() == before
    partial = stop(tmp_path / "b.json", answers(1))
    with pytest.raises(ExportError, match=r"b\.json\.partial\.jsonl: holds unfinished work"):
        CocoWriter(tmp_path / "b.json", CLASSES)
    assert len(partial.read_bytes().splitlines()) == 2
    with pytest.raises(ExportError, match="at most one"):
        CocoWriter(path, CLASSES, resume=True, overwrite=True)


def test_overwriting_keeps_the_old_file_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, answers(2))
    before = path.read_bytes()
    stop(path, answers()[5:], overwrite=True)
    assert path.read_bytes() == before
    with CocoWriter(path, CLASSES, resume=True) as writer:  # resumes the run that overwrites
        assert list(writer.done) == [answers()[5].file_name]
    assert [image["file_name"] for image in read_coco(path)["images"]] == [answers()[5].file_name]


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path: Path) -> None:
    stop(tmp_path / "a.json", [])
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "a.json", [])
    assert read_coco(tmp_path / "a.json")["images"] == []


def test_other_classes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write(path, answers(1))
    before = path.read_bytes()
    with pytest.raises(ExportError, match=r"has the classes \['leaf', 'Blüte'\], got \['leaf'\]"):
        CocoWriter(path, ["leaf"], resume=True)
    with pytest.raises(ExportError, match="expected those of"):
        stop(tmp_path / "b.json", [answers()[0], Annotation("a", (1, 1), ("leaf",))])
    with pytest.raises(ExportError, match=r"partial\.jsonl: has the classes"):
        CocoWriter(tmp_path / "b.json", CLASSES[::-1], resume=True)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json.partial.jsonl"]


def test_an_image_is_added_once(tmp_path: Path) -> None:
    with CocoWriter(tmp_path / "a.json", CLASSES) as writer:
        writer.add(answers()[0])
        with pytest.raises(ExportError, match="already"):
            writer.add(answers()[0])
    assert len(read_coco(tmp_path / "a.json")["images"]) == 1


def test_a_damaged_line_within_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    partial = stop(path, answers(3))
    lines = partial.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:2], b'{"image": 3}\n', *lines[3:]])
    partial.write_bytes(damaged)
    with pytest.raises(ExportError, match="line 3 is damaged"):
        CocoWriter(path, CLASSES, resume=True)
    assert partial.read_bytes() == damaged


def test_foreign_category_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    document = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 7, "name": "leaf"}, {"id": 9, "name": "Blüte"}],
    }
    path.write_text(json.dumps(document))
    with pytest.raises(ExportError, match="not numbered 1 to 2"):
        CocoWriter(path, CLASSES, resume=True)
    assert json.loads(path.read_text()) == document


def test_a_failed_write_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    with CocoWriter(path, CLASSES) as writer:
        writer.add(answers()[0])
        stream = writer._journal._stream

        class FullDisk:
            """Takes half of a line, then reports that the disk is full."""

            calls = 0

            def __getattr__(self, name: str) -> Any:
                return getattr(stream, name)

            def write(self, data: memoryview) -> int:
                FullDisk.calls += 1
                if FullDisk.calls == 2:
                    raise OSError(28, "No space left on device")
                return int(stream.write(data[: len(data) // 2]) or 0)

        with monkeypatch.context() as patch:
            patch.setattr(writer._journal, "_stream", FullDisk())
            with pytest.raises(FileError, match="No space left"):
                writer.add(answers()[1])
        writer.add(answers()[1])
    write(tmp_path / "b.json", answers(2))
    assert path.read_bytes() == (tmp_path / "b.json").read_bytes()


def test_an_unfit_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json.partial.jsonl").mkdir()
    with pytest.raises(FileError, match=r"a\.json\.partial\.jsonl: cannot be written"):
        CocoWriter(tmp_path / "a.json", CLASSES)


def test_a_partial_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    header = {"vicl_coco_partial": 2, "classes": list(CLASSES), "keep": False}
    partial = tmp_path / "a.json.partial.jsonl"
    partial.write_text(json.dumps(header) + "\n")
    with pytest.raises(ExportError, match="has version 2, expected 1"):
        CocoWriter(tmp_path / "a.json", CLASSES, resume=True)


def test_options_reach_the_records(tmp_path: Path) -> None:
    write(tmp_path / "a.json", answers(1), style="polygon", instances="class", min_area=2)
    entries = read_coco(tmp_path / "a.json")["annotations"]
    assert len(entries) == 2
    assert all(isinstance(entry["segmentation"], list) for entry in entries)
