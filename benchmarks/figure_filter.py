"""The filter of figures that comes with the package: draw its pages, fit it, measure it.

    python benchmarks/figure_filter.py train --data ../shared/data --out out/figure-filter
    python benchmarks/figure_filter.py evaluate --data ../shared/data --out out/figure-filter

The first makes out/figure-filter/filter, which is what is shipped. The second judges it on kinds
of page that training never drew, and on those of training with photographs that it never saw,
beside two floors; and draws the negatives of the highest scores and the positives of the lowest.
Pages that are there are not drawn again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import figure_pages_held_out
import figure_pages_train
from figure_pages import KINDS, Kind, Pictures, page
from vicl.encoders.packaged import PACKAGED
from vicl.encoders.registry import ENCODERS
from vicl.evaluation.episodes import DatasetError
from vicl.exports.sheets import contact_sheet
from vicl.figures.arxiv.filtering.cues import CUES
from vicl.figures.arxiv.filtering.describing import Describing
from vicl.figures.arxiv.filtering.figure_filter import FigureFilter, FilterConfig
from vicl.figures.arxiv.filtering.labels import Label, write_labels
from vicl.figures.arxiv.filtering.training import (
    Judged,
    Labelled,
    describe_labels,
    filter_card,
    fit_and_judge,
    judge,
)
from vicl.files.progress import progress
from vicl.images import open_image, save_image, to_rgb, to_tensor

ENCODER = "efficientnet-lite2"
SIDE = 320
MODULES = (figure_pages_train, figure_pages_held_out)
"""Importing them lists their kinds."""


def draw(kinds: Iterable[Kind], pictures: Pictures, out: Path, each: int, seed: int) -> list[Label]:
    """Draw pages that are not there yet: so many of each kind, which counts as their paper."""
    labels = []
    for kind in kinds:
        for index in range(each * kind.often):
            path = out / f"{kind.name}-{index:04d}.png"
            if not path.exists():
                save_image(page(kind.name, pictures, seed, index), path)
            labels.append(Label(path, kind.wanted, kind.name))
    return labels


def look(labels: Sequence[Label], workers: int) -> Labelled:
    """The pages as the filter sees them."""
    make = next(row.make for row in ENCODERS if row.name == ENCODER)
    describing = Describing(partial(make, torch.device("cpu")), SIDE)
    with progress("pages", total=len(labels)) as advance:
        return describe_labels(labels, describing, workers=workers, advance=advance)


def cues_alone(labelled: Labelled) -> Labelled:
    """Without the encoder's features."""
    cues = np.ascontiguousarray(labelled.described[:, -len(CUES) :])
    return Labelled(cues, labelled.wanted, labelled.papers, labelled.failed)


def row(name: str, found: Judged) -> str:
    """A line of a table: a filter by its name, and how good it is."""
    return f"| {name} {found.row()}"


HEAD = "| scored by | threshold | precision [95%] | recall [95%] | kept |\n|---|---|---|---|---|"


def train(given: argparse.Namespace) -> None:
    """Draw the pages of training, fit, and tell how good it is by kinds that were left out."""
    kinds = [kind for kind in KINDS.values() if not kind.held_out]
    pictures = Pictures.train(given.data)
    labels = draw(kinds, pictures, given.out / "pages", given.each, given.seed)
    write_labels(given.out / "labels.csv", labels)
    labelled = look(labels, given.workers)
    config = FilterConfig(
        encoder=ENCODER,
        encoder_hash=PACKAGED[ENCODER].sha256,
        side=SIDE,
        features=labelled.described.shape[1] - len(CUES),
    )
    bare = FilterConfig(encoder="none", encoder_hash=None, side=SIDE, features=0)
    print(
        f"{len(labels)} pages of {len(kinds)} kinds, seed {given.seed}; by kinds left out:\n{HEAD}"
    )
    for name, part, used in (
        ("filter", labelled, config),
        ("cues", cues_alone(labelled), bare),
    ):
        trained = fit_and_judge(part, used, seed=given.seed)
        print(row(name, judge(trained.held_out, part.wanted, part.papers)), flush=True)
        trained.filter.save(given.out / name, filter_card(trained, part, name), overwrite=True)


def evaluate(given: argparse.Namespace) -> None:
    """Judge the filter and the floors on what training did not have."""
    pictures = Pictures.evaluate(given.data)
    seed, out = given.seed + 1, given.out / "held-out"
    held_out = [kind for kind in KINDS.values() if kind.held_out]
    shows = ("photograph_grid", "results", "uneven", "mixed_grid", "single_photograph")
    seen = [KINDS[name] for name in (*shows, "diagram_with_photographs", "icons")]
    for short, title, kinds, each in (
        ("kinds", "kinds that training never drew", held_out, given.each),
        ("photographs", "kinds of training, photographs not seen", seen, (given.each + 1) // 2),
    ):
        labels = draw(kinds, pictures, out, each, seed)
        labelled = look(labels, given.workers)
        scores = {
            "everything kept": np.ones(len(labels)),
            "cues": FigureFilter.open(given.out / "cues").score(cues_alone(labelled).described),
            "filter": FigureFilter.open(given.filter or given.out / "filter").score(
                labelled.described
            ),
        }
        # Pages are resampled, not kinds: what is told is how sure it is for these kinds.
        alone = [""] * len(labels)
        print(f"\n{title}: {len(kinds)}, {len(labels)} pages, seed {seed}\n{HEAD}")
        for name, found in scores.items():
            for threshold in (0.5,) if name == "everything kept" else (0.2, 0.5, 0.8):
                print(row(name, judge(found, labelled.wanted, alone, threshold)))
        print("\n| kind | wanted | kept at 0.5 | mean score |\n|---|---|---|---|")
        for kind in kinds:
            of = scores["filter"][[label.paper == kind.name for label in labels]]
            kept = f"{int((of >= 0.5).sum())}/{len(of)}"
            print(f"| {kind.name} | {kind.wanted} | {kept} | {of.mean():.3f} |")
        worst(labels, scores["filter"], given.out / f"highest-negatives-{short}.png", wanted=False)
        worst(labels, scores["filter"], given.out / f"lowest-positives-{short}.png", wanted=True)


def worst(labels: Sequence[Label], scores: np.ndarray, path: Path, *, wanted: bool) -> None:
    """Draw the 24 pages about which the filter is most wrong."""
    places = [at for at, label in enumerate(labels) if label.wanted == wanted]
    places.sort(key=lambda at: scores[at] if wanted else -scores[at])
    chosen = places[: 24 - 24 % 6]
    pictures = [to_tensor(_small(labels[at].image)) for at in chosen]
    captions = [f"{scores[at]:.3f} {labels[at].paper}" for at in chosen]
    starts = range(0, len(chosen) - len(chosen) % 6, 6)
    sheet = contact_sheet(
        [pictures[start : start + 6] for start in starts],
        headers=[""] * 6,
        captions=[captions[start : start + 6] for start in starts],
        cell=240,
    )
    save_image(sheet, path)
    print(f"\n{path}")


def _small(path: Path) -> Image.Image:
    """In a square, which a sheet shows whole."""
    image = to_rgb(open_image(path))
    image.thumbnail((240, 240))
    square = Image.new("RGB", (240, 240), (90, 90, 160))
    square.paste(image, (0, 0))
    return square


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "evaluate"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=30, help="pages of a kind")
    parser.add_argument("--filter", type=Path, help="to be evaluated, in place of OUT/filter")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        (train if given.what == "train" else evaluate)(given)
    except DatasetError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
