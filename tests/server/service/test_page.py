"""docs/serving.md and the container file: what they say can be done is done, or checked."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")
pytest.importorskip("httpx2")

import httpx2
from tests.cli.test_startup import imported
from tests.server.service.serving import png, save_leaf, scene
from tests.server.service.test_processes import running

import vicl
from vicl.cli.serve import serve
from vicl.server.service.settings import ServiceSettings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "serving.md").read_text()
ADDRESS = "http://localhost:8472"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands(kind: str) -> list[str]:
    joined = "\n".join(blocks(kind)).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.startswith("pip install")]


def serve_arguments(command: str) -> list[str] | None:
    words = shlex.split(command)
    return words[words.index("serve") + 1 :] if "serve" in words and "vicl" in words else None


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a container file: word and what follows."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in joined.splitlines()]


def test_every_serve_command_of_the_page_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        args for kind in ("bash", "sh") for args in map(serve_arguments, commands(kind)) if args
    ]
    assert len(found) == 7
    for arguments in found:
        words = arguments[: arguments.index("&")] if "&" in arguments else arguments
        serve.make_context("serve", [*words]).close()


def test_the_page_gives_the_limits_that_hold() -> None:
    settings = ServiceSettings()
    given: dict[str, Any] = {str(option.name): option.default for option in serve.params}
    assert given["limit_body"] << 20 == settings.body_bytes == 64 << 20
    assert (given["queue"], given["max_batch"], given["max_wait"] / 1000) == (
        *(settings.queue, settings.at_once, settings.wait),
    )
    assert (given["limit_files"], given["deadline"]) == (settings.files, settings.deadline)
    assert given["limit_pixels"] == settings.limit_pixels
    assert given["limit_jobs"] == settings.jobs_count
    assert given["limit_jobs_size"] << 20 == settings.jobs_bytes
    assert given["keep_jobs"] * 3600 == settings.jobs_seconds
    for option in ("limit_jobs", "limit_jobs_size", "keep_jobs"):
        assert f"`--{option.replace('_', '-')}` {given[option]}" in PAGE
    (proxy,) = blocks("nginx")
    assert proxy.count("{") == proxy.count("}")
    for line in proxy.splitlines():
        assert line.strip().endswith(("{", "}", ";")), line
    assert f"client_max_body_size {given['limit_body']}m;" in proxy
    assert f"server 127.0.0.1:{given['port']};" in proxy
    read = re.search(r"proxy_read_timeout (\d+)s", proxy)
    assert read is not None
    assert int(read[1]) > given["deadline"]


def test_the_container_file() -> None:
    found = instructions((ROOT / "Containerfile").read_text())
    known = {"FROM", "ARG", "WORKDIR", "RUN", "COPY", "ENV", "USER", "EXPOSE", "HEALTHCHECK"}
    assert {word for word, _ in found} == known | {"ENTRYPOINT"}
    stages = [rest for word, rest in found if word == "FROM"]
    assert len(stages) == 2
    assert stages[0].endswith(" AS build")
    last = found[max(n for n, (word, _) in enumerate(found) if word == "FROM") :]
    assert ("USER", "10001:10001") in last
    assert last.index(("USER", "10001:10001")) < [w for w, _ in last].index("ENTRYPOINT")
    assert any(word == "COPY" and rest.startswith("--from=build") for word, rest in last)
    assert not any("pip" in rest for _, rest in last)
    for word, rest in found:
        if word == "RUN":
            subprocess.run(["bash", "-n", "-c", rest], check=True)
        if word == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
        if word == "EXPOSE":
            assert int(rest) == next(o.default for o in serve.params if o.name == "port")
        if word == "ENTRYPOINT":
            program, name, *arguments = json.loads(rest)
            assert (program, name) == ("vicl", "serve")
            serve.make_context("serve", arguments).close()
    assert any("torch.version.cuda is None" in rest for _, rest in found)
    # PyTorch's index need not have what constraints.txt names of torch's own dependencies.
    (index,) = [rest for word, rest in found if word == "RUN" and "$TORCH_INDEX" in rest]
    assert '--extra-index-url "$TORCH_INDEX"' in index
    copied = [
        source
        for word, rest in found
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert sorted(line[1:] for line in ignored if line.startswith("!")) == sorted(copied)


def test_the_container_as_it_is_run() -> None:
    (command,) = [words for line in commands("sh") if (words := shlex.split(line))[1:2] == ["run"]]
    image = command.index("vicl-serve")
    serve.make_context("serve", command[image + 1 :]).close()
    given: dict[str, Any] = {str(option.name): option.default for option in serve.params}
    assert {"--read-only", "--init"} <= set(command[:image])
    assert int(command[command.index("--stop-timeout") + 1]) > given["deadline"]
    jobs = re.search(r"`-v vicl-jobs:(\S+)`, and `--jobs (\S+)`", PAGE)
    assert jobs is not None
    found = instructions((ROOT / "Containerfile").read_text())
    (user,) = [rest for word, rest in found if word == "RUN" and "useradd" in rest]
    assert jobs[1] == jobs[2] == user.split()[-1]
    assert "-o 10001 -g 10001" in user


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    for name, seed in (("in", 1), ("a", 2), ("b", 3)):
        scene(seed, (120, 160))[0].save(tmp_path / f"{name}.png")
    scene(1, (120, 160))[1].save(tmp_path / "mask.png")
    scripts = tmp_path / "bin"
    scripts.mkdir()
    for name, call in (("vicl", "-m vicl "), ("python", "")):
        (scripts / name).write_text(f'#!/bin/sh\nexec {sys.executable} {call}"$@"\n')
        (scripts / name).chmod(0o755)
    path = f"{scripts}:{os.environ['PATH']}"

    def run(command: str) -> None:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr, done.stdout)

    served = 0
    for command in commands("bash"):
        arguments = serve_arguments(command)
        if arguments is None and "curl" not in command:
            run(command)
        elif arguments is not None:
            served += 1
            with running([*arguments, "--port", "0"], tmp_path) as (_, address):
                at = address.rstrip("/").replace("0.0.0.0", "localhost")
                if "--api-key-file" in arguments:
                    key = (tmp_path / "keys.txt").read_text().strip()
                    named = f"-H 'Host: labels.example.org' -H 'Authorization: Bearer {key}'"
                    run(f"curl -sSf {named} {at}/v1/prompts | grep -q leaf")
                    continue
                for asked in [line for line in commands("bash") if "curl" in line]:
                    assert ADDRESS in asked
                    run(asked.replace(ADDRESS, at))
                (code,) = blocks("python")
                (tmp_path / "ask.py").write_text(code.replace(ADDRESS, at))
                run("python ask.py")
    assert served == 3
    made = {file.name for file in tmp_path.iterdir()}
    assert {"answer.png", "answers.zip", "leaf.vicl", "keys.txt"} <= made


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_the_jobs_of_the_page_are_done(tmp_path: Path) -> None:
    save_leaf(tmp_path / "leaf.vicl")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for seed in (2, 3):
            archive.writestr(f"{seed}.png", png(scene(seed)[0]))
    found = [line for line in commands("sh") if "/v1/jobs" in line]
    (start,) = [line for line in commands("sh") if "--jobs" in line]
    assert [line.partition("http")[2].split("/", 3)[3] for line in found] == [
        *("v1/jobs", "v1/jobs/ID", "v1/jobs/ID/result")
    ]
    (code,) = [block for block in blocks("py") if ".submit(" in block]
    arguments = serve_arguments(start.replace("/var/lib/vicl", "kept"))
    assert arguments is not None

    def run(command: str, address: str, id: str = "") -> str:
        asked = command.replace(ADDRESS, address.rstrip("/")).replace("/ID", f"/{id}")
        done = subprocess.run(
            ["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (asked, done.stderr)
        return done.stdout

    with running(arguments, tmp_path) as (_, address), vicl.Client(address) as client:
        id = json.loads(run(found[0], address))["id"]
        client.wait(id, every=0.1, timeout=60.0)
        assert json.loads(run(found[1], address, id))["done"] == 2
        run(found[2], address, id)
        curled = (tmp_path / "answers.zip").read_bytes()
        (tmp_path / "ask.py").write_text(code.replace(ADDRESS, address))
        run(f"{sys.executable} ask.py", address)
    assert (tmp_path / "answers.zip").read_bytes() == curled
    assert (tmp_path / "kept" / "jobs.sqlite").is_file()


@pytest.mark.slow
def test_the_start_for_label_studio_of_the_page(tmp_path: Path) -> None:
    save_leaf(tmp_path / "leaf.vicl")
    (tmp_path / "media").mkdir()
    (tmp_path / "keys.txt").write_text("k" * 20)
    (start,) = [line for line in commands("sh") if "--media" in line]
    arguments = serve_arguments(start.replace("/srv/label-studio", "media"))
    assert arguments is not None
    with running(arguments, tmp_path) as (_, address):
        at = address.replace("0.0.0.0", "localhost")
        with httpx2.Client(headers={"host": "vicl.example.org"}) as client:
            url = f"{at}label-studio/leaf/health"
            assert client.get(url).status_code == 401
            assert client.get(url, auth=("any", "k" * 20)).json()["status"] == "UP"


@pytest.mark.slow
def test_the_client_imports_nothing_that_computes(tmp_path: Path) -> None:
    got = imported("import vicl; vicl.Client().close()", tmp_path)
    assert not got & {"torch", "numpy", "PIL", "fastapi", "pydantic"}
