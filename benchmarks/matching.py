"""What the engine of masks promises, measured on pictures that its head was not trained on.

    python benchmarks/matching.py scribbles --data ../shared/data --episodes 100 --seed 0

- scribbles: strokes over 2% of each side, beside the full mask. Held-out CCP.
- examples: one, five and twenty of them, of classes that have them. Held-out CCP.
- absent: answers to what is not in the query that are empty, and empty answers to what is.
- nuclei: one example of the same modality: IoU, F1 of objects at IoU 0.5, error of the count.
- size: IoU at the query's own size, and F of the boundary at 2 px.
- calibration: how often pixels of a confidence are right, and queries of a presence show the thing.

`absent`, `size` and `calibration` ask about sources that are not marked `train`. What is held out
is told by the recipe `matching-head`. Means have bootstrap 95% intervals, and paired differences to
the engine; copy, and where it tells something analogies, stand beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.random import Generator
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from measuring import compared
from vicl.engine import Filled, InContextModel
from vicl.evaluation.datasets import manifest
from vicl.evaluation.datasets.items import ItemDataset
from vicl.evaluation.datasets.manifests import FRACTION, MIN_IMAGES, read_manifest
from vicl.evaluation.episodes import DatasetError, Item
from vicl.evaluation.scoring.measures import marked
from vicl.evaluation.studies.table import draw_figures
from vicl.files import write_atomic
from vicl.images import open_image, to_rgb, to_tensor
from vicl.loading import load_model
from vicl.metrics import bootstrap_interval, bootstrap_statistic, iou
from vicl.models.matching import Matching
from vicl.models.matching.cues import Marks
from vicl.models.matching.view import PICTURE
from vicl.prompt import Example, Prompt
from vicl.tasks.segmentation import UNKNOWN
from vicl.training.matching.episodes import scribbled
from vicl.training.matching.pictures import Listed, listed
from vicl.training.recipe.data import RecipeError
from vicl.training.recipe.files import load_any
from vicl.training.recipe.head import HeadRecipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Mask = Bool[np.ndarray, "h w"]
Shown = tuple[Float[Tensor, "3 h w"], Mask]

MANY = (1, 5, 20)
NEAR = 2
"""Pixels by which boundaries may differ."""
CHANCES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
BINS = 10


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line."""

    data: Path
    nuclei: Path
    episodes: int
    seed: int
    model: str
    figure: Path | None
    as_found: bool = False

    def engines(self, *names: str, objects: bool = False) -> dict[str, InContextModel]:
        """The engine, and those beside it."""
        found: dict[str, InContextModel] = {}
        for name in dict.fromkeys((*names, self.model)):
            engine = load_model(name, device="cpu")
            assert isinstance(engine, InContextModel)
            if isinstance(engine, Matching):
                engine = engine.asked(masks=True, objects=objects)
            found[name] = engine
        return found

    def matching(self) -> Matching:
        """The engine, where only one that tells a presence will do."""
        engine = self.engines()[self.model]
        if not isinstance(engine, Matching):
            raise DatasetError(f"{self.model}: cannot say whether a thing is there; give matching")
        return engine

    def held_out(self, *, nuclei: bool = False) -> list[Listed]:
        """Pictures that the recipe holds out, of its first source of photographs or the second."""
        recipe = load_any("matching-head")
        assert isinstance(recipe, HeadRecipe)
        source = recipe.data.photographs[int(nuclei)]
        source = source.model_copy(update={"path": str(self.nuclei if nuclei else self.data)})
        return listed(recipe.data.model_copy(update={"photographs": (source,)}), held_out=True)[0]

    def unseen(self) -> ItemDataset:
        """Masks of the sources that are not trained on."""
        rows = read_manifest(self.data)
        seen = {row["source"] for row in rows if row.get("use") == "train"}
        sources = sorted({row["source"] for row in rows} - seen)
        return manifest(self.data, "segmentation", sources=sources)


