"""Prompt files that choose examples from a pool, served: from below their folder, or as is told."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.selection.encoders import labelled
from tests.server.pages import draw_folder, open_page
from tests.server.service.serving import serving

import vicl
from vicl.prompting.prompt_file import PromptFileError
from vicl.selection.pool import open_pool
from vicl.selection.selectors import Random


def near(file: Path, pool: Path) -> Path:
    """A prompt file, answered by `copy`: the mask of whichever example is drawn."""
    file.parent.mkdir(exist_ok=True)
    selector = Random(open_pool(pool).labelled, 2)
    vicl.VisualPrompter("copy", selector, "segmentation", classes="thing").save(file)
    return file


def test_a_pool_below_the_files_folder_is_served(tmp_path: Path) -> None:
    file = near(tmp_path / "p.vicl", labelled(tmp_path / "pool"))
    with serving(prompts=(file,), examples=False) as made:
        (answer,) = made.predict(prompt="p", pixels="none").json()["answers"]
        assert answer["classes"][0]["area"] == pytest.approx(1 / 9, abs=0.02)
        assert made.client.get("/v1/prompts").json()["prompts"][0]["examples"] == 2


def test_a_pool_elsewhere_is_served_only_where_that_is_said(tmp_path: Path, leaf: Path) -> None:
    pool = labelled(tmp_path / "pool")
    file = near(tmp_path / "prompts/p.vicl", pool)
    with pytest.raises(PromptFileError, match="--pool POOL"), serving(prompts=(file,)):
        pass
    with serving(prompts=(file, leaf), pool=pool, examples=False) as made:
        assert made.predict(prompt="p", pixels="none").status_code == 200
    says = "--pool: none of the prompt files chooses"
    with pytest.raises(ValueError, match=says), serving(prompts=(leaf,), pool=pool):
        pass


def test_the_app_says_that_it_keeps_no_pool(tmp_path: Path) -> None:
    file = near(tmp_path / "p.vicl", labelled(tmp_path / "pool"))
    page = open_page(draw_folder(tmp_path / "photos"))
    with page.client:
        sent = {"file": ("p.vicl", file.read_bytes())}
        reply = page.client.post("/v1/prompt", files=sent)
        assert reply.status_code == 422
        assert "chooses examples from a pool, which projects do not keep" in reply.json()["detail"]
