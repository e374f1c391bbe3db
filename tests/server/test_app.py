from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from tests.cli.test_cli import vicl
from tests.server.pages import draw_folder

from vicl.server.listening import names_of
from vicl.server.project import Project


def test_help_shows_how_to_begin() -> None:
    shown = vicl("app", "--help").output
    assert "vicl app photos" in shown
    assert "vicl predict others --prompt leaf.vicl" in shown


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    done = vicl("app", str(tmp_path / "none"), "--no-browser")
    assert done.exit_code == 2
    assert "is no folder" in done.output


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn"])
def test_without_its_extra_it_names_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "vicl.app.factory", raising=False)
    done = vicl("app", str(tmp_path), "--no-browser")
    assert done.exit_code == 2
    assert 'pip install "vicl[app]"' in done.output


def test_a_port_that_another_has(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = vicl("app", str(draw_folder(tmp_path / "a")), "--no-browser", "--port", port)
    assert done.exit_code == 2
    assert f"{port} on 127.0.0.1 cannot be had" in done.output
    Project(tmp_path / "a" / "vicl-project").close()  # it was let go


def test_the_names_of_a_server() -> None:
    assert names_of("Box.lan") == ("box.lan",)
    assert len(names_of("0.0.0.0")) >= 2


@pytest.mark.slow
def test_a_kill_loses_no_committed_stroke(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "photos")
    command = [sys.executable, "-m", "vicl", "app", str(folder), "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout as said:
        try:
            port = int(said.readline().rsplit(":", 1)[1].strip(" /\n"))
            talk = http.client.HTTPConnection("localhost", port, timeout=30)
            talk.request("GET", "/v1/images")
            listed = json.loads(talk.getresponse().read())["items"]
            image = next(one["id"] for one in listed if one["name"] == "p1.png")
            for number in range(20):
                points = [[number, 0], [number + 1, 9]]
                stroke = {"op": "stroke", "class": 1, "tool": "box", "points": points}
                headers = {"Content-Type": "application/json", "If-Match": str(number)}
                path = f"/v1/images/{image}/edits"
                talk.request("POST", path, json.dumps(stroke), headers)
                assert json.loads(talk.getresponse().read())["revision"] == number + 1
            talk.close()
        finally:
            server.kill()  # as a power cut would: nothing is tidied up
            server.wait()
    project = Project(folder / "vicl-project", folder)
    assert project.edits(image).revision == 20
    assert (project.edits(image).marks == 1).sum() == 20 * 9
    project.close()
