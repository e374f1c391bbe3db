"""Which engines there are, what lets one in, and what a stranger's project may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from tests.server.pages import Page, draw_folder, open_page

from vicl.files.packaged import WEIGHTS
from vicl.models.floors import Copy
from vicl.server.worker import Urgency
from vicl.storage.folder import ModelError

FOREIGN = "hub:someone/else"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is loaded by name: a floor in its place."""
    names: list[str] = []

    def load(name: str, **_: object) -> Copy:
        names.append(name)
        return Copy()

    monkeypatch.setattr("vicl.loading.load_model", load)
    monkeypatch.setattr("vicl.server.engines.best_model", lambda *_, **__: load("best"))
    return names


def by_name(page: Page, where: str) -> dict[str, Any]:
    return {one["name"]: one for one in page.client.get(where).json()["engines"]}


def test_a_strangers_project_loads_no_engine_of_its_own(tmp_path: Path, loaded: list[str]) -> None:
    folder = draw_folder(tmp_path / "photos")
    (folder / "vicl-project").mkdir()
    (folder / "vicl-project" / "project.json").write_text(json.dumps({"engine": FOREIGN}))
    page = open_page(folder)
    with page.client:
        page.services.warm()
        state = page.client.get("/v1/project").json()
        assert f"names the engine {FOREIGN}" in state["asks"]
        row = next(one for one in state["engines"] if one["name"] == FOREIGN)
        assert not row["ready"]
        page.teach(page.id("p1.png"))
        page.teach(page.id("p2.png"))
        asked = {
            "/v1/answers": page.client.post("/v1/answers", json={"scope": "all"}),
            "/v1/score": page.client.get("/v1/score"),
            "/v1/prompt": page.client.get("/v1/prompt"),
            "/v1/export": page.client.post("/v1/export", json={}),
        }
        for where, reply in asked.items():
            assert reply.status_code == 409, where
            assert "only if you say so" in reply.json()["detail"]
        page.client.post("/v1/engines/try")
        page.services.answering.run(Urgency.LATER, lambda: None)
        assert FOREIGN not in loaded
        assert page.change(engine=FOREIGN).json()["asks"] is None
        assert FOREIGN in loaded
        assert page.client.get("/v1/score").status_code == 200


def test_hints_need_no_engine_and_ask_for_none(tmp_path: Path, loaded: list[str]) -> None:
    folder = draw_folder(tmp_path / "photos")
    (folder / "vicl-project").mkdir()
    facts = {"engine": FOREIGN, "task": "colorization"}
    (folder / "vicl-project" / "project.json").write_text(json.dumps(facts))
    page = open_page(folder)
    with page.client:
        one, two = page.id("p1.png"), page.id("p2.png")
        page.stroke(one, None, [[20, 20]], tool="hint", colour=[200, 40, 40])
        page.status(two, example=True)
        asked = page.client.post("/v1/answers", json={"scope": "all", "image": one})
        assert asked.json() == {"total": 1}
        page.wait(lambda: page.project.facts(one) is not None)
        assert "only if you say so" in page.client.post(
            "/v1/answers", json={"scope": "open", "image": page.id("below/p3.png")}
        ).json()["detail"]  # fmt: skip
        assert loaded == []


