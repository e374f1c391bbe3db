"""SupPR: the loss, the head and the choice of examples to learn from, as published."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.selection.encoders import Mean, labelled, mask, plain
from torch import Tensor

from vicl.images import to_tensor
from vicl.prompt import Example
from vicl.selection.index import Index, encode_pool
from vicl.selection.index_folder import index_pool
from vicl.selection.learned import (
    Head,
    Lesson,
    best_and_worst,
    contrastive_loss,
    fit,
    learned_index,
    measure,
    project,
    rate_at,
    save_head,
)
from vicl.selection.pool import PoolError, open_pool
from vicl.selection.selectors import Nearest, choose
from vicl.storage.checkpoints import CheckpointError


@pytest.fixture(scope="module")
def golden(shared: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    folder = shared / "goldens/retrieval"
    arrays = np.load(folder / "retrieval.npz")
    return json.loads((folder / "retrieval.json").read_text()), dict(arrays)


Golden = tuple[dict[str, Any], dict[str, np.ndarray]]


def generated(facts: dict[str, Any], name: str) -> Tensor:
    entry = facts["tensors"][name]
    seed = zlib.crc32(f"vicl-golden:{entry['name']}".encode())
    z = np.random.Generator(np.random.PCG64(seed)).standard_normal(entry["shape"], np.float32)
    return torch.from_numpy(np.float32(entry["offset"]) + np.float32(entry["scale"]) * z)


def test_the_published_loss_and_its_gradient(golden: Golden) -> None:
    facts, arrays = golden
    raw = generated(facts, "suppr.features")
    unit = torch.nn.functional.normalize(raw, dim=2)
    assert np.allclose(unit, arrays["suppr_features_unit"], atol=1e-6)
    features = torch.from_numpy(arrays["suppr_features_unit"]).requires_grad_()
    loss = contrastive_loss(features)
    assert float(loss.detach()) == pytest.approx(facts["suppr_loss_temp0.1"], abs=1e-5)
    loss.backward()
    assert np.allclose(features.grad, arrays["suppr_grad"], atol=1e-5)


def test_the_published_head(golden: Golden) -> None:
    facts, arrays = golden
    head = Head(8, 3)
    names = ("0.weight", "0.bias", "2.weight", "2.bias")
    state = {f"layers.{name}": generated(facts, f"suppr.head.{name}") for name in names}
    head.load_state_dict(state)
    assert np.allclose(arrays["head_in"], generated(facts, "suppr.backbone_features"), atol=1e-6)
    found = head(torch.from_numpy(arrays["head_in"]))
    assert np.allclose(found.detach(), arrays["head_out"], atol=1e-5)


def test_the_published_choice_and_schedule(golden: Golden) -> None:
    facts, arrays = golden
    names, scores = zip(*facts["positives_negatives"]["iou"].items(), strict=True)
    best, worst = best_and_worst(scores)
    assert [names[place] for place in best] == facts["positives_negatives"]["positives_top5"]
    assert [names[place] for place in worst] == facts["positives_negatives"]["negatives_bottom5"]
    rates = [rate_at(epoch) for epoch in range(1, 201)]
    assert np.allclose(rates, arrays["suppr_lr_epoch_1_to_200"], atol=1e-12)


def test_few_scores_are_never_best_and_worst_at_once() -> None:
    assert best_and_worst([0.1, 0.9, 0.5]) == ([1], [0])
    assert best_and_worst([0.1]) == ([], [])


@pytest.mark.slow
def test_a_head_learns_what_the_features_hide() -> None:
    """Images are alike in what does not matter, and helped by those alike in what does."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, 60)
    rows = np.concatenate([rng.normal(size=(60, 8)), 0.3 * (2 * kinds[:, None] - 1)], axis=1)
    features = torch.nn.functional.normalize(torch.from_numpy(rows).float(), dim=1)
    same = [[k for k in range(60) if kinds[k] == kinds[q] and k != q] for q in range(60)]
    other = [[k for k in range(60) if kinds[k] != kinds[q]] for q in range(60)]
    lessons = [Lesson(q, tuple(same[q][:5]), tuple(other[q][:5])) for q in range(40)]

    def right(values: Tensor) -> float:
        cosines = values @ values.T - 2 * torch.eye(60)
        return float(np.mean(kinds[cosines.argmax(dim=1).numpy()][40:] == kinds[40:]))

    head = fit(features, lessons, seed=1)
    assert right(head(features)) >= 0.9 > right(features) + 0.2
    assert torch.equal(head(features), fit(features, lessons, seed=1)(features))


