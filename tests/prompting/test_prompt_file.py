"""Prompt files: saved and opened they answer the same, and a stranger's do no harm."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.pictures import picture
from tests.stand_ins import Bright, Mirror

from vicl.canvas.layout import Layout
from vicl.images import to_tensor
from vicl.prompting.prompt_file import FORMAT_VERSION, PromptFileError
from vicl.prompting.prompter import VisualPrompter
from vicl.prompting.settings import PromptSettings

load_prompt = VisualPrompter.load

PHOTO = picture(20, 30)
MASK = np.zeros((20, 30), np.uint8)
MASK[5:15, 5:20] = 1
GOLDEN = Path(__file__).parents[1] / "data" / "golden.vicl"


def made(**options: Any) -> VisualPrompter:
    return VisualPrompter("copy", [(PHOTO, MASK)], "segmentation", **options)


def rewritten(source: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a prompt file whose manifest was changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "prompt.json":
                manifest = json.loads(data)
                change(manifest)
                data = json.dumps(manifest).encode()
            new.writestr(name, data)
    return target


@pytest.mark.parametrize(
    ("engine", "task", "annotation", "classes"),
    [
        ("analogies", "segmentation", MASK, None),
        ("copy", "segmentation", MASK * 7, {"leaf": 7}),
        ("copy", "segmentation", {"leaf": MASK, "stem": 1 - MASK}, ["leaf", "stem"]),
        ("copy", "detection", [(5, 5, 20, 15)], ["leaf"]),
        ("analogies", "edges", picture(20, 30) * 0.2, None),
        ("copy", "colorization", PHOTO, None),
        ("analogies", "image", 1 - PHOTO, None),
    ],
)
def test_the_same_answers_after_saving_and_opening(
    tmp_path: Path, engine: str, task: str, annotation: Any, classes: Any
) -> None:
    before = VisualPrompter(engine, [(PHOTO, annotation)], task, classes=classes, seed=3)
    before.save(tmp_path / "p.vicl")
    after = VisualPrompter.load(tmp_path / "p.vicl")
    assert after.task == before.task
    assert (after.settings.seed, after.model.name) == (3, engine)
    query = picture(25, 25, seed=8)
    one, two = before.predict(query), after.predict(query)
    assert np.array_equal(np.asarray(one.image), np.asarray(two.image))
    for mine, other in ((one.scores, two.scores), (one.mask, two.mask), (one.edges, two.edges)):
        assert (mine is None) == (other is None)
        assert mine is None or np.array_equal(mine, other)
    assert one.boxes == two.boxes


def test_float_examples_are_kept_as_they_will_be_saved(tmp_path: Path) -> None:
    """A float example is rounded to 8 bits when it comes in, not only when it is saved."""
    exact = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0))
    before = VisualPrompter("copy", [(exact, exact)])
    before.save(tmp_path / "p.vicl")
    after = VisualPrompter.load(tmp_path / "p.vicl")
    for mine, other in zip(before.passes[0], after.passes[0], strict=True):
        assert torch.equal(to_tensor(mine.output), to_tensor(other.output))


def test_settings_are_kept_and_can_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "p.vicl"
    made(seed=5, tile=64, upsampling="bicubic").save(path)
    kept = load_prompt(path)
    assert kept.settings == PromptSettings(seed=5, tile=64, upsampling="bicubic")
    assert load_prompt(path, seed=9).settings.seed == 9
    made(palette=True, classes={"leaf": "#ff0000"}).task  # noqa: B018 - it can be made
    layout = Layout.paper(1).arranged(8)
    VisualPrompter(Mirror(), [(PHOTO, PHOTO)], layout=layout).save(path)
    opened = load_prompt(path, model=Mirror())
    assert opened.settings.layout == layout


def test_the_same_prompt_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.vicl", "b.vicl"):
        made().save(tmp_path / name)
    assert (tmp_path / "a.vicl").read_bytes() == (tmp_path / "b.vicl").read_bytes()


def test_an_engine_of_the_package_with_its_segmenter_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def loaded(name: str, **how: object) -> Bright:
        asked.append(name)
        return Bright(name=name)

    monkeypatch.setattr("vicl.prompting.prompt_file.load_model", loaded)
    for name in ("copy+default", "copy+theirs"):
        VisualPrompter(Bright(name=name), [(PHOTO, MASK)], "segmentation").save(tmp_path / name)
    load_prompt(tmp_path / "copy+default")
    assert asked == ["copy+default"]
    with pytest.raises(PromptFileError, match="does not come with vicl"):
        load_prompt(tmp_path / "copy+theirs")


def test_other_weights_are_an_error_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "p.vicl"
    VisualPrompter(Bright(weights_hash="a" * 64), [(PHOTO, MASK)], "segmentation").save(path)
    with pytest.raises(PromptFileError, match="does not come with vicl; give that model"):
        load_prompt(path)
    with pytest.raises(PromptFileError, match=r"aaaaaaaaaaaa.*bbbbbbbbbbbb.*any_model"):
        load_prompt(path, model=Bright(weights_hash="b" * 64))
    with pytest.raises(PromptFileError, match="answers would differ"):
        load_prompt(path, model="copy")
    load_prompt(path, model=Bright(weights_hash="a" * 64))
    load_prompt(path, model=Bright(weights_hash="b" * 64), any_model=True)


def test_the_golden_file_opens_and_answers() -> None:
    """Made by version 0.1.0 and committed: every later version must open it."""
    prompter = VisualPrompter.load(GOLDEN)
    assert prompter.task.classes == ("leaf", "stem")
    assert len(prompter.passes) == 2
    assert len(prompter.passes[0]) == 2
    assert prompter.model.name == "analogies"
    assert (prompter.settings.seed, prompter.settings.upsampling) == (7, "bicubic")
    answer = prompter.predict(prompter.passes[0][0].input)
    assert answer.mask is not None
    assert set(np.unique(answer.mask)) == {0, 1, 2}


def test_nothing_to_save_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptFileError, match="no examples"):
        VisualPrompter("copy").save(tmp_path / "p.vicl")


def test_a_file_that_may_not_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.vicl"
    path.write_bytes(b"PK")

    def denied(_: Path) -> bool:  # as in a folder of mode 0700 of another user
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", denied)
    with pytest.raises(PromptFileError, match="may not be read by this user"):
        VisualPrompter.load(path)


def test_a_newer_format_says_so(tmp_path: Path) -> None:
    made().save(tmp_path / "p.vicl")

    def newer(manifest: dict[str, Any]) -> None:
        manifest["version"] = FORMAT_VERSION + 1
        manifest["colour of the sky"] = "blue"

    path = rewritten(tmp_path / "p.vicl", tmp_path / "new.vicl", newer)
    with pytest.raises(PromptFileError, match="newer vicl"):
        load_prompt(path)


def test_which_boxes_are_read_is_kept(tmp_path: Path) -> None:
    two = np.zeros((20, 30), np.uint8)
    two[2:8, 2:8] = two[10:18, 15:28] = 255
    example = (PHOTO, two)
    for boxes, count in (("all", 2), ("largest", 1)):
        VisualPrompter("copy", [example], "detection", boxes=boxes).save(tmp_path / "p.vicl")
        assert len(load_prompt(tmp_path / "p.vicl").predict(PHOTO).boxes) == count

    def older(manifest: dict[str, Any]) -> None:
        manifest["version"] = 2
        del manifest["boxes"]

    old = rewritten(tmp_path / "p.vicl", tmp_path / "old.vicl", older)
    assert len(load_prompt(old).predict(PHOTO).boxes) == 1

    def wrong(manifest: dict[str, Any]) -> None:
        manifest |= {"task": "segmentation", "boxes": "all"}

    with pytest.raises(PromptFileError, match="only detection reads boxes"):
        load_prompt(rewritten(tmp_path / "p.vicl", tmp_path / "wrong.vicl", wrong))