def test_an_engine_that_cannot_be_loaded_leaves_the_earlier_one(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> Path:
        raise ModelError("someone/else: cannot be had from the Hugging Face hub (no network)")

    monkeypatch.setattr("vicl.storage.hub.fetch_from_hub", unreachable)
    for given, said in {
        FOREIGN: "cannot be had",
        "nothing": "expected one of matching",
        str(page.folder): "no model folder",
        "/dev/zero": "device",
        "\0": "expected one of matching",
        "x" * 4000: "too long",
        " ": "say a name",
    }.items():
        reply = page.change(engine=given)
        assert reply.status_code == 422, given[:20]
        assert said in reply.json()["detail"], given[:20]
    state = page.client.get("/v1/project").json()
    assert state["engine"] == "copy"
    assert state["asks"] is None


def test_a_model_folder_is_an_engine(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(WEIGHTS)
    reply = page.change(engine="./default")
    assert reply.status_code == 200, reply.text
    assert reply.json()["engine"] == str(WEIGHTS / "default")
    row = next(one for one in reply.json()["engines"] if one["name"] == str(WEIGHTS / "default"))
    assert row["ready"]
    assert page.services.engines.tried()[-1] == str(WEIGHTS / "default")
    refused = page.change(engine="copy", settings={"min_presence": 3})
    assert refused.status_code == 422


def test_the_list_says_what_each_needs(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VICL_CACHE", str(tmp_path / "cache"))
    models = tmp_path / "cache" / "models"
    models.mkdir(parents=True)
    (models / "mine").symlink_to(WEIGHTS / "default")
    (models / "clicks").symlink_to(WEIGHTS / "promptable")  # answers no examples
    (models / "torn").mkdir()
    (models / "torn" / "model.safetensors").write_bytes(b"")
    here = tmp_path / "hub"
    here.mkdir()
    (here / "config.json").write_text('{"model_type": "seggpt"}')
    (here / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    cached = {"me/segs": here, "me/broken": broken}
    monkeypatch.setattr("vicl.server.engines.cached_models", lambda: cached)
    monkeypatch.setattr("vicl.server.engines.lacks", lambda extra: extra == "diffusers")
    rows = by_name(page, "/v1/engines")
    assert rows["mine"]["ready"]
    assert rows["matching"]["ready"]
    assert {"clicks", "torn", "hub:me/broken"}.isdisjoint(rows)
    assert rows["hub:me/segs"] == {
        "name": "hub:me/segs",
        "what": "masks from one example or several, of one class or several",
        "ready": True,
        "needs": None,
        "licence": "apache-2.0",
    }
    seggpt = rows["hub:BAAI/seggpt-vit-large"]
    assert not seggpt["ready"]
    assert seggpt["needs"].startswith("its weights")
    flux = rows["hub:black-forest-labs/FLUX.1-Fill-dev"]
    assert 'pip install "vicl[diffusers,hub]"' in flux["needs"]
    assert "matching:facebook/dinov2-small" in rows
    assert "matching+hub:facebook/sam-vit-base" in rows
    assert "mine" in by_name(page, "/v1/project")
    assert "hub:me/segs" not in by_name(page, "/v1/project")
    monkeypatch.setattr("vicl.server.engines.ADAPTERS", ())
    assert "matching:facebook/dinov2-small" not in by_name(page, "/v1/engines")


def test_what_vicl_download_fetched_is_tried_but_not_loaded_for_a_project_alone(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: list[str]
) -> None:
    monkeypatch.setenv("VICL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "models").mkdir(parents=True)
    (tmp_path / "cache" / "models" / "mine").symlink_to(WEIGHTS / "default")
    page.project.change(engine="mine")  # as a stranger's project says
    assert page.services.engines.asks() is not None
    page.teach(page.id("p1.png"))
    page.teach(page.id("p2.png"))
    begun = page.client.post("/v1/engines/try").json()
    assert [one["name"] for one in begun["engines"]] == ["matching", "default", "analogies", "mine"]
    page.services.answering.run(Urgency.LATER, lambda: None)
    assert loaded == ["matching", "default", "analogies", "mine"]


@pytest.mark.slow
def test_a_prompt_of_a_chosen_engine_is_opened_again(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(WEIGHTS / "default")
    assert page.change(engine=folder).status_code == 200
    # As of a folder of one's own.
    monkeypatch.setattr(page.services.engines._models[folder], "name", "elsewhere")
    page.teach(page.id("p1.png"))
    saved = page.client.get("/v1/prompt").content
    opened = page.client.post("/v1/prompt", files={"file": ("mine.vicl", saved)})
    assert opened.status_code == 201, opened.text
    assert page.client.get("/v1/project").json()["engine"] == folder
    page.change(engine="copy")
    refused = page.client.post("/v1/prompt", files={"file": ("mine.vicl", saved)})
    assert refused.status_code == 422
    assert "elsewhere" in refused.json()["detail"]


def test_the_engine_is_there_before_the_first_stroke(page: Page, loaded: list[str]) -> None:
    page.change(engine=None)
    page.services.clicking._segmenter = object()  # type: ignore[assignment]
    page.services.warm()
    page.services.answering.run(Urgency.LATER, lambda: None)
    assert loaded == ["best"]