def index_of(root: Path) -> Index:
    for number in range(12):
        plain(root / f"images/{number:02}.png", (250 - 9 * number, 20 * number, 30))
        labelled(root)
    return encode_pool(open_pool(root).labelled, Mean())


def far(examples: Sequence[Example], truth: Example) -> float:
    """The more red an example is, the better."""
    return float(to_tensor(examples[0].input)[0].mean())


def test_scores_are_kept_and_a_head_is_saved(tmp_path: Path) -> None:
    index, folder = index_of(tmp_path / "p"), tmp_path / "p.index"
    asked: list[Example] = []

    def score(examples: Sequence[Example], truth: Example) -> float:
        asked.append(truth)
        return far(examples, truth)

    lessons = measure(index, score, folder, made_by={"a": 1}, queries=4, candidates=3)
    assert len(lessons) == 4
    assert len(asked) == 12
    assert measure(index, score, folder, made_by={"a": 1}, queries=4, candidates=3) == lessons
    assert len(asked) == 12
    measure(index, score, folder, made_by={"a": 2}, queries=4, candidates=3)
    assert len(asked) == 24
    with pytest.raises(PoolError, match="nothing was learned on this index yet"):
        learned_index(index, folder)
    head = fit(index.features, lessons, epochs=2)
    save_head(head, index, folder)
    learned = learned_index(index, folder)
    assert torch.equal(learned.features, project(index, head, "").features)
    assert torch.allclose(learned.encode(tmp_path / "p/images/red.png").norm(), torch.ones(()))
    example = choose(Nearest(learned), tmp_path / "p/images/red.png")[0]
    assert example.input != tmp_path / "p/images/red.png"
    assert Nearest(learned).describe()["select"] == "learned"


def test_scores_notice_a_changed_annotation(tmp_path: Path) -> None:
    index_of(tmp_path / "p")
    asked: list[Path] = []

    def score(examples: Sequence[Example], truth: Example) -> float:
        asked.extend(one.output for one in (*examples, truth))
        return far(examples, truth)

    def learn() -> None:
        asked.clear()
        pool, place = open_pool(tmp_path / "p").labelled, tmp_path / "p.index"
        index, _ = index_pool(pool, Mean(), place)
        measure(index, score, place, made_by={}, queries=5, candidates=2)

    learn()
    assert len(asked) == 20
    mask(tmp_path / "p/masks/lime.png")  # written anew, and the same
    learn()
    assert asked == []
    changed = mask(tmp_path / "p/masks/lime.png", 7)
    learn()
    assert asked
    assert all(changed in pair for pair in zip(asked[::2], asked[1::2], strict=True))


def test_values_are_told_apart_and_their_scores_are_not_kept(tmp_path: Path) -> None:
    pairs = [(torch.full((3, 8, 8), x), np.ones((8, 8), bool)) for x in (0.2, 0.5, 0.9)]
    index = encode_pool(open_pool(pairs), Mean())
    lessons = measure(index, far, tmp_path, made_by={}, candidates=2)
    assert all(x.query not in (*x.best, *x.worst) and x.best != x.worst for x in lessons)
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == 1


def test_places_are_too_many_to_learn_from(tmp_path: Path) -> None:
    index = encode_pool(open_pool(labelled(tmp_path)), Mean(), looking="places")
    with pytest.raises(PoolError, match="--compare whole"):
        measure(index, far, tmp_path, made_by={})


def test_a_broken_head_is_refused(tmp_path: Path) -> None:
    index, folder = index_of(tmp_path / "p"), tmp_path / "p.index"
    lessons = [Lesson(0, (1,), (2,))]
    save_head(fit(index.features, lessons, epochs=1), index, folder)
    config = (folder / "head/config.json").read_text()
    for text in ("{", config.replace('"mean"', '"other"'), config.replace(": 3", ": 4")):
        (folder / "head/config.json").write_text(text)
        with pytest.raises(PoolError, match="learn it anew"):
            learned_index(index, folder)
    (folder / "head/config.json").write_text(config)
    save_head(fit(index.features, lessons, epochs=1, seed=5), index, folder)
    (folder / "head/config.json").write_text(config)
    with pytest.raises(PoolError, match="its weights are others"):
        learned_index(index, folder)
    (folder / "head/model.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError):
        learned_index(index, folder)
