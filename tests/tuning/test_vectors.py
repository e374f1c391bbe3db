"""Task vectors: coins as published, a search that finds what is worth it, answers by no example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.prompting.test_border import engines
from tests.prompts.goldens import Golden
from tests.tuning.test_border import data
from torch import Tensor

from vicl.models.mae_vqgan import MAEVQGAN, PUBLISHED
from vicl.prompt import Prompt
from vicl.prompting.learned import LearnedError
from vicl.prompting.prompt_file import PromptFileError
from vicl.prompting.prompter import VisualPrompter
from vicl.prompting.task_vectors import TaskVectors, VectorModel, as_vectors
from vicl.training.checkpoints import CheckpointFolder
from vicl.tuning.settings import SettingsError
from vicl.tuning.vectors import Coins, Groups, VectorObjective, VectorSettings
from vicl.tuning.vectors_run import Vectored, tune_vectors

__all__ = ["data", "engines"]
QUICK = ("tried=6", "recorded=4", "iterations=6", "samples=8", "images=2", "look_every=2")


def run(engine: MAEVQGAN, data: Path, out: Path, **more: Any) -> Vectored:
    given = {"model": engine, "data": data, "task": "segmentation", "overrides": QUICK}
    return tune_vectors(out, **{**given, **more})


def tokens(groups: Groups, coin: int) -> Tensor:
    """Layer, head and token of a coin's slices, in the published count of the decoder's tokens."""
    coins = torch.zeros(groups.count, dtype=torch.bool)
    coins[coin] = True
    encoder, decoder = (one.nonzero() for one in groups.chosen(coins))
    # Published: the decoder's layers follow the encoder's, and its tokens are those of the lower
    # half of the canvas after the class token.
    decoder[:, 0] += 24
    decoder[:, 2] = torch.where(decoder[:, 2] == 0, 0, decoder[:, 2] - 98)
    return torch.cat([encoder, decoder])


def test_coins_are_the_published_ones(shared: Path) -> None:
    golden = Golden(shared, "task_vectors/task_vectors").said
    model = MAEVQGAN.empty(PUBLISHED["large"])
    for granularity in (0, 1, 2):
        groups = Groups(model, granularity)
        assert groups.count == golden["n_variables"][f"granularity{granularity}"]
        if granularity == 1:
            for coin, said in golden["granularity1_bit_examples"].items():
                found = tokens(groups, int(coin)).tolist()
                assert (len(found), found[0], found[-1]) == (said["n"], said["first"], said["last"])
        if granularity == 2:
            for coin, at in golden["granularity2_bit_examples"].items():
                assert tokens(groups, int(coin)).tolist() == [at]


class Known(VectorObjective):
    """Every third coin is good, the others are bad."""

    def losses(self, image: Tensor, codes: Tensor, coins: Tensor) -> Tensor:
        good = torch.arange(coins.shape[1]) % 3 == 0
        return (coins & ~good).float().sum(dim=1) - (coins & good).float().sum(dim=1)


def test_chances_move_to_what_loses_least(engines: tuple[MAEVQGAN, MAEVQGAN]) -> None:
    engine = engines[0]
    groups = Groups(engine, 1)
    settings = VectorSettings(samples=200, where="encoder")
    coins = Coins(groups, settings)
    empty = torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    objective = Known(coins, engine, groups, empty, settings, seed=0)
    optimiser = torch.optim.Adam(coins.parameters(), lr=0.1)
    assert set(objective.state_dict()) == {"model.logits", "model.free", "model.fell"}
    for step in range(80):
        loss = objective(torch.zeros(1), torch.zeros(1), step).losses["model"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = int(groups.encoder.max()) + 1
    chance = coins.chances().sigmoid().detach()
    assert not chance[after:].any()
    good = torch.arange(after) % 3 == 0
    assert chance[:after][good].min() > 0.5 > chance[:after][~good].max()


def test_a_task_runs_without_an_example(
    engines: tuple[MAEVQGAN, MAEVQGAN], data: Path, tmp_path: Path
) -> None:
    engine, other = engines
    before = {name: value.clone() for name, value in engine.state_dict().items()}
    found = run(engine, data, tmp_path / "out")
    assert all(torch.equal(engine.state_dict()[name], value) for name, value in before.items())
    (line,) = found.broken
    assert "4.png" in line
    path, photo = tmp_path / "out/prompt.vicl", data / "images/0.png"
    opened = VisualPrompter.load(path, model=engine)
    made = VisualPrompter(engine, task="segmentation", vectors=tmp_path / "out")
    answers = [one.predict(photo) for one in (opened, made)]
    assert np.array_equal(answers[0].scores, answers[1].scores)
    assert answers[0].canvas is not None
    assert (np.asarray(answers[0].canvas) == np.asarray(answers[1].canvas)).all()
    saved = as_vectors(tmp_path / "out")
    assert saved is not None
    assert saved.to_bytes() == found.vectors.to_bytes()
    # What an example shows makes no difference; what is replaced does.
    query = torch.rand(3, 30, 30, generator=torch.Generator().manual_seed(0))
    shown = [Prompt([(colour * query, query)], query) for colour in (0.1, 1.0)]
    one, two = VectorModel(engine, found.vectors).answer(shown)
    assert torch.equal(one.image, two.image)
    every = tuple(torch.ones_like(chosen) for chosen in found.vectors.chosen)
    all_of_them = TaskVectors(found.vectors.slices, (every[0], every[1]), found.vectors.told)
    (third,) = VectorModel(engine, all_of_them).answer(shown[:1])
    assert not torch.equal(third.image, one.image)
    with pytest.raises(LearnedError, match=r"task vectors: learned with mine .*engine is other"):
        VisualPrompter(other, task="segmentation", vectors=found.vectors)
    with pytest.raises(PromptFileError, match="was made with mine"):
        VisualPrompter.load(path, model=other)
    with pytest.raises(ValueError, match="arrangements: with task vectors no example"):
        VisualPrompter(engine, task="segmentation", vectors=found.vectors, arrangements=2)
    with pytest.raises(SettingsError, match="got a, b, expected one"):
        run(engine, data, tmp_path / "two", classes={"a": 1, "b": 255})


@pytest.mark.slow
def test_a_stopped_search_goes_on_as_if_it_had_not_been(
    engines: tuple[MAEVQGAN, MAEVQGAN],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = run(engines[0], data, tmp_path / "whole")
    forward = VectorObjective.forward

    def stops(self: VectorObjective, *batch: Any) -> Any:
        if int(batch[-1]) == 4:
            raise KeyboardInterrupt
        return forward(self, *batch)

    monkeypatch.setattr(VectorObjective, "forward", stops)
    with pytest.raises(KeyboardInterrupt):
        run(engines[0], data, tmp_path / "parts")
    monkeypatch.setattr(VectorObjective, "forward", forward)
    assert CheckpointFolder(tmp_path / "parts/checkpoints", 1).index().steps[-1] == 4
    parts = run(engines[0], data, tmp_path / "parts", resume=True)
    assert parts.vectors.to_bytes() == whole.vectors.to_bytes()
    assert parts.scores == whole.scores
