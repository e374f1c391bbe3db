"""What is learned beside a frozen network, by method, data and shots: a table, made bit by bit.

Each cell is one `vicl tune`: its accuracy on the test images with the 95% interval, the numbers
that were learned, and the seconds of training. Cells are added to a JSON file as they are done,
those that it has already are left out, one that was stopped goes on from its last checkpoint, and
the table of all is printed at the end. Each run's folder, with its pictures, stays (`--runs`):

    python benchmarks/learned_prompts.py --methods linear --data digits,squares --shots 4,16,all
    python benchmarks/learned_prompts.py --methods reprogram --data squares --shots all \
        --set image=36 --set epochs=30 --random

Of random weights (`--random`) each layer is scaled so that its output has unit variance on some of
the images, as batch normalisation would at the beginning: else deep ones would say nothing at all.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

import learned_data
from vicl.files import write_atomic
from vicl.metrics import Interval
from vicl.prompts.backbones.backbone import Backbone
from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.methods import METHODS
from vicl.prompts.reading import bring
from vicl.tuning.data import open_data
from vicl.tuning.reading import open_rgb
from vicl.tuning.settings import read_budget
from vicl.tuning.tune import tune

_IMAGES: Final = 32
"""That random weights are scaled by."""

_KEY: Final = (
    *("method", "data", "shots", "backbone", "random", "set", "search", "seed", "base_to_new"),
)


def randomised(backbone: Backbone, images: Tensor, seed: int = 0) -> Backbone:
    """Give a network random weights, each layer of it scaled to an output of unit variance.

    Args:
        backbone: Changed in place.
        images: RGB in [0, 1] at its side, (b, 3, s, s), that it is scaled by.
        seed: Of the weights.
    """
    generator = torch.Generator().manual_seed(seed)

    def scaled(layer: Any, _: Any, output: Tensor) -> Tensor:
        deviation = output.std().clamp(min=1e-6)
        layer.weight.data /= deviation
        return output / deviation

    hooks = []
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            drawn = torch.randn(module.weight.shape, generator=generator)
            module.weight.data.copy_(drawn)
            if module.bias is not None:
                module.bias.data.zero_()
            hooks.append(module.register_forward_hook(scaled))
    with torch.no_grad():
        pixels = backbone.normalise(images.to(backbone.mean.device))
        if backbone.labels:
            backbone.source_logits(pixels)
        else:
            backbone.features(pixels)
    for hook in hooks:
        hook.remove()
    backbone.source, backbone.weights_hash = f"{backbone.source} with random weights", None
    return backbone


def measure(cell: dict[str, Any], data: Path, device: Any, runs: Path) -> dict[str, Any]:
    """Tune once, or go on with a run that was stopped; gives the cell with what came of it."""
    shots = None if cell["shots"] == "all" else int(cell["shots"])
    backbone = load_backbone(cell["backbone"], device=device)
    if cell["random"]:
        some = open_data(data, seed=cell["seed"]).train[:_IMAGES]
        pixels = [bring(open_rgb(item), backbone.reading) for item in some]
        randomised(backbone, torch.stack(pixels).float() / 255, cell["seed"])
    begun = time.perf_counter()
    name = zlib.crc32(json.dumps(cell, sort_keys=True).encode())
    output = runs / f"{cell['data']}-{cell['method']}-{name:08x}"
    tuned = tune(
        cell["method"],
        output,
        backbone=backbone,
        data=data,
        overrides=cell["set"],
        shots=shots,
        seed=cell["seed"],
        resume=output.exists(),
        budget=None if cell["search"] is None else read_budget(cell["search"]),
        base_to_new=cell["base_to_new"],
    )
    val, new, both = tuned.fitted.val, tuned.new, tuned.base_to_new
    return cell | {
        "accuracy": _plain(tuned.accuracy),
        "new_classes": None if new is None else _plain(new.accuracy),
        "harmonic_mean": None if both is None else round(both.harmonic, 4),
        "validation": None if val is None else round(val.figures["accuracy"], 4),
        "images": tuned.accuracy.n,
        "learned": tuned.fitted.learned,
        "epochs": round(tuned.fitted.epochs, 1),
        "lr": tuned.settings.lr,
        "weight_decay": tuned.settings.weight_decay,
        "trials": len(tuned.trials),
        "seconds": round(tuned.fitted.seconds, 1),
        "seconds_in_all": round(time.perf_counter() - begun, 1),
        "folder": str(output),
    }


def _plain(found: Interval) -> list[float]:
    return [round(value, 4) for value in (found.mean, found.low, found.high)]


def table(cells: Sequence[dict[str, Any]]) -> str:
    """All cells as one table of Markdown."""
    lines = [
        "| data | shots | method | backbone | accuracy [95%] | new classes | learned | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in sorted(cells, key=lambda c: (c["data"], c["method"], c["random"], str(c["shots"]))):
        words = [one["method"], *one["set"], *([] if one["search"] is None else ["searched"])]
        net = f"{one['backbone']}{' (random)' if one['random'] else ''}"
        lines.append(
            f"| {one['data']} | {one['shots']} | {' '.join(words)} | {net} | "
            f"{_told(one['accuracy'])} | {_told(one['new_classes'])} | {one['learned']:,} | "
            f"{one['seconds']:.0f} |"
        )
    return "\n".join(lines)


def _told(found: Sequence[float] | None) -> str:
    if found is None:
        return ""
    mean, low, high = found
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def _read(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_text("utf-8")) if file.exists() else []
    return found


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def main() -> None:
    """Run the cells that are asked for and not there yet; print all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    known = ",".join(one.name for one in METHODS)
    parser.add_argument("--methods", type=_words, default=["linear"], help=f"of {known}")
    parser.add_argument("--data", type=_words, default=["digits"], help="of digits,squares,...")
    parser.add_argument("--folder", type=Path, help="another folder of images, as for vicl tune")
    parser.add_argument("--shots", type=_words, default=["all"], help="such as 1,4,16,all")
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--random", action="store_true", help="with random weights")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--search", help="runs, or a time such as 10m")
    parser.add_argument("--base-to-new", action="store_true", help="as for vicl tune")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, default=Path("out/learned-data"))
    parser.add_argument("--runs", type=Path, default=Path("out/learned-prompts"))
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--json", type=Path, default=Path("out/learned-prompts.json"))
    given = parser.parse_args()
    sets = [given.folder.name] if given.folder else given.data
    for name in given.methods:
        if name not in known.split(","):
            parser.error(f"--methods: got {name!r}, expected some of {known}")
    for name in [] if given.folder else sets:
        if name not in learned_data.SETS:
            parser.error(f"--data: got {name!r}, expected some of {', '.join(learned_data.SETS)}")
    for data in sets:
        place = given.folder or learned_data.write(data, given.work, given.shared)
        for method in given.methods:
            for shots in given.shots:
                values = (method, data, shots, given.backbone, given.random, given.set)
                more = (given.search, given.seed, given.base_to_new)
                cell = dict(zip(_KEY, (*values, *more), strict=True))
                if any(all(c[k] == cell[k] for k in _KEY) for c in _read(given.json)):
                    continue
                done = measure(cell, place, given.device, given.runs)
                text = json.dumps([*_read(given.json), done], indent=1) + "\n"
                write_atomic(given.json, text.encode())
    print(table(_read(given.json)))


if __name__ == "__main__":
    main()
