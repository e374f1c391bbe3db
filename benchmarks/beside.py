"""What people would use instead, on the same photographs: seconds and IoU, in one run.

    python benchmarks/beside.py --data ../shared/data --episodes 60 --figure docs/beside.png

answers the episodes of `vicl evaluate segmentation`. Told by an example, another photograph with
its mask:

- copy, analogies and matching;
- INSID3's recipe on the encoder of matching (see yardsticks.py);
- a DINOv2-small with nearest neighbours: a patch is in the mask if the mean of its five greatest
  cosines to patches in the example's mask is greater than that to the others, at 448 px. Any
  folder of transformers' will do (--dinov2). With that of a saliency network's body, which has
  DINOv2-small's architecture and not its weights, the seconds are DINOv2-small's; the IoU is not;
- a random forest on a filter bank, as ilastik has it: scikit-image's multiscale features of the
  example's pixels, 100 trees.

Told by marks on the query itself, strokes over about 2% of each side as a person makes them: the
random walker, which no other photograph can tell anything; the same forest; and matching.

Seconds are of a first query, what the example teaches included, and of a next one: by the same
example another photograph; by marks the same photograph with other strokes; by the clock, and of a
processor (of all its cores together), which says more where others use the machine. Nothing is kept
from one episode to the next. All ways take turns at every episode, each time from another one on.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from matching import example_of, strokes
from vicl.encoders.cached import CachedEncoder
from vicl.engine import Encoder, Filled, InContextModel, drawn
from vicl.evaluation.datasets import manifest
from vicl.evaluation.episodes import Case, DatasetError
from vicl.evaluation.running.results import markdown_table
from vicl.evaluation.scoring.measures import TASK_MEASURES, marked
from vicl.evaluation.studies.table import draw_figures
from vicl.files import FileError, write_atomic
from vicl.files.machine import processor
from vicl.files.progress import progress
from vicl.images import fingerprint, resize, to_tensor
from vicl.loading import load_encoder, load_model
from vicl.metrics import bootstrap_interval, paired_interval
from vicl.models.analogies import Analogies
from vicl.models.matching import Matching
from vicl.prompt import Prompt
from vicl.tasks.segmentation import UNKNOWN
from yardsticks import yardsticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE, NEAREST = 448, 5
"""Of a photograph as the transformer sees it, in pixels; so many likest patches of a side count."""

PIXELS, TREES = 10_000, 100
"""At most so many pixels of an example are learned from, by so many trees."""

EXAMPLE, MARKS = "an example", "marks on it"
"""By what a way is told what to look for."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """An encoder with nearest neighbours, as an engine."""

    name: str
    encoder: Encoder
    max_size: int | None = None
    weights_hash: str | None = None

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; nothing is random."""
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Filled:
        ((shown, output),) = map(drawn, prompt.examples)
        query = to_tensor(prompt.query)
        known, asked = self._patches(shown), self._patches(query)
        side = round(len(known) ** 0.5)
        share = F.adaptive_avg_pool2d(output.mean(0)[None], side).flatten()
        # Of a thing smaller than a patch, those that it has most of.
        inside = share >= min(0.5, float(share.max()))
        likeness = asked @ known.T
        sides = [likeness[:, inside], likeness[:, ~inside]]
        means = [one.topk(min(NEAREST, one.shape[1])).values.mean(1) for one in sides]
        difference = (means[0] - means[1]).nan_to_num().reshape(1, side, side)
        size = (query.shape[1], query.shape[2])
        grown = F.interpolate(difference[None], size, mode="bilinear", align_corners=False)[0]
        return Filled((grown > 0).float().expand(3, -1, -1))

    def _patches(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "n c"]:
        level = self.encoder.encode(resize(image, (SIDE, SIDE))[None]).levels[-1][0]
        return F.normalize(level.flatten(1).T, dim=1)


