"""What does a learned border add to the default engine, on photographs that it never saw?

    python benchmarks/border.py --data ../shared/data --class dress --set epochs=60

Photographs in which a class fills 3% to 60% of the picture are parted in two by the seed. From the
first, as pairs of photograph and mask, a border is learned (`vicl tune border`); the others are
each answered by one example that is drawn from the first: with the border, without it, and by Copy.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from vicl.evaluation.datasets.manifests import FRACTION, read_manifest
from vicl.evaluation.episodes import DatasetError
from vicl.exports.sheets import contact_sheet
from vicl.images import save_image, to_tensor
from vicl.loading import load_model
from vicl.metrics import bootstrap_interval, iou, paired_interval
from vicl.prompt import Example, Prompt
from vicl.prompting.prompter import VisualPrompter
from vicl.tuning.border_run import tune_border

_SHOWN = 8


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with a manifest")
    parser.add_argument("--source", default="ccp")
    parser.add_argument("--class", dest="named", default="dress")
    parser.add_argument("--pairs", type=int, default=80, help="to learn from")
    parser.add_argument("--queries", type=int, default=80, help="to test on, at most")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--output", type=Path, help="where the run and a page of answers are kept")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    try:
        found = list(_found(given))
    except DatasetError as error:
        print(f"border.py: {error}", file=sys.stderr)
        return 2
    order = np.random.default_rng(given.seed).permutation(len(found))
    shown = [found[place] for place in order]
    learned, asked = shown[: given.pairs], shown[given.pairs :][: given.queries]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) if given.output is None else given.output
        for number, (photo, mask) in enumerate(learned):
            save_image(Image.open(photo).convert("RGB"), place / f"pairs/images/{number}.png")
            save_image(Image.fromarray(mask), place / f"pairs/masks/{number}.png")
        run = tune_border(
            place / "run",
            model=given.model,
            data=place / "pairs",
            task="segmentation",
            overrides=given.overrides,
            seed=given.seed,
            device="cpu",
        )
        Console().print(f"learned in {run.seconds:.0f} s; loss {run.losses}")
        Console().print(_table(given, place, learned, asked))
    return 0


def _found(given: argparse.Namespace) -> Iterator[tuple[Path, np.ndarray]]:
    """Photographs of the class with its mask, of 0 and 255."""
    for row in read_manifest(given.data):
        mask = row["annotations"].get("mask", {})
        one = mask.get("classes", {}).get(given.named)
        if row["source"] != given.source or one is None:
            continue
        if FRACTION[0] <= one["fraction"] <= FRACTION[1]:
            marked = np.asarray(Image.open(given.data / mask["path"])) == one["value"]
            yield given.data / row["image"], marked.astype(np.uint8) * 255


def _table(
    given: argparse.Namespace,
    place: Path,
    learned: list[tuple[Path, np.ndarray]],
    asked: list[tuple[Path, np.ndarray]],
) -> Table:
    rng = np.random.default_rng([given.seed, 1])
    examples = [Example(*learned[int(rng.integers(len(learned)))]) for _ in asked]
    model = load_model(given.model, device="cpu")
    prompters = {
        "with the border": VisualPrompter(model, task="segmentation", border=place / "run"),
        "without": VisualPrompter(model, task="segmentation"),
        "Copy": VisualPrompter("copy", task="segmentation"),
    }
    scores: dict[str, list[float]] = {}
    pages = []
    for name, prompter in prompters.items():
        prompts = [Prompt([e], photo) for e, (photo, _) in zip(examples, asked, strict=True)]
        masks = [answer.mask for answer in prompter.map_prompts(prompts, on_error="raise")]
        scores[name] = [
            iou(mask > 0, truth > 0)
            for mask, (_, truth) in zip(masks, asked, strict=True)
            if mask is not None
        ]
        shown = [np.asarray(mask) > 0 for mask in masks[:_SHOWN]]
        pages.append([to_tensor(np.uint8(255) * one.astype(np.uint8)) for one in shown])
    table = Table(title=f"IoU on {len(asked)} photographs ({given.named}), bootstrap 95% intervals")
    for heading in ("", "IoU", "less without, paired"):
        table.add_column(heading)
    for name, values in scores.items():
        more = "" if name == "without" else str(paired_interval(values, scores["without"]))
        table.add_row(name, str(bootstrap_interval(values)), more)
    if given.output is not None:
        rows = [
            [to_tensor(photo), *(page[row] for page in pages), to_tensor(truth)]
            for row, (photo, truth) in enumerate(asked[:_SHOWN])
        ]
        headers = ("query", *prompters, "true")
        save_image(contact_sheet(rows, headers=headers), given.output / "answers.png")
    return table


if __name__ == "__main__":
    sys.exit(main())
