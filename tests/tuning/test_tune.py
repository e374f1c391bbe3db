"""Tuning as a whole, on toys: it learns, stops and goes on, tests once, saves what it learned."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.tuning.toys import SIDE, Toy, ToyBackbone, squares, toy, toy_backbone
from torch.nn import functional as F  # noqa: N812

from vicl.metrics import bootstrap_interval
from vicl.prompts import methods
from vicl.prompts.backbones.backbone import Reading
from vicl.prompts.saved import classify, load_classifier
from vicl.training.checkpoints import CheckpointFolder, TrainingError
from vicl.training.report import read_log
from vicl.tuning import fitting
from vicl.tuning.answers import Answers, ask, pictures_for
from vicl.tuning.data import open_data
from vicl.tuning.layouts import DataError
from vicl.tuning.looking import Patience, brier_score
from vicl.tuning.search import Trial, best_of, pairs
from vicl.tuning.settings import Budget, SettingsError
from vicl.tuning.tune import Tuned, tune

__all__ = ["toy"]
QUICK = ("epochs=12", "batch=8", "lr=2", "optimiser=sgd")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return squares(tmp_path / "data", {"train": 6, "val": 3, "test": 4})


def run(method: str, backbone: ToyBackbone, data: Path, out: Path, **more: Any) -> Tuned:
    overrides = more.pop("overrides", QUICK)
    return tune(method, out, backbone=backbone, data=data, overrides=overrides, **more)


def test_a_layer_learns_colours(toy: ToyBackbone, data: Path, tmp_path: Path) -> None:
    """Its accuracy is that of the saved prompt, asked anew; features are computed once."""
    before = toy.mix.weight.clone()
    tuned = run("linear", toy, data, tmp_path / "out")
    assert tuned.accuracy.mean == 1.0
    assert tuned.accuracy.n == 12
    assert tuned.fitted.learned == 3 * 6 + 3
    assert toy.calls == 3  # of the training, the validation and the test images
    assert torch.equal(toy.mix.weight, before)
    made = load_classifier(tuned.folder, device="cpu")
    answers = ask(made, pictures_for(made, open_data(data).test))
    assert bootstrap_interval([float(r) for r in answers.right]) == tuned.accuracy
    assert set(load_file(tuned.folder / "model.safetensors")) == {"head.weight", "head.bias"}
    card = (tuned.folder / "README.md").read_text()
    assert f"Accuracy on 12 test images: {tuned.accuracy}" in card
    assert f"SHA-256 of its weights {toy.weights_hash}" in card
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert scores["accuracy"]["mean"] == 1.0
    pictures = {file.name for file in (tmp_path / "out/pictures").iterdir()}
    assert pictures == {"answers.png", "confusion.png"}
    assert len(list((tmp_path / "out/sheets").iterdir())) == 2  # of the first look and the 11th


def test_all_that_a_method_may_do(toy: ToyBackbone, data: Path, tmp_path: Path) -> None:
    """Counting before each epoch, bounds after each step, an option, pictures of the prompt."""
    out = tmp_path / "out"
    tuned = run("toy", toy, data, out, overrides=(*QUICK, "scale=0.05", "patience=1"))
    made = tuned.fitted.classifier
    assert isinstance(made, Toy)
    assert made.epochs == list(range(12))
    assert made.counted.tolist() == [6, 6, 6]
    assert 0 < float(made.prompt.detach().abs().max()) <= 0.05 + 1e-6
    with Image.open(out / "pictures/prompt.png") as picture:
        assert picture.size == (256, 256)
    assert (out / "pictures/as-given.png").is_file()
    again = load_classifier(out)  # the folder of the run serves as well
    assert isinstance(again, Toy)
    assert again.counted.dtype == torch.long
    assert torch.equal(again.counted, made.counted)
    assert torch.equal(again.prompt, made.prompt)
    assert set(load_file(tuned.folder / "model.safetensors")) == {
        *("prompt", "head.weight", "head.bias", "counted"),
    }


def test_the_backbone_may_see_another_side(toy: ToyBackbone, data: Path, tmp_path: Path) -> None:
    """Saved with it, and loaded onto a backbone at its own side, which stays at that."""
    out = tmp_path / "out"
    made = run("toy", toy, data, out, overrides=(*QUICK, "side=16")).fitted.classifier
    assert (made.backbone.side, made.reading, toy.side) == (16, Reading(18, 16), SIDE)
    assert made.backbone is not toy
    assert all(a is b for a, b in zip(made.backbone.parameters(), toy.parameters(), strict=True))
    again = load_classifier(out)
    assert (again.backbone.side, again.reading) == (16, Reading(18, 16))
    assert again.state_dict()["prompt"].shape[-1] == 16
    with pytest.raises(SettingsError, match=r"--set side: got 10 pixels, but toy takes multiples"):
        run("toy", toy, data, tmp_path / "wrong", overrides=(*QUICK, "side=10"))


class StoppedError(Exception):
    """What a process that is killed raises nothing of."""


def test_stopping_and_going_on_gives_the_same(
    toy: ToyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is killed within an epoch goes on as if it had not been."""
    overrides = (*QUICK, "augment=crop", "patience=1", "keep=last", "batch=5")
    whole = run("toy", toy, data, tmp_path / "whole", overrides=overrides)
    real = vars(fitting)["fit"]

    def dies(job: Any, joined: Any) -> Any:
        rate = job.rate

        def at(step: int) -> float:
            if step == 30:
                raise StoppedError
            return float(rate(step))

        return real(replace(job, rate=at, save_every=7), joined)

    monkeypatch.setattr(fitting, "fit", dies)
    out = tmp_path / "parts"
    with pytest.raises(StoppedError):
        run("toy", toy_backbone(), data, out, overrides=overrides)
    monkeypatch.setattr(fitting, "fit", real)
    with pytest.raises(TrainingError, match="has a run in it; go on with it by --resume"):
        run("toy", toy_backbone(), data, out, overrides=overrides)
    with pytest.raises(TrainingError, match=r"other values of settings.lr \(was 2.0, is 3.0\)"):
        run("toy", toy_backbone(), data, out, overrides=(*overrides, "lr=3"), resume=True)
    parts = run("toy", toy_backbone(), data, out, overrides=overrides, resume=True)
    for name, value in whole.fitted.classifier.state_dict().items():
        assert torch.equal(parts.fitted.classifier.state_dict()[name], value), name
    assert parts.accuracy == whole.accuracy
    again = run("toy", toy_backbone(), data, out, overrides=overrides, resume=True)
    assert again.accuracy == whole.accuracy


