"""How long does a training step take, beside the step of the published code?

    python benchmarks/training.py --size base --batch 8

The reference step runs on the same weights, images and holes: float32, attention written out,
logits at all places, targets named by the VQGAN in float32, an optimiser that goes over the weights
one by one, and a wait for the loss at every step, which is what the published training code does.
Ours is the step of `vicl train`, by its own objective and optimiser: logits of the hidden tokens
only, fused attention and optimiser, targets named in inference mode, no wait; in float32, as the
recipes have it in bfloat16, and both with targets named beforehand (`vicl figures tokenize`).

Each way has a process of its own, so that its memory is its own, and they take steps in turns, A B
C A B C ..., after one each to warm up: what else the machine does falls on all alike.  Printed are
medians over the rounds with the least and the most, processor seconds of all threads, and how many
times the reference a way is, within each round.

Weights and images are random (the time does not depend on them), three quarters of the patches are
hidden, as published.
FLOPs are counted by PyTorch's counter (:mod:`vicl.training.estimate`), a multiplication and
an addition being two: forward and backward of what is trained, and the tokenizer's forward. On a
GPU their share of the peak (--peak-tflops, by default that of an H100 in bfloat16, dense) is
printed as MFU; it counts the trained part alone.  With --data, the rate of the
data pipeline on a folder of images is measured too, and the share of time that a step would wait
for it.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from unittest import mock

import torch
from rich.console import Console
from rich.table import Table
from torch import Generator, Tensor
from torch.nn import functional as F  # noqa: N812

from measuring import reset_peak_memory, synchronise
from vicl.files.machine import peak_memory, processor
from vicl.models.mae_vqgan import MAEVQGAN, PUBLISHED
from vicl.training.build import compile_parts
from vicl.training.data.training_data import open_data
from vicl.training.estimate import StepCost, step_cost
from vicl.training.job import Seat
from vicl.training.masking import RandomPatches, draw_holes
from vicl.training.objectives.inpainting import Inpainting, NamedInpainting
from vicl.training.objectives.objective import Objective
from vicl.training.optimisation import limit_gradient, make_optimiser
from vicl.training.recipe.data import Data, FolderSource
from vicl.training.settings import Optimiser

Step = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Result:
    """What a way of stepping measured: a number a round, and what it took and gave in all."""

    name: str
    seconds: list[float]
    processor_seconds: list[float]
    peak_mib: float
    loss: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=PUBLISHED, default="base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="steps of each way that are timed")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="measure the compiled model too")
    parser.add_argument("--peak-tflops", type=float, default=989.0)
    parser.add_argument("--data", type=Path, help="a folder of images")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    given = parser.parse_args()
    if given.data is not None and not given.data.is_dir():
        parser.error(f"--data: there is no folder {given.data}")
    console = Console(width=max(Console().width, 100))
    device = torch.device(given.device)
    config = PUBLISHED[given.size]
    _, hole = material(given)
    counted = Inpainting(MAEVQGAN(config).to("meta")).to("meta").train()
    cost = step_cost(counted, (given.batch, *config.canvas_size), hole)
    results = measure(given, console)
    console.print(table(results, given, device, cost))
    wait = None
    if given.data is not None:
        wait = waiting(given, config.canvas_size, results)
        console.print(wait[0])
    if given.out:
        found = {
            "processor": processor(device),
            "torch": torch.__version__,
            "flops": {"trained": sum(cost.trained), "targets": sum(cost.targets)},
            "results": [asdict(result) for result in results],
            "data_wait": None if wait is None else wait[1],
        }
        given.out.write_text(json.dumps(found, indent=1))
    return 0


def ways(given: argparse.Namespace) -> dict[str, Callable[[MAEVQGAN], Step]]:
    """Ways of stepping by name: each makes a step of a model; the first is the reference."""
    found: dict[str, Callable[[MAEVQGAN], Step]] = {
        "reference (published)": reference_step,
        "vicl, float32": partial(our_step, dtype=torch.float32),
        "vicl, float32, codes named beforehand": partial(our_step, dtype=torch.float32, named=True),
        "vicl, bfloat16": partial(our_step, dtype=torch.bfloat16),
        "vicl, bfloat16, codes named beforehand": partial(
            our_step, dtype=torch.bfloat16, named=True
        ),
    }
    if given.compile:
        for name in list(found)[3:]:
            named = name.endswith("beforehand")
            found[f"{name}, compiled"] = partial(
                our_step, dtype=torch.bfloat16, named=named, compiled=True
            )
    return found


def material(given: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Images and holes, on the CPU."""
    size = PUBLISHED[given.size].canvas_size
    random = Generator().manual_seed(0)
    image = torch.rand(given.batch, 3, *size, generator=random)
    return image, draw_holes(RandomPatches(), given.batch, size, 16, random)


def measure(given: argparse.Namespace, console: Console) -> list[Result]:
    """Let all ways take steps in turns."""
    context = multiprocessing.get_context("spawn")
    names = list(ways(given))
    ends: list[Connection] = []
    for name in names:
        console.print(f"warming up {name}", style="dim")
        here, there = context.Pipe()
        context.Process(target=serve, args=(there, name, given), daemon=True).start()
        there.close()
        here.recv()
        ends.append(here)
    rounds = [[ask(end) for end in ends] for _ in range(given.rounds)]
    results = []
    for place, (name, end) in enumerate(zip(names, ends, strict=True)):
        end.send(False)
        peak, loss = end.recv()
        seconds, busy = zip(*(one[place] for one in rounds), strict=True)
        results.append(Result(name, list(seconds), list(busy), peak, loss))
    return results


