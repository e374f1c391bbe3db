"""Fit again the table by which the Analogies engine trusts its cues.

    python benchmarks/fit_trust.py --data ../shared/data --prompts 400 --seed 0

prints the table as `src/vicl/models/analogies/trust.py` holds it, then the mean IoU on held-out
prompts by this table, by the one in trust.py and by Copy, each with its bootstrap 95% interval
(at the working size, by the weighed cues alone: the engine then refines its masks).

A logistic regression of the query's mask: each cue's weight, and the offset, is a linear function
of the statistics; the log-odds of the expected area alone are weighed without a penalty.  Prompts
are made of images marked `train` and the cut-outs in `objects/`; every fourth of each is held out.

The table in trust.py was fitted in November 2026 by an earlier form of this script to 220 prompts
of these kinds, shares and weights, of all photographs and cut-outs (so it may have seen those held
out here).  Those draws cannot be made again; others give weights that differ by up to 0.7.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage, optimize
from scipy.special import expit
from skimage.color import hsv2rgb, rgb2hsv
from torch import Tensor

from vicl.evaluation.datasets import ItemDataset, manifest
from vicl.evaluation.datasets.manifests import read_manifest
from vicl.evaluation.episodes import DatasetError, Episode
from vicl.images import ImageError, find_images, open_image, resize, to_tensor
from vicl.metrics import bootstrap_interval, iou, paired_interval
from vicl.models.analogies import trust
from vicl.models.analogies.cues import CUES, evidence, learn, log_odds
from vicl.models.analogies.masks import _cut
from vicl.models.analogies.view import WORKING_SIZE, describe

SIDE = 160  # Pixels; prompts are generated at this size and brought to the working size.
HELD_OUT = 4  # Every so many-th photograph and cut-out is held out.
PAIRS = 20_000  # Episodes drawn; those with both images on one side of that division are used.
PIXELS = 800  # Of each prompt, drawn at random.
PENALTY = 0.03  # Times the mean square of the weights.

Scene = Float[np.ndarray, "h w 4"]  # RGB and mask (of a cut-out: its alpha), all in [0, 1].
Table = Float[np.ndarray, "cues statistics"]
Rows = Float[np.ndarray, "n k"]
Values = Float[np.ndarray, " n"]
Random = np.random.Generator


@dataclass(frozen=True, eq=False)
class Material:
    """What prompts are made of: the manifest's rows, files, and pairs that show one class."""

    root: Path
    photos: Sequence[Mapping[str, Any]]
    cut_outs: Sequence[Path]
    dataset: ItemDataset
    pairs: Sequence[Episode]


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt as the table sees it, with `area` the log-odds of the expected one."""

    kind: str
    cues: Float[np.ndarray, "n s s"]
    statistics: Float[np.ndarray, " m"]
    area: float
    example: Bool[np.ndarray, "s s"]
    truth: Float[np.ndarray, "s s"]


def main() -> int:
    """Fit and compare; 0, or 2 if the data are not there."""
    parser = argparse.ArgumentParser(description="Fit the Analogies engine's table again.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="dataset folder")
    parser.add_argument("--prompts", type=int, default=400, help="prompts to fit on")
    parser.add_argument("--held-out", type=int, default=200, help="prompts to score")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.prompts < 1 or options.held_out < 1 or options.seed < 0:
        parser.error("expected --prompts and --held-out of at least 1, --seed of at least 0")
    try:
        fitting, kept = _materials(options.data, options.seed)
        streams = [np.random.default_rng([options.seed, 0, i]) for i in range(options.prompts)]
        pixels = [_pixels(_case(fitting, rng), rng) for rng in streams]
        streams = [np.random.default_rng([options.seed, 1, i]) for i in range(options.held_out)]
        cases = [_case(kept, rng) for rng in streams]
    except (DatasetError, ImageError) as error:
        print(f"fit_trust.py: {error}", file=sys.stderr)
        return 2
    table, area = _fit(*(np.concatenate(some) for some in zip(*pixels, strict=True)))
    print(_source(table, area) + _comparison(cases, table, area), end="")
    return 0


def _materials(root: Path, seed: int) -> tuple[Material, Material]:
    """Divide the images into those to fit on and those held out."""
    photos = [row for row in read_manifest(root) if row.get("use") == "train"]
    photos = [row for row in photos if row["annotations"].get("mask", {}).get("classes")]
    cut_outs = find_images(root / "objects")
    dataset = manifest(root, "segmentation", sources=sorted({row["source"] for row in photos}))
    pairs = dataset.episodes(PAIRS, seed=seed)
    parts = []
    for kept in (False, True):
        some = [row for i, row in enumerate(photos) if (i % HELD_OUT == 0) == kept]
        names = {row["image"] for row in some}
        inside = [pair for pair in pairs if {pair.examples[0].image, pair.query.image} <= names]
        files = [path for i, path in enumerate(cut_outs) if (i % HELD_OUT == 0) == kept]
        parts.append(Material(root, some, files, dataset, inside))
    if not all(part.cut_outs and part.pairs for part in parts):
        counts = f"{len(photos)} photographs marked `train` with masks, {len(cut_outs)} cut-outs"
        raise DatasetError(f"{root}: got {counts} in objects/; expected some dozens of each")
    return parts[0], parts[1]


def _case(material: Material, rng: Random) -> Case:
    kind = str(rng.choice(list(KINDS), p=[share for _, share, _ in KINDS.values()]))
    drawn = KINDS[kind][0](material, rng)
    # A mask may have been moved out of sight, or fill the picture.
    while not all(0.005 < float(scene[..., 3].mean()) < 0.7 for scene in drawn):
        drawn = KINDS[kind][0](material, rng)
    planes = [torch.from_numpy(scene).permute(2, 0, 1) for scene in drawn]
    example, query = (_scene(some[:3], some[3:].expand(3, -1, -1)) for some in planes)
    shown, asked = (
        describe(torch.from_numpy(scene[..., :3]).permute(2, 0, 1)) for scene in (example, query)
    )
    known = learn((shown,), (example[..., 3],), seed=0)
    cues, statistics, area = evidence(known, asked)
    share = float(log_odds(np.asarray(area, np.float32)))
    return Case(kind, cues, statistics, share, example[..., 3] > 0.5, query[..., 3])


def _scene(picture: Tensor, mask: Tensor, *, side: int = WORKING_SIZE) -> Scene:
    """Scale a picture and its mask, drawn white on black."""
    parts = [resize(picture, (side, side)), resize(mask, (side, side))[:1]]
    return torch.cat(parts).permute(1, 2, 0).numpy()


def _photo(material: Material, rng: Random, *, one_class: float = 0.0) -> Scene:
    """Draw a photograph, with one class (at that chance) or all that is annotated."""
    row = material.photos[int(rng.integers(len(material.photos)))]
    mask = row["annotations"]["mask"]
    values = np.asarray(open_image(material.root / mask["path"]))
    fitting = [c["value"] for c in mask["classes"].values() if 0.02 < c["fraction"] < 0.6]
    marked = values == rng.choice(fitting) if fitting and rng.random() < one_class else values != 0
    return _scene(to_tensor(material.root / row["image"]), to_tensor(marked), side=SIDE)


def _pair(material: Material, rng: Random) -> list[Scene]:
    """Two photographs that show one class."""
    episode = material.pairs[int(rng.integers(len(material.pairs)))]
    case = material.dataset.load(episode)
    example = case.prompt.examples[0]
    halves = ((example.input, example.output), (case.prompt.query, case.truth.image))
    return [_scene(*map(to_tensor, half)) for half in halves]


def _twins(material: Material, rng: Random) -> list[Scene]:
    """One photograph, moved, turned and relit twice."""
    photo, strength = _photo(material, rng, one_class=0.7), rng.uniform(0.2, 1)
    moved = [_shaken(photo, rng, *(strength * np.array([0.25, 0.2, 0.2]))) for _ in range(2)]
    return [_relit(scene, rng, strength) for scene in moved]


def _textures(material: Material, rng: Random) -> list[Scene]:
    """Blobs of one texture on another, or on photographs."""
    below = rng.random(3)
    above = below + (rng.random(3) - below) * rng.uniform(0.5, 1)
    grains, contrasts = rng.choice([0.7, 1.5, 3.0], 2), rng.uniform(0.05, 0.2, 2)
    area, size, on_photos = rng.uniform(0.03, 0.4), rng.choice([2, 4, 8, 14]), rng.random() < 0.3

    def blurred(sigma: float, depth: int) -> Any:
        return ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE, depth)), (sigma, sigma, 0))

    scenes = []
    for _ in range(2):
        layers = [
            np.clip(colour + 3 * contrast * grain * blurred(grain, 1) + 0.9 * blurred(10, 3), 0, 1)
            for colour, grain, contrast in zip((above, below), grains, contrasts, strict=True)
        ]
        under = _photo(material, rng)[..., :3] if on_photos else layers[1]
        share = np.clip(area * np.exp(rng.normal(0, 0.4)), 0.01, 0.6)
        mask = (field := blurred(size, 1)) > np.quantile(field, 1 - share)
        soft = ndimage.gaussian_filter(mask.astype(np.float32), (0.6, 0.6, 0))
        scene = np.concatenate([layers[0] * soft + under * (1 - soft), mask], axis=-1)
        scenes.append(_relit(scene, rng, 0.7))
    return scenes


def _cut_outs(material: Material, rng: Random) -> list[Scene]:
    """One cut-out above up to three others, on two photographs or on one that moves little."""
    files = rng.choice(len(material.cut_outs), int(rng.integers(1, 5)))
    opened = [open_image(material.cut_outs[int(i)]).convert("RGBA") for i in files]
    objects = [np.asarray(one.resize((SIDE, SIDE)), np.float32) / 255 for one in opened]
    same = _photo(material, rng) if rng.random() < 0.4 else None
    centre, size = rng.uniform(0.25, 0.75, 2), rng.uniform(0.25, 0.8)
    spread, scenes = rng.choice([0.03, 0.1, 0.25]), []
    for _ in range(2):
        amounts = (0.4, 0.3, 0.2) if same is None else (0.1, 0.05, 0.1)
        scene = _shaken(_photo(material, rng) if same is None else same, rng, *amounts)
        for one in objects:
            asked = one is objects[-1]
            where = centre + rng.normal(0, spread, 2) if asked else rng.uniform(0.1, 0.9, 2)
            scale = size * np.exp(rng.normal(0, 0.15)) if asked else rng.uniform(0.2, 0.6)
            placed = _moved(one, where, scale, rng.normal(0, 0.2), 0.0, "constant")
            alpha = placed[..., 3:]
            picture = scene[..., :3] * (1 - alpha) + _relit(placed, rng, 0.5)[..., :3] * alpha
            scene = np.concatenate([picture, alpha > 0.5], axis=-1, dtype=np.float32)
        scenes.append(_relit(scene, rng, 0.6))
    return scenes


KINDS: dict[str, tuple[Callable[[Material, Random], list[Scene]], float, float]] = {
    "pair of photographs": (_pair, 0.4, 2.5),
    "people": (lambda *drawn: [_photo(*drawn), _photo(*drawn)], 0.08, 1.0),
    "distorted copies": (_twins, 0.2, 1.0),
    "textures": (_textures, 0.14, 1.0),
    "cut-outs": (_cut_outs, 0.18, 0.4),
}
"""How to draw them, their share of the prompts, and the weight of each in the fit."""


def _shaken(scene: Scene, rng: Random, scale: float, shift: float, turn: float) -> Scene:
    """Move a scene by normal amounts of such deviations: logarithm, share of the side, radians."""
    where, size = 0.5 + rng.normal(0, shift, 2), np.exp(rng.normal(0, scale))
    return _moved(scene, where, size, rng.normal(0, turn), rng.normal(0, turn / 2), "reflect")


def _moved(scene: Scene, where: Any, scale: float, angle: float, shear: float, mode: str) -> Scene:
    """Scale, turn and shear about the centre, which goes to `where` (row, column, in [0, 1])."""
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pull = np.eye(3)  # from a pixel of the result to one of the scene, channels apart
    pull[:2, :2] = np.linalg.inv(scale * turned @ [[1, shear], [0, 1]])
    offset = SIDE / 2 - pull[:2, :2] @ (where * SIDE)
    return np.asarray(ndimage.affine_transform(scene, pull, [*offset, 0], order=1, mode=mode))


def _relit(scene: Scene, rng: Random, strength: float) -> Scene:
    """Change hue, saturation, exposure and gamma a little, and add noise."""
    hsv = np.asarray(rgb2hsv(np.clip(scene[..., :3], 0, 1)))
    hsv[..., 0] = (hsv[..., 0] + strength * rng.normal(0, 0.02)) % 1
    hsv[..., 1] = np.clip(hsv[..., 1] * np.exp(strength * rng.normal(0, 0.15)), 0, 1)
    exposure, gamma = np.exp(strength * rng.normal(0, 0.12, 2))
    noise = strength * rng.normal(0, 0.015) * rng.standard_normal(hsv.shape)
    picture = np.clip(np.clip(hsv2rgb(hsv) * exposure, 0, 1) ** gamma + noise, 0, 1)
    return np.concatenate([picture, scene[..., 3:]], axis=-1, dtype=np.float32)


def _pixels(case: Case, rng: Random) -> tuple[Rows, Values, Values]:
    """Draw some pixels: what the mask is regressed on, the mask itself, and weights."""
    chosen = rng.choice(case.truth.size, PIXELS, replace=False)
    cues = np.ones((PIXELS, len(CUES) + 1), np.float32)  # the last is the offset's
    cues[:, :-1] = case.cues.reshape(len(CUES), -1)[:, chosen].T
    products = (cues[:, :, None] * case.statistics).reshape(PIXELS, -1)
    area, weight = (np.full(PIXELS, v, np.float32) for v in (case.area, KINDS[case.kind][2]))
    return np.column_stack([products, area]), case.truth.ravel()[chosen], weight


def _fit(rows: Rows, labels: Values, weights: Values) -> tuple[Table, float]:
    """Find the table, and the weight of the area."""
    drawn = np.append(np.full(rows.shape[1] - 1, PENALTY / (rows.shape[1] - 1)), 0.0)

    def loss(found: Values) -> tuple[float, Values]:
        odds = rows @ found.astype(np.float32)
        missed = weights * (np.logaddexp(0, odds) - labels * odds)
        slope = rows.T @ (weights * (expit(odds) - labels)) / len(rows)
        return float(missed.mean(dtype=np.float64) + drawn @ found**2), slope + 2 * drawn * found

    *table, area = optimize.minimize(loss, 0 * drawn, jac=True, method="L-BFGS-B").x
    return np.reshape(table, (len(CUES) + 1, -1)), float(area)


def _source(table: Table, area: float) -> str:
    text = "_TABLE: Final = np.array([\n"
    for name, row in zip((*CUES, "none: the offset"), table, strict=True):
        line = f"    ({', '.join(f'{value:.3f}' for value in row)}),  # {name}\n"
        text += line if len(line) <= 101 else line.replace("moved ", "")
    return f"{text}], np.float32)\n_AREA: Final = {area:.3f}\n"


def _comparison(cases: Sequence[Case], table: Table, area: float) -> str:
    def score(case: Case, table: Table, area: float) -> float:
        *weights, offset = table @ case.statistics
        added = np.tensordot(np.array(weights), case.cues, axes=1) + offset + area * case.area
        return iou(_cut(added.astype(np.float32)).evidence >= 0, case.truth > 0.5)

    fitted = [score(case, table, area) for case in cases]
    shipped = [score(case, trust._TABLE, trust._AREA) for case in cases]
    copied = [iou(case.example, case.truth > 0.5) for case in cases]
    return (
        f"mean IoU of {len(cases)} held-out prompts: fitted {bootstrap_interval(fitted)}, "
        f"trust.py {bootstrap_interval(shipped)}, Copy {bootstrap_interval(copied)}\n"
        f"fitted - trust.py, paired: {paired_interval(fitted, shipped)}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
