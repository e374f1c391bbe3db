"""The command in processes of its own: signals, workers, and what they say."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from tests.server.service.serving import png, scene

import vicl
from vicl.client import ServiceError

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def running(
    arguments: Sequence[str], folder: Path, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`vicl serve` with the arguments, once it is ready; gives its address too."""
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "vicl", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **environment},
            cwd=folder,
        )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), (folder / "errors.txt").read_text()
        yield process, address
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prompt of which an answer takes a while."""
    path = tmp_path_factory.mktemp("heavy") / "heavy.vicl"
    vicl.VisualPrompter("analogies", [scene(1, (200, 300))], "segmentation").save(path)
    return path


def query(number: int) -> bytes:
    return png(scene(number, (200, 300))[0])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_signal_to_end_loses_no_accepted_request(
    heavy: Path, tmp_path: Path, workers: str
) -> None:
    direct = vicl.VisualPrompter.load(heavy)
    with running(["--prompt", str(heavy), "--workers", workers], tmp_path) as (process, address):

        def ask(number: int) -> bytes | str:
            with vicl.Client(address) as client:
                try:
                    (answer,) = client.predict(query(number), prompt="heavy")
                except ServiceError as error:
                    return f"{error.status} {error}"
            assert answer.png is not None
            return answer.png

        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(ask, number) for number in range(8)]
            with vicl.Client(address) as client:
                accepted = 0
                while not accepted:  # something waits, and so more was accepted
                    text = client._http.get(f"{address}metrics").text
                    found = re.search(r"^vicl_queries_waiting (\S+)", text, re.MULTILINE)
                    accepted = int(float(found[1])) if found else 0
            process.send_signal(signal.SIGTERM)
            got = [one.result(120) for one in asked]
        code = process.wait(60)
    answered = [n for n, one in enumerate(got) if isinstance(one, bytes)]
    assert len(answered) > accepted
    for number, one in enumerate(got):
        if isinstance(one, bytes):
            mask = np.asarray(direct.predict(scene(number, (200, 300))[0]).mask)
            shown = np.asarray(vicl.images.open_bytes(one, "answer"))
            assert ((shown > 0) == (mask > 0)).all()
        else:  # it came too late to be accepted, and was told so, or found nobody
            assert one.startswith(("503", "None")), one
    log = (tmp_path / "errors.txt").read_text()
    assert code == 0, log
    assert "Traceback" not in log
    assert log.count("'/v1/predict' 200") == len(answered)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_ends_it_plainly(leaf: Path, tmp_path: Path, workers: str) -> None:
    arguments = ["--prompt", str(leaf), "--prompts-only", "--workers", workers]
    with running(arguments, tmp_path) as (process, _):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert "Traceback" not in (tmp_path / "errors.txt").read_text()


def children(process: subprocess.Popen[str]) -> list[int]:
    """The worker processes of a supervisor."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [
        int(child) for child in found if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()
    ]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_a_worker_that_dies_is_replaced_and_counts_are_of_all(leaf: Path, tmp_path: Path) -> None:
    arguments = ["--prompt", str(leaf), "--prompts-only", "--workers", "2"]
    with running(arguments, tmp_path) as (process, address):
        first = children(process)
        assert len(first) == 2
        with vicl.Client(address) as client:
            for number in range(6):
                client.close()
                client = vicl.Client(address)  # a connection of its own may reach the other one
                client.predict(png(scene(number)[0]), prompt="leaf")
            text = client._http.get(f"{address}metrics").text
            assert 'vicl_requests_total{route="/v1/predict",status="200"} 6.0' in text
            client.close()
        os.kill(first[0], signal.SIGKILL)
        end = time.monotonic() + 60
        while len(set(children(process)) - {first[0]}) < 2:
            assert time.monotonic() < end, "nobody took its place"
            time.sleep(0.1)
        with vicl.Client(address) as client:
            assert client.predict(png(scene(1)[0]), prompt="leaf")
        # One whose parent is gone ends too.
        left = children(process)
        process.kill()
        process.wait()
        end = time.monotonic() + 60
        while any(Path(f"/proc/{child}").exists() for child in left):
            assert time.monotonic() < end, "workers stay behind"
            time.sleep(0.1)


def test_workers_that_cannot_start_are_not_begun_again(tmp_path: Path) -> None:
    (tmp_path / "bad.vicl").write_bytes(b"no prompt")
    serve = [sys.executable, "-m", "vicl", "serve", "--port", "0", "--workers", "2"]
    done = subprocess.run(
        [*serve, "--prompt", "bad.vicl"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "is not a prompt file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_of_the_environment(leaf: Path, tmp_path: Path) -> None:
    key = "k" * 40
    with running(["--prompt", str(leaf), "--prompts-only"], tmp_path, VICL_API_KEY=key) as (_, url):
        with vicl.Client(url, key=key) as client:
            assert client.prompts()[0]["name"] == "leaf"
        with vicl.Client(url) as client, pytest.raises(ServiceError, match="Show a key"):
            client.prompts()
        host = url.removeprefix("http://").rstrip("/")
        connection = http.client.HTTPConnection(host, timeout=30)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
    assert key not in (tmp_path / "errors.txt").read_text()
