"""The page on which figures are labelled: whom it answers, and what it shows."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.figures.arxiv.pages import extract

from vicl.figures.arxiv.filtering.labelling import Labelling
from vicl.figures.arxiv.filtering.labels import read_labels
from vicl.images import open_bytes

if TYPE_CHECKING:
    from fastapi.testclient import TestClient


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    from vicl.app.labelling import create_label_app

    files = extract(tmp_path / "figures", count=3)
    (tmp_path / "figures" / files[2]).write_bytes(b"no picture")
    app = create_label_app(Labelling(tmp_path / "figures", tmp_path / "labels.csv"))
    with TestClient(app, base_url="http://localhost") as made:
        yield made


def test_labels_are_given_and_taken_back(client: TestClient, tmp_path: Path) -> None:
    first = client.get("/progress").json()
    assert (first["total"], first["done"], len(first["coming"])) == (3, 0, 3)
    number = first["coming"][0]
    said = client.post("/label", json={"figure": number, "wanted": True})
    assert (said.json()["done"], said.json()["wanted"]) == (1, 1)
    assert [one.wanted for one in read_labels(tmp_path / "labels.csv")] == [True]
    assert client.post("/undo").json() == first
    assert read_labels(tmp_path / "labels.csv") == []


def test_figures_are_shown_as_pictures(client: TestClient) -> None:
    replies = [client.get(f"/figures/{number}") for number in range(3)]
    shown = [reply for reply in replies if reply.status_code == 200]
    assert len(shown) == 2
    assert all(open_bytes(reply.content, "figure").mode == "RGB" for reply in shown)
    assert [r.status_code for r in replies if r not in shown] == [422]  # it is no picture
    for number in ("3", "-1"):
        assert client.get(f"/figures/{number}").status_code == 404


def test_the_page_needs_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    parts = [page.text, *(client.get(f"/static/label.{kind}").text for kind in ("js", "css"))]
    assert all(parts)
    assert not any("://" in part for part in parts)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "attacker.example"},
        {"origin": "http://attacker.example"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_other_pages_are_refused(headers: dict[str, str], client: TestClient) -> None:
    for reply in (
        client.post("/label", json={"figure": 0, "wanted": True}, headers=headers),
        client.post("/undo", headers=headers),
        client.get("/figures/0", headers=headers),
    ):
        assert reply.status_code == 403
    assert client.get("/progress").json()["done"] == 0


@pytest.mark.parametrize(
    "said", [{"figure": 7, "wanted": True}, {"figure": 0, "wanted": "yes"}, {"figure": 0}, {}]
)
def test_labels_that_are_none_are_refused(said: dict[str, object], client: TestClient) -> None:
    assert client.post("/label", json=said).status_code in (404, 422)
    assert client.get("/progress").json()["done"] == 0


@pytest.mark.browser
def test_a_person_labels_by_keys(tmp_path: Path, page: Any) -> None:
    from tests.app.conftest import until

    extract(tmp_path / "figures", count=3)
    table = tmp_path / "labels.csv"
    command = [sys.executable, "-m", "vicl", "figures", "label", str(tmp_path / "figures")]
    command += ["-o", str(table), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        try:
            assert served.stdout is not None
            page.goto(served.stdout.readline().strip())
            ready = "!document.querySelector('#yes').disabled"
            until(page, ready)
            assert page.evaluate("document.querySelector('#figure').naturalWidth > 100")
            first = page.evaluate("document.querySelector('#figure').src")
            page.keyboard.press("y")
            until(page, f"{ready} && document.querySelector('#figure').src !== {first!r}")
            assert [one.wanted for one in read_labels(table)] == [True]
            page.keyboard.press("u")
            until(page, f"{ready} && document.querySelector('#figure').src === {first!r}")
            assert read_labels(table) == []
            for done in (1, 2, 3):
                page.keyboard.press("n")
                until(page, f"document.querySelector('#bar').value === {done}")
                until(page, "!document.querySelector('#undo').disabled")
            assert [one.wanted for one in read_labels(table)] == [False] * 3
            assert "All figures" in page.inner_text("#note")
        finally:
            served.send_signal(signal.SIGINT)
            served.wait(30)
