"""How good is a learned engine, beside the floors and the others?  Which is for which task?

    python benchmarks/default_model.py --model runs/mae-vqgan-default-cpu/model --out out/default

measures, on the CPU and with bootstrap 95% intervals:

- synthetic: the paper's six tasks, two examples, by color-aware IoU;
- rules: PSNR gained over the better floor by rules, and on content, that training shows or never
  shows: the mean over rules, as `vicl evaluate rules` has it;
- segmentation, detection, edges (half as many episodes), colorization: on the photographs of
  --data, a folder with a manifest, without the sources that it marks with "use": "train";
- tokenizer: how near photographs and masks come back from the engine's tokenizer;
- speed: loading, one prompt, size on the disk;
- choice: which of the engine, `matching` and `analogies` is best for a task.  So that no photograph
  of the evaluation decides, this is asked on the sources that training has seen, for edges on the
  outlines of what was held out of them, and for images by the seen rules of the part "rules".
  Another engine than `analogies` is chosen only where the interval of the paired difference to it
  is above 0; of two, the better.

Writes results.json, results.md (tables for a model card), best_for_task.json (which engine
`vicl.predict(model=None)` should take) and sheets/.  Pictures of --data are in private-* alone;
these must not be committed.  A part that is done is not measured again (--again does), and one that
was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

import vicl
from default_model_report import (
    PHOTOGRAPHS,
    Part,
    Row,
    best_for_task,
    drawn,
    markdown,
    sections,
    sources_of,
    statistic_of,
)
from held_out_outlines import held_out_outlines
from reconstruction import reconstruction_iou, reconstruction_psnr
from vicl.engine import Inpainter
from vicl.evaluation.datasets import ItemDataset, open_dataset
from vicl.evaluation.datasets.generated.rules import SETS, RuleEpisodes
from vicl.evaluation.datasets.generated.shapes import CHANGES, ShapesStudy
from vicl.evaluation.datasets.manifests import NAME, read_manifest
from vicl.evaluation.episodes import Dataset, DatasetError, Episode
from vicl.evaluation.reporting.gallery import RANKS
from vicl.evaluation.reporting.report import write_report
from vicl.evaluation.running.engines import as_engine, load_models, with_floors
from vicl.evaluation.running.results import EvaluationError, Results
from vicl.evaluation.running.runner import evaluate
from vicl.evaluation.running.summary import (
    difference,
)
from vicl.evaluation.scoring.measures import Metric
from vicl.evaluation.scoring.scorers import MEASURES, scorer_for
from vicl.figures.synthetic.rules import RULES
from vicl.files import hash_file, write_atomic
from vicl.files.machine import processor
from vicl.loading import load_model
from vicl.metrics import Interval, Statistic, bootstrap_statistic
from vicl.models.floors import Copy, Identity
from vicl.models.vqgan import VQGAN
from vicl.published.download import downloaded
from vicl.tasks import TaskName
from vicl.training.recipe.data import RecipeError

NEED_DATA = {*PHOTOGRAPHS, "tokenizer", "choice"}
SHOWN = ("synthetic", "rules", "segmentation", "colorization")
"""Parts of which there are contact sheets."""
SETS_MEAN = {
    "seen": "rules that training shows, on new content",
    "unseen": "rules that it never shows",
    "content": "content that it never shows",
}
BELOW_GRAY = Metric("below_gray", "share by which the chroma error is below the gray picture's")
RIVALS = ("analogies", "matching")
LOADS, PROMPTS, QUERY, THREADS = 5, 10, 256, 2


class Bench:
    """The engines, the data, and what was asked for."""

    def __init__(self, given: argparse.Namespace, console: Console) -> None:
        self.given, self.console, self.out = given, console, Path(given.out)
        self.manifest = Path(given.data) / NAME
        if NEED_DATA & set(given.only):
            read_manifest(given.data)  # says what is wrong before anything is computed
        self.models = load_models([*RIVALS, given.model], device="cpu")
        *_, (self.name, self.learned) = self.models.items()
        if self.learned.weights_hash is None:
            raise EvaluationError(f"--model: {given.model} has no weights; give a learned engine")

    def sources(self, *, trained: bool) -> list[str]:
        """The manifest's sources that training has seen, or the others."""
        rows = read_manifest(self.given.data)
        seen = {str(row["source"]) for row in rows if row.get("use") == "train"}
        return sorted(seen if trained else {str(row["source"]) for row in rows} - seen)

    def photographs(self, task: TaskName, *, trained: bool) -> ItemDataset:
        """The photographs of these sources."""
        if not (sources := self.sources(trained=trained)):
            what = "a source" if trained else "a source that is not"
            raise DatasetError(f'the manifest has not {what} marked with "use": "train"')
        return open_dataset(task, self.given.data, sources=sources)

    def ask(self, part: str, name: str, dataset: ItemDataset) -> Results:
        """Have all engines answer about photographs: as many as asked for, or as there are."""
        count = self.given.episodes
        count = (count + 1) // 2 if dataset.task == "edges" else count
        if dataset.drawing == "queries":
            count = min(count, len(dataset.queries))
        return self.answer(part, name, dataset, dataset.episodes(count, seed=self.given.seed))

    def answer(
        self, part: str, name: str, dataset: Dataset, episodes: Sequence[Episode]
    ) -> Results:
        """Have all engines answer episodes, the learned one last; goes on where it was stopped."""
        self.console.print(f"{part}: {name}, {len(episodes)} episode(s)", style="dim")
        examples, stacked = len(episodes[0].examples), dataset.measures == "shapes"
        folder = self.out / "private-runs" / part / name
        engines = with_floors(
            {
                key: as_engine(model, dataset.task, examples=examples, stacked=stacked)
                for key, model in self.models.items()
            }
        )
        results = evaluate(
            engines,
            dataset,
            episodes,
            folder,
            scorer=scorer_for(dataset.measures),
            seed=self.given.seed,
            options={"examples": examples},
            resume=True,
            progress=True,
        )
        write_report(results, engines, dataset, folder)
        stem = f"private-{part}" if part in PHOTOGRAPHS else f"{part}-{name}"
        for rank in RANKS if part in SHOWN else ():
            if (sheet := folder / f"sheet-{rank}.png").is_file():
                write_atomic(self.out / "sheets" / f"{stem}-{rank}.png", sheet.read_bytes())
        return results

    def row(
        self,
        label: str,
        *runs: Results,
        metric: Metric | None = None,
        statistic: Callable[[str], Statistic] | None = None,
    ) -> Row:
        """Sum up runs by their headline, or by another metric or statistic of an engine."""
        metric = metric or runs[0].headline
        of = statistic or partial(statistic_of, runs, metric)
        n = sum(len(results.episodes) for results in runs)
        better = {}
        for name in (name for name in self.models if name != "analogies"):
            pair = [of(name), of("analogies")]
            over = difference(*(pair if metric.higher_is_better else reversed(pair)))
            better[name] = bootstrap_statistic(over, n)
        return Row(
            label,
            metric,
            n,
            {engine.name: bootstrap_statistic(of(engine.name), n) for engine in runs[0].engines},
            better,
            on=sources_of(runs),
        )

    def setting(self, part: str) -> dict[str, Any]:
        """What the results of a part depend on."""
        data = part in NEED_DATA and self.manifest.is_file()
        return {
            "model": self.name,
            "weights": self.learned.weights_hash,
            "episodes": self.given.episodes,
            "seed": self.given.seed,
            "manifest": hash_file(self.manifest) if data else None,
            "vicl": vicl.__version__,
        }


