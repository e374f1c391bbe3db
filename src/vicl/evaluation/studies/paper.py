"""The paper's table 1 on one's own machine: our rows beside the published ones.

What a data folder allows is run by the published protocol; what it does not is marked, with the
reason.

Source: Bar et al. 2022, arXiv:2209.00647, table 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vicl.engine import InContextModel, Inpainter
from vicl.evaluation.datasets import ItemDataset, open_dataset
from vicl.evaluation.episodes import DatasetError
from vicl.evaluation.reporting.report import write_report
from vicl.evaluation.running.engines import as_engine, device_of, with_floors
from vicl.evaluation.running.results import EvaluationError, Results, markdown_table
from vicl.evaluation.running.runner import evaluate
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.evaluation.studies.variants import Asking
from vicl.files import hash_file, write_atomic
from vicl.loading import load_model
from vicl.metrics import Interval
from vicl.metrics.perceptual import load_lpips

IMAGENET_FOLDERS = ("imagenet/val", "imagenet", "ILSVRC2012/val", "ILSVRC/Data/CLS-LOC/val")
"""Where ImageNet's validation photographs are looked for below the data folder."""


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        title: Above it.
        run: Which evaluation gives it; several columns may share one.
        metric: Its name in that evaluation.
        scale: What our number is multiplied by, so that it stands in the paper's unit.
    """

    title: str
    run: str
    metric: str
    scale: float = 1.0


COLUMNS: tuple[Column, ...] = (
    *(Column(f"fold {fold}", f"fold-{fold}", "iou_cell", scale=100.0) for fold in range(4)),
    Column("detection", "detection", "box_iou_cell", scale=100.0),
    Column("colour MSE", "colorization", "mse_imagenet"),
    Column("LPIPS", "colorization", "lpips"),
    # Not in the paper: there a gray answer can win, here it cannot.
    Column("chroma error", "colorization", "chroma_error"),
    Column("chroma recovered", "colorization", "chroma_recovered"),
)
"""The paper's columns and, for colorization, two that a gray answer cannot win."""

PUBLISHED: Mapping[str, tuple[float, ...]] = {
    "Copy": (12.92, 17.90, 13.52, 15.29, 13.50, 2.63, 0.75),
    "BEiT, ImageNet": (0.38, 0.93, 0.90, 0.95, 0.32, 1.25, 0.73),
    "VQGAN, ImageNet": (6.96, 10.55, 9.59, 9.43, 5.19, 2.44, 0.66),
    "MAE, ImageNet": (1.92, 6.76, 3.85, 4.57, 1.37, 1.13, 0.87),
    "MAE-VQGAN, ImageNet": (2.22, 7.07, 5.48, 6.28, 3.34, 3.31, 0.75),
    "BEiT, figures": (5.38, 3.94, 3.20, 3.29, 0.17, 0.60, 0.70),
    "VQGAN, figures": (12.56, 17.51, 14.27, 15.06, 2.27, 1.50, 0.56),
    "MAE, figures": (17.42, 25.70, 18.64, 16.53, 5.49, 0.43, 0.55),
    "MAE-VQGAN, figures": (27.83, 30.44, 26.15, 24.25, 24.19, 0.67, 0.40),
}
"""The paper's table 1, by its columns: mIoU in %, MSE in ImageNet's units, LPIPS."""


@dataclass(frozen=True, eq=False)
class PaperTable:
    """Our rows for the paper's table.

    Attributes:
        ours: By engine and column title, the value in the paper's unit with its interval.
        skipped: By column title, why it was not run.
        runs: What was run, by name.
    """

    ours: Mapping[str, Mapping[str, Interval]]
    skipped: Mapping[str, str]
    runs: Mapping[str, Results]

    def cells(self) -> list[list[str]]:
        """The table's rows as text: whose, then one cell a column."""
        columns = [column.title for column in COLUMNS]
        missing = [""] * (len(columns) - len(next(iter(PUBLISHED.values()))))
        rows = [
            [f"{name} (published)", *(f"{value:.2f}" for value in values), *missing]
            for name, values in PUBLISHED.items()
        ]
        for engine, values in self.ours.items():
            rows.append([engine, *(_cell(values.get(title)) for title in columns)])
        return rows

    def to_markdown(self) -> str:
        """For a document: the table, then what was not run and why."""
        table = markdown_table(["model", *(column.title for column in COLUMNS)], self.cells())
        lines = [
            "mIoU in %; brackets: bootstrap 95% intervals over episodes.\n",
            *(f"- {n}: {len(r.episodes)} episodes, seed {r.seed}" for n, r in self.runs.items()),
            *(f"- {title}: not run, {why}" for title, why in self.skipped.items()),
        ]
        return "\n".join([table, *lines, ""])

    def to_json(self) -> dict[str, Any]:
        """As plain values, in the paper's units."""
        return {
            "published": {name: list(values) for name, values in PUBLISHED.items()},
            "columns": [column.title for column in COLUMNS],
            "ours": {
                engine: {title: vars(interval) for title, interval in values.items()}
                for engine, values in self.ours.items()
            },
            "skipped": dict(self.skipped),
            "episodes": {name: len(run.episodes) for name, run in self.runs.items()},
        }


