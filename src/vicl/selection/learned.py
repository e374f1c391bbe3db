"""SupPR: learning which examples help an engine, and choosing by it.

For images of a pool the engine answers each with examples that are like it, one at a time; those
that answered it best are to come near it, those that did worst are to go away from it.

Source: Zhang et al. 2023, arXiv:2301.13670, section 3.3 and the published code. Here the head
learns from the features that the index keeps: images are not augmented.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vicl.files import display, write_atomic
from vicl.files.bounded import read_bounded
from vicl.files.faults import said
from vicl.files.journal import Journal
from vicl.files.plain_json import parse_json
from vicl.selection.fixed import Score
from vicl.selection.index import Index, Looking
from vicl.selection.pool import Entry, PoolError, key_of
from vicl.selection.selectors import Nearest
from vicl.storage.folder import CONFIG, WEIGHTS, fill_from, weights

TEMPERATURE, _BASE = 0.1, 0.07
MOST: Final = 5
"""So many of the best and of the worst examples of an image are learned from."""

_EPOCHS, _BATCH, _RATE, _MOMENTUM, _DECAY = 200, 64, 0.005, 0.9, 1e-4
_LEAST_RATE: Final = 1e-3
"""Of the rate, at the end."""
_ROWS: Final = 4096
_LIMIT: Final = 1 << 20
_FOLDER, _SCORES = "head", "scores.jsonl"


@dataclass(frozen=True)
class Lesson:
    """An image with the examples that answered it well and badly; rows of an index.

    Attributes:
        query: The image.
        best: Best first.
        worst: Worst last.
    """

    query: int
    best: tuple[int, ...]
    worst: tuple[int, ...]


class Head(nn.Module):
    """Two layers over an encoder's features; gives unit length.

    Args:
        channels: Of the features.
        outputs: What is compared.
    """

    def __init__(self, channels: int, outputs: int = 128) -> None:
        super().__init__()
        self.outputs = outputs
        self.layers = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, outputs)
        )

    def forward(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b o"]:
        """Project features."""
        return F.normalize(self.layers(features), dim=1)


def contrastive_loss(
    features: Float[Tensor, "b 3 d"], *, temperature: float = TEMPERATURE
) -> Float[Tensor, ""]:
    """How badly queries are told from others' examples, by their own best one.

    Args:
        features: Of each query, of a good example and of a bad one; unit length.
        temperature: Cosines are divided by it.
    """
    query, best, worst = features.unbind(dim=1)
    cosines = query @ torch.cat([best, worst]).T / temperature
    own = torch.arange(len(query), device=features.device)
    return temperature / _BASE * F.cross_entropy(cosines, own)


def best_and_worst(scores: Sequence[float], most: int = MOST) -> tuple[list[int], list[int]]:
    """Places of the best scores, best first, and of the worst, worst last; none is in both."""
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    count = min(most, len(order) // 2)
    return order[:count], order[len(order) - count :]


def rate_at(epoch: int, epochs: int = _EPOCHS, rate: float = _RATE) -> float:
    """The learning rate of an epoch, counted from 1: half a cosine down to a thousandth."""
    least = rate * _LEAST_RATE
    return least + (rate - least) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def fit(
    features: Float[Tensor, "n d"],
    lessons: Sequence[Lesson],
    *,
    epochs: int = _EPOCHS,
    seed: int = 0,
) -> Head:
    """Train a head.

    Args:
        features: Rows of an index.
        lessons: At least one.
        epochs: Passes over them.
        seed: Of the first weights, the order, and which examples of a lesson are shown.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = Head(features.shape[1])
    optimiser = torch.optim.SGD(
        head.parameters(), lr=_RATE, momentum=_MOMENTUM, weight_decay=_DECAY
    )
    for epoch in range(1, epochs + 1):
        optimiser.param_groups[0]["lr"] = rate_at(epoch, epochs)
        order = rng.permutation(len(lessons))
        for start in range(0, len(order), _BATCH):
            batch = [lessons[place] for place in order[start : start + _BATCH]]
            rows = [(x.query, int(rng.choice(x.best)), int(rng.choice(x.worst))) for x in batch]
            shown = head(features[[row for three in rows for row in three]])
            loss = contrastive_loss(shown.view(len(batch), 3, -1))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return head.eval().requires_grad_(False)


