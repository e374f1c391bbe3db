"""Jobs without a recipe: a linear layer on four points, as a head or a learned prompt would be."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vicl.training.checkpoints import CheckpointFolder, TrainingError
from vicl.training.job import Job, Look, Round, Seat, Trained
from vicl.training.loop import fit
from vicl.training.objectives.objective import Losses, Objective
from vicl.training.parallel import processes
from vicl.training.report import read_log
from vicl.training.settings import BatchSize, Optimiser, Schedule

CPU = torch.device("cpu")
TRUTH = torch.tensor([[1.0, -2.0]])


class Fitting(Objective):
    """A linear layer on its squared error; at `fails` the loss is no number."""

    def __init__(self, *, fails: int | None = None) -> None:
        super().__init__()
        self.fails = fails
        self.model = layer()

    def forward(self, x: Tensor, y: Tensor, step: int) -> Losses:
        error = (self.model(x) - y).square().mean()
        if step == self.fails:
            error = error * torch.nan
        return Losses({"model": error}, {"counted": torch.tensor(float(step))})


def layer() -> nn.Linear:
    made = nn.Linear(2, 1)
    nn.init.constant_(made.weight, 0.5)
    nn.init.zeros_(made.bias)
    return made


def points(number: int, count: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(number))
    return x, x @ TRUTH.T


def rounds(seat: Seat, device: torch.device) -> Iterator[Round]:
    number = seat.start
    while True:
        x, y = points(number, seat.batch)
        yield Round((x.to(device), y.to(device)), ("one was broken",) if number == 1 else ())
        number += 1


def job(**changes: Any) -> Job:
    plain = Job(
        objective=Fitting(),
        rounds=rounds,
        batch=BatchSize(size=4),
        steps=6,
        schedule=Schedule(steps=6, warmup=0.0, final=1.0),
        optimiser=Optimiser(lr=0.1, scale_lr=False),
        log_every=1,
    )
    return replace(plain, **changes)


def done(given: Job) -> Trained:
    with processes(CPU, folder=given.folder) as accelerator:
        return fit(given, accelerator)


def by_hand(steps: int) -> nn.Linear:
    """The same by PyTorch alone; a single row does not decay."""
    model = layer()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=0.1, betas=(0.9, 0.95), weight_decay=0, fused=True
    )
    for step in range(steps):
        x, y = points(step, 4)
        optimiser.zero_grad()
        (model(x) - y).square().mean().backward()
        optimiser.step()
    return model


def test_a_job_without_a_folder_trains_what_it_is_given_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    given = job()
    found = done(given)
    assert found.model is given.objective.model
    assert found.look is None
    assert not found.model.training
    for name, value in by_hand(6).state_dict().items():
        assert torch.equal(found.model.state_dict()[name], value)
    assert "one was broken" in caplog.text
    assert not list(tmp_path.iterdir())


def test_rounds_are_numbered_and_summed_to_steps() -> None:
    """Two rounds of two images are numbers 2 k and 2 k + 1 of a step; their mean is stepped."""
    given = job(steps=1, batch=BatchSize(size=4, micro=2), optimiser=Optimiser(lr=1e-3))
    before = layer()
    (a, y), (b, z) = points(0, 2), points(1, 2)
    (before(torch.cat([a, b])) - torch.cat([y, z])).square().mean().backward()
    asked: list[Seat] = []

    def watched(seat: Seat, device: torch.device) -> Iterator[Round]:
        asked.append(seat)
        return rounds(seat, device)

    after = done(replace(given, rounds=watched)).model
    assert asked == [Seat(2, 0, 1, 0)]
    assert before.weight.grad is not None
    # AdamW's first step is as long as the learning rate, against the gradient.
    assert torch.equal((after.weight - 0.5).sign(), -before.weight.grad.sign())


def test_a_job_with_a_folder_goes_on_as_if_never_stopped(tmp_path: Path) -> None:
    whole = done(job(folder=tmp_path / "whole"))

    def interrupted(seat: Seat, device: torch.device) -> Iterator[Round]:
        for number, given in enumerate(rounds(seat, device)):
            if number == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield given

    with pytest.raises(KeyboardInterrupt):
        done(job(folder=tmp_path / "run", rounds=interrupted))
    assert CheckpointFolder(tmp_path / "run" / "checkpoints", 1).index().steps == (3,)
    again = done(job(folder=tmp_path / "run"))
    assert torch.equal(again.model.weight, whole.model.weight)
    assert [line["step"] for line in read_log(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]
    losses = [[line["loss"] for line in read_log(tmp_path / n)] for n in ("run", "whole")]
    assert losses[0] == losses[1]


def test_other_frozen_weights_are_no_way_to_go_on(tmp_path: Path) -> None:
    done(job(folder=tmp_path, tokenizer="one", steps=1))
    with pytest.raises(TrainingError, match="other weights than when the run began"):
        done(job(folder=tmp_path, tokenizer="another"))


def test_a_loss_that_is_no_number_ends_the_job(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"by step 3\. Lower optimiser\.lr.*") as caught:
        done(job(objective=Fitting(fails=2)))
    assert "--resume" not in str(caught.value)
    with pytest.raises(TrainingError, match=r"by step 3; none was saved.*--resume"):
        done(job(objective=Fitting(fails=2), folder=tmp_path))


def test_what_is_looked_at_is_the_average_where_there_is_one(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    def look(model: nn.Linear) -> Look:
        assert not model.training
        seen.append(model.weight.detach().clone())
        return Look({"loss": float(len(seen))}, Image.new("RGB", (2, 2)), 1)

    given = job(look=look, look_every=4, folder=tmp_path, save_every=100)
    plain = done(given)
    assert len(seen) == 2
    assert torch.equal(seen[-1], plain.model.weight)
    assert plain.look is not None
    assert plain.look.figures == {"loss": 2.0}
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == [
        "step-000000004.png",
        "step-000000006.png",
    ]
    # The first look was the best, so that step is kept as well.
    assert CheckpointFolder(tmp_path / "checkpoints", 2).index().best == 4
    averaged = done(job(look=look, ema=0.5, fresh=layer))
    assert torch.equal(seen[-1], averaged.model.weight)
    assert not torch.equal(averaged.model.weight, plain.model.weight)


def test_averages_need_a_model_to_be_copied_to() -> None:
    with pytest.raises(ValueError, match="fresh: got None"):
        job(ema=0.5)
    with pytest.raises(ValueError, match="fresh: got None"):
        job(sharded=True)


def test_processes_refuse_what_is_not_there() -> None:
    with (
        pytest.raises(TrainingError, match="'nothing', expected one of"),
        processes(CPU, trackers=("nothing",)),
    ):
        pass
    with pytest.raises(TrainingError, match="fp16 needs a GPU"), processes(CPU, precision="fp16"):
        pass


def test_without_accelerate_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    for name in ("loop", "parallel", "report"):
        monkeypatch.delitem(sys.modules, f"vicl.training.{name}")
    with pytest.raises(TrainingError, match=r'pip install "vicl\[train\]"'):
        importlib.import_module("vicl.training.loop")


class Bounded(Fitting):
    """Its weight never leaves [-0.6, 0.6]."""

    model: nn.Linear

    def tidy(self) -> None:
        with torch.no_grad():
            self.model.weight.clamp_(-0.6, 0.6)


def test_a_job_may_have_its_own_rates_bounds_and_end(tmp_path: Path) -> None:
    """What `rate` says is what is logged; after each step it is tidied; `enough` ends it."""
    seen: list[int] = []

    def look(model: Any) -> Look:
        assert float(model.weight.detach().abs().max()) < 0.601
        seen.append(1)
        return Look({"loss": 1.0}, Image.new("RGB", (8, 8)), 1)

    given = job(
        objective=Bounded(),
        rate=lambda step: 10.0 / (step + 1),
        enough=lambda: len(seen) == 3,
        look=look,
        look_every=1,
        folder=tmp_path,
    )
    done(given)
    rates = [line["lr"] for line in read_log(tmp_path) if "lr" in line]
    assert rates == pytest.approx([10, 5, 10 / 3], rel=1e-5)


def test_a_job_says_its_own_remedy() -> None:
    with pytest.raises(TrainingError, match=r"by step 2\. Pray"):
        done(job(objective=Fitting(fails=1), remedy="Pray"))
