"""How fast does MAE-VQGAN answer, and do its shortcuts change what it answers?

    python benchmarks/inference.py --size large --compile

The reference path is the published procedure, run in the same process on the same weights: one
prompt at a time, float32, attention written out, logits of all places, the whole canvas decoded
with every enlargement written out.  Beside it stand batches of 1 and 8, float32 and bfloat16, plain
and compiled, decoding the whole canvas or little more than the answer.

The weights follow from their names by a formula (no published weights are needed), the prompts are
the photographs that come with the package.  All ways are run in turn, round after round, so that
what else the machine does falls on all of them.  Columns: prompts per second (median), and how many
times the reference of the same round that is (median, least and largest); the share of the hole's
tokens that are the reference's, and how many differ although the reference preferred its token by
more than 0.1; the difference of the answers' pixels from the reference's, in grey levels of 255.

Below stands what bounds it: operations of a canvas, and operations a second that this processor
reaches in the same run with a large product and a large convolution alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from measuring import synchronise
from vicl.canvas.layout import Layout
from vicl.files.machine import processor
from vicl.files.packaged import PHOTOS
from vicl.images import to_tensor
from vicl.models import vqgan
from vicl.models.code_inpainter import DecodeRegion
from vicl.models.mae_vqgan import MAEVQGAN, PUBLISHED, MAEVQGANConfig
from vicl.models.tokens import hole_tokens, paste
from vicl.prompt import Prompt
from vicl.published.keys import published_key
from vicl.training.estimate import OperationCounter, measure_rates
from vicl.training.settings import Precision

MARGIN = 0.1
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PRECISIONS: dict[str, Precision] = {"float32": "fp32", "bfloat16": "bf16"}


@dataclass(frozen=True)
class Way:
    """A way of running the model."""

    batch: int
    dtype: str
    region: DecodeRegion
    compiled: bool


@dataclass(frozen=True)
class Result:
    """What a way measured; differences are from the reference path."""

    name: str
    batch: int
    dtype: str
    region: str
    compiled: bool
    prompts_per_second: float
    ratio: float
    least: float
    most: float
    equal_tokens: float = 1.0
    wrong_beyond_margin: int = 0
    pixels_mean: float = 0.0
    pixels_max: float = 0.0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=PUBLISHED, default="large")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--prompts", type=int, default=8, help="different prompts, at most 8 a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--compile", action="store_true", help="measure compiled models too")
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    given = parser.parse_args()
    console = Console(width=max(Console().width, 150))  # the table, in a pipe too
    if given.compile and not any(shutil.which(c) for c in ("c++", "g++", "clang++")):
        console.print("--compile: there is no C++ compiler here; measuring plain models only")
        given.compile = False
    device = torch.device(given.device)
    image, hole = (one.to(device) for one in prompts(given.prompts))
    results = measure(image, hole, given, console)
    console.print(table(results, given.size, processor(device)))
    for line in bounds(given, device):
        console.print(line)
    if given.out:
        found = {"processor": processor(device), "torch": torch.__version__, "size": given.size}
        given.out.write_text(
            json.dumps(found | {"results": [asdict(r) for r in results]}, indent=1)
        )
    return 0


def measure(
    image: Tensor, hole: Tensor, given: argparse.Namespace, console: Console
) -> list[Result]:
    """Run the reference path and every way: once to compare what they answer, then in turn."""
    device = image.device
    models = {
        (name, compiled): formula_model(PUBLISHED[given.size]).to(device)
        for name in dict.fromkeys((*given.dtypes, "float32"))
        for compiled in (False, True)[: 1 + given.compile]
    }
    for (name, compiled), model in models.items():
        prepare(model, DTYPES[name], compiled=compiled)
    reference = models["float32", False]
    holes = hole_tokens(hole, reference.patch_size)
    with torch.inference_mode():
        with published_kernels():
            found = [published(reference, *one) for one in single(image, hole)]
        truth = torch.cat([one[0] for one in found]), torch.cat([one[1] for one in found])
        firsts: list[Result] = []
        for way in ways(given):
            console.print(f"comparing {way}", style="dim")
            run = partial(quick, models[way.dtype, way.compiled], way, image, hole)
            firsts.append(_compared(way, run(), truth, hole, holes))
        seconds: dict[Way | None, list[float]] = defaultdict(list)
        for number in range(given.rounds):
            console.print(f"round {number + 1} of {given.rounds}", style="dim")
            row = number % len(image)
            with published_kernels():
                one = partial(published, reference, image[row : row + 1], hole[row : row + 1])
                seconds[None].append(timed(one))
            for way in ways(given):
                run = partial(quick, models[way.dtype, way.compiled], way, image, hole)
                seconds[way].append(timed(run) / min(way.batch, len(image)))
    base = seconds[None]
    pace = 1 / statistics.median(base)
    results = [Result("reference", 1, "float32", "full", False, pace, 1.0, 1.0, 1.0)]
    for way, first in zip(ways(given), firsts, strict=True):
        ratios = [theirs / ours for theirs, ours in zip(base, seconds[way], strict=True)]
        results.append(
            replace(
                first,
                prompts_per_second=1 / statistics.median(seconds[way]),
                ratio=statistics.median(ratios),
                least=min(ratios),
                most=max(ratios),
            )
        )
    return results


def bounds(given: argparse.Namespace, device: torch.device) -> Iterator[str]:
    """How long the products and convolutions of a canvas take at the processor's best."""
    config = PUBLISHED[given.size]
    model = formula_model(config)
    image, hole = prompts(1)
    for name in given.dtypes:
        rates = measure_rates(device, PRECISIONS[name], config.embed_dim)
        for region in get_args(DecodeRegion):
            way = Way(1, "float32", region, compiled=False)
            with OperationCounter() as counter, torch.inference_mode():
                quick(model, way, image, hole)
            products, convolutions = counter.flops
            least = products / rates.products + convolutions / rates.convolutions
            yield (
                f"{name}, {region}: {products / 1e9:.0f} GFLOP of products at "
                f"{rates.products / 1e9:.0f} GFLOP/s and {convolutions / 1e9:.0f} of convolutions "
                f"at {rates.convolutions / 1e9:.0f}: at most {1 / least:.2f} prompts/s"
            )