def run_paper(
    models: Mapping[str, Inpainter | InContextModel],
    root: Path,
    asking: Asking,
    *,
    lpips: Path | None = None,
) -> PaperTable:
    """Run every column of the paper's table 1 that a data folder allows.

    Args:
        models: What stands in our rows, by name; beside them the floors and Analogies do.
        root: Holds VOC 2012 (folds and detection) and ImageNet's validation photographs in one of
            :data:`IMAGENET_FOLDERS` (colorization); what is missing is left out.
        asking: How many episodes a column (1000 are published), and how they are answered; its
            folder gets the table, and a folder with pictures for each evaluation.
        lpips: File with weights for the column of that name; without it there is none (see
            :func:`vicl.metrics.perceptual.load_lpips`).

    Returns:
        The table; it is also written to the folder, as table.md and table.json.

    Raises:
        EvaluationError: If no column can be run, or the folder holds another run.
        ValueError: If the weights of LPIPS cannot be read.
    """
    distance = None if lpips is None else load_lpips(lpips)
    beside = {} if "analogies" in models else {"analogies": load_model("analogies")}
    asked = {**beside, **models}
    runs: dict[str, Results] = {}
    missing: dict[str, str] = {}
    for name in dict.fromkeys(column.run for column in COLUMNS):
        try:
            dataset = _open(root, name)
            episodes = asking.episodes(dataset, 1)
        except DatasetError as error:
            missing[name] = " ".join(str(error).split())
            continue
        ready = with_floors(
            {key: as_engine(model, dataset.task, published=True) for key, model in asked.items()}
        )
        coloured = dataset.task == "colorization"
        out = None if asking.out is None else asking.out / name
        runs[name] = evaluate(
            ready,
            dataset,
            episodes,
            out,
            scorer=scorer_for(dataset.measures, lpips=distance if coloured else None),
            batch_size=asking.batch_size,
            workers=asking.workers,
            seed=asking.seed,
            options={
                "published": True,
                "devices": [device_of(ready[key]).type for key in asked],
                "lpips": hash_file(lpips) if coloured and lpips is not None else None,
            },
            resume=asking.resume,
            progress=asking.progress,
        )
        if out is not None:
            write_report(runs[name], ready, dataset, out)
    if not runs:
        reasons = "; ".join(f"{name}: {why}" for name, why in missing.items())
        raise EvaluationError(f"paper: no column can be run ({reasons})")
    skipped = {
        column.title: missing.get(
            column.run, "needs the weights: vicl download lpips-alex, then --lpips"
        )
        for column in COLUMNS
        if column.run in missing or (column.metric == "lpips" and lpips is None)
    }
    table = PaperTable(_ours(runs), skipped, runs)
    if asking.out is not None:
        write_atomic(asking.out / "table.md", table.to_markdown().encode())
        found = json.dumps(table.to_json(), indent=1) + "\n"
        write_atomic(asking.out / "table.json", found.encode())
    return table


def _open(root: Path, run: str) -> ItemDataset:
    """The dataset of one of the evaluations behind the columns, by the published protocol."""
    if run == "detection":
        return open_dataset("detection", root, layout="VOC 2012", published=True)
    if run == "colorization":
        found = next((name for name in IMAGENET_FOLDERS if (root / name).is_dir()), None)
        if found is None:
            raise DatasetError(
                f"no photographs of ImageNet in {root}: looked for {', '.join(IMAGENET_FOLDERS)}"
            )
        return open_dataset("colorization", root / found, layout="photographs", published=True)
    fold = int(run.removeprefix("fold-"))
    return open_dataset("segmentation", root, layout="Pascal-5i", fold=fold, published=True)


def _ours(runs: Mapping[str, Results]) -> dict[str, dict[str, Interval]]:
    """By engine and column, in the paper's units."""
    rows: dict[str, dict[str, Interval]] = {}
    for column in COLUMNS:
        if column.run not in runs:
            continue
        for engine in runs[column.run].engines:
            if column.metric in engine.values:
                value = engine.values[column.metric]
                rows.setdefault(engine.name, {})[column.title] = Interval(
                    column.scale * value.mean,
                    column.scale * value.low,
                    column.scale * value.high,
                    value.n,
                )
    return rows


def _cell(value: Interval | None) -> str:
    return "not run" if value is None else f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}]"
