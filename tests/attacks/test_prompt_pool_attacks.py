"""Prompt files that refer to a pool: a stranger's lead nowhere, and load nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.prompting.test_prompt_file import rewritten
from tests.selection.encoders import labelled

from vicl.images import save_image
from vicl.prompting.prompt_file import PromptFileError
from vicl.prompting.prompter import VisualPrompter
from vicl.selection.pool import open_pool
from vicl.selection.selectors import Random


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A prompt file beside its pool."""
    pool = open_pool(labelled(tmp_path / "home/pool")).labelled
    VisualPrompter("copy", Random(pool), "segmentation").save(tmp_path / "home/p.vicl")
    return tmp_path / "home/p.vicl"


def changed(saved: Path, *keys: str, **values: Any) -> Path:
    """A copy of which a part of the manifest says something else."""

    def change(manifest: dict[str, Any]) -> None:
        for key in keys:
            manifest = manifest[key]
        manifest.update(values)

    return rewritten(saved, saved.with_name("bad.vicl"), change)


@pytest.mark.parametrize("path", ["../pool", "/etc", "pool/../../pool", "", "pool\\..\\x", "a\0b"])
def test_a_path_out_of_its_folder_is_refused(saved: Path, path: str) -> None:
    for field in ("path", "index"):
        with pytest.raises(PromptFileError, match=r"bad\.vicl: prompt\.json is not valid"):
            VisualPrompter.load(changed(saved, "pool", **{field: path}))


def test_a_link_out_of_its_folder_is_refused(saved: Path, tmp_path: Path) -> None:
    pool = saved.with_name("pool")
    pool.rename(tmp_path / "out")
    pool.symlink_to(tmp_path / "out")
    with pytest.raises(PromptFileError, match="leads out of the prompt file's folder by a link"):
        VisualPrompter.load(saved)


@pytest.mark.parametrize("part", [0, 1])
def test_a_list_that_names_files_elsewhere_is_refused(tmp_path: Path, part: int) -> None:
    """Before one of them is opened."""
    pool = labelled(tmp_path / "home/pool")
    listed = tmp_path / "home/pool.csv"
    rows = [
        [
            str(entry.image.relative_to(listed.parent)),
            str(entry.annotation.relative_to(listed.parent)),
        ]
        for entry in open_pool(pool).labelled.entries
    ]
    listed.write_text("image,annotation\n" + "".join(f"{','.join(row)}\n" for row in rows))
    chosen = Random(open_pool(listed).labelled)
    VisualPrompter("copy", chosen, "segmentation").save(tmp_path / "home/p.vicl")
    VisualPrompter.load(tmp_path / "home/p.vicl")
    rows[0][part] = "../elsewhere.png"
    listed.write_text("image,annotation\n" + "".join(f"{','.join(row)}\n" for row in rows))
    with pytest.raises(PromptFileError, match=r"elsewhere\.png: the pool .* leads out"):
        VisualPrompter.load(tmp_path / "home/p.vicl")


def test_an_index_that_is_a_link_out_of_its_folder_is_left_alone(
    saved: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "index.json").write_bytes(b"{}")
    saved.with_name("pool.index").symlink_to(victim)
    with pytest.raises(PromptFileError, match="leads out of the prompt file's folder by a link"):
        VisualPrompter.load(saved)
    assert [path.name for path in victim.iterdir()] == ["index.json"]
    assert (victim / "index.json").read_bytes() == b"{}"


def test_labels_whose_names_are_others_now_are_refused(tmp_path: Path) -> None:
    pool = tmp_path / "home/pool"
    for number in range(3):
        save_image(Image.new("RGB", (32, 32), (60 * number, 90, 20)), pool / f"images/{number}.png")
        (pool / "labels").mkdir(exist_ok=True)
        (pool / f"labels/{number}.txt").write_text("0 0.3 0.3 0.2 0.2\n1 0.7 0.7 0.2 0.2\n")
    (pool / "classes.txt").write_text("cat\ndog\n")
    found = open_pool(pool).showing({"cat": None})
    VisualPrompter("copy", Random(found), "detection").save(tmp_path / "home/p.vicl")
    VisualPrompter.load(tmp_path / "home/p.vicl")
    (pool / "classes.txt").write_text("dog\ncat\n")
    with pytest.raises(PromptFileError, match="the pool was changed since the prompt was saved"):
        VisualPrompter.load(tmp_path / "home/p.vicl")


@pytest.mark.parametrize(
    ("encoder", "says"),
    [("hub:some/model", "does not come with vicl"), ("handmade", "has other weights")],
)
def test_no_encoder_of_a_strangers_is_loaded(saved: Path, encoder: str, says: str) -> None:
    """And no index is made before that is known."""
    bad = changed(saved, "pool", select="nearest", encoder=encoder, weights_hash="0" * 64)
    with pytest.raises(PromptFileError, match=says):
        VisualPrompter.load(bad)
    assert not saved.with_name("pool.index").exists()


@pytest.mark.parametrize("wrong", [{"examples": 1}, {"pool": None}])
def test_there_are_examples_or_a_pool(saved: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(PromptFileError, match="is not valid"):
        VisualPrompter.load(changed(saved, **wrong))