def synthetic(bench: Bench) -> Part:
    """The paper's six tasks, and the mean of the six."""
    runs = []
    for study in map(ShapesStudy, CHANGES):
        drawn = study.episodes(bench.given.episodes, seed=bench.given.seed)
        runs.append(bench.answer("synthetic", study.change, study, drawn))
    rows = [bench.row(change, results) for change, results in zip(CHANGES, runs, strict=True)]
    return Part([*rows, bench.row("mean of six", *runs)], runs=[run.to_json() for run in runs])


def rules(bench: Bench) -> Part:
    """Rules and content that training shows, and that it never shows."""
    runs = {}
    for dataset in map(RuleEpisodes, SETS):
        drawn = dataset.episodes(bench.given.episodes, seed=bench.given.seed)
        runs[dataset.part] = bench.answer("rules", dataset.part, dataset, drawn)
    rows = [bench.row(SETS_MEAN[part], results) for part, results in runs.items()]
    return Part(rows, runs=[results.to_json() for results in runs.values()])


def photographs(task: TaskName, bench: Bench) -> Part:
    """Photographs of the sources that training has not seen."""
    try:
        dataset = bench.photographs(task, trained=False)
    except DatasetError as error:
        return Part(notes=[f"{task}: not measured: {error}"])
    results = bench.ask(task, task, dataset)
    rows = [bench.row(task, results), *by_group(results)]
    if task == "colorization":
        of = partial(statistic_of, [results], results.headline)

        def below_gray(engine: str) -> Statistic:
            own, gray = of(engine), of("identity")  # the query is the gray picture
            return lambda draws: 1 - own(draws) / gray(draws)

        rows.append(bench.row(task, results, metric=BELOW_GRAY, statistic=below_gray))
    left_out = ", ".join(bench.sources(trained=True)) or "none"
    failed = f"; {len(results.failures)} failed" if results.failures else ""
    note = f"{task}: queries from {rows[0].on}{failed}; sources left out, as trained on: {left_out}"
    return Part(rows, notes=[note], runs=[results.to_json()])