def measure(
    index: Index,
    score: Score,
    folder: Path,
    *,
    made_by: dict[str, Any],
    queries: int = 40,
    candidates: int = 10,
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> list[Lesson]:
    """Let an engine answer images of a pool with each of the examples that are most like them.

    Scores are kept in the folder as they come: a run that is stopped goes on. They are of what is
    in the files: where an image or its annotation is changed, its own are measured anew.

    Args:
        index: Of labelled images.
        score: How well examples answer an image.
        folder: Of the index.
        made_by: What scores depend on, as plain values: where it is another, all is measured anew.
        queries: How many images are answered; fewer where there are not as many.
        candidates: How many examples each is answered with.
        seed: Which images.
        advance: Is told when one score is there.

    Raises:
        PoolError: If there are fewer than three images, or the index compares places.
    """
    if index.looking == "places":
        raise PoolError(
            f"{index.pool.name}: its index compares places, which are too many numbers to learn "
            "from; index it with --compare whole"
        )
    if len(index.pool) < 3:
        raise PoolError(f"{index.pool.name}: has {len(index.pool)} images, expected 3 to learn")
    known, journal = _scores(folder, made_by)
    rows = {key_of(entry.image): row for row, entry in enumerate(index.pool.entries)}
    nearest, lessons = Nearest(index), []
    try:
        for query in np.random.default_rng(seed).permutation(len(index.pool))[:queries].tolist():
            entry = index.pool.entries[query]
            names = dict.fromkeys(key_of(e.image) for e in nearest.ranked(entry.image))
            tried = [name for name in names if name != key_of(entry.image)][:candidates]
            found = []
            for name in tried:
                shown = index.pool.entries[rows[name]]
                key = (_told(entry), _told(shown))
                if key not in known:
                    known[key] = score([shown.example()], entry.example())
                    if not any(isinstance(one, int) for one in key):  # a value's ends with the run
                        journal.append({"query": key[0], "example": key[1], "score": known[key]})
                found.append(known[key])
                advance()
            best, worst = (
                tuple(rows[tried[place]] for place in places) for places in best_and_worst(found)
            )
            lessons.append(Lesson(query, best, worst))
    finally:
        journal.close()
    return lessons


def project(index: Index, head: Head, head_hash: str) -> Index:
    """An index whose features, and queries, go through a head."""
    parts = [head(index.features[at : at + _ROWS]) for at in range(0, len(index.pool), _ROWS)]
    return replace(index, features=torch.cat(parts), project=head, head_hash=head_hash)


class _Config(BaseModel):
    """`head/config.json`, beside its `model.safetensors`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal["vicl selection head"] = "vicl selection head"
    version: Literal[1] = 1
    encoder: str = Field(max_length=400)
    weights_hash: str | None
    looking: Looking
    channels: int = Field(ge=1, le=1 << 16)
    outputs: int = Field(ge=1, le=1 << 12)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


def save_head(head: Head, index: Index, folder: Path) -> None:
    """Keep a head in an index's folder.

    Raises:
        vicl.files.FileError: If it cannot be written.
    """
    data = save(weights(head), metadata={"format": "pt"})
    config = _Config(
        encoder=index.encoder.name,
        weights_hash=index.encoder.weights_hash,
        looking=index.looking,
        channels=index.features.shape[1],
        outputs=head.outputs,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    write_atomic(folder / _FOLDER / WEIGHTS, data)
    write_atomic(folder / _FOLDER / CONFIG, config.model_dump_json(indent=1).encode())


def learned_index(index: Index, folder: Path) -> Index:
    """An index with the head that was learned on it.

    Raises:
        PoolError: If there is none, it is broken, or it was learned on other features.
        vicl.storage.folder.ModelError: If its weights are broken.
    """
    file = folder / _FOLDER / CONFIG
    again = "learn it anew: vicl index POOL --learn"
    if not file.is_file():
        raise PoolError(f"{display(folder)}: nothing was learned on this index yet; {again}")
    try:
        config = _Config.model_validate_json(read_bounded(file, _LIMIT, PoolError))
    except ValidationError as error:
        raise PoolError(f"{display(file)}: {said(error)}; {again}") from error
    own = (index.encoder.name, index.encoder.weights_hash, index.looking)
    if (config.encoder, config.weights_hash, config.looking) != own:
        raise PoolError(f"{display(file)}: was learned on features of {config.encoder}; {again}")
    if config.channels != index.features.shape[1]:
        raise PoolError(f"{display(file)}: is for {config.channels} features a row; {again}")
    with torch.device("meta"):
        head = Head(config.channels, config.outputs)
    if fill_from(head, folder / _FOLDER) != config.sha256:
        raise PoolError(f"{display(file)}: its weights are others than were learned; {again}")
    return project(index, head.eval().requires_grad_(False), config.sha256)


def _told(entry: Entry) -> str | int:
    """By what scores know an entry: what is in its files, so that a changed one is another."""
    return entry.digest or id(entry)


def _scores(
    folder: Path, made_by: dict[str, Any]
) -> tuple[dict[tuple[str | int, str | int], float], Journal]:
    """Scores of an earlier run, where it measured the same, and where to put further ones."""
    file = folder / _SCORES
    head = {"made_by": hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()}
    journal = Journal(file, resume=True)
    try:
        lines = [parse_json(line) for line in journal.lines]
        if lines[:1] == [head]:
            found = {(line["query"], line["example"]): float(line["score"]) for line in lines[1:]}
            return found, journal
    except (ValueError, KeyError, TypeError):
        pass  # not ours, or broken: measured anew
    journal.close()
    journal = Journal(file, resume=False)
    journal.append(head)
    return {}, journal
