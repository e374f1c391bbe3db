"""Ray answers as the local processes do; a process that dies loses nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.cli.test_cli import SEGMENT
from tests.scale.deadly import POISON
from tests.scale.test_pool import pictures, prompter
from tests.scale.test_shards import files, members

from vicl.scale.asking import WorkerDiedError

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "src" / "vicl" / "photos"

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def ray_is_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("ray.data", exc_type=ImportError)
        # Ray's processes know the tests by it, as this one does by pytest.
        paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
        yield


def command(*arguments: str, asked: tuple[str, ...] = SEGMENT) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "vicl", *asked, "--model", "copy", *arguments]


def run(*arguments: str, asked: tuple[str, ...] = SEGMENT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, asked=asked), capture_output=True, text=True, check=False, timeout=400
    )


def test_a_death_loses_nothing_and_a_poison_is_left_out(tmp_path: Path) -> None:
    from vicl.scale.on_ray import open_ray

    asked = pictures(tmp_path, (1, 1, 1), POISON, (3, 3, 3), (4, 4, 4))
    failed: list[tuple[Path, Exception]] = []
    with open_ray(prompter(), workers=2) as engine:
        found = list(engine.map(asked, lambda query, error: failed.append((query, error))))
    assert [answer.index for answer in found] == [0, 2, 3]
    assert [np.asarray(answer.image)[0, 0, 0] for answer in found] == [254, 252, 251]
    assert [query for query, _ in failed] == [asked[1]]
    assert isinstance(failed[0][1], WorkerDiedError)


def test_folders_and_shards_have_the_bytes_of_the_local_engine(work: Path) -> None:
    for more, name in ((("s-0", "s-1"), "folders"), (("s-0.tar", "s-1.tar"), "shards")):
        here = run(*more, "-o", f"{name}-here/", "--workers", "1")
        there = run(*more, "-o", f"{name}-ray/", "--engine", "ray", "--workers", "2")
        assert (here.returncode, there.returncode) == (0, 0), there.stderr
        assert there.stdout == here.stdout.replace("-here", "-ray")
        assert files(Path(f"{name}-here")) == files(Path(f"{name}-ray"))


def test_examples_of_a_pool_are_those_of_the_local_engine(work: Path) -> None:
    """Photographs of the package, of which each of the processes chooses by the same index."""
    for mask in PHOTOS.glob("*_mask.png"):
        name = mask.name.removesuffix("_mask.png")
        for file, place in ((mask, f"masks/{name}.png"), (PHOTOS / f"{name}.jpg", "images")):
            target = Path("pool", place, *([file.name] if place == "images" else []))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    how = ("pool/images", "--pool", "pool", "--examples", "2", "--task", "segmentation", "--json")
    here = run("-o", "here/", asked=("predict", *how))
    there = run("-o", "ray/", "--engine", "ray", "--workers", "2", asked=("predict", *how))
    assert (here.returncode, there.returncode) == (0, 0), there.stderr
    rows = [json.loads(line) for line in there.stdout.splitlines()]
    assert [row["query"] for row in rows] == sorted(row["query"] for row in rows)
    assert all(len(row["examples"]) == 2 for row in rows)
    assert all(row["query"] not in row["examples"] for row in rows)
    assert there.stdout == here.stdout.replace("here/", "ray/")
    assert files(Path("here")) == files(Path("ray"))


def test_a_first_process_that_is_killed_goes_on_by_shard(work: Path) -> None:
    shards = [f"t-{number}.tar" for number in range(12)]
    for shard in shards:
        Path(shard).write_bytes(Path("s-0.tar").read_bytes())
    arguments = (*shards, "-o", "out", "--engine", "ray", "--workers", "1")
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        end = time.monotonic() + 300
        while not list(Path("out").glob("t-*.tar")) and time.monotonic() < end:
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
    time.sleep(5)  # what Ray started ends with it
    done = {path: path.stat().st_mtime_ns for path in Path("out").glob("t-*.tar")}
    assert done
    again = run(*arguments, "--skip-existing")
    assert again.returncode == 0, again.stderr
    skipped = re.search(r"(\d+) shards skipped", again.stderr)
    assert int(skipped[1] if skipped else 0) == len(done)
    assert all(path.stat().st_mtime_ns == before for path, before in done.items())
    first = members(Path("out/t-0.tar"))
    assert all(members(Path("out", shard)) == first for shard in shards)