def test_the_checkpoint_holds_only_what_is_learned(
    toy: ToyBackbone, data: Path, tmp_path: Path
) -> None:
    run("toy", toy, data, tmp_path / "out")
    kept = CheckpointFolder(tmp_path / "out/checkpoints", 1)
    state = kept.load(kept.index().steps[-1])["objective"]
    names = {"model.prompt", "model.head.weight", "model.head.bias", "model.counted", "prepared"}
    assert set(state) == names


def test_it_ends_where_validation_gets_no_better(
    toy: ToyBackbone, data: Path, tmp_path: Path
) -> None:
    """Where some validation images are called by a wrong name, to be surer makes it worse."""
    for file in sorted((data / "val/blue").iterdir())[:2]:
        shutil.copy(file, data / "val/red" / f"wrong-{file.name}")
    overrides = ("epochs=40", "batch=8", "lr=20", "warmup=0", "patience=0.1")
    tuned = run("linear", toy, data, tmp_path / "out", overrides=overrides)
    looks = [line for line in read_log(tmp_path / "out") if "held_out_loss" in line]
    losses = [line["held_out_loss"] for line in looks]
    assert len(losses) < 40
    assert min(losses) == losses[-6]  # five more, a tenth of the 45 looks, were no better
    assert losses[-1] > 1.01 * min(losses)
    kept = tuned.fitted.classifier
    kept.temperature = 1.0  # as it was while it learned
    answers = ask(kept, pictures_for(kept, open_data(data).val))
    assert brier_score(answers) == pytest.approx(min(losses), rel=1e-4)


