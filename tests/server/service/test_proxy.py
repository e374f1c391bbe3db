"""docs/serving.md's reverse proxy, as a real nginx runs it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("httpx2")

import httpx2
from tests.server.service.serving import png, save_leaf, scene
from tests.server.service.test_page import blocks, commands, serve_arguments
from tests.server.service.test_processes import running

NAME = "labels.example.org"
KEY = "k" * 20


def start() -> list[str]:
    """The page's words of the service behind the proxy."""
    found = [serve_arguments(line) for line in commands("bash") if f"--name {NAME}" in line]
    return next(words for words in found if words is not None and "--host" not in words)


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[str]:
    """The page's nginx before a service; gives its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", f"/CN={NAME}", "-keyout", "labels.key", "-out", "labels.pem"),
        ],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (server,) = blocks("nginx")
    for old, new in (
        ("127.0.0.1:8472", upstream),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/", f"{folder}/"),
    ):
        assert old in server
        server = server.replace(old, new)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    head = f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;\n"
    (folder / "conf").write_text(
        f"{head}events {{}}\nhttp {{\naccess_log off;\n{places}{server}}}\n"
    )
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "conf")])
    try:
        for _ in range(200):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (folder / "errors").read_text()
            time.sleep(0.05)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("nginx") is None or shutil.which("openssl") is None,
    reason="nginx or openssl is not here (Debian's packages nginx-light and openssl)",
)
def test_the_proxy_of_the_page_hands_on(tmp_path: Path) -> None:
    save_leaf(tmp_path / "leaf.vicl")
    (tmp_path / "keys.txt").write_text(KEY)
    query = {"query": ("q.png", png(scene(2)[0]), "image/png")}
    asked = {"data": {"prompt": "leaf"}, "files": query}
    with running([*start(), "--port", "0"], tmp_path) as (_, direct):
        upstream = direct.removeprefix("http://").rstrip("/").replace("localhost", "127.0.0.1")
        proxied = nginx(tmp_path, upstream)
        headers = {"host": NAME, "authorization": f"Bearer {KEY}"}
        with proxied as address, httpx2.Client(verify=False, headers=headers) as client:
            through = client.post(f"{address}/v1/predict", **asked)
            assert through.status_code == 200, through.text
            plain = client.post(f"http://{upstream}/v1/predict", **asked)
            assert plain.json()["answers"] == through.json()["answers"]
            assert client.get(f"http://{upstream}/metrics").status_code == 200
            assert client.get(f"{address}/metrics").status_code == 403
            keyless = client.get(f"{address}/v1/prompts", headers={"authorization": ""})
            assert keyless.status_code == 401
            large = client.post(f"{address}/v1/predict", content=bytes(65 << 20))
            assert large.status_code == 413
            assert client.get(f"{address}/v1/prompts").status_code == 200
