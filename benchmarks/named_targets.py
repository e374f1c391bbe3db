"""Does a model learn the same from targets that were named beforehand?

    python benchmarks/named_targets.py --data IMAGES --out out/named

A small MAE-VQGAN is trained by `vicl train`'s own code on shards of photographs: once as always
(crops drawn and their codes named at every step), and on crops and codes that `vicl figures
tokenize` stored, K of each image, for several K; each with several seeds, which stand for the
weights, the holes, the order and the crops.  A tenth of the images is held out, by their names.

Printed are the held-out loss at the end (cross-entropy in nats over the last quarter of the canvas;
mean over the seeds, least and most), the difference to that of the ordinary run of the same seed
with its bootstrap 95% interval, the mean distance between the two curves of held-out loss beside
that of two ordinary runs of different seeds, and processor seconds a step.  `curves.png` shows the
curves.  Finished runs are kept in --out: run again to go on, with more seeds or other --crops too;
what was made of other images, by another tokenizer or in other steps is refused.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
import tarfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from vicl.figures.settings import check_own, check_settings
from vicl.figures.shards import add_member
from vicl.files import FileError, hash_file, open_atomic, write_atomic
from vicl.images import find_images
from vicl.loading import load_tokenizer
from vicl.metrics import bootstrap_interval
from vicl.storage.folder import weights_hash
from vicl.training.data.sources import is_held_out
from vicl.training.data.tokenizing import tokenize
from vicl.training.recipe.files import check_recipe
from vicl.training.report import read_log
from vicl.training.train import train

SIDE, PATCH = 64, 8
HELD_OUT = 0.1
STEP_BY_STEP = "named at every step"
SETTINGS = "settings.json"
"""What the finished runs in --out follow from, beside their crops and seeds."""


def main() -> int:
    """Train what is not there yet, and print all that is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder of images")
    parser.add_argument("--tokenizer", default="default", help="with patches of 8 px")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000, help="images of the folder, at most")
    parser.add_argument("--crops", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=32)
    given = parser.parse_args()
    if not given.data.is_dir():
        parser.error(f"--data: there is no folder {given.data}")
    console = Console(width=max(Console().width, 120))
    try:
        check_kept(given)
    except FileError as error:
        parser.error(str(error))
    urls = {split: pack(split, given) for split in ("train", "held-out")}
    found: dict[str, list[dict[str, Any]]] = {}
    ways = {STEP_BY_STEP: None} | {f"{k} crops named beforehand": k for k in given.crops}
    for seed, (name, crops) in itertools.product(range(given.seeds), ways.items()):
        console.print(f"{name}, seed {seed}", style="dim")
        found.setdefault(name, []).append(run(crops, seed, urls, given))
    console.print(table(found))
    draw(found, given.out / "curves.png")
    return 0


def check_kept(given: argparse.Namespace) -> None:
    """See that what --out holds was made of the same; or write down of what it will be made.

    Raises:
        FileError: If it was not, or nobody knows.
    """
    images = hashlib.sha256()
    for _, file in chosen_files(given):
        images.update(f"{file.name} {hash_file(file)}\n".encode())
    made = {
        **{"images": images.hexdigest(), "steps": given.steps, "batch": given.batch},
        "tokenizer": weights_hash(load_tokenizer(given.tokenizer, device="cpu")),
    }
    kept = [path.name for path in given.out.glob("*") if path.name != SETTINGS]
    check_own(kept, given.out / SETTINGS)
    check_settings(made, given.out / SETTINGS)


def chosen_files(given: argparse.Namespace) -> list[tuple[int, Path]]:
    """The images that are used, numbered in the order that they are packed in."""
    files = find_images(given.data)
    chosen = np.random.default_rng(0).permutation(len(files))[: given.count]
    return [(number, files[index]) for number, index in enumerate(chosen)]


def pack(split: str, given: argparse.Namespace) -> str:
    """A shard of the images that are held out, or of the others."""
    path = given.out / f"{split}.tar"
    if not path.exists():
        with open_atomic(path) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
            for number, file in chosen_files(given):
                if is_held_out(file.name, HELD_OUT, None) == (split == "held-out"):
                    add_member(tar, f"{number:06d}{file.suffix.lower()}", file.read_bytes())
    return str(path)


