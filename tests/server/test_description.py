"""Requests made of the OpenAPI description: none that it allows, or nearly, breaks the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("schemathesis", reason="it makes the requests")

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.server.pages import Page, draw_folder, open_page

pytestmark = pytest.mark.slow


def start_anew(page: Page) -> None:
    """Two examples, whatever was asked before."""
    disc = {"id": 1, "name": "disc", "colour": [255, 0, 0]}
    page.change(task="segmentation", engine="copy", settings={}, classes=[disc])
    for image in (page.id("p1.png"), page.id("p2.png")):
        page.status(image, status="open")
        page.teach(image)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A project with examples and answers, so that what is asked is there."""
    made = open_page(draw_folder(tmp_path_factory.mktemp("busy") / "photos"))
    made.client.__enter__()
    start_anew(made)
    made.client.post("/v1/answers", json={"scope": "all"})
    made.wait(lambda: made.project.facts(made.id("p2.png")) is not None)
    yield made
    made.client.__exit__()


def test_no_request_breaks_the_server(busy: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ValueError("there is no network here")

    monkeypatch.setattr("vicl.storage.hub.fetch_from_hub", offline)
    monkeypatch.setattr("vicl.server.engines.cached_models", dict)
    schema = schemathesis.openapi.from_dict(busy.client.get("/v1/openapi.json").json())
    schema.config.generation.update(
        modes=[schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    )
    images = [*busy.project.images, "none"]
    statuses: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        name = f"{operation.method.upper()} {operation.path}"
        if operation.path == "/v1/events":  # never ends
            continue
        statuses[name] = set()
        start_anew(busy)

        @given(case=operation.as_strategy(), image=st.sampled_from(images), known=st.booleans())
        @settings(
            max_examples=40,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any, image: str, known: bool) -> None:
            if "image" in case.path_parameters:
                case.path_parameters["image"] = image
            if known:
                case.headers = {**(case.headers or {}), "If-Match": "*"}
            asked = case.as_transport_kwargs(base_url="http://localhost")
            asked.pop("cookies", None)
            if isinstance(asked.get("data"), bytes | str):
                asked["content"] = asked.pop("data")
            reply = busy.client.request(**asked)  # an exception inside comes out here
            statuses[name].add(reply.status_code)  # noqa: B023 - it is run at once
            assert reply.status_code < 500, (name, reply.text)  # noqa: B023
            if reply.status_code >= 400:
                assert reply.json()["detail"], name  # noqa: B023

        ask()
    assert len(statuses) >= 30
    assert sum(any(code < 300 for code in codes) for codes in statuses.values()) >= 20
    assert busy.client.get("/v1/project").status_code == 200
    assert busy.client.get("/v1/images").status_code == 200
