"""Prompt files that refer to a pool: a stranger's lead nowhere, and load nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.prompting.test_prompt_file import rewritten
from tests.selection.encoders import labelled

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
