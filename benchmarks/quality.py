"""What the engines' answers are worth on real photographs, beside the floors.

    python benchmarks/quality.py --data ../shared/data --out build/quality

prints one table: per set of episodes and engine the mean and its bootstrap 95% interval, the
paired interval of the last engine minus the first, seconds per query and peak memory.  With --out
it also writes `results.json` (all of it, and every episode's score), `episodes.jsonl` (which
examples and queries were used) and contact sheets of the best, median and worst answers.

Segmentation is scored by intersection over union, at the published cell (both masks bicubic to
111 px and cut at one half) and at the query's own size; edges by the Berkeley benchmark's F at
one threshold for all images (ODS) and at each image's own (OIS).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

import vicl
from vicl.engine import InContextModel
from vicl.evaluation.episodes import (
    DatasetError,
    Episode,
    edge_episodes,
    plants_episodes,
    segmentation_episodes,
    to_cell,
    write_listing,
)
from vicl.images import resize, save_image, to_tensor, write_atomic
from vicl.metrics import (
    EdgeCounts,
    Interval,
    bootstrap_statistic,
    edge_counts,
    image_f,
    iou,
    resampled_f,
)
from vicl.sheets import contact_sheet

Statistic = Callable[[np.ndarray], np.ndarray]
"""From indices of episodes, one row a resample, to one number a row."""

PROBED = 3
"""Episodes of each set that the measurement of memory answers."""
THUMBNAIL = 160


@dataclass(frozen=True, eq=False)
class Scored:
    """One engine's answer to one episode: its scores, and a small picture of it.

    `counts` is of edges only; `scores` maps a metric's name to a value in [0, 1].
    """

    seconds: float
    scores: dict[str, float]
    thumbnail: Tensor
    counts: EdgeCounts | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """A set of episodes, or some of a set, as one line of the table."""

    title: str
    kind: str
    chosen: Callable[[Episode], bool] = lambda episode: True


@dataclass(frozen=True)
class Line:
    """One line of the table: a metric over a part, per engine, and last engine minus first."""

    part: str
    metric: str
    n: int
    engines: dict[str, Interval]
    difference: Interval


PARTS = (
    Part("segmentation, all sources", "segmentation"),
    Part("- without DAVIS", "segmentation", lambda e: e.extra["source"] != "davis"),
    Part("- DAVIS", "segmentation", lambda e: e.extra["source"] == "davis"),
    Part("DAVIS alone", "davis"),
    Part("- within a sequence", "davis", lambda e: e.extra["pair"] == "within sequence"),
    Part("- across sequences", "davis", lambda e: e.extra["pair"] == "across sequences"),
    Part("plants against soil (cwfid)", "plants"),
    Part("edges (BSDS val)", "edges"),
)


def main() -> int:
    """Run the benchmark; 0, or 2 if the data or an engine is not there."""
    options = _options()
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        sets = _draw(options)
        names = options.engines.split(",")
        if options.probe:
            sys.stdout.write(json.dumps(_probe(options.probe, sets, options.seed)) + "\n")
            return 0
        engines = {name: _engine(name) for name in names}
    except (DatasetError, ValueError) as error:
        errors.print(f"quality.py: {error}", markup=False)
        return 2
    memory = {name: _peak_memory(name, options) for name in names}
    began = time.perf_counter()
    scored: dict[str, list[dict[str, Scored]]] = {}
    for kind, episodes in sets.items():
        answers = []
        for done, entry in enumerate(_answer_all(episodes, engines, options.seed), start=1):
            answers.append(entry)
            if done % 20 == 0 or done == len(episodes):
                spent = time.perf_counter() - began
                errors.print(f"{kind}: {done}/{len(episodes)}, {spent:.0f} s so far")
        scored[kind] = answers
    lines = [line for part in PARTS for line in _lines(part, sets, scored)]
    seconds = {
        name: {
            kind: statistics.median(entry[name].seconds for entry in entries)
            for kind, entries in scored.items()
            if entries
        }
        for name in names
    }
    wall = time.perf_counter() - began
    _print(lines, seconds, memory)
    if options.out is not None:
        _write(options, sets, scored, lines, {"seconds": seconds, "memory": memory, "wall": wall})
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="dataset folder")
    parser.add_argument("--episodes", type=int, default=200, help="segmentation episodes")
    parser.add_argument("--davis", type=int, default=100, help="further episodes of DAVIS alone")
    parser.add_argument("--edges", type=int, default=50, help="edge images")
    parser.add_argument("--no-plants", action="store_true", help="leave out cwfid")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engines", default="copy,identity,analogies", help="first: the floor")
    parser.add_argument("--out", type=Path, help="folder for results.json and contact sheets")
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    return parser.parse_args()


def _draw(options: argparse.Namespace) -> dict[str, list[Episode]]:
    root, seed = options.data, options.seed
    return {
        "segmentation": segmentation_episodes(root, count=options.episodes, seed=seed),
        "davis": segmentation_episodes(root, count=options.davis, seed=seed, sources=("davis",)),
        "plants": [] if options.no_plants else plants_episodes(root, seed=seed),
        "edges": edge_episodes(root, count=options.edges, seed=seed),
    }


def _engine(name: str) -> InContextModel:
    engine = vicl.load_model(name)
    if not isinstance(engine, InContextModel):
        raise ValueError(f"{name}: got an inpainter, expected an engine that answers prompts")
    return engine


def _answer_all(
    episodes: Sequence[Episode], engines: dict[str, InContextModel], seed: int
) -> Iterator[dict[str, Scored]]:
    """Load each episode once, and have every engine answer it."""
    for episode in episodes:
        prompt, truth = episode.load()
        entry = {}
        for name, engine in engines.items():
            start = time.perf_counter()
            image = engine.answer([prompt], seed=seed)[0].image
            entry[name] = _score(image, truth, time.perf_counter() - start)
        yield entry


def _score(image: Tensor, truth: Bool[np.ndarray, "*annotators h w"], seconds: float) -> Scored:
    scale = THUMBNAIL / max(image.shape[-2:])
    small = resize(image, (round(image.shape[-2] * scale), round(image.shape[-1] * scale)))
    thumbnail = (small * 255).round().to(torch.uint8)
    brightness = image.mean(dim=0).numpy()
    if truth.ndim == 3:
        counts = edge_counts(brightness, truth)
        return Scored(seconds, {"F": image_f(counts)}, thumbnail, counts)
    mask = brightness > 0.5
    scores = {"IoU@111": iou(to_cell(mask), to_cell(truth)), "IoU": iou(mask, truth)}
    return Scored(seconds, scores, thumbnail)


def _lines(
    part: Part, sets: dict[str, list[Episode]], scored: dict[str, list[dict[str, Scored]]]
) -> Iterator[Line]:
    entries = [
        entry
        for episode, entry in zip(sets[part.kind], scored[part.kind], strict=True)
        if part.chosen(episode)
    ]
    if not entries:
        return
    n, names = len(entries), list(entries[0])
    statistics_of = _edge_statistics if part.kind == "edges" else _mask_statistics
    for metric, of in statistics_of(entries).items():
        first, last = of[names[0]], of[names[-1]]
        yield Line(
            part.title,
            metric,
            n,
            {name: bootstrap_statistic(of[name], n) for name in names},
            bootstrap_statistic(_minus(last, first), n),
        )


def _mask_statistics(entries: list[dict[str, Scored]]) -> dict[str, dict[str, Statistic]]:
    return {
        metric: {
            name: _mean(np.array([entry[name].scores[metric] for entry in entries]))
            for name in entries[0]
        }
        for metric in ("IoU@111", "IoU")
    }


def _edge_statistics(entries: list[dict[str, Scored]]) -> dict[str, dict[str, Statistic]]:
    counts = {
        name: [found for entry in entries if (found := entry[name].counts) is not None]
        for name in entries[0]
    }
    return {
        "F (ODS)": {name: partial(resampled_f, found) for name, found in counts.items()},
        "F (OIS)": {
            name: partial(resampled_f, found, scale="ois") for name, found in counts.items()
        },
    }


def _mean(values: np.ndarray) -> Statistic:
    return lambda draws: values[draws].mean(axis=1)


def _minus(a: Statistic, b: Statistic) -> Statistic:
    return lambda draws: a(draws) - b(draws)


def _probe(name: str, sets: dict[str, list[Episode]], seed: int) -> dict[str, float]:
    """Answer a few episodes with one engine, in this process, and say what memory it took."""
    prompts = [episode.load()[0] for some in sets.values() for episode in some[:PROBED]]
    before = _peak_mib()
    engine = _engine(name)
    for prompt in prompts:
        engine.answer([prompt], seed=seed)
    return {"before_mib": before, "peak_mib": _peak_mib()}


def _peak_memory(name: str, options: argparse.Namespace) -> dict[str, float]:
    counts = ["--episodes", PROBED, "--davis", 1, "--edges", PROBED, "--seed", options.seed]
    command = [sys.executable, __file__, "--probe", name, "--data", options.data, *counts]
    run = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"measuring the memory of {name} failed:\n{run.stderr}")
    result: dict[str, float] = json.loads(run.stdout)
    return result


def _peak_mib() -> float:
    """Say the greatest resident size that this process has had, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike getrusage, this does not count what the parent had before exec
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def _print(
    lines: Sequence[Line],
    seconds: dict[str, dict[str, float]],
    memory: dict[str, dict[str, float]],
) -> None:
    names = list(seconds)
    console = Console(width=80 + 25 * len(names))  # whole figures, whatever the terminal
    table = Table(title="Mean and bootstrap 95% interval", title_justify="left")
    for heading in ("episodes", "metric"):
        table.add_column(heading, no_wrap=True)
    for heading in ("n", *names, f"{names[-1]} - {names[0]}"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        figures = [str(line.engines[name]) for name in names]
        table.add_row(line.part, line.metric, str(line.n), *figures, str(line.difference))
    console.print(table)
    cost = Table(
        title="Median time, and memory of a process with this engine alone",
        title_justify="left",
    )
    cost.add_column("engine")
    for kind in seconds[names[0]]:
        cost.add_column(f"{kind}, s/query", justify="right")
    cost.add_column("peak MiB", justify="right")
    cost.add_column("before the engine", justify="right")
    for name in names:
        peak = memory[name]
        figures = [f"{value:.3f}" for value in seconds[name].values()]
        cost.add_row(name, *figures, f"{peak['peak_mib']:.0f}", f"{peak['before_mib']:.0f}")
    console.print(cost)


def _write(
    options: argparse.Namespace,
    sets: dict[str, list[Episode]],
    scored: dict[str, list[dict[str, Scored]]],
    lines: Sequence[Line],
    cost: dict[str, Any],
) -> None:
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    manifest = (options.data / "manifest.jsonl").read_bytes()
    results = {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "seed": options.seed,
        "dataset_sha256": hashlib.sha256(manifest).hexdigest(),
        "versions": {
            name: version(name) for name in ("torch", "numpy", "scipy", "scikit-image", "pillow")
        }
        | {"vicl": vicl.__version__, "python": platform.python_version()},
        "machine": platform.machine(),
        "lines": [asdict(line) for line in lines],
        **cost,
        "scores": {
            kind: [
                {name: {**one.scores, "seconds": one.seconds} for name, one in entry.items()}
                for entry in entries
            ]
            for kind, entries in scored.items()
        },
    }
    write_atomic(out / "results.json", json.dumps(results, indent=1).encode())
    everything = [episode for episodes in sets.values() for episode in episodes]
    write_atomic(out / "episodes.jsonl", write_listing(everything).encode())
    for kind, entries in scored.items():
        if entries:
            save_image(_sheet(sets[kind], entries), out / f"sheet-{kind}.png")


def _sheet(
    episodes: Sequence[Episode], entries: Sequence[dict[str, Scored]], *, each: int = 3
) -> Image.Image:
    """Draw the best, median and worst answers of the last engine, beside the others'."""
    names = list(entries[0])
    metric = next(iter(entries[0][names[-1]].scores))
    order = sorted(range(len(entries)), key=lambda i: -entries[i][names[-1]].scores[metric])
    middle = max(0, (len(order) - each) // 2)
    chosen = {"best": order[:each], "median": order[middle : middle + each], "worst": order[-each:]}
    rows: list[list[Tensor]] = []
    labels, captions = [], []
    for rank, indices in chosen.items():
        for index in indices:
            episode, entry = episodes[index], entries[index]
            prompt, truth = episode.load()
            shown = torch.from_numpy(truth.reshape(-1, *truth.shape[-2:]).mean(axis=0)).float()
            example = prompt.examples[0]
            answers = [entry[name].thumbnail.float() / 255 for name in names]
            pictures = [example.input, example.output, prompt.query]
            rows.append([*map(to_tensor, pictures), shown.expand(3, -1, -1), *answers])
            labels.append(f"{rank}\n{episode.class_name or episode.task}\n{episode.index}")
            scores = [f"{metric} {entry[name].scores[metric]:.2f}" for name in names]
            captions.append([None] * 4 + scores)
    headers = ["example", "its output", "query", "truth", *names]
    return contact_sheet(rows, headers=headers, labels=labels, captions=captions, cell=THUMBNAIL)


if __name__ == "__main__":
    sys.exit(main())