def by_group(results: Results) -> Iterator[Row]:
    """The headline of each source, and of near twins (frames of one video) and others."""
    found: dict[str, dict[str, Interval]] = {}
    for engine in results.engines:
        for group in engine.groups:
            if group.kind in ("source", "pair"):
                found.setdefault(group.label, {})[engine.name] = group.interval
    for label, engines in found.items():
        yield Row(f"- {label}", results.headline, engines["copy"].n, engines)


def tokenizer(bench: Bench) -> Part:
    """What the engine's tokenizer makes of photographs and masks that training has not seen."""
    learned, given, part = bench.learned, bench.given, Part()
    model = getattr(learned, "tokenizer", None)
    if not (isinstance(learned, Inpainter) and isinstance(model, VQGAN)):
        return Part(notes=[f"tokenizer: {learned.name} has none"])
    psnr, share = MEASURES["image"][0][0], MEASURES["segmentation"][0][1]
    ways: tuple[tuple[str, TaskName, Metric, Callable[..., Interval]], ...] = (
        ("photographs", "colorization", psnr, reconstruction_psnr),
        ("masks", "segmentation", share, reconstruction_iou),
    )
    for label, task, metric, measure in ways:
        bench.console.print(f"tokenizer: {label}", style="dim")
        try:
            dataset = bench.photographs(task, trained=False)
            found = measure(
                model, dataset, learned.canvas_size, count=given.episodes, seed=given.seed
            )
        except DatasetError as error:
            part.notes.append(f"tokenizer, {label}: not measured: {error}")
            continue
        on = ", ".join(sorted({item.source for item in dataset.queries}))
        part.rows.append(Row(label, metric, found.n, {"tokenizer": found}, on=on))
    return part


def speed(bench: Bench) -> Part:
    """Seconds of loading and of a prompt, and what is on the disk."""
    source, threads = bench.given.model, torch.get_num_threads()
    places = (downloaded(source), Path(source))
    place = next((path for path in places if path is not None and path.exists()), None)
    loading = [seconds(partial(load_model, source, device="cpu")) for _ in range(LOADS)]
    facts = {f"loading, s (best of {LOADS})": min(loading)}
    if place is not None:
        files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
        facts["on the disk, MiB"] = sum(file.stat().st_size for file in files) / 2**20
    # Each prompt has an example of its own, and the first one warms up.
    shown = RuleEpisodes("seen", QUERY)
    prompts = [shown.load(one).prompt for one in shown.episodes(PROMPTS + 1, seed=bench.given.seed)]
    torch.set_num_threads(THREADS)
    try:
        for model in (Copy(), Identity(), *bench.models.values()):
            answer = as_engine(model, "image").answer
            took = [seconds(partial(answer, [prompt])) for prompt in prompts][1:]
            name = f"a prompt of {QUERY} px by {model.name}, s (median of {PROMPTS})"
            facts[name] = statistics.median(took)
        machine = processor(torch.device("cpu"))
    finally:
        torch.set_num_threads(threads)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Part(facts=facts, notes=[f"speed: {machine}; {cores} core(s) to run on"])


def seconds(do: Callable[[], object]) -> float:
    """How long something takes."""
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


