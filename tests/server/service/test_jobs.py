"""Jobs: zips of images in, the files of `vicl predict --prompt` out, and nothing lost."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.cli.test_cli import vicl
from tests.server.service.serving import Served, files, png, refused, scene, serving, words

from vicl.exports.record import RECORD
from vicl.server.problems import Refusal
from vicl.server.service.jobs.store import Job, Store

PICTURES = {"a.png": png(scene(2)[0]), "more/b.jpg.png": png(scene(3)[0])}


def packed(contents: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return data.getvalue()


def send(made: Served, zipped: bytes, headers: Any = None, **fields: Any) -> Any:
    parts = [*files("images", zipped, name="photos.zip"), *words(**{"prompt": "leaf", **fields})]
    return made.client.post("/v1/jobs", files=parts, headers=headers)


def ended(made: Served, id: str, **more: Any) -> dict[str, Any]:
    """The job, once it has ended."""
    until = time.monotonic() + 20
    while True:
        job: dict[str, Any] = made.client.get(f"/v1/jobs/{id}", **more).json()
        if job["state"] not in ("waiting", "running"):
            return job
        assert time.monotonic() < until, job
        time.sleep(0.02)


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def made(leaf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("jobs")
    with serving(prompts=(leaf,), examples=False, jobs=folder / "jobs") as one:
        yield one


@pytest.mark.parametrize("format", ["png", "coco"])
def test_the_result_is_what_predict_writes(
    made: Served, leaf: Path, tmp_path: Path, format: str
) -> None:
    broken = {**PICTURES, "broken.png": b"no picture", "notes.txt": b"left out"}
    reply = send(made, packed(broken), format=format)
    assert reply.status_code == 202, reply.text
    assert reply.headers["location"] == f"/v1/jobs/{reply.json()['id']}"
    job = ended(made, reply.json()["id"])
    assert (job["state"], job["total"], job["done"], job["failed"]) == ("done", 3, 2, 1)
    assert job["failures"][0]["name"] == "broken.png"
    assert "broken.png" in job["failures"][0]["error"]
    assert str(tmp_path.parent) not in json.dumps(job)
    reply = made.client.get(f"/v1/jobs/{job['id']}/result")
    assert reply.headers["content-type"] == "application/zip"

    folder = tmp_path / "photos"
    for name, content in broken.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    ran = vicl(
        "predict", str(folder), "--prompt", str(leaf), "--format", format, "-o", f"{tmp_path}/out/"
    )
    assert ran.exit_code == 1, ran.output
    written = {
        file.relative_to(tmp_path / "out").as_posix(): file.read_bytes()
        for file in (tmp_path / "out").rglob("*")
        if file.is_file() and file.name != RECORD
    }
    assert len(written) > (format == "png")
    assert unzipped(reply.content) == written


def test_what_ended_is_listed_and_deleted(made: Served) -> None:
    id = send(made, packed(PICTURES)).json()["id"]
    ended(made, id)
    assert id in [job["id"] for job in made.client.get("/v1/jobs").json()["jobs"]]
    store: Store = made.client.app.state.jobs  # type: ignore[attr-defined]
    assert made.client.delete(f"/v1/jobs/{id}").status_code == 204
    assert not (store.folder / id).exists()
    for path in (f"/v1/jobs/{id}", f"/v1/jobs/{id}/result", "/v1/jobs/..%2fjobs.sqlite"):
        refused(made.client.get(path), 404)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({}, "no image"),
        ({"notes.txt": b"words"}, "no image"),
        ({"../out.png": b""}, "out of its folder"),
        ({"/etc/out.png": b""}, "out of its folder"),
        ({"a\\..\\..\\b.png": b""}, "out of its folder"),
        ({"c:/a.png": b""}, "no plain text"),
        ({"a\n.png": b""}, "no plain text"),
        ({"A.png": b"", "a.png": b""}, "twice"),
        ({"a.png": b"", "a.png/b.png": b""}, "a file and a folder"),
        ({"a" * 220 + ".png": b""}, "too long"),
        ({"/".join("abcdefghi") + ".png": b""}, "too long"),
    ],
)
def test_zips_that_are_not_taken(made: Served, contents: dict[str, bytes], said: str) -> None:
    assert said in refused(send(made, packed(contents)), 422)
    store: Store = made.client.app.state.jobs  # type: ignore[attr-defined]
    assert not list(store.folder.glob(".new-*"))
    assert not list(store.folder.parent.glob("*.png"))


def test_forms_that_are_not_taken(made: Served) -> None:
    zipped = packed(PICTURES)
    assert "there are: leaf" in refused(send(made, zipped, prompt="stem"), 422)
    assert "format" in refused(send(made, zipped, format="exe"), 422)
    assert "color" in refused(send(made, zipped, color="red"), 422)
    assert "cannot be unpacked" in refused(send(made, b"no zip"), 422)
    assert "cannot be unpacked" in refused(send(made, zipped[:-30]), 422)
    post = made.client.post
    assert "images: is missing" in refused(post("/v1/jobs", files=words(prompt="leaf")), 422)
    refused(post("/v1/jobs", content=zipped, headers={"content-type": "application/zip"}), 415)


def test_a_service_without_jobs(served: Served) -> None:
    assert "--jobs" in refused(send(served, packed(PICTURES)), 404)
    assert "--jobs" in refused(served.client.get("/v1/jobs"), 404)


def test_other_keys_jobs_are_not_there(leaf: Path, tmp_path: Path) -> None:
    mine, other = ({"authorization": f"Bearer {letter * 20}"} for letter in "ab")
    keys = ("a" * 20, "b" * 20)
    with serving(prompts=(leaf,), examples=False, jobs=tmp_path, keys=keys) as made:
        id = send(made, packed(PICTURES), headers=mine).json()["id"]
        ended(made, id, headers=mine)
        for method, path in (
            ("GET", ""), ("GET", "/result"), ("POST", "/cancel"), ("DELETE", ""),
        ):  # fmt: skip
            refused(made.client.request(method, f"/v1/jobs/{id}{path}", headers=other), 404)
            refused(made.client.request(method, f"/v1/jobs/{id}{path}"), 401)
        assert made.client.get("/v1/jobs", headers=other).json() == {"jobs": []}
        same = {"x-api-key": "a" * 20}
        assert made.client.get(f"/v1/jobs/{id}/result", headers=same).status_code == 200
        assert b"aaaaaaaa" not in (tmp_path / "jobs.sqlite").read_bytes()


def test_only_so_many_jobs_and_bytes(leaf: Path, tmp_path: Path) -> None:
    limits = {"jobs_count": 1, "jobs_bytes": 1 << 20}
    with serving(prompts=(leaf,), examples=False, jobs=tmp_path, **limits) as made:
        large = {**PICTURES, "large.png": bytes(2 << 20)}
        assert "more than 1 MiB" in refused(send(made, packed(large)), 413)
        id = send(made, packed(PICTURES)).json()["id"]
        reply = send(made, packed(PICTURES))
        assert "1 jobs are kept" in refused(reply, 503)
        assert reply.headers["retry-after"] == "60"
        ended(made, id)
        made.client.delete(f"/v1/jobs/{id}")
        assert send(made, packed(PICTURES)).status_code == 202


def a_job(id: str = "one", **changes: Any) -> Job:
    return Job(**{**vars(Job(id, "", 1.0, "waiting", "leaf", "png", 2, 100)), **changes})


def test_states_of_a_job(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs")
    room = {"count": 3, "most": 1000}
    store.add(a_job("b", created=2.0), **room)
    store.add(a_job("a", created=3.0), **room)
    with pytest.raises(Refusal, match="more than 0 MiB"):
        store.add(a_job("c", bytes=900), **room)
    first = store.next()
    assert first is not None
    assert first.id == "b"
    assert Store(tmp_path / "jobs").next() == store.get("b"), "what runs is gone on with"
    assert store.progress("b", 1)
    store.fail("b", "x.png", "no picture")
    store.fail("b", "x.png", "no picture at all")
    store.cancel("b")
    assert not store.progress("b", 2)
    assert not store.end("b", "done")
    ended = store.get("b")
    assert ended is not None
    assert (ended.state, ended.done, ended.bytes) == ("cancelled", 1, 0)
    assert store.failures("b") == {"x.png": "no picture at all"}
    assert store.old(time.time() + 1) == ["b"]
    store.delete("b")
    assert store.failures("b") == {}
    store.fail("b", "x.png", "of a job that is gone")
    assert store.failures("b") == {}
    last = store.next()
    assert last is not None
    assert last.id == "a"


def test_what_is_old_is_deleted(leaf: Path, tmp_path: Path) -> None:
    with serving(prompts=(leaf,), examples=False, jobs=tmp_path) as made:
        id = send(made, packed(PICTURES)).json()["id"]
        ended(made, id)
    (tmp_path / "nobodys").mkdir()
    with serving(prompts=(leaf,), examples=False, jobs=tmp_path, jobs_seconds=0.0) as made:
        until = time.monotonic() + 10
        while (tmp_path / id).exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert made.client.get("/v1/jobs").json() == {"jobs": []}
    assert not (tmp_path / id).exists()
    assert (tmp_path / "nobodys").exists(), "it may be an upload that is still coming"


def test_a_job_is_cancelled_and_its_images_go(leaf: Path, tmp_path: Path) -> None:
    many = {f"{number}.png": png(scene(number)[0]) for number in range(200)}
    with serving(prompts=(leaf,), examples=False, jobs=tmp_path) as made:
        id = send(made, packed(many)).json()["id"]
        reply = made.client.get(f"/v1/jobs/{id}/result")
        assert "once it is done" in refused(reply, 409)
        assert made.client.post(f"/v1/jobs/{id}/cancel").json()["state"] == "cancelled"
        assert "cancelled" in refused(made.client.get(f"/v1/jobs/{id}/result"), 409)
        until = time.monotonic() + 10
        while (tmp_path / id / "images").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        assert ended(made, id)["done"] < 200


def test_a_job_goes_on_where_it_was(leaf: Path, tmp_path: Path) -> None:
    many = {f"{number:03}.png": png(scene(number)[0]) for number in range(24)}
    with serving(prompts=(leaf,), examples=False, jobs=tmp_path) as made:
        id = send(made, packed(many)).json()["id"]
        while not made.client.get(f"/v1/jobs/{id}").json()["done"]:
            time.sleep(0.005)
    stopped = Store(tmp_path).get(id)
    assert stopped is not None
    assert (stopped.state, 0 < stopped.done < 24) == ("running", True)
    written = len(list((tmp_path / id / "answers").glob("*.png")))
    assert written >= stopped.done
    with serving(prompts=(leaf,), examples=False, jobs=tmp_path) as made:
        job = ended(made, id)
        assert (job["state"], job["done"]) == ("done", 24)
        answers = unzipped(made.client.get(f"/v1/jobs/{id}/result").content)
        assert f"vicl_batch_queries_sum {24 - written}.0" in made.client.get("/metrics").text
    assert sorted(name for name in answers if name.endswith(".png")) == sorted(many)


def test_a_job_whose_prompt_is_gone_says_so(leaf: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "one").mkdir()
    store.add(a_job(), count=1, most=1000)
    with serving(prompts=(), examples=False, jobs=tmp_path) as made:
        job = ended(made, "one")
    assert (job["state"], "without the prompt leaf" in job["error"]) == ("failed", True)


def test_another_process_works_on_the_jobs(leaf: Path, tmp_path: Path) -> None:
    import fcntl

    tmp_path.mkdir(exist_ok=True)
    with (tmp_path / ".worker").open("a+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with serving(prompts=(leaf,), examples=False, jobs=tmp_path) as made:
            id = send(made, packed(PICTURES)).json()["id"]
            time.sleep(0.4)
            assert made.client.get(f"/v1/jobs/{id}").json()["state"] == "waiting"
            fcntl.flock(other, fcntl.LOCK_UN)
            assert ended(made, id)["state"] == "done"
