"""The benchmarks of prompting run from their own command lines, on a few episodes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from tests.models.kinds import tiny
from tests.test_benchmarks import photographs, run

import held_out
import pools
from vicl.cli.evaluate import evaluate
from vicl.evaluation.datasets import manifest
from vicl.evaluation.episodes import Episode, read_listing, write_listing
from vicl.models.floors import Copy
from vicl.models.mae_vqgan import MAEVQGAN
from vicl.models.pretrained import save_folder
from vicl.prompt import Example
from vicl.selection.selectors import Selector


@pytest.mark.slow
def test_selection() -> None:
    done = run("selection.py", "--rows", "300", "--queries", "2")
    assert done.returncode == 0, done.stderr
    assert "mapped, exact" in done.stdout


LEARNED = ("ccp1.png", "ccp2.png", "ccp4.png")


@pytest.fixture
def unlearned(tmp_path: Path) -> tuple[str, ...]:
    """Options: pictures of two sources, one of which a head learned from, but for some."""
    uses = {"ccp": "train", "other": "evaluate"}
    data = photographs(tmp_path / "data", uses, each=6)
    left = manifest(data, "segmentation", sources=["ccp"])
    kept = [item for item in left.pool if item.image not in LEARNED]
    listing = tmp_path / "listing.jsonl"
    episodes = [Episode("data", "segmentation", 0, 0, (one,), one) for one in kept]
    listing.write_text(write_listing(episodes))
    return "--data", str(data), "--leave-out", str(listing)


def test_what_was_learned_from_is_neither_shown_nor_asked(
    unlearned: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "held-out.jsonl"
    few = ["--episodes", "9", "--output", str(out)]
    assert held_out.main(["detection", *unlearned, *few]) == 0
    episodes = read_listing(out.read_text())
    assert len({episode.query.image for episode in episodes}) == 9
    assert not {item.image for e in episodes for item in (e.query, *e.examples)} & {*LEARNED}
    # They are episodes of the dataset as it is, so its command asks them.
    command = ["detection", *unlearned[:2], "--replay", str(out), "-o", str(tmp_path / "run")]
    done = CliRunner().invoke(evaluate, command)
    assert done.exit_code == 0, done.output
    assert read_listing((tmp_path / "run" / "listing.jsonl").read_text()) == episodes


def test_what_an_example_of_a_pool_scores() -> None:
    image = torch.zeros(3, 8, 8)
    whole, half = torch.ones(3, 8, 8), torch.ones(3, 8, 8)
    half[:, :4] = 0
    for shown, expected in ((half, 0.5), (whole, 1.0)):
        assert pools.score(Copy(), [Example(image, shown)], Example(image, whole)) == expected


@pytest.mark.slow
def test_pools(unlearned: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "scores.jsonl"
    chosen = ("--source", "other", "--classes", "square", "--folds", "3", "--examples", "1", "2")
    few = ("--model", "copy", "--encoder", "handmade", "--output", str(out))
    pool_sizes, select = [], pools.selectors

    def selectors(fold: pools.Fold, given: argparse.Namespace) -> dict[str, Selector]:
        pool_sizes.append(len(fold.pool))
        return select(fold, given)

    monkeypatch.setattr(pools, "selectors", selectors)
    assert pools.main([*unlearned, *chosen, *few, "--select", *pools.SELECTORS]) == 0
    assert pool_sizes == [4, 4, 4]  # of six, the two of the fold are no examples
    for refused in ((*few[:-2], "--folds", "1"), (*few[:-2], "--queries", "0"), few):
        with pytest.raises(SystemExit):
            pools.main([*unlearned, *refused])
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert sorted(line["fold"] for line in lines) == [0, 0, 1, 1, 2, 2]
    asked = [f"{way}, {count}" for count in (1, 2) for way in pools.SELECTORS]
    assert all(list(line["iou"])[::2] == asked for line in lines)
    assert pools.main([*unlearned, "--classes", "nothing"]) == 2


@pytest.mark.slow
def test_views(shared: Path, tmp_path: Path) -> None:
    model, sheet = tmp_path / "tiny", tmp_path / "views.png"
    save_folder(MAEVQGAN(tiny()), model)
    few = ("--episodes", "2", "--examples", "2", "--model", model, "--sheet", sheet)
    done = run("views.py", "--data", shared / "data", *few)
    assert done.returncode == 0, done.stderr
    for way in ("one view", "8 arrangements: product", "agree 0.9", "2 examples: mean of features"):
        assert way in done.stdout
    assert sheet.exists()


@pytest.mark.slow
def test_what_is_learned_in_the_study(tmp_path: Path) -> None:
    few = ("--tasks", "size", "--pairs", "12", "--queries", "3")
    border = ("--border", "epochs=1", "batch=4", "restart=1")
    vectors = ("--vectors", "tried=4", "recorded=2", "iterations=2", "samples=2", "images=2")
    for times in (1, 2):  # the second time nothing is learned
        done = run("learned_in_study.py", "--output", tmp_path, *few, *border, *vectors)
        assert done.returncode == 0, done.stderr
        assert ("learned in" in done.stdout) == (times == 1)
        for named in ("one example, border", "task vectors", "Copy"):
            assert named.split()[-1] in done.stdout
    assert (tmp_path / "answers.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_page_of_remedies(tmp_path: Path) -> None:
    done = run("prompting_sheet.py", "--out", tmp_path / "page.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "page.png") as page:
        assert page.width > 1000
        assert np.asarray(page.convert("L")).std() > 40