def main(arguments: list[str] | None = None) -> int:
    """Print what was asked for; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=MEASURED)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="dataset folder")
    parser.add_argument("--nuclei", type=Path, default=Path("../shared/nuclei"), help="of nuclei")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="matching", help="engine, or the folder of one")
    parser.add_argument(
        "--as-found", action="store_true", help="nuclei: modalities as often as they are, not alike"
    )
    parser.add_argument("--figure", type=Path, help="calibration: a PNG of the reliability")
    options = parser.parse_args(arguments)
    if options.episodes < 1 or options.seed < 0:
        parser.error("expected --episodes of at least 1, --seed of at least 0")
    if options.as_found and options.what != "nuclei":
        parser.error("--as-found: goes with nuclei")
    if options.figure is not None and options.what != "calibration":
        parser.error("--figure: goes with calibration")
    asked = Asked(**{name: value for name, value in vars(options).items() if name != "what"})
    try:
        for table in MEASURED[options.what](asked):
            Console().print(table)
    except (DatasetError, RecipeError) as error:
        print(f"matching.py: {error}", file=sys.stderr)
        return 2
    return 0


def _scribbles(asked: Asked) -> Iterator[Table]:
    rng = np.random.default_rng(asked.seed)
    engines = asked.engines("copy")
    found: dict[str, list[float]] = defaultdict(list)
    for shown, query, truth in _pairs(asked, rng, 1):
        image, mask = shown[0]
        for name, engine in engines.items():
            found[name].append(iou(_found(engine, [example_of(image, mask)], query), truth))
        told = example_of(image, mask, known=strokes(rng, mask))
        found["scribbles"].append(iou(_found(engines[asked.model], [told], query), truth))
    yield compared("IoU, held-out CCP", found, asked.model)


def _examples(asked: Asked) -> Iterator[Table]:
    rng = np.random.default_rng(asked.seed)
    engines = asked.engines("copy")
    found: dict[str, list[float]] = defaultdict(list)
    for shown, query, truth in _pairs(asked, rng, MANY[-1]):
        examples = [example_of(image, mask) for image, mask in shown]
        for count in MANY:
            for name, engine in engines.items():
                got = _found(engine, examples[:count], query)
                found[f"{name}, {count}"].append(iou(got, truth))
    yield compared("IoU by examples, held-out CCP", found, f"{asked.model}, {MANY[0]}")


def _absent(asked: Asked) -> Iterator[Table]:
    engine = asked.matching()
    there, not_there = _presences(asked, engine)
    table = Table(title=f"Of {len(there)} queries with the thing and {len(not_there)} without")
    for heading in ("presence under", "empty, absent [95%]", "false alarms, present [95%]"):
        table.add_column(heading)
    for least in sorted({*CHANCES, engine.min_presence}):
        shares = [bootstrap_interval([one < least for one in of]) for of in (not_there, there)]
        mark = " (the engine's)" if least == engine.min_presence else ""
        table.add_row(f"{least:g}{mark}", *map(str, shares))
    table.caption = "copy never leaves an answer empty: 0 and 0"
    yield table


def _nuclei(asked: Asked) -> Iterator[Table]:
    rng = np.random.default_rng(asked.seed)
    engines = asked.engines("copy", "analogies", objects=True)
    groups: dict[str, list[Listed]] = defaultdict(list)
    for one in asked.held_out(nuclei=True):
        groups[str(one.row["subset"])].append(one)
    names = sorted(name for name, rows in groups.items() if len(rows) > 1)
    drawn_from = [name for name in names for _ in groups[name]] if asked.as_found else names
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    drawn: list[str] = []
    for _ in range(asked.episodes):
        name = drawn_from[int(rng.integers(len(drawn_from)))]
        drawn.append(name)
        rows = groups[name]
        shown, query = (rows[int(i)].read() for i in rng.choice(len(rows), 2, replace=False))
        example = example_of(to_tensor(shown.picture), shown.labels == 1)
        prompt = Prompt([example], to_tensor(query.picture))
        for engine_name, engine in engines.items():
            answer = engine.answer([prompt])[0]
            mask = marked(answer.image)
            objects = _connected(mask) if answer.objects is None else answer.objects.numpy()
            count = len(np.unique(query.objects)) - 1
            error = abs(len(np.unique(objects)) - 1 - count) / max(1, count)
            of = {"IoU": iou(mask, query.labels == 1), "relative error of the count": error}
            of["F1 at IoU 0.5"] = object_f1(objects, query.objects)
            for measure, value in of.items():
                found[measure][engine_name].append(value)
    for measure, by_engine in found.items():
        for group in ("all", *sorted(set(drawn))):
            at = [index for index, one in enumerate(drawn) if group in ("all", one)]
            rows_of = {name: [values[i] for i in at] for name, values in by_engine.items()}
            yield compared(f"{measure}, held-out nuclei, {group}", rows_of, asked.model)


def _size(asked: Asked) -> Iterator[Table]:
    engines = asked.engines("copy", "analogies")
    overlap: dict[str, list[float]] = defaultdict(list)
    border: dict[str, list[float]] = defaultdict(list)
    dataset = asked.unseen()
    for episode in dataset.episodes(asked.episodes, seed=asked.seed):
        case = dataset.load(episode)
        truth = marked(case.truth.image)
        for name, engine in engines.items():
            mask = marked(engine.answer([case.prompt])[0].image)
            overlap[name].append(iou(mask, truth, void=case.truth.void))
            border[name].append(boundary_f(mask, truth))
    yield compared("IoU at the query's size, unseen sources", overlap, asked.model)
    yield compared(f"Boundary F at {NEAR} px, unseen sources", border, asked.model)


def _calibration(asked: Asked) -> Iterator[Table]:
    engine, dataset = asked.matching(), asked.unseen()
    sure, right = [], []
    for episode in dataset.episodes(asked.episodes, seed=asked.seed):
        case = dataset.load(episode)
        answer = engine.answer([case.prompt])[0]
        assert answer.confidence is not None
        sure.append(answer.confidence.numpy())
        right.append(marked(answer.image) == marked(case.truth.image))
    told = {"confidence of pixels": (sure, right)}
    there, not_there = _presences(asked, engine)
    chances = [np.array([one]) for one in (*there, *not_there)]
    truths = [np.array([index < len(there)]) for index in range(len(chances))]
    told["presence"] = (chances, truths)
    for title, (said, held) in told.items():
        yield _reliability(title, _binned(said, held))
    if asked.figure is not None:
        means = {title: _binned(*pair).mean(0) for title, pair in told.items()}
        write_atomic(asked.figure, draw_figures(lambda: _diagram(means))[1])


MEASURED: Mapping[str, Callable[[Asked], Iterator[Table]]] = {
    "scribbles": _scribbles,
    "examples": _examples,
    "absent": _absent,
    "nuclei": _nuclei,
    "size": _size,
    "calibration": _calibration,
}


def _pairs(
    asked: Asked, rng: Generator, examples: int
) -> Iterator[tuple[list[Shown], Float[Tensor, "3 h w"], Mask]]:
    """Examples, query and its mask, of a class of held-out photographs."""
    by_class: dict[str, list[Listed]] = defaultdict(list)
    for one in asked.held_out():
        for name, of in one.row["annotations"]["mask"]["classes"].items():
            if FRACTION[0] <= of["fraction"] <= FRACTION[1]:
                by_class[name].append(one)
    wanted = max(MIN_IMAGES, examples + 1)
    names = sorted(name for name, rows in by_class.items() if len(rows) >= wanted)
    if not names:
        raise DatasetError(f"{asked.data}: no class is in {wanted} pictures that are held out")
    for _ in range(asked.episodes):
        name = names[int(rng.integers(len(names)))]
        rows = by_class[name]
        chosen = rng.choice(len(rows), examples + 1, replace=False).tolist()
        *shown, (query, truth) = (_shown(rows[index], name) for index in chosen)
        yield shown, query, truth


def _shown(one: Listed, name: str) -> Shown:
    found = one.row["annotations"]["mask"]
    labels = np.asarray(open_image(one.folder / found["path"]))
    picture = to_tensor(to_rgb(open_image(one.folder / one.row["image"])))
    return picture, labels == int(found["classes"][name]["value"])


def example_of(image: Float[Tensor, "3 h w"], mask: Mask, *, known: Mask | None = None) -> Example:
    """A photograph with its mask, or with what is known of that."""
    drawn = torch.from_numpy(mask).float()
    if known is not None:
        drawn = torch.where(torch.from_numpy(known), drawn, UNKNOWN / 255)
    return Example(image, drawn.expand(3, -1, -1).contiguous())


def _found(engine: InContextModel, examples: Sequence[Example], query: Tensor) -> Mask:
    return marked(engine.answer([Prompt(examples, query)])[0].image)


def strokes(rng: Generator, mask: Mask) -> Mask:
    """Where strokes of either side lie: as training draws them, but a pixel or two wide."""
    inside = F.adaptive_avg_pool2d(torch.from_numpy(mask).float()[None], PICTURE)[0]
    kept = scribbled(rng, Marks(inside, 1 - inside))
    both = torch.maximum(kept.inside, kept.outside)[None, None]
    found: Mask = F.interpolate(both, mask.shape, mode="nearest")[0, 0].numpy() > 0
    return found


def _presences(asked: Asked, engine: Matching) -> tuple[list[float], list[float]]:
    """Of queries that show the example's thing, and of others that do not."""
    dataset, rng = asked.unseen(), np.random.default_rng(asked.seed)
    rows = [row for row in read_manifest(asked.data) if "mask" in row["annotations"]]
    there, not_there = [], []
    for episode in dataset.episodes(asked.episodes, seed=asked.seed):
        case, item = dataset.load(episode), episode.query
        others = [row for row in rows if _lacks(row, item)]
        there.append(_presence(engine.answer([case.prompt])[0]))
        if not others:
            continue
        other = others[int(rng.integers(len(others)))]
        query = to_tensor(to_rgb(open_image(asked.data / other["image"])))
        not_there.append(_presence(engine.answer([Prompt(case.prompt.examples, query)])[0]))
    return there, not_there


