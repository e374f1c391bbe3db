"""How far do plain recipes come on the encoder of `matching`? INSID3's, and PFENet's prior.

    python benchmarks/yardsticks.py --data ../shared/data --episodes 200 --seed 0

answers the episodes of `vicl evaluate segmentation`, and prints the IoU at the cell of both
recipes, neither of which is trained, beside copy, analogies and matching: all, and by source, with
bootstrap 95% intervals and paired differences to matching.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from measuring import compared
from vicl.encoders.cached import CachedEncoder
from vicl.engine import Encoder, Filled, InContextModel, drawn
from vicl.evaluation.datasets import manifest
from vicl.evaluation.episodes import DatasetError
from vicl.evaluation.scoring.measures import TASK_MEASURES
from vicl.images import resize, to_tensor
from vicl.loading import load_encoder, load_model
from vicl.models.matching import Matching
from vicl.models.matching.view import LEVELS, SIDE, look
from vicl.prompt import Prompt

_DIRECTIONS = 32
"""That tell positions; of the 1,024 of its encoder INSID3 takes 500, this one has 488 in all."""

_DISTANCE, _KEPT = 0.4, 0.2
"""Of cosines, up to which patches join; score from which a cluster is kept."""


Match = Callable[
    [Float[Tensor, "m c"], Bool[Tensor, " m"], Float[Tensor, "n c"]], Float[Tensor, " n"]
]
"""Features of the examples' places, which of them are marked, and the query's features, all of
length 1: chances of the query's places, to be cut at a half."""


@dataclass(frozen=True, eq=False)
class Yardstick:
    """A recipe as an engine: a chance for every place of the query, from features alone.

    Attributes:
        name: Of the recipe.
        encoder: Whose features are compared.
        level: Which of them, of :data:`vicl.models.matching.view.LEVELS`.
        match: The recipe.
    """

    name: str
    encoder: Encoder
    level: str
    match: Match
    max_size: int | None = None
    weights_hash: str | None = None

    def answer(self, prompts: Sequence[Prompt], *, samples: int = 1, seed: int = 0) -> list[Filled]:
        """See :meth:`vicl.engine.InContextModel.answer`; nothing is random."""
        with torch.inference_mode():
            return [self._answer(prompt) for prompt in prompts]

    def _answer(self, prompt: Prompt) -> Filled:
        pairs = [drawn(example) for example in prompt.examples]
        shown = torch.cat([self._features(image) for image, _ in pairs])
        size = (LEVELS[self.level][1],) * 2
        inside = [
            F.adaptive_avg_pool2d(output.mean(0)[None], size).flatten() for _, output in pairs
        ]
        query = to_tensor(prompt.query)
        chances = self.match(shown, torch.cat(inside) > 0.5, self._features(query))
        grown = resize(
            chances.reshape(1, *size).expand(3, -1, -1), (query.shape[1], query.shape[2])
        )
        return Filled((grown > 0.5).float())

    def _features(self, image: Float[Tensor, "3 h w"]) -> Float[Tensor, "n c"]:
        return look(image, self.encoder).features(self.level)


def prior(
    shown: Float[Tensor, "m c"],
    inside: Bool[Tensor, " m"],
    query: Float[Tensor, "n c"],
    *,
    expected: bool = False,
) -> Float[Tensor, " n"]:
    """The likeness to the nearest marked place, scaled to [0, 1].

    Source: Tian et al., "Prior guided feature enrichment network", TPAMI 2020, section 3.3.

    Args:
        shown: See :data:`Match`.
        inside: See :data:`Match`.
        query: See :data:`Match`.
        expected: Cut where the expected IoU is greatest, rather than at a half.
    """
    if not inside.any():
        return torch.zeros(len(query))
    best = (query @ shown[inside].T).amax(1)
    scaled = (best - best.min()) / (best.max() - best.min() + 1e-7)
    return (scaled >= expected_cut(scaled)).float() if expected else scaled


def positions(encoder: Encoder) -> Float[Tensor, "d c"]:
    """Directions of features that tell where in the image a place lies: those of a blank image."""
    blank = look(torch.full((3, SIDE, SIDE), 0.5), encoder).features("mix")
    _, _, directions = torch.linalg.svd(blank - blank.mean(0), full_matrices=False)
    found: Tensor = directions[:_DIRECTIONS]
    return found


