"""Published weights are fetched whole and right, or not at all; against a server of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.published.serving import DATA, SHA256, Server

from vicl.published.fetch import DownloadError, fetch


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
