"""Runs as processes: killed, interrupted, out of disk, and several at once (gloo)."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.runs import plain, write
from tests.training.test_train import same, weights

from vicl.training.checkpoints import CheckpointFolder
from vicl.training.recipe.files import load_recipe
from vicl.training.report import read_log
from vicl.training.train import train

LIMITED = (
    "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2);"
    "from vicl.cli import main; main()"
)


def command(recipe: Path, output: Path, *options: str) -> list[str]:
    arguments = ("train", str(recipe), "--output", str(output), "--device", "cpu", *options)
    return [sys.executable, "-m", "vicl", *arguments]


def run(
    arguments: list[str], *, expect: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    return done


def together(processes: int, recipe: Path, output: Path, *options: str) -> None:
    """Train by several processes on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ("-m", "torch.distributed.run", f"--nproc-per-node={processes}")
    place = (f"--master-port={port}", "--master-addr=127.0.0.1", "-m", "vicl")
    run([sys.executable, *launcher, *place, *command(recipe, output, *options)[3:]])


@pytest.fixture
def long_run(tmp_path: Path) -> Path:
    """A recipe of 30 steps with a checkpoint after each, some megabytes large."""
    data = plain(
        tmp_path,
        schedule={"steps": 30},
        optimiser={"lr": 1e-3, "scale_lr": False},
        checkpoints={"every": 1, "keep": 2},
        evaluation={"every": 10},
        ema=0.9,
    )
    data["model"] |= {"embed_dim": 128, "depth": 2}
    return write(data, tmp_path / "recipe.yaml")


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed(long_run: Path, tmp_path: Path) -> None:
    """SIGKILL, in turn in the middle of a save and wherever it falls, until the run is through:
    the same weights, bit for bit, as never stopping."""
    run(command(long_run, tmp_path / "whole"))
    chance, kills, in_saves = random.Random(0), 0, 0
    output = tmp_path / "killed"
    while not (output / "model").exists():
        process = subprocess.Popen(
            command(long_run, output, *(["--resume"] if output.exists() else [])),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        saves, wanted = 0, chance.randrange(4, 12)
        while process.poll() is None and kills < 6:
            writing = list((output / "checkpoints").glob(".vicl-*.tmp"))
            saves += bool(writing) and (output / "log.jsonl").exists()
            if saves > wanted:
                if kills % 2:
                    time.sleep(chance.uniform(0, 0.05))
                process.send_signal(signal.SIGKILL)
                in_saves += bool(list((output / "checkpoints").glob(".vicl-*.tmp")))
                kills += 1
                break
        assert process.wait(timeout=120) in (0, -signal.SIGKILL), process.stderr.read()
        process.stderr.close()
    assert kills >= 3
    assert in_saves >= 1
    assert same(tmp_path / "whole" / "model", output / "model")
    assert not list((output / "checkpoints").glob(".vicl-*.tmp"))
    steps = [line["step"] for line in read_log(output) if "loss" in line]
    assert steps == list(range(1, 31))


@pytest.mark.slow
def test_an_interrupted_run_saves_and_goes_on(long_run: Path, tmp_path: Path) -> None:
    """Ctrl-C: exit code 130, a checkpoint of where it was; then as if nothing had been."""
    rare = ("--set", "checkpoints.every=1000")
    output = tmp_path / "run"
    process = subprocess.Popen(
        command(long_run, output, *rare, "--set", "schedule.steps=2000"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        if len(read_log(output)) > 3 or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    (step,) = CheckpointFolder(output / "checkpoints", 1).index().steps
    assert 3 <= step < 2000
    last = [line["step"] for line in read_log(output) if "loss" in line][-1]
    assert last == step


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_the_last_checkpoint(long_run: Path, tmp_path: Path) -> None:
    """Files of this process may not pass a limit that the checkpoint of the first step is under."""
    output = tmp_path / "run"
    train(load_recipe(long_run, ["schedule.steps=1"]), output, device="cpu")
    size = CheckpointFolder(output / "checkpoints", 1).file(1).stat().st_size
    other, short = tmp_path / "other", ("--set", "schedule.steps=2")
    failed = run(
        [sys.executable, "-c", LIMITED, str(size - 1000), *command(long_run, other, *short)[3:]],
        expect=1,
    )
    assert "step 1: cannot be written" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list((other / "checkpoints").glob("*.pt"))
    assert not list((other / "checkpoints").glob(".vicl-*"))
    shorter = load_recipe(long_run, ["schedule.steps=2"])
    assert train(shorter, other, device="cpu", resume=True).is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "parallel", "ema"),
    [
        ("mae", "ddp", 0.5),
        ("mae-vqgan", "ddp", None),
        ("mae-vqgan", "fsdp", 0.5),
        # Its discriminator begins late, so some weights rest at first.
        ("vqgan", "ddp", None),
    ],
)
def test_two_processes_train_as_one(
    kind: str, parallel: str, ema: float | None, tmp_path: Path
) -> None:
    """The same recipe: the same images, holes and (nearly) weights; stopped and resumed, too."""
    changes: dict[str, Any] = {
        "optimiser": {"lr": 1e-3, "scale_lr": False, "clip": 1.0},
        "parallel": parallel,
        "ema": ema,
    }
    if kind == "vqgan":
        # Codes are revived with what the first process sees.
        judge = {"start": 2, "base_width": 4, "layers": 2}
        changes["vqgan"] = {"discriminator": judge, "revive_after": None}
    recipe = write(plain(tmp_path, kind, **changes), tmp_path / "recipe.yaml")
    run(command(recipe, tmp_path / "one"))
    together(2, recipe, tmp_path / "two")
    a, b = weights(tmp_path / "one" / "model"), weights(tmp_path / "two" / "model")
    for name, value in a.items():
        assert torch.allclose(value, b[name], atol=2e-4), name
    for one, two in zip(read_log(tmp_path / "one"), read_log(tmp_path / "two"), strict=True):
        for name in {"loss", "gradient_norm", "held_out_psnr"} & one.keys():
            assert two[name] == pytest.approx(one[name], rel=1e-3), name
    folder = tmp_path / "two" / "checkpoints"
    kept = CheckpointFolder(folder, 1)
    assert len(kept.load(4)["random"]) == 2
    (folder / "checkpoints.json").write_text('{"steps": [4], "best": null, "best_loss": null}')
    together(2, recipe, tmp_path / "two", "--resume")
    again = weights(tmp_path / "two" / "model")
    assert all(torch.equal(again[name], b[name]) for name in b)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_model_learns_the_same(tmp_path: Path) -> None:
    """In a process of its own: the tests' type checker cannot be compiled."""
    recipe = write(plain(tmp_path, "mae-vqgan"), tmp_path / "recipe.yaml")
    run(command(recipe, tmp_path / "plain"))
    run(command(recipe, tmp_path / "compiled", "--set", "compile=true"))
    a, b = (weights(tmp_path / name / "model") for name in ("plain", "compiled"))
    assert a.keys() == b.keys()
    logs = (read_log(tmp_path / name) for name in ("plain", "compiled"))
    for one, other in zip(*logs, strict=True):
        if "loss" in one:
            assert other["loss"] == pytest.approx(one["loss"], rel=1e-3)


GRADIENTS = """
import sys, torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tests.pictures import picture
from tests.training.runs import recipe
from pathlib import Path
from vicl.training.build import build_model, build_objective
dist.init_process_group("gloo")
rank = dist.get_rank()
image = torch.stack([picture(32, 32, seed=i) for i in range(4)])
hole = torch.zeros(4, 32, 32, dtype=torch.bool)
hole[:2, :16, :16] = hole[2:, 16:, 16:] = True
def gradients(objective, module, rows):
    objective.zero_grad()
    torch.stack(list(module(image[rows], hole[rows], 5).losses.values())).sum().backward()
    return {n: p.grad.clone() for n, p in objective.named_parameters() if p.grad is not None}
for kind in ("mae", "mae-vqgan"):
    given = recipe(Path(sys.argv[1]), kind)
    objective = build_objective(given, build_model(given))
    alone = gradients(objective, objective, slice(0, 4))
    shared = gradients(objective, DistributedDataParallel(objective), slice(2 * rank, 2 * rank + 2))
    assert alone.keys() == shared.keys() and alone
    for name in alone:
        scale = alone[name].abs().max()
        assert torch.allclose(alone[name], shared[name], atol=1e-4 * float(scale) + 1e-8), name
    print("equal", kind, flush=True)
dist.barrier()  # one that leaves early can take the other down
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_give_the_gradients_of_the_doubled_batch(tmp_path: Path) -> None:
    plain(tmp_path, "mae-vqgan")  # writes what both read
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", GRADIENTS, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"RANK": str(rank), "WORLD_SIZE": "2"}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "PYTHONPATH": str(Path.cwd())},
        )
        for rank in range(2)
    ]
    # Both are read to their ends before either is judged. How gloo leaves is PyTorch's affair: now
    # and then it aborts when all is done, so what counts is what was said before.
    said = [process.communicate(timeout=120) for process in processes]
    for out, errors in said:
        assert out.startswith("equal mae\nequal mae-vqgan\n"), errors
