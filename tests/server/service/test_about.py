"""Whom a service answers, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.cli.test_cli import vicl
from tests.server.service.serving import Served, refused, save_leaf, scene, serving

import vicl as package
from vicl.server.service.keys import check_keys

KEY = "k" * 32
BEARER = {"authorization": f"Bearer {KEY}"}


def test_models_and_prompts(served: Served) -> None:
    models = served.client.get("/v1/models").json()["models"]
    assert [(one["name"], one["answers_examples"]) for one in models] == [
        ("copy", False),
        ("identity", True),
    ]
    (prompt,) = served.client.get("/v1/prompts").json()["prompts"]
    assert prompt == {
        "name": "leaf",
        "task": "segmentation",
        "classes": ["leaf"],
        "engine": "copy",
        "examples": 1,
        "settings": {},
    }


def test_it_is_well_until_it_ends(leaf: Path) -> None:
    with serving(prompts=(leaf,), examples=False) as made:
        assert made.client.get("/healthz").json()["state"] == "ready"
        assert made.client.get("/readyz").status_code == 200
        made.service.close()
        assert made.client.get("/healthz").status_code == 200
        assert made.client.get("/readyz").status_code == 503
        assert "ending" in refused(made.predict(prompt="leaf"), 503)


def test_counts(leaf: Path) -> None:
    with serving(prompts=(leaf,), examples=False) as made:
        made.predict(prompt="leaf")
        made.client.get("/no/such/path")
        text = made.client.get("/metrics").text
    assert 'vicl_requests_total{route="/v1/predict",status="200"} 1.0' in text
    assert 'vicl_requests_total{route="other",status="404"} 1.0' in text
    assert "vicl_batch_queries_sum 1.0" in text
    assert "no/such" not in text


def test_every_route_is_described_with_examples(served: Served) -> None:
    described = served.client.get("/v1/openapi.json").json()
    assert {"/v1/predict", "/v1/models", "/v1/prompts", "/healthz", "/readyz", "/metrics"} <= set(
        described["paths"]
    )
    for path, methods in described["paths"].items():
        for route in methods.values():
            told = route["responses"]
            assert "application/problem+json" in told["403"]["content"], path
            (code,) = [code for code in told if code.startswith("2")]
            assert code == "204" or "example" in str(told[code]), path
    form = described["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    fields = form["multipart/form-data"]["schema"]["properties"]
    page = served.client.get("/docs").text
    for name, told in fields.items():
        assert told.get("description"), name
        assert f"<code>{name}</code>" in page
    assert "<script" not in page


def test_headers_of_every_reply(served: Served) -> None:
    for path in ("/docs", "/v1/models", "/no/such"):
        headers = served.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


def test_other_names_and_pages_of_other_sites(served: Served) -> None:
    get = served.client.get
    assert "--name" in refused(get("/v1/models", headers={"host": "evil.example"}), 403)
    refused(get("/v1/models", headers={"origin": "http://evil.example"}), 403)
    refused(get("/v1/models", headers={"sec-fetch-site": "cross-site"}), 403)


def test_methods_and_paths_that_are_none(served: Served) -> None:
    reply = served.client.get("/v1/predict")
    assert "POST" in refused(reply, 405)
    assert reply.headers["allow"] == "POST"
    refused(served.client.get("/v1/jobs/../../etc/passwd"), 404)


def test_keys(leaf: Path) -> None:
    with serving(prompts=(leaf,), examples=False, keys=("other" * 5, KEY)) as made:
        get = made.client.get
        assert get("/healthz").status_code == get("/readyz").status_code == 200
        for path in ("/v1/prompts", "/metrics", "/docs", "/v1/openapi.json", "/none"):
            assert "Authorization: Bearer" in refused(get(path), 401)
        for wrong in ("Bearer", "Bearer no", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer \xff"):
            sent = {"authorization": wrong.encode("latin-1")}
            refused(get("/v1/prompts", headers=sent), 401)
        assert get("/v1/prompts", headers=BEARER).status_code == 200
        assert get("/v1/prompts", headers={"x-api-key": KEY}).status_code == 200


@pytest.mark.parametrize("key", ["short", "with a space in the middle", "ü" * 20])
def test_keys_that_can_be_guessed_or_not_sent(key: str) -> None:
    with pytest.raises(ValueError, match="at least 16 characters"):
        check_keys([key])


def test_the_client_says_what_the_service_says(served: Served, tmp_path: Path) -> None:
    client = package.Client("http://localhost", key=KEY)
    client.close()
    client._http = served.client
    assert [one["name"] for one in client.prompts()] == ["leaf"]
    assert [one["name"] for one in client.models()] == ["copy", "identity"]
    query = tmp_path / "q.png"
    scene(2)[0].save(query)
    (answer,) = client.predict(query, prompt="leaf", pixels="rle")
    assert (answer.query, answer.size, answer.png) == ("q.png", (40, 60), None)
    assert answer.rle[0]["class"] == "leaf"
    pair = query.read_bytes(), query.read_bytes()
    two = client.predict([query, pair[0]], examples=[pair], settings={"seed": 3})
    assert two[1].png is not None
    assert package.images.open_bytes(two[1].png, "png").size == (60, 40)
    with pytest.raises(package.client.ServiceError, match="there are: leaf") as caught:
        client.predict(query, prompt="none")
    assert caught.value.status == 422


def test_the_async_client(served: Served) -> None:
    import asyncio

    import httpx2

    async def ask() -> None:
        async with package.AsyncClient("http://localhost") as client:
            await client._http.aclose()
            app: TestClient = served.client
            client._http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app.app))
            assert [one["name"] for one in await client.prompts()] == ["leaf"]
            assert (await client.models())[0]["name"] == "copy"
            with pytest.raises(package.client.ServiceError, match="query: is missing"):
                await client.predict([], prompt="leaf")

    asyncio.run(ask())


def test_nobody_there() -> None:
    with (
        package.Client("http://127.0.0.1:9") as client,
        pytest.raises(package.client.ServiceError, match="is it running"),
    ):
        client.models()


def test_the_command_refuses_what_is_not_safe(tmp_path: Path) -> None:
    leaf = str(save_leaf(tmp_path / "leaf.vicl"))
    done = vicl("serve", "--prompt", leaf, "--host", "0.0.0.0")
    assert (done.exit_code, "only with a key" in done.output) == (2, True)
    done = vicl("serve", "--prompts-only")
    assert (done.exit_code, "give --prompt" in done.output) == (2, True)
    keys = tmp_path / "keys"
    keys.write_text("# nothing yet\n")
    done = vicl("serve", "--prompt", leaf, "--api-key-file", str(keys))
    assert (done.exit_code, "holds no key" in done.output) == (2, True)
    keys.write_text("short\n")
    done = vicl("serve", "--prompt", leaf, "--api-key-file", str(keys))
    assert (done.exit_code, "16 characters" in done.output) == (2, True)
    done = vicl("serve", "--prompt", str(tmp_path / "none.vicl"), "--port", "0")
    assert (done.exit_code, "is not a file" in done.output) == (2, True)
    done = vicl("serve", "--prompt", leaf, "--prompt", leaf, "--port", "0")
    assert (done.exit_code, "two files are called" in done.output) == (2, True)
