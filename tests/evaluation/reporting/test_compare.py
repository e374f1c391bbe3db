"""Runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.evaluation.discs import Discs, Level

from vicl.evaluation.reporting.compare import compare
from vicl.evaluation.running.engines import FLOORS, with_floors
from vicl.evaluation.running.results import EvaluationError, Results
from vicl.evaluation.running.runner import evaluate
from vicl.evaluation.scoring.scorers import scorer_for
from vicl.metrics import paired_interval


def run(out: Path, engine: Level, dataset: Discs | None = None, count: int = 6) -> Results:
    dataset = dataset or Discs()
    return evaluate(
        with_floors({engine.name: engine}),
        dataset,
        dataset.episodes(count),
        out,
        scorer=scorer_for("segmentation"),
    )


def test_common_episodes_and_paired_differences(tmp_path: Path) -> None:
    first = run(tmp_path / "a", Level(), count=6)
    second = run(tmp_path / "b", Level(0.6, name="low"), Discs(broken=(1,)), count=5)
    found = compare([tmp_path / "a", tmp_path / "b"])
    assert found.episodes == 4  # 0, 2, 3, 4
    names = [(Path(engine.run).name, engine.engine) for engine in found.engines]
    # The floors are the same in both, and shown once.
    assert names == [("a", "copy"), ("a", "identity"), ("a", "level"), ("b", "low")]
    assert found.reference == 2
    assert found.engines[2].differences is None
    mine, theirs = (
        [r.scores.values["iou"] for r in engine.records if r.position in (0, 2, 3, 4)]
        for engine in (second.engine("low"), first.engine("level"))
    )
    differences = found.engines[3].differences
    assert differences is not None
    wanted = paired_interval(mine, theirs)
    got = differences["iou"]
    assert (got.mean, got.low, got.high, got.n) == pytest.approx(
        (wanted.mean, wanted.low, wanted.high, 4)
    )
    assert json.loads(json.dumps(found.to_json()))["engines"][3]["engine"] == "low"
    table = found.to_markdown().splitlines()
    assert table[0] == "discs, 4 common episodes"
    assert len(table) == 2 + 2 + 4


def test_one_model_in_two_ways_is_shown_twice(tmp_path: Path) -> None:
    run(tmp_path / "a", Level())
    run(tmp_path / "b", Level(0.6))
    found = compare([tmp_path / "a", tmp_path / "b"])
    assert [engine.engine for engine in found.engines] == ["copy", "identity", "level", "level"]


def test_unlike_runs_are_refused(tmp_path: Path) -> None:
    run(tmp_path / "a", Level())
    run(tmp_path / "b", Level(), Discs(fingerprint="cd" * 32))
    with pytest.raises(EvaluationError, match=r"different datasets \(fingerprint"):
        compare([tmp_path / "a", tmp_path / "b"])
    dataset = Discs()
    evaluate(
        FLOORS,
        dataset,
        dataset.episodes(3, seed=9),
        tmp_path / "c",
        scorer=scorer_for("segmentation"),
    )
    with pytest.raises(EvaluationError, match=r"no episode in common.*--replay .*listing\.jsonl"):
        compare([tmp_path / "a", tmp_path / "c"])
    with pytest.raises(EvaluationError, match=r"it has no run\.json"):
        compare([tmp_path])


def test_a_copy_under_another_name_is_the_same_dataset(tmp_path: Path) -> None:
    run(tmp_path / "a", Level())
    run(tmp_path / "b", Level(0.5, name="half"), Discs(name="copy of discs"))
    assert compare([tmp_path / "a", tmp_path / "b"]).episodes == 6


def test_a_run_that_was_stopped_can_be_compared(tmp_path: Path) -> None:
    run(tmp_path / "a", Level())
    with pytest.raises(KeyboardInterrupt):
        evaluate(
            with_floors({"level": Level(stops_after=4)}),
            Discs(),
            Discs().episodes(6),
            tmp_path / "b",
            scorer=scorer_for("segmentation"),
            batch_size=2,
        )
    assert compare([tmp_path / "a", tmp_path / "b"]).episodes == 4


def test_an_older_run_is_opened(tmp_path: Path) -> None:
    """Its setting calls the measures a kind, and its list too."""
    run(tmp_path / "a", Level())
    run(tmp_path / "b", Level(0.5, name="half"))
    setting = json.loads((tmp_path / "b" / "run.json").read_text())
    setting["dataset"]["kind"] = setting["dataset"].pop("measures")
    del setting["dataset"]["task"]
    (tmp_path / "b" / "run.json").write_text(json.dumps(setting))
    listing = tmp_path / "b" / "listing.jsonl"
    listing.write_text(listing.read_text().replace('"task"', '"kind"'))
    assert compare([tmp_path / "a", tmp_path / "b"]).episodes == 6


def test_damaged_files_are_named(tmp_path: Path) -> None:
    run(tmp_path / "a", Level(), count=2)
    setting = json.loads((tmp_path / "a" / "run.json").read_text())
    del setting["engines"]["level"]
    (tmp_path / "a" / "run.json").write_text(json.dumps(setting))
    with pytest.raises(EvaluationError, match="its files are damaged"):
        compare([tmp_path / "a"])
    for text in ("{", "[" * 100_000):
        (tmp_path / "a" / "run.json").write_text(text)
        with pytest.raises(EvaluationError, match=r"run\.json: is damaged"):
            compare([tmp_path / "a"])