def _compared(
    way: Way,
    found: tuple[Tensor, Tensor],
    truth: tuple[Tensor, Tensor],
    hole: Tensor,
    holes: Tensor,
) -> Result:
    """What a way answers, beside the reference."""
    count = len(found[0])
    logits, answers = (one[:count] for one in truth)
    same = found[0].argmax(dim=-1) == logits.argmax(dim=-1)
    best = logits.topk(2, dim=-1).values
    clear = best[..., 0] - best[..., 1] > MARGIN
    difference = (found[1] - answers).abs().movedim(1, -1)[hole[:count]]
    return Result(
        "vicl",
        *(way.batch, way.dtype, way.region, way.compiled),
        *(0.0, 0.0, 0.0, 0.0),
        float(same[holes[:count]].float().mean()),
        int((clear & ~same).sum()),
        255 * float(difference.mean()),
        255 * float(difference.max()),
    )


def quick(model: MAEVQGAN, way: Way, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """What `inpaint` does of a batch, keeping the logits for comparison."""
    image, hole = image[: way.batch], hole[: way.batch]
    model.decode_region = way.region
    logits = model.token_logits(image, hole)
    return logits, model.decode(logits.argmax(dim=-1), image, hole)


def ways(given: argparse.Namespace) -> Iterator[Way]:
    """What to measure."""
    for compiled in (False, True)[: 1 + given.compile]:
        for dtype in sorted(given.dtypes, reverse=True):
            for batch in given.batches:
                for region in ("full", "answer"):
                    yield Way(batch, dtype, region, compiled)


def prepare(model: MAEVQGAN, dtype: torch.dtype, *, compiled: bool) -> None:
    """Cast the model, and compile its parts."""
    if dtype != torch.float32:
        fill(model, dtype)
    if compiled:
        for part in (model.encoder, model.decoder, model.tokenizer.decoder):
            part.compile()


def single(image: Tensor, hole: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one."""
    for row in range(len(image)):
        yield image[row : row + 1], hole[row : row + 1]


def timed(run: Callable[[], object]) -> float:
    """Seconds of a run."""
    synchronise()
    start = time.perf_counter()
    run()
    synchronise()
    return time.perf_counter() - start


@contextmanager
def published_kernels() -> Iterator[None]:
    """Attention, activations and enlargements written out as the published code has them."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        mixed: Tensor = weights @ v
        return mixed

    def enlarge(x: Tensor, conv: torch.nn.Conv2d) -> Tensor:
        out: Tensor = conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out

    with (
        mock.patch.object(F, "scaled_dot_product_attention", attention),
        mock.patch.object(vqgan, "_enlarge", enlarge),
        mock.patch.object(vqgan, "swish", lambda x: x * torch.sigmoid(x)),
    ):
        yield


def published(model: MAEVQGAN, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """The published procedure: all logits, all tokens decoded, pasted into the hole."""
    logits = model.token_logits(image, hole)
    tokens = logits.argmax(dim=-1).view(-1, *model.config.grid)
    tokenizer = model.tokenizer
    z = F.embedding(tokens, tokenizer.codebook).permute(0, 3, 1, 2).contiguous()
    drawn = (tokenizer.decoder(tokenizer.from_code(z)).clamp(-1, 1) + 1) / 2
    return logits, paste(drawn, image, hole)


def prompts(count: int) -> tuple[Tensor, Tensor]:
    """Canvases of the published 2x2 from the package's photographs, and their holes."""
    photos = [to_tensor(path) for path in sorted(PHOTOS.glob("*.jpg"))]
    canvases = [
        Layout.paper(1).compose(
            Prompt([(photos[i % len(photos)], 1 - photos[i % len(photos)])], photos[-1 - i])
        )
        for i in range(min(count, len(photos)))
    ]
    return torch.stack([c.image for c in canvases]), torch.stack([c.hole for c in canvases])


def formula_model(config: MAEVQGANConfig) -> MAEVQGAN:
    """A model whose weights follow from their published names."""
    with torch.device("meta"):
        model = MAEVQGAN(config)
    fill(model, torch.float32)
    return model.eval()


def fill(model: MAEVQGAN, dtype: torch.dtype) -> None:
    """Give a model the formula's weights, where its own are."""
    where = model.positions.device
    state = {
        name: formula(published_key(name), tuple(value.shape)).to(where, dtype)
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(state, assign=True)
    model.positions, model.decoder_positions = (
        table.to(dtype) for table in (model.positions, model.decoder_positions)
    )


def formula(key: str, shape: tuple[int, ...]) -> Tensor:
    """The weight of a published name, by the formula of the reference numbers."""
    seed = zlib.crc32(f"public-{key}".encode())
    x = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape, dtype=np.float32)
    if "norm" in key and key.endswith("weight"):
        x = 1 + 0.1 * x
    elif key.endswith("bias") or len(shape) < 2:
        x = 0.02 * x
    elif not key.endswith("embedding.weight"):
        x = x * ((2 if "qkv" in key else 1) / np.sqrt(np.prod(shape[1:])))
    return torch.from_numpy(x.astype(np.float32))


def table(results: list[Result], size: str, where: str) -> Table:
    """The results as a table."""
    drawn = Table(title=f"MAE-VQGAN {size} on {where}, torch {torch.__version__}")
    for name in ("path", "batch", "dtype", "decodes", "compiled"):
        drawn.add_column(name)
    for name in ("prompts/s", "x [least, most]", "equal", "wrong > 0.1", "mean", "max"):
        drawn.add_column(name, justify="right")
    for r in results:
        drawn.add_row(
            r.name,
            str(r.batch),
            r.dtype,
            r.region,
            "yes" if r.compiled else "no",
            f"{r.prompts_per_second:.3f}",
            f"{r.ratio:.2f} [{r.least:.2f}, {r.most:.2f}]",
            f"{r.equal_tokens:.1%}",
            str(r.wrong_beyond_margin),
            f"{r.pixels_mean:.2f}",
            f"{r.pixels_max:.1f}",
        )
    return drawn


if __name__ == "__main__":
    sys.exit(main())
