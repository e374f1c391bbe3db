"""What the command line takes: frames, boxes, annotation files, deep images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.cli.test_cli import vicl
from tests.prompting.test_prompter import scene

from vicl.images import save_image, to_pil


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image, mask = scene(90)
    save_image(to_pil(image), "in.png")
    Image.fromarray(mask).save("out.png")
    frames = [to_pil(scene(seed)[0]) for seed in (1, 2, 3)]
    Path("q").mkdir()
    frames[0].save("q/s.tif", save_all=True, append_images=frames[1:])
    frames[1].save("q/t.png")


SEGMENT = ("predict", "--example", "in.png", "out.png", "--task", "segmentation")
CHEAP = ("--model", "analogies")
"""Where the engine does not matter: the one of masks would load two networks."""


def test_all_frames_are_answered() -> None:
    done = vicl(*SEGMENT, *CHEAP, "q", "--all-frames", "--json", "-o", "o/")
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["query"], row.get("frame")) for row in rows] == [
        *(("q/s.tif", number) for number in (1, 2, 3)),
        ("q/t.png", None),
    ]
    names = [f"s.frame-000{n}.png" for n in (1, 2, 3)]
    assert sorted(path.name for path in Path("o").glob("[!.]*")) == [*names, "t.png"]
    for name, seed in zip([*names, "t.png"], (1, 2, 3, 2), strict=True):
        answer = np.asarray(Image.open(f"o/{name}")) > 0
        truth = scene(seed)[1]
        assert (answer & truth).sum() / (answer | truth).sum() > 0.9
    again = vicl(*SEGMENT, *CHEAP, "q", "--all-frames", "--skip-existing", "-o", "o/")
    assert "4 skipped" in again.stderr


def test_frames_of_two_files_of_one_name_are_told_apart() -> None:
    Path("r").mkdir()
    Path("r/s.tif").write_bytes(Path("q/s.tif").read_bytes())
    done = vicl(
        *SEGMENT, *CHEAP, "q/s.tif", "r/s.tif", "--all-frames", "--format", "coco", "-o", "a.json"
    )
    assert done.exit_code == 0, done.output
    images = json.loads(Path("a.json").read_text())["images"]
    names = [f"{f}/s.frame-000{n}.tif" for f in "qr" for n in (1, 2, 3)]
    assert [image["file_name"] for image in images] == names


def test_the_first_frame_alone_is_the_default() -> None:
    done = vicl(*SEGMENT, *CHEAP, "q", "-o", "o/")
    assert sorted(path.name for path in Path("o").glob("[!.]*")) == ["s.png", "t.png"]
    assert done.exit_code == 0


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_boxes_are_an_example(task: str) -> None:
    y, x = np.nonzero(scene(90)[1])
    box = f"{x.min()},{y.min()},{x.max() + 1},{y.max() + 1}"
    asked = (*CHEAP, "--task", task, "--json", "q/t.png")
    boxed = vicl("predict", "--box", "in.png", box, *asked)
    shown = vicl("predict", "--example", "in.png", "out.png", *asked)
    assert boxed.exit_code == 0, boxed.output
    assert boxed.stdout == shown.stdout
    named = vicl("predict", "--box", "in.png", f"a=b={box}", *asked)
    assert json.loads(named.stdout)["confidence"] == json.loads(shown.stdout)["confidence"]
    assert "a=b" in named.stdout


def test_boxes_of_one_image_are_one_example() -> None:
    boxes = ("--box", "in.png", "cat=1,2,9,9", "--box", "in.png", "dog=20,12,30,20")
    done = vicl("predict", *CHEAP, *boxes, "--task", "segmentation", "--save-prompt", "p.vicl")
    assert done.exit_code == 0, done.output
    from vicl.prompting.prompter import VisualPrompter

    prompter = VisualPrompter.load("p.vicl")
    assert prompter.task.classes == ("cat", "dog")
    assert [int((p[0].output[0] > 0).sum()) for p in prompter.passes] == [56, 80]


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ("1,2,3", "got '1,2,3', expected x0,y0,x1,y1"),
        ("9,2,3,4", "has no area"),
        ("45,2,60,4", "lies outside the image of 40x30"),
        ("1,2,1e308,4", "reaches far out"),
    ],
)
def test_wrong_boxes_are_refused(box: str, words: str) -> None:
    done = vicl("predict", "--box", "in.png", box, "--task", "detection", "--json", "q/t.png")
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_box_never_overwrites_its_image() -> None:
    done = vicl(
        "predict", "--box", "in.png", "1,2,9,9", "--task", "detection", "q/t.png", "-o", "in.png",
        "--overwrite",
    )  # fmt: skip
    assert done.exit_code == 2
    assert "in.png is one of the inputs" in done.stderr


def test_an_annotation_file_is_an_example() -> None:
    Path("a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    asked = ("predict", "--example", "in.png", "a.txt", "--json", "q/t.png")
    assert vicl(*asked, "--task", "segmentation").exit_code == 0
    refused = vicl(*asked)
    assert refused.exit_code == 2
    assert refused.stderr.endswith("does not read; say --task segmentation or --task detection\n")


def test_white_is_an_option() -> None:
    grey = np.asarray(to_pil(scene(90)[0]).convert("L")).astype(np.uint16) * 2
    Image.fromarray(grey).save("deep.tif")
    asked = ("predict", *CHEAP, "--example", "deep.tif", "out.png", "--task", "segmentation")
    for option, white in ((("--white", "700"), 700.0), ((), 1023.0)):
        done = vicl(*asked, *option, "--save-prompt", "p.vicl", "--overwrite")
        assert done.exit_code == 0, done.output
        from vicl.prompting.prompter import VisualPrompter

        assert VisualPrompter.load("p.vicl").settings.white == white
    assert vicl(*asked, "--white", "0", "--json", "q/t.png").exit_code == 2


@pytest.mark.parametrize("names", [("", "-o", "o/"), ("q/t.png", "-o", ""), ("q", "", "--json")])
def test_an_empty_name_is_not_the_folder_one_is_in(names: tuple[str, ...]) -> None:
    refused = vicl(*SEGMENT, *names, "--model", "copy")
    assert refused.exit_code == 2
    assert "got an empty name" in refused.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["in.png", "out.png", "q"]


@pytest.mark.parametrize("out", ["in.png/o.png", "in.png/o/", "/dev/null"])
def test_a_file_in_a_folders_place_is_told_before_any_work(out: str) -> None:
    refused = vicl(*SEGMENT, "q/t.png", "q/s.tif", "-o", out, "--model", "copy")
    assert refused.exit_code == 2
    assert "is no folder" in refused.stderr
    assert "failed" not in refused.stderr
