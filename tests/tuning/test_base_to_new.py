"""Half of the classes are learned; the others are asked about by their names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tests.prompts.clips import make_clip

from vicl.cli import main
from vicl.images import save_image
from vicl.prompts.backbones.registry import load_backbone
from vicl.prompts.saved import load_classifier
from vicl.training.report import read_log
from vicl.tuning.answers import ask, pictures_for
from vicl.tuning.data import open_data
from vicl.tuning.layouts import DataError
from vicl.tuning.settings import SettingsError
from vicl.tuning.testing import labelled_for
from vicl.tuning.tune import tune

QUICK = ("epochs=2", "batch=4", "words=a photo of a")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    make_clip(folder)
    return folder


def noisy(folder: Path, classes: int) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2), ("test", 4)):
        for name in range(classes):
            for number in range(count):
                pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
                place = folder / split / f"thing {name}" / f"{number}.png"
                save_image(Image.fromarray(pixels), place)
    return folder


def test_others_are_asked_about_among_themselves(clip: Path, tmp_path: Path) -> None:
    data, out = noisy(tmp_path / "data", 5), tmp_path / "out"
    net = load_backbone(str(clip), device="cpu")
    overrides = (*QUICK, "lr=0.5", "patience=1", "stretch=true")
    tuned = tune("coop", out, backbone=net, data=data, overrides=overrides, base_to_new=True)
    losses = [line["held_out_loss"] for line in read_log(out) if "held_out_loss" in line]
    assert len(set(losses)) == len(losses) > 2  # each look reads the words as they are by then
    assert tuned.scored.classes == ("thing 0", "thing 1", "thing 2")
    assert tuned.new is not None
    assert tuned.new.classes == ("thing 3", "thing 4")
    assert (tuned.accuracy.n, tuned.new.accuracy.n) == (12, 8)
    every = open_data(data)
    others = every.only(tuned.new.classes)
    assert [item.label for item in others.test] == [0] * 4 + [1] * 4
    assert {item.path.parent.name for item in others.test} == {"thing 3", "thing 4"}
    # The same as of the saved prompt on a folder of those classes alone.
    learned = load_classifier(out, backbone=net)
    made, items = labelled_for(learned, others.classes, others.test, data)
    asked = ask(made, pictures_for(made, items))
    assert sum(asked.right) / len(asked.right) == pytest.approx(tuned.new.accuracy.mean)
    base, new = tuned.accuracy.mean, tuned.new.accuracy.mean
    assert tuned.base_to_new is not None
    assert tuned.base_to_new.harmonic == pytest.approx(2 * base * new / (base + new))
    said = json.loads((out / "scores.json").read_text())
    assert said["new_classes"]["accuracy"]["mean"] == pytest.approx(new, abs=1e-4)
    card = (out / "prompt/README.md").read_text()
    assert "8 test images of 2 classes that were not learned" in card
    assert f"harmonic mean of both: {tuned.base_to_new.harmonic:.3f}" in card
    assert "- 3 of 5 classes\n" in card


def test_what_reads_no_names_is_refused_before_it_runs(clip: Path, tmp_path: Path) -> None:
    data, net = noisy(tmp_path / "data", 4), load_backbone(str(clip), device="cpu")
    for name, more, words in (
        ("linear", ("epochs=2",), "linear reads no names of classes"),
        ("coop", (*QUICK, "class_specific=true"), "class_specific: each class has contexts"),
    ):
        out = tmp_path / name
        with pytest.raises(SettingsError, match=f"base-to-new: {words}"):
            tune(name, out, backbone=net, data=data, overrides=more, base_to_new=True)
        assert not out.exists()
    few = noisy(tmp_path / "few", 3)
    with pytest.raises(DataError, match=r"few: classes: got thing 0, .* expected four or more"):
        tune("coop", tmp_path / "no", backbone=net, data=few, overrides=QUICK, base_to_new=True)


@pytest.mark.slow
def test_the_command_says_both_and_their_mean(clip: Path, tmp_path: Path) -> None:
    data = noisy(tmp_path / "data", 4)
    given = ["tune", "coop", "--backbone", str(clip), "--data", str(data), "-o"]
    given += [str(tmp_path / "out"), "--base-to-new", "--device", "cpu"]
    done = CliRunner().invoke(main, [*given, *(x for k in QUICK for x in ("--set", k))])
    assert done.exit_code == 0, done.output
    others, mean, last = done.output.splitlines()[-3:]
    assert others.startswith("classes not learned: accuracy 0.")
    assert mean.startswith("harmonic mean 0.")
    assert last.startswith("accuracy 0.")
    assert last.endswith("on 8 test images")
