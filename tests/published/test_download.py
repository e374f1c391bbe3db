"""Published weights are fetched whole and right, or not at all; against a server of our own."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from tests.models.fabricated import YAML, lightning, published, save, tiny_config, tiny_model
from tests.models.formula import weight

from vicl.cli import main
from vicl.loading import load_model
from vicl.metrics.perceptual import alexnet, load_lpips
from vicl.published import download as downloads
from vicl.published.convert import convert, read_published
from vicl.published.fetch import DownloadError, fetch

DATA = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


@dataclass
class Server:
    """What the server is to do, and what it was asked.

    Attributes:
        files: Contents by path.
        drops: The answers to come that end early, and after how many bytes.
        fail: The statuses of the answers to come.
        ranges: Whether it can give parts.
        tag: The version that it marks; None for none.
        wrong: Headers that it gives in the place of the true ones.
        hide: Leave out the length.
        asked: Path, Range and Host of each request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: {"/w": DATA})
    drops: list[int] = field(default_factory=list)
    fail: list[int] = field(default_factory=list)
    ranges: bool = True
    tag: str | None = '"one"'
    wrong: dict[str, str] = field(default_factory=dict)
    hide: bool = False
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            answer(self, state)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def answer(request: BaseHTTPRequestHandler, state: Server) -> None:
    span = request.headers.get("Range")
    path = request.path.removeprefix("http://weights.example")
    state.asked.append((path, span, request.headers.get("Host")))
    status = state.fail.pop(0) if state.fail else 200
    if path == "/moved":
        request.send_response(302)
        request.send_header("Location", "/w")
        request.end_headers()
        return
    data = state.files.get(path)
    if data is None or status != 200:
        request.send_error(404 if data is None else status)
        return
    start = 0
    fresh = request.headers.get("If-Range") in (None, state.tag)
    if span and state.ranges and fresh:
        start = int(span.removeprefix("bytes=").removesuffix("-"))
        if start >= len(data):
            request.send_error(416)
            return
    headers = {"Content-Type": "application/octet-stream"}
    if not state.hide:
        headers["Content-Length"] = str(len(data) - start)
    if state.tag:
        headers["ETag"] = state.tag
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    request.send_response(206 if start else 200)
    for name, value in (headers | state.wrong).items():
        request.send_header(name, value)
    request.end_headers()
    end = start + state.drops.pop(0) if state.drops else len(data)
    request.wfile.write(data[start:end])


def get(server: Server, folder: Path, name: str = "/w", **options: Any) -> bytes:
    waits: list[float] = []
    fetch(server.address + name, folder / "w.pth", wait=waits.append, **options)
    assert [p.name for p in folder.iterdir()] == ["w.pth"]
    assert all(0 < seconds <= 30 for seconds in waits)
    return (folder / "w.pth").read_bytes()


def test_a_file_comes_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    data = get(server, tmp_path, sha256=SHA256, size=len(DATA), progress=lambda *a: seen.append(a))
    assert data == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert get(server, tmp_path, sha256=SHA256.upper()) == DATA
    assert len(server.asked) == 1


@pytest.mark.parametrize("tag", ['"one"', None], ids=["marked", "unmarked"])
def test_drops_go_on_where_they_stopped(server: Server, tmp_path: Path, tag: str | None) -> None:
    server.drops, server.tag = [100_000, 50_000, 0, 10], tag
    assert get(server, tmp_path, sha256=SHA256) == DATA
    assert [span for _, span, _ in server.asked] == [
        None,
        "bytes=100000-",
        "bytes=150000-",
        "bytes=150000-",
        "bytes=150010-",
    ]


def test_another_run_goes_on_too(server: Server, tmp_path: Path) -> None:
    server.drops = [120_000, 0, 0, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match="120,000 bytes are kept"):
        get(server, tmp_path)
    assert not (tmp_path / "w.pth").exists()
    server.drops, server.asked = [], []
    assert get(server, tmp_path, sha256=SHA256) == DATA
    assert [span for _, span, _ in server.asked] == ["bytes=120000-"]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.drops, server.ranges = [100_000], False
    assert get(server, tmp_path, sha256=SHA256) == DATA


def test_a_file_that_changed_comes_anew(server: Server, tmp_path: Path) -> None:
    server.drops = [100_000, 0, 0, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match="the connection ended after"):
        get(server, tmp_path)
    server.drops, server.tag = [], '"two"'
    server.files["/w"] = DATA[::-1]
    assert get(server, tmp_path) == DATA[::-1]


