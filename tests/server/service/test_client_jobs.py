"""Jobs by the clients, against a service that listens on a port."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("uvicorn")

import uvicorn
from tests.server.service.test_jobs import PICTURES, packed, unzipped

import vicl
from vicl.client import Job, ServiceError
from vicl.server.service.app import create_service_app
from vicl.server.service.jobs.store import Store
from vicl.server.service.service import Service
from vicl.server.service.settings import ServiceSettings

KEY, OTHER = "k" * 20, "o" * 20


@pytest.fixture(scope="module")
def store(leaf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """The address of a service that takes jobs, and where it keeps them."""
    folder = tmp_path_factory.mktemp("jobs") / "jobs"
    settings = ServiceSettings(prompts=(leaf,), examples=False, jobs=folder, keys=(KEY, OTHER))
    app = create_service_app(Service(settings))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        assert time.monotonic() < until
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", app.state.jobs
    server.should_exit = True
    thread.join(30)


def test_a_job_from_its_zip_to_its_answers(store: tuple[str, Store], tmp_path: Path) -> None:
    address, _ = store
    zipped = tmp_path / "photos.zip"
    zipped.write_bytes(packed({**PICTURES, "broken.png": b"no picture"}))
    out = tmp_path / "answers.zip"
    out.write_bytes(b"an earlier one")
    with vicl.Client(address, key=KEY) as client, vicl.Client(address, key=OTHER) as other:
        sent = client.submit(zipped, prompt="leaf", format="coco")
        assert (sent.total, sent.failed, sent.error) == (3, 0, None)
        job = client.wait(sent, every=0.05, timeout=30.0)
        assert (job.id, job.state, job.done, job.failed) == (sent.id, "done", 2, 1)
        assert job.ended
        assert "broken.png" in job.failures["broken.png"]
        assert client.progress(sent.id) == job
        assert [(one.id, dict(one.failures)) for one in client.jobs()] == [(job.id, {})]
        assert other.jobs() == []
        with pytest.raises(ServiceError, match="no such job"):
            other.result(job, tmp_path / "stolen.zip")
        assert client.result(job, out) == out
        assert set(unzipped(out.read_bytes())) == {"annotations.json"}
        client.delete(job)
        with pytest.raises(ServiceError, match="no such job") as caught:
            client.progress(job)
        assert caught.value.status == 404
    assert {file.name for file in tmp_path.iterdir()} == {"photos.zip", "answers.zip"}


def test_a_job_that_is_not_done_has_no_result(store: tuple[str, Store], tmp_path: Path) -> None:
    address, kept = store
    with vicl.Client(address, key=KEY) as client:
        owner = kept.get(client.submit(packed(PICTURES), prompt="leaf").id)
        assert owner is not None
        waiting = type(owner)("e" * 32, owner.owner, 1.0, "waiting", "leaf", "png", 7, 0)
        client.wait(owner.id, every=0.05, timeout=30.0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kept, "next", lambda: None)
            time.sleep(0.05)
            kept.add(waiting, count=100, most=1 << 30)
            with pytest.raises(TimeoutError, match="0 of 7 images are answered"):
                client.wait(waiting.id, every=0.02, timeout=0.1)
            with pytest.raises(ServiceError, match="The job is waiting") as caught:
                client.result(waiting.id, tmp_path / "a.zip")
            assert caught.value.status == 409
            assert client.cancel(waiting.id).state == "cancelled"
            assert client.wait(waiting.id).state == "cancelled"
    assert not list(tmp_path.iterdir())


def test_what_is_refused_is_said(store: tuple[str, Store], tmp_path: Path) -> None:
    with vicl.Client(store[0], key=KEY) as client:
        with pytest.raises(ServiceError, match="there are: leaf"):
            client.submit(packed(PICTURES), prompt="none")
        with pytest.raises(FileNotFoundError):
            client.submit(tmp_path / "none.zip", prompt="leaf")
        for id in ("../prompts", "a/b", ""):
            with pytest.raises(ServiceError):
                client.progress(id)
            with pytest.raises(ServiceError):
                client.delete(id)
        assert client.prompts()
    with vicl.Client("http://127.0.0.1:9") as client:
        with pytest.raises(ServiceError, match="is it running"):
            client.result("a", tmp_path / "a.zip")
        with pytest.raises(ServiceError, match="is it running"):
            client.submit(b"", prompt="leaf")
    assert not list(tmp_path.iterdir())


def test_jobs_in_asyncio(store: tuple[str, Store], tmp_path: Path) -> None:
    zipped = tmp_path / "photos.zip"
    zipped.write_bytes(packed(PICTURES))

    async def ask() -> Job:
        async with vicl.AsyncClient(store[0], key=KEY) as client:
            sent = await client.submit(zipped, prompt="leaf")
            assert sent.id in [one.id for one in await client.jobs()]
            job = await client.wait(sent, every=0.05, timeout=30.0)
            assert await client.progress(job) == job
            assert await client.cancel(job) == job, "what has ended stays as it is"
            assert await client.result(job, tmp_path / "a.zip") == tmp_path / "a.zip"
            await client.delete(job)
            with pytest.raises(ServiceError, match="no such job"):
                await client.result(job, tmp_path / "b.zip")
        return job

    assert asyncio.run(ask()).state == "done"
    assert set(unzipped((tmp_path / "a.zip").read_bytes())) == {
        "a.png",
        "more/b.jpg.png",
        "labels.json",
    }
    assert not (tmp_path / "b.zip").exists()


def test_both_clients_can_the_same() -> None:
    def told(client: type) -> dict[str, list[str]]:
        functions = inspect.getmembers(client, inspect.isfunction)
        return {
            name: list(inspect.signature(one).parameters)
            for name, one in functions
            if not name.startswith("_")
        }

    assert told(vicl.Client) == told(vicl.AsyncClient)
