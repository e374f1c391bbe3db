"""The stages of arXiv's figures on Ray: the same files, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.figures.arxiv.papers import harvest
from tests.scale.test_on_ray import ray_is_here  # noqa: F401

from vicl.figures.arxiv.extract.extracting import Extraction, extract, tasks_of

pytestmark = pytest.mark.slow


def stage(name: str, *arguments: str | Path) -> str:
    command = [sys.executable, "-W", "ignore", "-m", "vicl", "figures", name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    """What a stage promises: all but journals, which say when and how long."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    named = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {
        name: data for name, data in named.items() if name not in ("papers.jsonl", "hashes.jsonl")
    }


def test_all_stages_give_the_same_files(tmp_path: Path) -> None:
    sources = harvest(tmp_path / "sources", 6)
    for engine in ("local", "ray"):
        out, shards = tmp_path / engine, tmp_path / f"{engine}-shards"
        how = ("--engine", engine, "--workers", "2")
        stage("extract", sources, "-o", out, *how)
        stage("filter", out, *how)
        stage("dedup", out, *how)
        stage("pack", out, "-o", shards, "--shard-figures", "3", *how)
    for what in ("", "-shards"):
        local, ray = (contents(tmp_path / f"{engine}{what}") for engine in ("local", "ray"))
        assert sorted(local) == sorted(ray)
        assert local == ray
    assert (tmp_path / "ray/scores.jsonl").read_bytes().count(b"\n") > 6


def test_a_killed_process_of_rays_loses_and_doubles_nothing(tmp_path: Path) -> None:
    from vicl.scale.each_on_ray import open_each

    sources = harvest(tmp_path / "sources", 12)
    extract(Extraction(sources, tmp_path / "local"), tasks_of(sources))
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> None:
        """The first of Ray's processes that works on papers."""
        while not ended.is_set() and not killed:
            for status in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    if b"MapWorker(Map(_Worker)).submit" in status.read_bytes():
                        os.kill(int(status.parent.name), signal.SIGKILL)
                        killed.append(int(status.parent.name))
                        break
                except OSError:
                    continue
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    with open_each(workers=2) as (each, workers):
        killer.start()
        try:
            run = Extraction(sources, tmp_path / "ray")
            summary = extract(run, tasks_of(sources), workers=workers, each=each)
        finally:
            ended.set()
            killer.join()
    assert killed
    assert summary.papers == {"done": 12}
    assert contents(tmp_path / "local") == contents(tmp_path / "ray")
