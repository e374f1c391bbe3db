"""Settings of tuning: published defaults, what a user changes, and what is refused."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tests.tuning.toys import TOY, ToyBackbone, toy

from vicl.prompts.methods import METHODS, method
from vicl.tuning.published import grid, published
from vicl.tuning.settings import (
    Budget,
    Pace,
    SettingsError,
    TuneSettings,
    read_budget,
    settle,
)

__all__ = ["toy"]
MANUAL = Path(__file__).parents[2] / "docs/learned-prompts.md"


def test_options_and_settings_are_told_apart() -> None:
    options, settings = settle(TOY, ["scale=0.5", "lr=1e-2", "milestones=[0.3]", "clip=1"])
    assert options.model_dump() == {"scale": 0.5, "steps": 3}
    assert (settings.lr, settings.milestones, settings.clip) == (0.01, (0.3,), 1.0)
    assert settings.weight_decay == 1e-3  # as of VPT, for a method that nothing is published of


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr", "got 'lr', expected KEY=VALUE, such as lr=0.1"),
        ("lr=fast", "--set lr: got 'fast', expected a number"),
        ("lr=-1", "lr: got -1, expected more than 0"),
        ("lr=true", "--set lr: got true, expected a number"),
        ("batch=0", "batch: got 0, expected more than 0"),
        ("scales=1", r"no such key \(did you mean scale\?\); allowed are of toy: scale, steps"),
        ("optimiser.lr=1", "no such key .*of the training: optimiser, lr"),
        ("scale=[1]", r"scale: got \[1\], expected a number"),
        ("augment=flip", "augment: got 'flip', expected 'none', 'crop' or 'resized-crop'"),
        ("lr=[", "not plain YAML"),
    ],
)
def test_a_wrong_key_or_value_is_named(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settle(TOY, [text])


def test_no_option_of_a_method_is_called_as_a_setting() -> None:
    """Else nobody could say which is meant."""
    for one in METHODS:
        assert not one.options.model_fields.keys() & TuneSettings.model_fields.keys(), one.name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pixel", ("sgd", 40.0, False, 0.0, "step", 1000, 1000)),
        ("vpt", ("sgd", 1.0, True, 1e-3, "epoch", 10, 100)),
        ("coop", ("sgd", 0.002, False, 5e-4, "epoch", 1, 200)),
        ("cocoop", ("sgd", 0.002, False, 5e-4, "epoch", 1, 10)),
        ("reprogram", ("adam", 0.05, False, 0.0, "epoch", 0, 100)),
        ("lora", ("adamw", 1e-3, True, 1e-4, "epoch", 5, 100)),
    ],
)
def test_published_settings(name: str, expected: tuple[object, ...]) -> None:
    found = TuneSettings.model_validate(published(name, {}))
    shown = (found.optimiser, found.lr, found.scale_lr, found.weight_decay, found.by)
    assert (*shown, found.warmup, found.epochs) == expected


def test_some_go_by_shots_and_options() -> None:
    """CoOp's epochs; ILM-VP's steps down, for a program of its kind."""
    epochs = [published("coop", {}, shots=shots)["epochs"] for shots in (1, 2, 4, 8, 16)]
    assert epochs == [50, 100, 100, 200, 200]
    ilm = TuneSettings.model_validate(published("reprogram", {"labels": "iterative"}))
    assert (ilm.lr, ilm.schedule, ilm.factor, ilm.epochs) == (0.01, "milestones", 0.1, 200)
    assert ilm.milestones == (0.5, 0.72)


def test_warmups_are_short_in_short_runs_unless_told() -> None:
    linear = method("linear")
    assert settle(linear)[1].rate(100).warmup == 10
    assert settle(linear, ["epochs=20"])[1].rate(20).warmup == 2
    assert settle(linear, ["epochs=20", "warmup=7"])[1].rate(20).warmup == 7


def test_every_image_has_its_epochs() -> None:
    pace = Pace(images=10, batch=4, epochs=3)
    assert pace.steps == 8
    assert [pace.epoch(step) for step in range(8)] == [0, 0, 0, 1, 1, 2, 2, 2]


def test_what_learns_pixels_takes_steps_where_images_are_few() -> None:
    found = {one.name: published(one.name, {}).get("least_steps", 1) for one in METHODS}
    assert {name for name, steps in found.items() if steps == 10} == {"pixel", "reprogram"}
    assert set(found.values()) == {1, 10}
    told = settle(method("pixel"), ["batch=64"])[1]
    assert (told.batch, told.least_steps) == (64, 1)


def test_the_manual_has_a_command_for_every_method() -> None:
    lines = [line.split() for line in MANUAL.read_text("utf-8").splitlines()]
    shown = set()
    for words in (shlex.split(" ".join(line)) for line in lines if line[:2] == ["vicl", "tune"]):
        given = [words[at + 1] for at, word in enumerate(words) if word == "--set"]
        settle(method(words[2]), given)
        if any(word.startswith("hub:") for word in words):
            shown.add(words[2])
    assert shown == {one.name for one in METHODS}


def test_grids_hold_what_was_published() -> None:
    assert grid("vpt")[0] == (50.0, 25.0, 10.0, 5.0, 2.5, 1.0, 0.5, 0.25, 0.1, 0.05)
    assert grid("vpt")[1] == (0.01, 1e-3, 1e-4, 0.0)
    assert grid("full")[0] == (5e-3, 1e-3, 5e-4, 1e-4)
    assert grid("pixel") == ((200.0, 80.0, 40.0, 20.0, 8.0), (0.0,))


def test_budgets() -> None:
    assert read_budget("12") == Budget(trials=12)
    found = [read_budget(text).seconds for text in ("90s", "10m", "2h")]
    assert found == [90, 600, 7200]
    for text in ("", "0", "10 d", "-3", "1.5h"):
        with pytest.raises(SettingsError, match="--search: got"):
            read_budget(text)


def test_the_toy_is_known(toy: ToyBackbone) -> None:
    assert method("toy") is TOY