def test_a_step_has_as_many_fewer_images_as_an_epoch_needs_steps(
    toy: ToyBackbone, data: Path, tmp_path: Path
) -> None:
    overrides = ("epochs=2", "batch=100", "least_steps=5", "patience=1")
    run("linear", toy, data, tmp_path / "out", overrides=overrides)
    steps = [line["step"] for line in read_log(tmp_path / "out")]
    assert max(steps) == 12  # of 18 images, three a step


def test_the_score_of_answers_has_a_bound() -> None:
    """Surer answers, most of them right, are better than none, which cross-entropy denies."""
    labels = torch.arange(10) % 5
    said = F.one_hot((labels + (torch.arange(10) > 7)) % 5, 5).float()  # 8 of 10 right
    sures = [said * sure for sure in (0.0, 1.0, 1e4)]
    scores = [brier_score(Answers(sure, sure.softmax(1), labels, ())) for sure in sures]
    assert scores == pytest.approx([0.8, 0.54542, 0.4], abs=1e-5)
    assert F.cross_entropy(sures[2], labels) > 100 * F.cross_entropy(sures[0], labels)


def test_what_learned_is_kept_at_a_rate_that_is_too_high(
    toy: ToyBackbone, data: Path, tmp_path: Path
) -> None:
    """Logits of thousands, and one image of a wrong name: it is the right ones that count."""
    shutil.copy(data / "val/blue/00.png", data / "val/red/wrong.png")
    overrides = ("epochs=20", "batch=100", "least_steps=1", "lr=2000", "optimiser=sgd")
    tuned = run("linear", toy, data, tmp_path / "out", overrides=overrides)
    made = load_classifier(tuned.folder, device="cpu")
    answers = ask(made, pictures_for(made, open_data(data).val))
    assert answers.logits.abs().max() > 100
    assert sum(answers.right) == len(answers.right) - 1 == tuned.accuracy.n - 3
    assert tuned.accuracy.mean == 1.0
    # Its scores are as sure as one fault in ten allows, wherever it is asked.
    assert answers.logits.softmax(1).amax(dim=1).mean() > 0.999
    assert 0.6 < answers.scores.amax(dim=1).mean() < 0.95
    assert max(classify(data / "val/blue/01.png", made).scores.values()) < 0.98