def _lacks(row: Mapping[str, object], item: Item) -> bool:
    """Whether a picture of the same source, whose classes are all told, has not this one."""
    of: object = row["annotations"]
    assert isinstance(of, Mapping)
    kind, classes = of["mask"].get("kind"), of["mask"].get("classes", {})
    return row["source"] == item.source and kind == "semantic" and item.class_name not in classes


def _presence(answer: Filled) -> float:
    assert answer.presence is not None
    return answer.presence


def _connected(mask: Mask) -> np.ndarray:
    from scipy import ndimage

    return np.asarray(ndimage.label(mask, structure=np.ones((3, 3)))[0])


def object_f1(found: np.ndarray, truth: np.ndarray, *, least: float = 0.5) -> float:
    """F1 of objects, of which a pair belongs together whose IoU is over `least`, at least 0.5.

    Args:
        found: Numbers of objects, 0 for none of them.
        truth: The same, as it should be.
        least: From a half on, an object has one partner at most.
    """
    shared = np.zeros((int(truth.max()) + 1, int(found.max()) + 1))
    np.add.at(shared, (truth.ravel(), found.ravel()), 1)
    wanted, got = shared.sum(1)[1:, None], shared.sum(0)[None, 1:]
    both = shared[1:, 1:]
    hits = int(np.count_nonzero(both > least * (wanted + got - both)))
    count = np.count_nonzero(wanted) + np.count_nonzero(got)
    return 2 * hits / count if count else 1.0