def run(
    crops: int | None, seed: int, urls: dict[str, str], given: argparse.Namespace
) -> dict[str, Any]:
    """Train once, if that was not done yet; gives held-out losses by step, and the time."""
    folder = given.out / f"{crops or 'each-step'}-{seed}"
    result = folder / "result.json"
    if result.exists():
        return dict(json.loads(result.read_text()))
    source: dict[str, Any] = {"kind": "shards", "urls": urls["train"]}
    if crops is not None:
        source = tokenize(
            urls["train"],
            folder / "shards",
            given.tokenizer,
            crops=crops,
            canvas_size=(SIDE, SIDE),
            precision="fp32",
            seed=seed,
            device="cpu",
        ).source()
    begun = time.process_time()
    train(recipe(source, seed, urls["held-out"], given), folder / "run", device="cpu", resume=True)
    seconds = (time.process_time() - begun) / given.steps
    lines = read_log(folder / "run")
    losses = {line["step"]: line["held_out_loss"] for line in lines if "held_out_loss" in line}
    found = {"seconds": seconds, "held_out": losses}
    write_atomic(result, json.dumps(found).encode())
    return dict(json.loads(result.read_text()))


def recipe(source: dict[str, Any], seed: int, held_out: str, given: argparse.Namespace) -> Any:
    """What is trained."""
    return check_recipe(
        {
            "name": "named-targets",
            "seed": seed,
            "data": {
                "train": source,
                "held_out": {"sources": held_out, "count": 200},
                "workers": 0,
            },
            "model": {
                **{"kind": "mae-vqgan", "canvas_size": [SIDE, SIDE], "patch_size": PATCH},
                **{"embed_dim": 96, "depth": 4, "num_heads": 4},
                **{"decoder_embed_dim": 64, "decoder_depth": 2, "decoder_num_heads": 4},
                "tokenizer": given.tokenizer,
            },
            "masking": [{"kind": "patches", "ratio": 0.5}, {"kind": "answer"}],
            "batch": {"size": given.batch},
            "optimiser": {"lr": 1e-3, "scale_lr": False},
            "schedule": {"steps": given.steps, "warmup": 0.05},
            "precision": "fp32",
            "target_precision": "fp32",
            "evaluation": {"every": max(1, given.steps // 6), "rows": 1},
            "checkpoints": {"every": given.steps},
            "log": {"every": 20, "trackers": []},
        },
        "named-targets",
    )


def curve(one: dict[str, Any]) -> np.ndarray:
    """Held-out losses in the order of the steps."""
    return np.array([one["held_out"][step] for step in sorted(one["held_out"], key=int)])


def table(found: dict[str, list[dict[str, Any]]]) -> Table:
    """The ways of naming beside each other."""
    drawn = Table(title="held-out loss, nats")
    for heading in ("targets", "at the end", "less", "between curves", "processor s a step"):
        drawn.add_column(heading)
    plain = found[STEP_BY_STEP]
    for name, runs in found.items():
        last = [float(curve(one)[-1]) for one in runs]
        pairs = [(curve(one), curve(other)) for one, other in zip(runs, plain, strict=True)]
        less = ""
        if name == STEP_BY_STEP:
            pairs = [(curve(a), curve(b)) for a, b in itertools.combinations(plain, 2)]
        else:
            less = str(bootstrap_interval([float(a[-1] - b[-1]) for a, b in pairs]))
        apart = fmean(float(np.abs(a - b).mean()) for a, b in pairs) if pairs else float("nan")
        drawn.add_row(
            name,
            f"{fmean(last):.3f} ({min(last):.3f}-{max(last):.3f})",
            less,
            f"{apart:.4f}" + (" (of two seeds)" if name == STEP_BY_STEP else ""),
            f"{fmean(one['seconds'] for one in runs):.3f}",
        )
    return drawn


def draw(found: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """The curves: the mean over the seeds, and from the least to the most."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, runs in found.items():
        steps = sorted(map(int, runs[0]["held_out"]))
        curves = np.stack([curve(one) for one in runs])
        (line,) = axes.plot(steps, curves.mean(axis=0), label=name, marker="o", markersize=3)
        axes.fill_between(
            steps, curves.min(axis=0), curves.max(axis=0), color=line.get_color(), alpha=0.2
        )
    axes.set(xlabel="step", ylabel="held-out loss, nats")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