def test_patience_follows_from_the_log(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(
        "".join(f'{{"step": {s}, "held_out_loss": {v}}}\n' for s, v in enumerate((3, 2, 4, 5)))
    )
    assert Patience(2, tmp_path, 3).enough()
    assert not Patience(2, tmp_path, 2).enough()
    assert not Patience(2).enough()


@pytest.mark.slow
def test_broken_images_are_skipped_and_told(
    toy: ToyBackbone, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in ("train", "val", "test"):
        (data / split / "red/00.png").write_bytes(b"\x89PNG broken")
    for method in ("linear", "toy"):
        tuned = run(method, toy_backbone(), data, tmp_path / method)
        assert len(tuned.broken) == 3
        assert tuned.scored.broken == 1
        assert tuned.accuracy.n == 11
        assert "3 images could not be read" in (tuned.folder / "README.md").read_text()
    assert "train/red/00.png" in caplog.text


def test_a_class_of_broken_images_is_fatal(toy: ToyBackbone, data: Path, tmp_path: Path) -> None:
    for file in (data / "train/red").iterdir():
        file.write_bytes(b"broken")
    with pytest.raises(DataError, match="class red: none of its 6 images can be read"):
        run("toy", toy, data, tmp_path / "out")


def test_a_loss_that_is_no_number_is_named(toy: ToyBackbone, data: Path, tmp_path: Path) -> None:
    overrides = (*QUICK, "lr=1e30", "scale=1e38", "weight_decay=1", "warmup=0")
    with pytest.raises(TrainingError, match=r"loss: was not a finite number .* Lower lr"):
        run("toy", toy, data, tmp_path / "out", overrides=overrides)


def test_a_search_is_judged_in_validation(
    toy: ToyBackbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three runs and the last; the best rate is the card's; the test images are asked once."""
    asked: list[int] = []
    real = vars(fitting)["encode"]

    def encode(made: Any, pictures: Any) -> Any:
        asked.append(len(pictures))
        return real(made, pictures)

    monkeypatch.setattr(fitting, "encode", encode)
    out = tmp_path / "out"
    overrides = ("epochs=6", "batch=8", "weight_decay=0")
    tuned = run("linear", toy, data, out, overrides=overrides, budget=Budget(trials=3))
    assert asked == [18, 9]  # once for all runs
    assert len(tuned.trials) == 3
    assert {trial.weight_decay for trial in tuned.trials} == {0.0}
    assert tuned.trials[0].lr == 1.0
    best = best_of(list(tuned.trials))
    assert (tuned.settings.lr, tuned.settings.weight_decay) == (best.lr, best.weight_decay)
    assert tuned.fitted.val.figures["accuracy"] == pytest.approx(best.accuracy)
    assert f"| {best.lr:g} | 0 |" in (tuned.folder / "README.md").read_text()
    more = run(
        "linear",
        toy_backbone(),
        data,
        out,
        overrides=overrides,
        budget=Budget(trials=4),
        resume=True,
    )
    assert more.trials[:3] == tuned.trials
    assert len(more.trials) == 4


def test_a_search_needs_something_to_validate_on(toy: ToyBackbone, tmp_path: Path) -> None:
    data = squares(tmp_path / "one", {"train": 1, "test": 1})
    with pytest.raises(SettingsError, match="has no image to validate on"):
        run("linear", toy, data, tmp_path / "out", budget=Budget(seconds=1.0))


def test_ties_go_to_the_smaller_rate_and_runs_that_diverged_lose() -> None:
    def trial(lr: float, decay: float, accuracy: float | None) -> Trial:
        return Trial(lr=lr, weight_decay=decay, accuracy=accuracy, loss=1.0, epochs=1, seconds=1.0)

    tried = [trial(5, 0, 0.9), trial(0.1, 0.1, 0.9), trial(0.1, 0, 0.9), trial(0.01, 0, None)]
    assert best_of(tried) == tried[2]
    assert best_of([trial(0.001, 0, 0.8), *tried]) == tried[2]
    assert best_of([*tried, trial(9, 0, 0.95)]).lr == 9
    assert best_of(tried[3:]) is None


def test_the_grid_is_the_published_one_and_begins_with_the_default() -> None:
    from vicl.tuning.settings import settle

    _, settings = settle(methods.method("linear"))
    tried = pairs("linear", settings, frozenset(), 0)
    assert tried[0] == (settings.lr, settings.weight_decay)
    assert len(set(tried)) == 40
    assert {d for _, d in pairs("linear", settings, frozenset({"weight_decay"}), 0)} == {1e-4}


@pytest.mark.slow
def test_refitting_learns_from_the_validation_images_too(
    toy: ToyBackbone, data: Path, tmp_path: Path
) -> None:
    tuned = run("toy", toy, data, tmp_path / "out", overrides=(*QUICK, "refit=true"))
    made = tuned.fitted.classifier
    assert isinstance(made, Toy)
    assert made.counted.tolist() == [9, 9, 9]
    assert tuned.fitted.val is None