def choice(bench: Bench) -> Part:
    """Tasks on sources that training has seen; edges on outlines of what it held out of them."""
    part = Part()
    for task in PHOTOGRAPHS:
        try:
            dataset = (
                held_out_outlines(bench.given.data, bench.out)
                if task == "edges"
                else bench.photographs(task, trained=True)
            )
            part.rows.append(bench.row(task, bench.ask("choice", task, dataset)))
        except (DatasetError, RecipeError) as error:
            part.notes.append(f"choice, {task}: not measured: {error}")
    seen, wanted = RuleEpisodes("seen"), bench.given.episodes
    lines = [n for n in seen.rules if RULES[n].group == "lines" and RULES[n].measure == "f"]
    count = -(-wanted // len(lines)) * len(seen.rules)  # in each round every rule comes once
    drawn = [e for e in seen.episodes(count, seed=bench.given.seed) if e.class_name in lines]
    results = bench.answer("choice", "lines", seen, drawn[:wanted])
    score = next(metric for metric in MEASURES["rules"][0] if metric.name == "f")
    row = bench.row("lines of rules", results, metric=score)
    part.rows.append(replace(row, on=f"{row.on}: {', '.join(sorted(lines))}"))
    return part


MEASURE: dict[str, Callable[[Bench], Part]] = {
    "synthetic": synthetic,
    "rules": rules,
    **{task: partial(photographs, task) for task in PHOTOGRAPHS},
    "tokenizer": tokenizer,
    "speed": speed,
    "choice": choice,
}


def kept(bench: Bench, name: str) -> Part | None:
    """A part that was measured before; None if there is none."""
    path = bench.out / "parts" / f"{name}.json"
    if not path.is_file():
        return None
    try:
        part = TypeAdapter(Part).validate_json(path.read_bytes())
    except ValidationError as error:
        raise EvaluationError(f"{path}: is damaged; measure it anew with --again") from error
    now, before = bench.setting(name), part.setting
    if other := [f"{k} (was {before.get(k)}, is {now[k]})" for k in now if before.get(k) != now[k]]:
        raise EvaluationError(
            f"{path}: was measured with another {', '.join(other)}; measure it anew with --again, "
            "or choose another --out"
        )
    return part


def measured(bench: Bench, name: str) -> Part:
    """Measure a part, and keep it."""
    begun, path = time.perf_counter(), bench.out / "parts" / f"{name}.json"
    if bench.given.again:
        path.unlink(missing_ok=True)
        shutil.rmtree(bench.out / "private-runs" / name, ignore_errors=True)
    part = replace(MEASURE[name](bench), setting=bench.setting(name))
    write_atomic(path, json.dumps(asdict(part), indent=1).encode())
    bench.console.print(f"{name}: {time.perf_counter() - begun:.0f} s", style="dim")
    return part


def report(bench: Bench, parts: Mapping[str, Part]) -> None:
    """Write and print everything that there is."""
    given, console = bench.given, bench.console
    best = None
    if {"rules", "choice"} <= parts.keys():
        seen = parts["rules"].rows[SETS.index("seen")]
        best = best_for_task(parts["choice"], seen, list(bench.models), bench.name)
    found = {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": {"vicl": vicl.__version__, "torch": torch.__version__},
        "python": platform.python_version(),
        "machine": processor(torch.device("cpu")),
        "parts": {name: asdict(part) for name, part in parts.items()},
        "best_for_task": best,
    }
    write_atomic(bench.out / "results.json", json.dumps(found, indent=1).encode())
    notes = [note for part in parts.values() for note in part.notes]
    if best is not None:
        write_atomic(bench.out / "best_for_task.json", (json.dumps(best, indent=1) + "\n").encode())
        notes.append(
            "chosen: " + ", ".join(f"{task} {one['engine']}" for task, one in best.items())
        )
    head = (
        f"Measured by `benchmarks/default_model.py --model {given.model} --episodes "
        f"{given.episodes} --seed {given.seed}`; means with bootstrap 95% intervals. Weights: "
        f"SHA-256 {bench.learned.weights_hash}."
    )
    engines = ["copy", "identity", *bench.models]
    tables = list(sections(engines, parts))
    write_atomic(bench.out / "results.md", markdown(head, tables, notes).encode())
    for one in tables:
        console.print(drawn(one), markup=False)
    for note in notes:
        console.print(note, markup=False)


def main() -> int:
    """Measure what is not there yet, and report all that is; 0, or 2 if something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="name, folder or checkpoint")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--episodes", type=int, default=100, help="of each set, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/default"))
    parser.add_argument("--only", default=",".join(MEASURE), help="parts, with commas between")
    parser.add_argument("--again", action="store_true", help="measure these parts anew")
    given = parser.parse_args()
    given.only = given.only.split(",")
    if unknown := [name for name in given.only if name not in MEASURE]:
        parser.error(f"--only: got {', '.join(unknown)}, expected some of {', '.join(MEASURE)}")
    if given.episodes < 1 or given.seed < 0:
        parser.error("--episodes, --seed: expected at least 1, and no negative seed")
    console = Console(width=max(Console().width, 160), highlight=False)
    try:
        bench = Bench(given, console)
        anew = given.only if given.again else []
        found = {name: kept(bench, name) for name in MEASURE if name not in anew}
        for name in (name for name in MEASURE if name in given.only):
            found[name] = found.get(name) or measured(bench, name)
        report(bench, {name: part for name in MEASURE if (part := found.get(name)) is not None})
    except (ValueError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"default_model.py: {error}", markup=False)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