def clustered(
    shown: Float[Tensor, "m c"],
    inside: Bool[Tensor, " m"],
    query: Float[Tensor, "n c"],
    *,
    positions: Float[Tensor, "d c"],
) -> Float[Tensor, " n"]:
    """Clusters of the query around the one that fits the example best.

    Source: INSID3. Differs: EfficientNet-Lite2 for DINOv3-L, all its levels at 384 px for the last
    at 1,024 px, fewer directions of position; the CRF at the borders is left out.

    Args:
        shown: See :data:`Match`.
        inside: See :data:`Match`.
        query: See :data:`Match`.
        positions: Taken out where images are compared with one another, of :func:`positions`.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    def placeless(features: Tensor) -> Tensor:
        return F.normalize(features - features @ positions.T @ positions, dim=1)

    found = torch.zeros(len(query))
    if not inside.any():
        return found
    theirs, own = placeless(shown), placeless(query)
    wanted = _mean(theirs[inside])
    candidates = (own @ wanted > 0) & inside[(own @ theirs.T).argmax(1)]
    if not candidates.any():
        return found
    tree = linkage(query.double().numpy(), "average", "cosine")
    clusters = torch.from_numpy(fcluster(tree, _DISTANCE, "distance"))
    numbers = sorted(set(clusters[candidates].tolist()))
    cross = [float(_mean(own[clusters == number]) @ wanted) for number in numbers]
    seed = numbers[max(range(len(numbers)), key=lambda index: cross[index])]
    heart = _mean(query[clusters == seed])
    for number, fits in zip(numbers, cross, strict=True):
        there = clusters == number
        share = float(candidates[there].float().mean())
        if number == seed or fits * float(_mean(query[there]) @ heart) * share > _KEPT:
            found[there] = 1
    return found


def expected_cut(chances: Float[Tensor, " n"]) -> float:
    """The least chance to mark, so that the expected IoU is greatest."""
    ordered = chances.sort(descending=True).values
    inside, count = ordered.cumsum(0), torch.arange(1, len(ordered) + 1)
    return float(ordered[(inside / (count + inside[-1] - inside)).argmax()])


def _mean(features: Float[Tensor, "n c"]) -> Float[Tensor, " c"]:
    return F.normalize(features.mean(0), dim=0)


def yardsticks(encoder: Encoder) -> list[Yardstick]:
    """All of them, on one encoder."""
    apart = functools.partial(clustered, positions=positions(encoder))
    return [
        Yardstick("prior", encoder, "things", prior),
        Yardstick("prior, eIoU cut", encoder, "things", functools.partial(prior, expected=True)),
        Yardstick("INSID3's recipe", encoder, "mix", apart),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Print a table for all episodes and one a source; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="dataset folder")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="matching", help="compared with")
    options = parser.parse_args(arguments)
    if options.episodes < 1 or options.seed < 0:
        parser.error("expected --episodes of at least 1, --seed of at least 0")
    measure = TASK_MEASURES["segmentation"][1]
    try:
        dataset = manifest(options.data, "segmentation")
        encoder = CachedEncoder(load_encoder("efficientnet-lite2", device="cpu"))
        engines: dict[str, InContextModel] = {one.name: one for one in yardsticks(encoder)}
        for name in dict.fromkeys(("copy", "analogies", options.model)):
            engine = load_model(name, device="cpu")
            assert isinstance(engine, InContextModel)
            engines[name] = engine.asked(masks=True) if isinstance(engine, Matching) else engine
        sources: list[str] = []
        found: dict[str, list[float]] = {name: [] for name in engines}
        for episode in dataset.episodes(options.episodes, seed=options.seed):
            case = dataset.load(episode)
            sources.append(episode.query.source)
            for name, engine in engines.items():
                answer = engine.answer([case.prompt])[0]
                found[name].append(measure(case, answer)["iou_cell"])
    except DatasetError as error:
        print(f"yardsticks.py: {error}", file=sys.stderr)
        return 2
    for source in ("all", *sorted(set(sources))):
        of = [index for index, one in enumerate(sources) if source in ("all", one)]
        rows = {name: [values[index] for index in of] for name, values in found.items()}
        Console().print(compared(f"IoU (cell), {source}", rows, options.model))
    return 0


if __name__ == "__main__":
    sys.exit(main())