def test_the_part_of_another_address_is_not_used(server: Server, tmp_path: Path) -> None:
    server.files["/v"] = DATA[::-1]
    server.drops = [100_000, 0, 0, 0, 0, 0, 0]
    with pytest.raises(DownloadError, match="the connection ended after"):
        get(server, tmp_path)
    server.drops = []
    assert get(server, tmp_path, "/v") == DATA[::-1]


def test_a_kept_part_that_is_longer_than_the_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(DATA + b"more")
    notes = {"url": server.address + "/w", "validator": '"one"', "total": len(DATA)}
    (tmp_path / "w.pth.part.json").write_text(json.dumps(notes))
    assert get(server, tmp_path, sha256=SHA256) == DATA


@pytest.mark.parametrize("notes", ["", "[]", "{", '{"url": 3}'])
def test_notes_that_are_junk(server: Server, tmp_path: Path, notes: str) -> None:
    (tmp_path / "w.pth.part").write_bytes(b"x" * 1000)
    (tmp_path / "w.pth.part.json").write_text(notes)
    assert get(server, tmp_path, sha256=SHA256) == DATA


def test_a_wrong_hash_leaves_nothing(server: Server, tmp_path: Path) -> None:
    wrong = SHA256[:-1] + ("1" if SHA256[-1] == "0" else "0")
    with pytest.raises(DownloadError, match=f"has the SHA-256 {SHA256}, expected {wrong}"):
        get(server, tmp_path, sha256=wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_no_known_length_fills_no_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.hide = True
    assert get(server, tmp_path) == DATA
    (tmp_path / "w.pth").unlink()
    monkeypatch.setattr("vicl.published.fetch.SIZE_LIMIT", 100_000)
    with pytest.raises(DownloadError, match="more comes than was announced"):
        get(server, tmp_path)
    assert all(path.stat().st_size <= 100_000 for path in tmp_path.iterdir())


def test_a_wrong_size_is_not_even_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"has 300,000 bytes, expected 5; not fetched"):
        get(server, tmp_path, size=5)
    server.hide = True  # the server does not say how much will come
    with pytest.raises(DownloadError, match=r"has 300,000 bytes, expected 5"):
        get(server, tmp_path, size=5)
    assert list(tmp_path.iterdir()) == []
    assert get(server, tmp_path, sha256=SHA256) == DATA


def test_a_file_that_is_there_is_checked_and_never_removed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"mine")
    with pytest.raises(DownloadError, match="remove it"):
        get(server, tmp_path, sha256=SHA256)
    assert (tmp_path / "w.pth").read_bytes() == b"mine"
    assert server.asked == []


def test_busy_servers_and_redirections(server: Server, tmp_path: Path) -> None:
    server.fail = [503, 429, 500]
    assert get(server, tmp_path, "/moved", sha256=SHA256) == DATA


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"Content-Type": "text/html; charset=utf-8"}, "a web page came"),
        ({"Content-Encoding": "gzip"}, "came compressed"),
        ({"Content-Length": str(1 << 60)}, "at most"),
    ],
)
def test_answers_that_are_no_file(
    server: Server, tmp_path: Path, wrong: dict[str, str], message: str
) -> None:
    server.wrong = wrong
    with pytest.raises(DownloadError, match=message):
        get(server, tmp_path)


