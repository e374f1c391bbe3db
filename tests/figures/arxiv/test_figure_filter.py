"""The filter: fitted, saved, read from strangers, judged; and an extract that it scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.figures.arxiv.pages import bare_filter, extract, grid, scores_of, text

from vicl.encoders.packaged import PACKAGED
from vicl.figures.arxiv.filtering.cues import CUES, layout_cues
from vicl.figures.arxiv.filtering.describing import Describing
from vicl.figures.arxiv.filtering.figure_filter import FigureFilter, FilterConfig, fit_filter
from vicl.figures.arxiv.filtering.scoring import score_extract
from vicl.figures.arxiv.filtering.training import Labelled, filter_card, fit_and_judge, judge
from vicl.files.packaged import WEIGHTS
from vicl.storage.folder import ModelError

BARE = FilterConfig(encoder="none", encoder_hash=None, features=0)
ALONE = Describing(None, 320)


def labelled(count: int = 60, each: int = 2) -> Labelled:
    """Numbers of which the first cue tells the label, and the others nothing."""
    rng = np.random.default_rng(0)
    wanted = rng.random(count) < 0.5
    described = rng.normal(size=(count, len(CUES))).astype(np.float32)
    described[:, 0] += 4 * wanted
    return Labelled(described, wanted, tuple(f"p{i // each}" for i in range(count)), {})


def test_fitting_finds_what_tells_the_labels(tmp_path: Path) -> None:
    made = labelled()
    fitted = fit_filter(made.described, made.wanted, BARE, strength=1e-2)
    assert abs(fitted.weight[0]) > 2 * fitted.weight[1:].abs().max()
    scores = fitted.score(made.described)
    assert ((scores > 0.5) == made.wanted).mean() > 0.9
    fitted.save(tmp_path / "filter", "# mine\n")
    again = FigureFilter.open(tmp_path / "filter")
    np.testing.assert_array_equal(again.score(made.described), scores)
    assert again.weights_hash
    with pytest.raises(ModelError, match="overwrite"):
        fitted.save(tmp_path / "filter", "# mine\n")
    with pytest.raises(ValueError, match="some of each"):
        fit_filter(made.described, made.wanted | True, BARE, strength=1.0)


@pytest.mark.slow
def test_cross_validation_keeps_papers_apart() -> None:
    """Labels that follow from the paper alone cannot be told of papers that were not seen."""
    rng = np.random.default_rng(1)
    wanted = np.repeat(rng.random(30) < 0.5, 4)
    described = np.repeat(rng.normal(size=(30, len(CUES))), 4, axis=0).astype(np.float32)
    papers = tuple(f"p{i // 4}" for i in range(120))
    known = fit_and_judge(Labelled(described, wanted, papers, {}), BARE)
    unknown = fit_and_judge(Labelled(described, wanted, ("",) * 120, {}), BARE)
    right = [((one.held_out > 0.5) == wanted).mean() for one in (known, unknown)]
    assert right[0] < 0.7 < 0.8 < right[1]


@pytest.mark.slow
def test_the_card_says_what_was_measured() -> None:
    made = labelled()
    trained = fit_and_judge(made, BARE)
    card = filter_card(trained, made, "mine")
    found = judge(trained.held_out, made.wanted, made.papers)
    assert str(found.precision) in card
    assert f"60 labelled figures of 30 papers: {made.wanted.sum()} yes" in card
    assert found.precision.low <= found.precision.mean <= found.precision.high
    with pytest.raises(ValueError, match="at least 5"):
        fit_and_judge(Labelled(made.described, made.wanted, ("a", "b") * 30, {}), BARE)


def test_judging_counts_by_hand() -> None:
    wanted = np.array([True, True, True, False, False])
    found = judge(np.array([0.9, 0.8, 0.1, 0.7, 0.2]), wanted, list("abcde"), 0.5)
    assert (found.precision.mean, found.recall.mean) == (2 / 3, 2 / 3)
    assert (found.kept, found.count) == (3, 5)
    nothing = judge(np.zeros(5), wanted, list("abcde"), 0.5)
    assert (nothing.precision.mean, nothing.recall.mean) == (0, 0)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("model", "unet", "expected a figure-filter"),
        ("architecture", {"encoder": "x", "encoder_hash": None, "features": -1}, "features"),
        ("architecture", {"encoder": "x", "encoder_hash": None, "features": 9}, "do not fit"),
        (
            "architecture",
            {"encoder": "x", "encoder_hash": None, "features": 0, "cues": ["a"]},
            "another vicl",
        ),
    ],
)
def test_folders_of_strangers(part: str, value: object, said: str, tmp_path: Path) -> None:
    bare_filter(tmp_path / "filter")
    config = tmp_path / "filter" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {part: value}))
    with pytest.raises(ModelError, match=said):
        FigureFilter.open(tmp_path / "filter")


def test_the_filter_of_the_package() -> None:
    folder = WEIGHTS / "figure-filter"
    made = FigureFilter.open(folder)
    assert made.config.encoder_hash == PACKAGED[made.config.encoder].sha256
    assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000


def test_a_filter_that_was_scored_by_hand(tmp_path: Path) -> None:
    made = bare_filter(tmp_path / "filter")
    scores = made.score(np.stack([layout_cues(grid()), layout_cues(text())]))
    assert scores[0] > 0.9 > 0.1 > scores[1]


@pytest.mark.slow
def test_an_extract_is_scored_and_gone_on_with(tmp_path: Path) -> None:
    made = bare_filter(tmp_path / "filter")
    folder = tmp_path / "figures"
    files = extract(folder, count=5)
    (folder / files[4]).write_bytes(b"no picture")
    scored = score_extract(folder, made, ALONE, workers=2)
    assert (scored.new, len(scored.scores), list(scored.failed)) == (5, 4, [files[4]])
    assert str(folder) not in scored.failed[files[4]]
    written = (folder / "scores.jsonl").read_bytes()
    assert list(scores_of(folder)) == files
    assert [score > 0.5 for score in scores_of(folder).values()] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert scores_of(folder)[files[4]] == 0
    assert scored.kept(0.5) == 2
    # All is known.
    assert score_extract(folder, made, ALONE).new == 0
    assert (folder / "scores.jsonl").read_bytes() == written
    # What a run that was killed left: a journal of two lines, and half of a third.
    lines = written.splitlines(keepends=True)
    (folder / "scores.jsonl").unlink()
    (folder / "scoring.jsonl").write_bytes(lines[3] + lines[1] + lines[0][:20])
    assert score_extract(folder, made, ALONE).new == 3
    assert (folder / "scores.jsonl").read_bytes() == written
    assert not (folder / "scoring.jsonl").exists()
    # Another filter's scores are not its own; nor is a figure that has changed the old one.
    made.bias[0] = -5.0
    made.save(tmp_path / "other", "# other\n")
    other = FigureFilter.open(tmp_path / "other")
    assert score_extract(folder, other, ALONE).new == 5
    rows = (folder / "figures.jsonl").read_text().splitlines()
    rows[0] = json.dumps(json.loads(rows[0]) | {"sha256": "0" * 64})
    (folder / "figures.jsonl").write_text("\n".join(rows) + "\n")
    assert score_extract(folder, other, ALONE).new == 1