def ask(end: Connection) -> tuple[float, float]:
    """Have a step taken; gives its seconds by the clock, and those of the processor."""
    end.send(True)
    found: tuple[float, float] = end.recv()
    return found


def serve(end: Connection, name: str, given: argparse.Namespace) -> None:
    """In a process of its own: take steps one way, whenever one is asked for."""
    device = torch.device(given.device)
    image, hole = material(given)
    image = image.to(device)
    step = ways(given)[name](MAEVQGAN(PUBLISHED[given.size]).to(device).train())
    reset_peak_memory()
    loss = step(image, hole)
    synchronise()
    end.send(None)
    while end.recv():
        begun, busy = time.perf_counter(), time.process_time()
        loss = step(image, hole)
        synchronise()
        end.send((time.perf_counter() - begun, time.process_time() - busy))
    end.send((peak_memory() / 2**20, float(loss)))


def reference_step(model: MAEVQGAN) -> Step:
    """A step as the published code takes it."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        weights, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05, foreach=False
    )

    def step(image: Tensor, hole: Tensor) -> Tensor:
        with eager_attention():
            with torch.no_grad():
                codes = model.tokenizer.encode(image).flatten(1)
            logits = model.token_logits(image, hole)
            hidden = hole[:, :: model.patch_size, :: model.patch_size].flatten(1).to(image.device)
            each = F.cross_entropy(logits.flatten(0, 1), codes.flatten(), reduction="none")
            loss = (each * hidden.flatten()).sum() / hidden.sum()
            loss.item()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        synchronise()
        return loss.detach()

    return step


def our_step(
    model: MAEVQGAN, *, dtype: torch.dtype, named: bool = False, compiled: bool = False
) -> Step:
    """A step of the loop; `named`: the codes of the images are there already."""
    device = model.device
    objective: Objective = Inpainting(model, target_dtype=dtype).to(device)
    given = torch.randint(
        model.tokenizer.codebook_size, (1, math.prod(model.config.grid)), device=device
    )
    if named:
        objective = NamedInpainting(model)
    if compiled:
        compile_parts(objective)
    optimiser = make_optimiser(model, Optimiser(), 1e-4)
    weights = [p for p in model.parameters() if p.requires_grad]

    def step(image: Tensor, hole: Tensor) -> Tensor:
        batch = (image, hole, given.expand(len(image), -1)) if named else (image, hole)
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            loss: Tensor = objective(*batch, 0).losses["model"]
        torch.autograd.backward(loss)
        limit_gradient(weights, None)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    return step


@contextmanager
def eager_attention() -> Iterator[None]:
    """Attention written out."""

    def attention(q: Tensor, k: Tensor, v: Tensor, **_: object) -> Tensor:
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        mixed: Tensor = weights @ v
        return mixed

    with mock.patch.object(F, "scaled_dot_product_attention", attention):
        yield


def waiting(
    given: argparse.Namespace, size: tuple[int, int], results: list[Result]
) -> tuple[str, float]:
    """What the data pipeline delivers, and the share of time for which our step would wait."""
    data = Data(train=(FolderSource(path=str(given.data)),), workers=given.workers)
    batches = open_data(data, size, seed=0).batches(Seat(given.batch))
    for _ in range(4):
        next(batches)
    count = 20
    begun = time.perf_counter()
    for _ in range(count):
        next(batches)
    rate = count * given.batch / (time.perf_counter() - begun)
    fastest = max(given.batch / median(result.seconds) for result in results)
    share = max(0.0, 1 - rate / fastest)
    text = (
        f"data: {rate:.0f} images/s by {given.workers} workers alone; a step of {fastest:.1f} "
        f"images/s would wait {share:.0%} of the time"
    )
    return text, share


def table(
    results: list[Result], given: argparse.Namespace, device: torch.device, cost: StepCost
) -> Table:
    """The results as a table."""
    drawn = Table(
        title=f"MAE-VQGAN {given.size}, {given.batch} images a step, on {processor(device)}, torch "
        f"{torch.__version__}\n{sum(cost.trained) / 1e9:.0f} GFLOP a step trained, "
        f"{sum(cost.targets) / 1e9:.0f} naming targets"
    )
    for name in ("step", "seconds", "processor s", "images/s", "x", "MFU", "peak MiB", "loss"):
        drawn.add_column(name, justify="left" if name == "step" else "right")
    for r in results:
        seconds = median(r.seconds)
        rate = sum(cost.trained) / seconds / 1e12
        times = [a / b for a, b in zip(results[0].seconds, r.seconds, strict=True)]
        drawn.add_row(
            r.name,
            f"{seconds:.2f} ({min(r.seconds):.2f}-{max(r.seconds):.2f})",
            f"{median(r.processor_seconds):.2f}",
            f"{given.batch / seconds:.2f}",
            f"{median(times):.2f} ({min(times):.2f}-{max(times):.2f})",
            f"{rate / given.peak_tflops:.1%}" if device.type == "cuda" else "-",
            f"{r.peak_mib:.0f}",
            f"{r.loss:.3f}",
        )
    return drawn


if __name__ == "__main__":
    sys.exit(main())