class PixelForest:
    """A random forest on scikit-image's filter bank, as an engine; examples may be strokes.

    What the last examples taught is kept, and the last picture's features, as ilastik does.
    """

    name = "random forest, filter bank"
    max_size: int | None = None
    weights_hash: str | None = None

    def __init__(self) -> None:
        self._forest: tuple[bytes, Any] | None = None
        self._bank: tuple[bytes, np.ndarray] | None = None

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`."""
        return [self._answer(prompt, seed) for prompt in prompts]

    def _answer(self, prompt: Prompt, seed: int) -> Filled:
        pairs = [drawn(example) for example in prompt.examples]
        key = fingerprint(*(image for pair in pairs for image in pair))
        if self._forest is None or self._forest[0] != key:
            self._forest = key, self._learned(pairs, seed)
        query, forest = to_tensor(prompt.query), self._forest[1]
        inside = forest.predict_proba(self._features(query)) @ forest.classes_ > 0.5
        image = torch.from_numpy(inside).float().reshape(1, *query.shape[1:])
        return Filled(image.expand(3, -1, -1))

    def _learned(self, pairs: Sequence[tuple[Tensor, Tensor]], seed: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        rng = np.random.default_rng(seed)
        rows, labels = [], []
        for image, output in pairs:
            known, inside = (side.ravel() for side in _sides(output))
            chosen = np.flatnonzero(known)
            most = PIXELS // len(pairs)
            chosen = rng.choice(chosen, min(most, len(chosen)), replace=False)
            rows.append(self._features(image)[chosen])
            labels.append(inside[chosen])
        forest = RandomForestClassifier(TREES, n_jobs=torch.get_num_threads(), random_state=seed)
        return forest.fit(np.concatenate(rows), np.concatenate(labels))

    def _features(self, image: Float[Tensor, "3 h w"]) -> Float[np.ndarray, "n f"]:
        from skimage.feature import multiscale_basic_features

        key = fingerprint(image)
        if self._bank is None or self._bank[0] != key:
            pixels = image.permute(1, 2, 0).numpy()
            filters: Any = multiscale_basic_features
            bank = filters(pixels, channel_axis=-1)
            self._bank = key, bank.reshape(-1, bank.shape[-1])
        return self._bank[1]


class RandomWalker:
    """scikit-image's on Lab, as an engine; its example is the query with strokes."""

    name = "random walker"
    max_size: int | None = None
    weights_hash: str | None = None

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; nothing is random."""
        return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Filled:
        from skimage.color import rgb2lab
        from skimage.segmentation import random_walker

        ((image, output),) = map(drawn, prompt.examples)
        known, inside = _sides(output)
        seeds = np.where(known, np.where(inside, 1, 2), 0).astype(np.int32)
        walk: Any = random_walker
        convert: Any = rgb2lab
        lab = convert(image.permute(1, 2, 0).numpy()) / 100
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of chances a little outside [0, 1]
            found = walk(lab, seeds, beta=130, mode="cg_j", channel_axis=2)
        return Filled(torch.from_numpy(found == 1).float().expand(3, -1, -1))


def _sides(output: Float[Tensor, "3 h w"]) -> tuple[Bool[np.ndarray, "h w"], ...]:
    """Where an example's mask is known, and where it is of the thing."""
    level = (255 * output.mean(0)).round().numpy()
    return level != UNKNOWN, level > 127


@dataclass(frozen=True, eq=False)
class Way:
    """A way to get a mask.

    Attributes:
        name: Of what answers.
        told: By what, :data:`EXAMPLE` or :data:`MARKS`.
        fresh: Makes it of the loaded weights; what is made has learned nothing.
    """

    name: str
    told: str
    fresh: Callable[[], InContextModel]

    def prompts(self, case: Case, after: Case, rng: np.random.Generator) -> tuple[Prompt, Prompt]:
        """What is asked of an episode, and next."""
        if self.told == EXAMPLE:
            return case.prompt, Prompt(case.prompt.examples, after.prompt.query)
        query, truth = to_tensor(case.prompt.query), marked(case.truth.image)
        first, other = (example_of(query, truth, known=strokes(rng, truth)) for _ in range(2))
        return Prompt([first], query), Prompt([other], query)


Seconds = tuple[float, float]
"""By the clock, and of a processor."""


@dataclass
class Found:
    """What was measured of a way, an episode each: the IoU at the cell, and seconds."""

    iou: list[float] = field(default_factory=list)
    first: list[Seconds] = field(default_factory=list)
    later: list[Seconds] = field(default_factory=list)


def ways(dinov2: Path) -> list[Way]:
    """All of them."""
    encoder = load_encoder("efficientnet-lite2", device="cpu")
    loaded = load_model("matching", device="cpu")
    assert isinstance(loaded, Matching)

    def insid3() -> InContextModel:
        several = yardsticks(CachedEncoder(encoder))
        return next(one for one in several if one.name.startswith("INSID3"))

    def matching() -> InContextModel:
        return Matching(encoder, loaded.head, masks=True)

    found = [
        Way("copy", EXAMPLE, partial(_engine, "copy")),
        Way("analogies", EXAMPLE, Analogies),
        Way("matching", EXAMPLE, matching),
        Way("INSID3's recipe", EXAMPLE, insid3),
        Way("random forest", EXAMPLE, PixelForest),
        Way("matching", MARKS, matching),
        Way("random forest", MARKS, PixelForest),
        Way("random walker", MARKS, RandomWalker),
    ]
    if dinov2.is_dir():
        body = load_encoder(dinov2, device="cpu")

        def neighbours() -> InContextModel:
            return Neighbours(dinov2.name, CachedEncoder(body))

        found.insert(4, Way("DINOv2-small's shape, neighbours", EXAMPLE, neighbours))
    else:
        print(f"beside.py: {dinov2}: is not there, and is left out", file=sys.stderr)
    return found


def _engine(name: str) -> InContextModel:
    engine = load_model(name, device="cpu")
    assert isinstance(engine, InContextModel)
    return engine


def measure(data: Path, count: int, seed: int, several: Sequence[Way]) -> list[Found]:
    """Answer the episodes by all ways in turn.

    Raises:
        DatasetError: If the data are not there.
    """
    dataset = manifest(data, "segmentation")
    score = TASK_MEASURES["segmentation"][1]
    # One more than is measured, which warms everything up, and comes after the last.
    episodes = dataset.episodes(count + 1, seed=seed)
    found = [Found() for _ in several]
    after = dataset.load(episodes[-1])
    cases = [(len(episodes) - 1, episodes[0]), *enumerate(episodes[:-1])]
    with progress("episodes", total=len(cases)) as advance:
        for turn, (index, episode) in enumerate(cases):
            case = after if turn == 0 else dataset.load(episode)
            follower = dataset.load(episodes[(index + 1) % len(episodes)])
            for place in np.roll(np.arange(len(several)), turn).tolist():
                way, rng = several[place], np.random.default_rng([seed, index])
                first, later = way.prompts(case, follower, rng)
                engine = way.fresh()
                seconds, answer = _timed(engine, first)
                next_seconds, _ = _timed(engine, later)
                if turn:
                    found[place].iou.append(score(case, answer)["iou_cell"])
                    found[place].first.append(seconds)
                    found[place].later.append(next_seconds)
            advance()
    return found


def _timed(engine: InContextModel, prompt: Prompt) -> tuple[Seconds, Filled]:
    begun, busy = time.perf_counter(), time.process_time()
    (answer,) = engine.answer([prompt])
    return (time.perf_counter() - begun, time.process_time() - busy), answer


def table(several: Sequence[Way], found: Sequence[Found]) -> str:
    """A row a way, for a document."""
    base = {
        way.told: one for way, one in zip(several, found, strict=True) if way.name == "matching"
    }
    rows = []
    for way, one in zip(several, found, strict=True):
        than = base[way.told]
        less = "" if one is than else str(paired_interval(one.iou, than.iou))
        seconds = [_spread(times) for times in (*_columns(one.first), *_columns(one.later))]
        rows.append([way.name, way.told, str(bootstrap_interval(one.iou)), less, *seconds])
    headers = ["", "told by", "IoU [95%]", "less `matching`, paired"]
    headers += ["first query, s", "of a processor", "next, s", "of a processor"]
    return markdown_table(headers, rows)


def _columns(seconds: Sequence[Seconds]) -> list[tuple[float, ...]]:
    return list(zip(*seconds, strict=True))


def _spread(values: Sequence[float]) -> str:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def figure(several: Sequence[Way], found: Sequence[Found]) -> Figure:
    """Seconds against IoU: a full mark a first query, an open one the next ones."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(7.4, 4.4), layout="constrained")
    axes = drawn.subplots()
    for number, (way, one) in enumerate(zip(several, found, strict=True)):
        mean = bootstrap_interval(one.iou)
        colour, mark = f"C{number}", "o" if way.told == EXAMPLE else "s"
        reach = [[mean.mean - mean.low], [mean.high - mean.mean]]
        for times, face in ((one.first, colour), (one.later, "white")):
            low, middle, high = np.quantile(_columns(times)[0], (0.25, 0.5, 0.75))
            label = f"{way.name}, by {way.told}" if times is one.first else None
            axes.errorbar(
                middle, mean.mean, reach, [[middle - low], [high - middle]], mark, color=colour,
                markerfacecolor=face, label=label, elinewidth=0.8,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set(xlabel="seconds a query (full: the first, open: next ones)", ylabel="IoU at the cell")
    axes.grid(True, color="0.9")
    drawn.legend(loc="outside right center", frameon=False, fontsize=7)
    return drawn


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and draw; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared = Path("../shared")
    parser.add_argument("--data", type=Path, default=shared / "data", help="dataset folder")
    parser.add_argument(
        "--dinov2",
        type=Path,
        default=shared / "weights" / "dinov2-small-saliency",
        help="its folder",
    )
    parser.add_argument("--episodes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, help="a PNG of seconds against IoU")
    options = parser.parse_args(arguments)
    if options.episodes < 1 or options.seed < 0:
        parser.error("expected --episodes of at least 1, --seed of at least 0")
    try:
        several = ways(options.dinov2)
        found = measure(options.data, options.episodes, options.seed, several)
    except (DatasetError, FileError) as error:
        print(f"beside.py: {error}", file=sys.stderr)
        return 2
    print(f"{options.episodes} episodes, {processor(torch.device('cpu'))}\n")
    print(table(several, found))
    if options.figure is not None:
        write_atomic(options.figure, draw_figures(lambda: figure(several, found))[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