def boundary_f(found: Mask, truth: Mask, *, near: int = NEAR) -> float:
    """F of boundary pixels that have one of the other boundary within a square of `near` px.

    Two masks without a boundary agree: 1.
    """
    from scipy import ndimage

    a, b = (mask & ~ndimage.binary_erosion(mask, border_value=1) for mask in (found, truth))
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    around = np.ones((2 * near + 1,) * 2, bool)
    precision = float(ndimage.binary_dilation(b, around)[a].mean())
    recall = float(ndimage.binary_dilation(a, around)[b].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _binned(sure: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> Float[np.ndarray, "n b 3"]:
    """Of each answer and bin of what is so sure: its share, its mean and how often it is right."""
    edges = np.linspace(0, 1, BINS + 1)
    sums = np.zeros((len(sure), BINS, 3))
    for index, (one, good) in enumerate(zip(sure, right, strict=True)):
        bins = np.clip(np.digitize(one.ravel(), edges) - 1, 0, BINS - 1)
        for at, values in enumerate((np.ones(one.size), one.ravel(), good.ravel())):
            sums[index, :, at] = np.bincount(bins, values, BINS) / one.size
    return sums


def _reliability(title: str, sums: Float[np.ndarray, "n b 3"]) -> Table:
    """How often what is so sure is right; the expected calibration error with its interval."""
    edges = np.linspace(0, 1, BINS + 1)
    table = Table(title=f"Reliability, {title}")
    for heading in ("from", "share", "mean", "right", ""):
        table.add_column(heading)
    for low, (share, mean, good) in zip(edges, sums.mean(0), strict=False):
        if share:
            drawn = "#" * round(30 * good / share)
            row = (f"{share:.3f}", f"{mean / share:.3f}", f"{good / share:.3f}")
            table.add_row(f"{low:.1f}", *row, drawn)

    error = bootstrap_statistic(
        lambda draws: np.abs(sums[draws].mean(1) @ np.array([0, 1, -1])).sum(1),
        len(sums),
        resamples=2000,
    )
    table.caption = f"expected calibration error {error}, {len(sums)} answers"
    return table


def _diagram(means: Mapping[str, Float[np.ndarray, "b 3"]]) -> Figure:
    """A reliability diagram: what is as often right as it is sure lies on the line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(means), 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(means)))
    for axes, (title, bins) in zip(panels, means.items(), strict=True):
        share, sure, right = bins[bins[:, 0] > 0].T
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axes.plot(sure / share, right / share, marker="o")
        axes.set(title=title, xlabel="sure", ylabel="right", xlim=(0, 1), ylim=(0, 1))
    return figure


if __name__ == "__main__":
    sys.exit(main())