def test_a_part_that_was_not_asked_for(server: Server, tmp_path: Path) -> None:
    server.drops = [1000]
    server.wrong = {"Content-Range": "bytes 5-299999/300000"}
    with pytest.raises(DownloadError, match="another part came"):
        get(server, tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/x", "data:,x", "/etc/passwd", ""])
def test_only_http(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="neither http nor https"):
        fetch(url, tmp_path / "x")


def test_a_missing_file_is_not_asked_for_twice(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="the server says 404"):
        get(server, tmp_path, "/nothing")
    assert len(server.asked) == 1


def test_proxies_come_from_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    fetch("http://weights.example/w", tmp_path / "w.pth", sha256=SHA256)
    assert (tmp_path / "w.pth").read_bytes() == DATA
    assert server.asked[0][2] == "weights.example"


# The command, with models in the published layout.


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own; models of the tests' width get their heads."""
    monkeypatch.setenv("VICL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("vicl.published.keys.HEADS", {16: 4, 8: 2})
    return tmp_path / "cache"


def listed(server: Server, folder: Path, *, inside: bool = True, **changes: Any) -> Path:
    """A list with one model, whose files the server has."""
    model = tiny_model()
    parts = {
        "checkpoint": save(published(model, inside=inside), folder / "made.pth").read_bytes(),
        "vqgan": save(lightning(model), folder / "made.ckpt").read_bytes(),
        "vqgan_config": YAML.encode(),
    }
    server.files = {f"/{role}": data for role, data in parts.items()}
    files = [
        {
            "role": role,
            "name": f"{role}.bin",
            "url": f"{server.address}/{role}",
            "page": "https://page.example",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size": len(data),
        }
        | changes
        for role, data in parts.items()
    ]
    licence = {"name": "CC BY 4.0", "text": "Say who made it.", "url": "https://licence.example"}
    entry = {"name": "tiny", "title": "A tiny model", "licence": licence, "files": files}
    index = folder / "index.json"
    index.write_text(json.dumps({"format": 1, "models": [entry]}))
    return index


def vicl(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["download", *map(str, arguments)])


def test_one_command_fetches_and_converts(server: Server, tmp_path: Path, cache: Path) -> None:
    index = listed(server, tmp_path)
    result = vicl("tiny", "--index", index, "--accept-licence")
    assert result.exit_code == 0, result.stderr
    folder = cache / "models" / "tiny"
    assert result.stdout == f"{folder}\n"
    assert "CC BY 4.0. Say who made it." in result.stderr
    assert "CC BY 4.0. Say who made it." in (folder / "README.md").read_text()
    assert [path for path, _, _ in server.asked] == ["/checkpoint"]
    assert load_model("tiny", device="cpu").config == tiny_config()
    server.asked.clear()
    assert vicl("tiny", "--index", index, "--accept-licence").exit_code == 0
    assert server.asked == []


def test_a_vqgan_of_its_own_is_fetched_if_it_is_needed(
    server: Server, tmp_path: Path, cache: Path
) -> None:
    index = listed(server, tmp_path, inside=False)
    result = vicl("tiny", "--index", index, "--accept-licence", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert [path for path, _, _ in server.asked] == ["/checkpoint", "/vqgan", "/vqgan_config"]
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_the_licence_must_be_accepted(server: Server, tmp_path: Path, cache: Path) -> None:
    result = vicl("tiny", "--index", listed(server, tmp_path))
    assert result.exit_code == 2
    assert "CC BY 4.0" in result.stderr
    assert "--accept-licence" in result.stderr
    assert server.asked == []


def test_an_unknown_hash_is_a_decision_of_the_user(
    server: Server, tmp_path: Path, cache: Path
) -> None:
    index = listed(server, tmp_path, sha256=None, size=None)
    command = ("tiny", "--index", index, "--accept-licence")
    result = vicl(*command)
    assert result.exit_code == 1
    assert "--unverified" in result.stderr
    assert server.asked == []
    assert vicl(*command, "--sha256", "0" * 64).exit_code == 1
    assert not (cache / "models").exists()
    right = hashlib.sha256(server.files["/checkpoint"]).hexdigest()
    assert vicl(*command, "--sha256", right).exit_code == 0


def test_an_unverified_file_is_remembered(server: Server, tmp_path: Path, cache: Path) -> None:
    index = listed(server, tmp_path, sha256=None, size=None)
    command = ("tiny", "--index", index, "--accept-licence", "--unverified")
    assert vicl(*command).exit_code == 0
    file = cache / "downloads" / "tiny" / "checkpoint.bin"
    file.unlink()
    server.files["/checkpoint"] = save(published(tiny_model(seed=1)), tmp_path / "o").read_bytes()
    for path in (cache / "models" / "tiny").iterdir():
        path.unlink()
    result = vicl(*command)
    assert result.exit_code == 1
    assert "it is not the published file" in result.stderr


def test_offline_it_says_what_to_put_where(
    server: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = listed(server, tmp_path, url="http://127.0.0.1:9/x")
    result = vicl("tiny", "--index", index, "--accept-licence")
    file = cache / "downloads" / "tiny" / "checkpoint.bin"
    assert result.exit_code == 1
    assert f"get https://page.example on a machine that can, put it at {file}" in result.stderr
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(server.files["/checkpoint"])
    assert vicl("tiny", "--index", index, "--accept-licence").exit_code == 0
    index = listed(server, tmp_path, url=None)
    file.unlink()
    result = vicl("tiny", "--index", index, "--accept-licence", "-o", tmp_path / "x")
    assert "no direct address is known" in result.stderr


def test_lpips_becomes_one_file(server: Server, tmp_path: Path, cache: Path) -> None:
    """Of a trunk and its heads; without the classifier, which nobody needs."""
    with torch.device("meta"):
        shapes = {name: tuple(v.shape) for name, v in alexnet().state_dict().items()}
    trunk = {name: weight(name, shape) for name, shape in shapes.items()}
    heads = {
        f"lin{index}.model.1.weight": weight(f"lin{index}", (1, width, 1, 1)).abs()
        for index, width in enumerate((64, 192, 384, 256, 256))
    }
    torch.save(trunk | {"classifier.1.weight": torch.zeros(5, 5)}, tmp_path / "trunk")
    torch.save(heads, tmp_path / "heads")
    files = []
    for role in ("trunk", "heads"):
        data = server.files[f"/{role}"] = (tmp_path / role).read_bytes()
        files.append(
            {
                "role": role,
                "name": f"{role}.pth",
                "url": f"{server.address}/{role}",
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    entry = {"name": "far", "title": "F", "licence": {"name": "BSD", "text": ""}, "files": files}
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"format": 1, "models": [entry]}))
    for asked in (["/trunk", "/heads"], []):
        server.asked.clear()
        result = vicl("far", "--index", index, "--accept-licence")
        assert result.exit_code == 0, result.stderr
        assert [path for path, _, _ in server.asked] == asked
    path = cache / "models" / "far" / "model.safetensors"
    assert result.stdout == f"{path}\n"
    assert f"--lpips {path}" in result.stderr
    assert downloads.downloaded("far") == path.parent
    with pytest.raises(ValueError, match=r"far answers nothing; .*--lpips"):
        load_model("far")
    made = load_lpips(path).state_dict()
    assert torch.equal(made["trunk.features.0.weight"], trunk["features.0.weight"])
    assert torch.equal(made["head_4"], heads["lin4.model.1.weight"].flatten())
    path.unlink()
    server.files["/heads"] += b"x"
    (cache / "downloads" / "far" / "heads.pth").unlink()
    assert vicl("far", "--index", index, "--accept-licence").exit_code == 1
    assert not path.exists()
    del heads["lin4.model.1.weight"]
    torch.save(heads, tmp_path / "heads")
    server.files["/heads"] = (tmp_path / "heads").read_bytes()
    files[1]["sha256"] = hashlib.sha256(server.files["/heads"]).hexdigest()
    index.write_text(json.dumps({"format": 1, "models": [entry]}))
    lacking = vicl("far", "--index", index, "--accept-licence")
    assert lacking.exit_code == 1
    assert "lack lin4.model.1.weight" in lacking.stderr
    assert not path.exists()


def test_the_list_of_the_package() -> None:
    models = downloads.published()
    lpips = models["lpips-alex"]
    assert [file.role for file in lpips.files] == ["trunk", "heads"]
    assert "BSD" in lpips.licence.name
    answering = {name: model for name, model in models.items() if model is not lpips}
    assert set(answering) == {"mae-vqgan-large-figures", "mae-vqgan-large-figures-imagenet"}
    for model in answering.values():
        assert "no licence" in model.licence.text
    assert all(m.files[0].url.startswith("https://") for m in models.values())
    result = vicl("--list")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in models)
    unknown = vicl("nothing")
    assert unknown.exit_code == 2
    assert "mae-vqgan-large-figures" in unknown.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../x"},
        {"name": "a/b"},
        {"name": ".hidden"},
        {"role": "script"},
        {"sha256": "12"},
        {"size": -1},
        {"run": "x"},
    ],
)
def test_lists_that_lie(
    server: Server, tmp_path: Path, cache: Path, change: dict[str, Any]
) -> None:
    result = vicl("tiny", "--index", listed(server, tmp_path, **change), "--accept-licence")
    assert result.exit_code == 1
    assert "is no list of published models" in result.stderr
    assert server.asked == []


def test_models_and_doctor_show_what_is_here(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "mae-vqgan-large-figures"
    assert f"vicl download {name}" in CliRunner().invoke(main, ["models"]).stdout
    source = save(published(tiny_model()), tmp_path / "x.pth")
    convert(source, cache / "models" / name)
    digest = hashlib.sha256((cache / "models" / name / "model.safetensors").read_bytes())
    for command in ("models", "doctor"):
        result = CliRunner().invoke(main, [command])
        assert f"sha256 {digest.hexdigest()}" in result.stdout
    rows = [
        json.loads(r)
        for r in CliRunner().invoke(main, ["models", "--json"]).stdout.split("\n")
        if r
    ]
    assert {r["name"]: r.get("weights_hash") for r in rows}[name] == digest.hexdigest()
    assert read_published(source).config == tiny_config()
